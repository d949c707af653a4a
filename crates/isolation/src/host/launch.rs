//! Starting a sandbox from outside: clone the runner into new namespaces, map its ids, hand it its mounts, and wait
//! until it says that the sandbox stands; and, where that is not known of the image, that its shell takes commands.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{OpenTreeFlags, open_tree};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, socketpair};

use super::id_mapping::{MapOwnerError, map_ids, map_owner};
use super::{DeviceTreeError, Fittings, PathError, ProcessError, RunnerImage, SandboxProcess, UidLease};
use crate::controls::{Control, Controls};
use crate::descriptor_message;
use crate::foreign_text::printable;
use crate::plan::{
    CgroupDescriptors, InvalidPlan, RANGE_IDS, SandboxPlan, SetupReply, UidRange, WORKSPACE_OWNER,
};
use crate::sys::clone::{self, LaunchStep};
use crate::sys::mount_attributes::set_mount_attributes;

/// How long the runner may take until its shell is up. Only a bound on a hang: a start takes milliseconds.
const SETUP_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest answer: the reasons of a failure.
const MAX_REPLY_BYTES: usize = 16 * 1024;
/// The root directory, and the shell's process where there is one.
const REPLY_DESCRIPTORS: usize = 2;
/// Descriptors for the child are kept above the numbers it gives them.
const ABOVE_AGREED_NUMBERS: i32 = 16;

/// Everything a start needs.
#[derive(Debug)]
pub struct LaunchRequest<'a> {
    /// What to build.
    pub plan: &'a SandboxPlan,
    /// The host ids of the session; the runner holds on to the lease.
    pub lease: &'a UidLease,
    /// Directories of the image's layers, topmost first.
    pub layers: &'a [PathBuf],
    /// Host directories to bind read-only, one for each of the plan's targets.
    pub binds: &'a [PathBuf],
    /// The directory to mount at the plan's place for a workspace.
    pub workspace: Option<WorkspaceSource<'a>>,
    /// The directory that what is written to the root goes to, with the ids inside on the disk; where the plan keeps it. It
    /// has to be one that nobody but root can reach.
    pub kept: Option<&'a Path>,
    /// Its devices, and the ways into its cgroup, which has been made and limited.
    pub fittings: &'a Fittings,
    /// The socket that the runner will accept the daemon's connections on, bound and listening.
    pub listener: BorrowedFd<'a>,
    /// The runner's program.
    pub runner: &'a RunnerImage,
}

/// A workspace to be mounted.
#[derive(Debug, Clone, Copy)]
pub struct WorkspaceSource<'a> {
    /// Its directory on disk, opened without following a link.
    pub directory: BorrowedFd<'a>,
    /// Its path, for messages.
    pub path: &'a Path,
    /// Says that it is in use, for as long as it is open; the runner holds on to it.
    pub lock: BorrowedFd<'a>,
}

/// A sandbox that stands.
#[derive(Debug)]
pub struct Launched {
    /// PID 1 of the sandbox.
    pub process: SandboxProcess,
    /// Its root directory.
    pub root: OwnedFd,
    /// Its shell, which has been started; none where the image has none, or where it has ended already.
    pub shell: Option<SandboxProcess>,
    /// To be waited for before the shell is given a command.
    pub shell_start: Option<ShellStart>,
    /// The ABI of the landlock rules in force; 0 where the kernel has none.
    pub landlock_abi: u32,
}

/// The start of a shell, which goes on in the sandbox.
#[derive(Debug)]
pub struct ShellStart {
    setup: OwnedFd,
}

impl ShellStart {
    /// Waits until the shell takes commands. Blocks for a millisecond or two. A sandbox whose shell takes none has none.
    ///
    /// # Errors
    /// [`LaunchError::UnusableImage`] with the reason, or [`LaunchError::Receive`] where the sandbox has ended.
    pub fn wait(self) -> Result<(), LaunchError> {
        match receive_reply(self.setup.as_fd()).map_err(|source| LaunchError::Receive { source })?.0 {
            SetupReply::ShellReady => Ok(()),
            reply => Err(failure(reply)),
        }
    }
}

/// What an answer says that is not the one that was waited for.
fn failure(reply: SetupReply) -> LaunchError {
    match reply {
        // A shell of the image has run by now, and may have had a say in the words.
        SetupReply::UnusableImage { reason } => LaunchError::UnusableImage { reason: printable(&reason) },
        SetupReply::Failed { reason } => LaunchError::Setup { reason: printable(&reason) },
        SetupReply::Ready { .. } | SetupReply::ShellReady => {
            LaunchError::Receive { source: io::ErrorKind::InvalidData.into() }
        }
    }
}

/// Which step of the start failed.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The plan cannot work.
    #[error(transparent)]
    Plan(#[from] InvalidPlan),
    /// A socket or descriptor could not be made.
    #[error("failed to {what}")]
    Descriptor {
        /// What was tried.
        what: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The namespaces were refused.
    #[error("failed to clone into new namespaces; `sandkasten doctor` says which the kernel lacks")]
    Clone {
        /// The kernel's reason.
        source: io::Error,
    },
    /// The runner could not be executed.
    #[error("failed to {step} for the runner")]
    Execute {
        /// What the child tried.
        step: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A file of the host could not be used.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A layer's filesystem takes no id mapping.
    #[error("failed to map the owners of {path:?}; its filesystem must support id-mapped mounts")]
    MapIds {
        /// Which directory.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The owner of a workspace could not be mapped.
    #[error(transparent)]
    MapOwner(#[from] MapOwnerError),
    /// The devices could not be made.
    #[error(transparent)]
    Devices(#[from] DeviceTreeError),
    /// The plan could not be sent.
    #[error("failed to send the plan to the runner")]
    Send {
        /// Why.
        source: io::Error,
    },
    /// The runner did not answer in time, or ended.
    #[error("failed to hear from the runner")]
    Receive {
        /// Why.
        source: io::Error,
    },
    /// The shell that the runner handed out cannot be used.
    #[error("failed to take over the shell")]
    Shell {
        /// Why.
        source: ProcessError,
    },
    /// The image has a shell that takes no commands.
    #[error("the image cannot be used: {reason}")]
    UnusableImage {
        /// What it lacks.
        reason: String,
    },
    /// The runner could not build the sandbox.
    #[error("the runner {reason}")]
    Setup {
        /// The runner's own words, down to the kernel's reason.
        reason: String,
    },
}

/// Starts a sandbox. Blocks until it stands and its shell has been started, if it has one, a few milliseconds; needs root of the host.
/// On failure the runner has ended and nothing of it is left; the cgroup and the listener stay the caller's.
///
/// # Errors
/// The first step that failed.
pub fn launch(request: &LaunchRequest<'_>) -> Result<Launched, LaunchError> {
    request.plan.validate()?;
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).map_err(
            |source| LaunchError::Descriptor { what: "make the set-up socket", source: source.into() },
        )?;
    rustix::net::sockopt::set_socket_timeout(&ours, rustix::net::sockopt::Timeout::Recv, Some(SETUP_TIMEOUT))
        .map_err(|source| LaunchError::Descriptor {
            what: "bound the set-up's time",
            source: source.into(),
        })?;
    let process = start(request, &theirs)?;
    drop(theirs);
    let built = hand_over(request, &process, ours.as_fd()).and_then(|(root, shell, landlock_abi)| {
        let is_started = shell.is_some();
        let shell = match shell.map(|shell| SandboxProcess::inside(&process, shell)).transpose() {
            // How its start goes on says why.
            Err(ProcessError::Ended) => None,
            shell => shell.map_err(|source| LaunchError::Shell { source })?,
        };
        Ok((root, shell, is_started, landlock_abi))
    });
    if built.is_err() {
        // The error at hand says more than one of the kill could; a runner whose socket closed exits by itself.
        process.kill_and_wait().ok();
    }
    let (root, shell, is_started, landlock_abi) = built?;
    let shell_start = is_started.then_some(ShellStart { setup: ours });
    Ok(Launched { process, root, shell, shell_start, landlock_abi })
}

fn start(request: &LaunchRequest<'_>, setup: &OwnedFd) -> Result<SandboxProcess, LaunchError> {
    let raise = |descriptor: BorrowedFd<'_>| {
        rustix::io::fcntl_dupfd_cloexec(descriptor, ABOVE_AGREED_NUMBERS).map_err(|source| {
            LaunchError::Descriptor { what: "duplicate a descriptor for the runner", source: source.into() }
        })
    };
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(|source| LaunchError::Descriptor { what: "open /dev/null", source: source.into() })?;
    let (executable, setup) = (raise(request.runner.as_fd())?, raise(setup.as_fd())?);
    let (listener, null) = (raise(request.listener)?, raise(null.as_fd())?);
    let (pid, descriptor) = clone::launch(&clone::Launch {
        cgroup: request.fittings.runner_directory(),
        namespaces: new_namespaces(request.plan.controls),
        executable: executable.as_fd(),
        setup: setup.as_fd(),
        listener: listener.as_fd(),
        null: null.as_fd(),
    })
    .map_err(|(step, source)| match step {
        LaunchStep::Clone => LaunchError::Clone { source },
        LaunchStep::Descriptors => LaunchError::Execute { step: "arrange descriptors", source },
        LaunchStep::Capabilities => LaunchError::Execute { step: "keep capabilities", source },
        LaunchStep::Execute => LaunchError::Execute { step: "execute the memory file", source },
    })?;
    Ok(SandboxProcess::from_child(pid, descriptor))
}

/// The namespaces that the runner starts in; it makes those of cgroups and time itself.
fn new_namespaces(controls: Controls) -> libc::c_int {
    let separable = [
        (Control::NetworkNamespace, libc::CLONE_NEWNET),
        (Control::IpcNamespace, libc::CLONE_NEWIPC),
        (Control::UtsNamespace, libc::CLONE_NEWUTS),
    ];
    let kept = separable.into_iter().filter(|(control, _)| controls.keep(*control)).map(|(_, flag)| flag);
    kept.fold(libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID, |flags, flag| flags | flag)
}

fn hand_over(
    request: &LaunchRequest<'_>,
    process: &SandboxProcess,
    setup: BorrowedFd<'_>,
) -> Result<(OwnedFd, Option<OwnedFd>, u32), LaunchError> {
    let controls = request.plan.controls;
    let mapping = map_ids(process.pid(), &session_map(request.lease.range(), controls))?;
    let mut mounts = Vec::new();
    for layer in request.layers {
        mounts.push(mapped_mount(layer, OpenTreeFlags::empty(), Access::ReadOnly, mapping.as_fd())?);
    }
    for bind in request.binds {
        // A directory of the host may have other filesystems mounted below it.
        mounts.push(mapped_mount(bind, OpenTreeFlags::AT_RECURSIVE, Access::ReadOnly, mapping.as_fd())?);
    }
    if let Some(workspace) = &request.workspace {
        mounts.extend(hand_out_workspace(request, workspace)?);
    }
    if let Some(kept) = request.kept {
        mounts.push(mapped_mount(kept, OpenTreeFlags::empty(), Access::Writable, mapping.as_fd())?);
    }
    let descriptors: Vec<_> = [request.fittings.devices()]
        .into_iter()
        .chain(mounts.iter().map(AsFd::as_fd))
        .chain(request.fittings.cgroups())
        .chain([request.lease.as_fd()])
        .collect();
    send_plan(setup, request.plan, request.fittings.cgroup_counts(), &descriptors)
        .map_err(|source| LaunchError::Send { source })?;
    drop(descriptors);
    drop(mounts);
    let (reply, received) = receive_reply(setup).map_err(|source| LaunchError::Receive { source })?;
    let mut received = received.into_iter();
    match (reply, received.next(), received.next()) {
        (SetupReply::Ready { landlock_abi }, Some(root), shell) => Ok((root, shell, landlock_abi)),
        (reply, ..) => Err(failure(reply)),
    }
}

/// The lines that map the whole of a session's range.
fn session_map(range: UidRange, controls: Controls) -> String {
    let first = range.base();
    if controls.keep(Control::UidRange) {
        return format!("0 {first} {RANGE_IDS}\n");
    }
    // The last id is then root of the host.
    let last = RANGE_IDS - 1;
    format!("0 {first} {last}\n{last} 0 1\n")
}

/// Whether a mount can be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    ReadOnly,
    Writable,
}

/// Clones a directory's mount with the session's ids.
pub(super) fn mapped_mount(
    directory: &Path,
    depth: OpenTreeFlags,
    access: Access,
    mapping: BorrowedFd<'_>,
) -> Result<OwnedFd, LaunchError> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | depth;
    let mount = open_tree(CWD, directory, flags).map_err(PathError::of("clone the mount of", directory))?;
    let read_only = if access == Access::ReadOnly { libc::MOUNT_ATTR_RDONLY } else { 0 };
    let attributes = read_only | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
    set_mount_attributes(mount.as_fd(), attributes, Some(mapping))
        .map_err(|source| LaunchError::MapIds { path: directory.to_owned(), source })?;
    Ok(mount)
}

/// Clones the mount of a workspace, writable, with the one owner that it has on disk as the session's user; every other
/// owner is nobody there, and nothing can be made that would be another's.
fn hand_out_workspace(
    request: &LaunchRequest<'_>,
    workspace: &WorkspaceSource<'_>,
) -> Result<[OwnedFd; 2], LaunchError> {
    let mapping = map_owner(request.runner, WORKSPACE_OWNER, request.lease.range().sandbox_user())?;
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let mount = open_tree(workspace.directory, "", flags)
        .map_err(PathError::of("clone the mount of", workspace.path))?;
    let attributes = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
    set_mount_attributes(mount.as_fd(), attributes, Some(mapping.as_fd()))
        .map_err(|source| LaunchError::MapIds { path: workspace.path.to_owned(), source })?;
    let lock = workspace
        .lock
        .try_clone_to_owned()
        .map_err(|source| LaunchError::Descriptor { what: "duplicate the lock of the workspace", source })?;
    Ok([mount, lock])
}

fn send_plan(
    setup: BorrowedFd<'_>,
    plan: &SandboxPlan,
    cgroups: CgroupDescriptors,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let bytes = postcard::to_stdvec(&(cgroups, plan)).map_err(io::Error::other)?;
    descriptor_message::send(setup, &bytes, descriptors, SendFlags::empty()).map(|_| ())
}

fn receive_reply(setup: BorrowedFd<'_>) -> io::Result<(SetupReply, Vec<OwnedFd>)> {
    let (bytes, descriptors) = descriptor_message::receive(setup, MAX_REPLY_BYTES, REPLY_DESCRIPTORS)?;
    if bytes.is_empty() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended without an answer"));
    }
    Ok((postcard::from_bytes(&bytes).map_err(io::Error::other)?, descriptors))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::os::fd::{AsFd, OwnedFd};

    use rustix::net::sockopt::{Timeout, set_socket_timeout};
    use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, socketpair};

    use super::{MAX_REPLY_BYTES, receive_reply};
    use crate::descriptor_message::send;
    use crate::plan::SetupReply;

    /// The set-up socket: the daemon's end, which waits only briefly here, and the runner's.
    fn sockets() -> (OwnedFd, OwnedFd) {
        let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
        let (ours, theirs) = pair.expect("a pair");
        let brief = std::time::Duration::from_millis(100);
        set_socket_timeout(&ours, Timeout::Recv, Some(brief)).expect("a timeout");
        (ours, theirs)
    }

    #[test]
    fn a_runner_that_is_silent_or_gone_is_an_error_in_time() {
        let (ours, theirs) = sockets();
        assert_eq!(receive_reply(ours.as_fd()).expect_err("silence").kind(), io::ErrorKind::WouldBlock);
        drop(theirs);
        assert_eq!(receive_reply(ours.as_fd()).expect_err("an end").kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn an_answer_that_is_too_long_or_brings_too_much_is_refused() {
        let (ours, theirs) = sockets();
        let reason = "x".repeat(MAX_REPLY_BYTES);
        let long = postcard::to_stdvec(&SetupReply::Failed { reason }).expect("encoded");
        send(theirs.as_fd(), &long, &[], SendFlags::empty()).expect("sent");
        assert_eq!(receive_reply(ours.as_fd()).expect_err("long").kind(), io::ErrorKind::InvalidData);
        let ready = postcard::to_stdvec(&SetupReply::Ready { landlock_abi: 1 }).expect("encoded");
        send(theirs.as_fd(), &ready, &[theirs.as_fd(); 200], SendFlags::empty()).expect("sent");
        assert_eq!(receive_reply(ours.as_fd()).expect_err("many").kind(), io::ErrorKind::InvalidData);
        send(theirs.as_fd(), &ready, &[theirs.as_fd(); 2], SendFlags::empty()).expect("sent");
        assert_eq!(receive_reply(ours.as_fd()).expect("a sound answer").1.len(), 2);
    }

    #[test]
    fn random_answers_are_decoded_or_refused() {
        let (ours, theirs) = sockets();
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..5_000 {
            let bytes: Vec<u8> = (0..random.usize(1..100))
                .map(|_| if random.bool() { random.u8(..4) } else { random.u8(..) })
                .collect();
            send(theirs.as_fd(), &bytes, &[], SendFlags::empty()).expect("sent");
            receive_reply(ours.as_fd()).ok();
        }
    }
}
