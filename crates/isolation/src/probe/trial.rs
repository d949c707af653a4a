//! One short-lived process that tries what the runner does, and what its user namespace allows on the outside.

use std::fs;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{OpenTreeFlags, open_tree};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, socketpair,
};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use crate::plan::{RANGE_IDS, RANGES, UidRange};
use crate::seccomp::{Instruction, SeccompProfile, compile};
use crate::sys::mount_attributes::set_mount_attributes;
use crate::sys::probe_calls::{STEPS, StartIn, Step, start_trial};

/// Only a bound on a hang: the whole trial takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// How something went: the reason is for people.
pub(super) type Outcome = Result<(), String>;

/// What became of everything that was tried.
#[derive(Debug)]
pub(super) struct Trial {
    user_namespace: Option<Outcome>,
    pid_namespace: Option<Outcome>,
    id_mapping: Option<Outcome>,
    data_mount: Option<Outcome>,
    usr_mount: Option<Outcome>,
    /// Error numbers of what the process tried itself, 0 for success.
    steps: [Option<i32>; STEPS],
    /// What is said of everything that is none.
    untried: String,
}

impl Trial {
    /// Runs the trial with the nearest existing directory of the data directory's path. Blocking. The process has ended
    /// when this returns.
    pub(super) fn run(data: Result<&Path, &String>) -> Self {
        let mut trial = Self::untried("an earlier step failed");
        if let Err(reason) = trial.try_all(data) {
            trial.untried = not_tried(&reason);
        }
        trial
    }

    /// Returns whether a process could start in a user namespace of its own.
    pub(super) fn user_namespace(&self) -> Outcome {
        self.outcome(self.user_namespace.as_ref())
    }

    /// Returns whether it could start in a pid namespace of its own as well.
    pub(super) fn pid_namespace(&self) -> Outcome {
        self.outcome(self.pid_namespace.as_ref())
    }

    /// Returns whether a session's range of ids could be mapped into the user namespace.
    pub(super) fn id_mapping(&self) -> Outcome {
        self.outcome(self.id_mapping.as_ref())
    }

    /// Returns whether there could be a mount of the data directory with the namespace's ids.
    pub(super) fn data_mount(&self) -> Outcome {
        self.outcome(self.data_mount.as_ref())
    }

    /// Returns whether there could be a mount of `/usr` with the namespace's ids.
    pub(super) fn usr_mount(&self) -> Outcome {
        self.outcome(self.usr_mount.as_ref())
    }

    /// Returns how a step of the process went.
    pub(super) fn step(&self, step: Step) -> Outcome {
        match self.steps.get(step as usize).copied().flatten() {
            Some(0) => Ok(()),
            Some(number) => Err(io::Error::from_raw_os_error(number).to_string()),
            None => Err(self.untried.clone()),
        }
    }

    fn outcome(&self, known: Option<&Outcome>) -> Outcome {
        known.cloned().unwrap_or_else(|| Err(self.untried.clone()))
    }

    fn untried(because: &str) -> Self {
        Self {
            user_namespace: None,
            pid_namespace: None,
            id_mapping: None,
            data_mount: None,
            usr_mount: None,
            steps: [None; STEPS],
            untried: not_tried(because),
        }
    }

    /// Fills in the outcomes; the error says why the rest could not be tried.
    fn try_all(&mut self, data: Result<&Path, &String>) -> Outcome {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(|error| format!("no socket could be made: {error}"))?;
        set_socket_timeout(&ours, Timeout::Recv, Some(PATIENCE))
            .map_err(|error| format!("a socket's time could not be bounded: {error}"))?;
        let filter = compile(SeccompProfile::Strict).unwrap_or_default();
        let child = self.start(&ours, &theirs, &filter)?;
        drop(theirs);
        let listened = self.map_and_listen(&child, &ours, data);
        if let Err(reason) = child.end() {
            self.user_namespace = Some(Err(reason));
        }
        listened
    }

    fn start(&mut self, ours: &OwnedFd, theirs: &OwnedFd, filter: &[Instruction]) -> Result<Child, String> {
        let start = |start_in| {
            let (pid, descriptor) = start_trial(start_in, ours.as_fd(), theirs.as_fd(), filter)?;
            Ok(Child { pid, descriptor })
        };
        let both_refused = match start(StartIn::NewUserAndPid) {
            Ok(child) => {
                (self.user_namespace, self.pid_namespace) = (Some(Ok(())), Some(Ok(())));
                return Ok(child);
            }
            Err(error) => error,
        };
        match start(StartIn::NewUser) {
            Ok(child) => {
                self.user_namespace = Some(Ok(()));
                self.pid_namespace = Some(Err(explain_clone(&both_refused)));
                Ok(child)
            }
            Err(error) => {
                self.user_namespace = Some(Err(explain_clone(&error)));
                Err("there is no user namespace".into())
            }
        }
    }

    fn map_and_listen(&mut self, child: &Child, socket: &OwnedFd, data: Result<&Path, &String>) -> Outcome {
        let mapped = map_ids(child.pid);
        self.id_mapping = Some(mapped.clone());
        mapped.map_err(|_| "the ids could not be mapped".to_owned())?;
        let mapping = open_user_namespace(child.pid)?;
        let layer = data.map_err(Clone::clone).and_then(|data| mapped_mount(data, mapping.as_fd()));
        self.data_mount = Some(layer.as_ref().map(|_| ()).map_err(Clone::clone));
        self.usr_mount = Some(mapped_mount(Path::new("/usr"), mapping.as_fd()).map(|_| ()));
        send_go(socket, layer.ok()).map_err(|error| format!("the process could not be reached: {error}"))?;
        loop {
            let mut report = [0_u8; 2];
            match rustix::io::retry_on_intr(|| rustix::io::read(socket, &mut report)) {
                Ok(2) => {}
                Ok(_) => return Err("the process ended early".into()),
                Err(error) => return Err(format!("the process did not answer: {error}")),
            }
            let [step, number] = report.map(usize::from);
            if let Some(place) = self.steps.get_mut(step) {
                *place = i32::try_from(number).ok();
            }
            if step == Step::Done as usize {
                return Ok(());
            }
        }
    }
}

/// The process; it has to be ended.
struct Child {
    pid: i32,
    descriptor: OwnedFd,
}

impl Child {
    fn end(self) -> Outcome {
        let failed = |error: rustix::io::Errno| format!("the process could not be ended: {error}");
        match pidfd_send_signal(&self.descriptor, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(failed(error)),
        }
        let wait = || waitid(WaitId::PidFd(self.descriptor.as_fd()), WaitIdOptions::EXITED);
        rustix::io::retry_on_intr(wait).map(|_| ()).map_err(failed)
    }
}

fn not_tried(because: &str) -> String {
    format!("not tried: {because}")
}

/// Says what clone(2) means by an error.
fn explain_clone(error: &io::Error) -> String {
    let meaning = match error.raw_os_error() {
        Some(libc::EPERM) => "; a security module or a seccomp filter forbids it, or the root is a chroot's",
        Some(libc::ENOSPC) => {
            "; the limit user.max_user_namespaces is reached, or they are nested too deeply"
        }
        Some(libc::EUSERS) => "; they are nested too deeply",
        Some(libc::EINVAL) => "; this kernel is built without them",
        _ => "",
    };
    format!("clone refused: {error}{meaning}")
}

/// Maps the last range there is: sessions are given the first ones, so hardly any session has it.
fn map_ids(pid: i32) -> Outcome {
    let range = UidRange::from_index(RANGES - 1).map_err(|error| error.to_string())?;
    let map = format!("0 {} {RANGE_IDS}\n", range.base());
    ["uid_map", "gid_map"].iter().try_for_each(|file| {
        fs::write(format!("/proc/{pid}/{file}"), &map)
            .map_err(|error| format!("writing {file} for {RANGE_IDS} ids from {}: {error}", range.base()))
    })
}

fn open_user_namespace(pid: i32) -> Result<OwnedFd, String> {
    let path = format!("/proc/{pid}/ns/user");
    rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| format!("{path} could not be opened: {error}"))
}

/// Clones a directory's mount with the namespace's ids, the way a start does. It is attached nowhere on the host.
fn mapped_mount(directory: &Path, mapping: BorrowedFd<'_>) -> Result<OwnedFd, String> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = open_tree(CWD, directory, flags)
        .map_err(|error| format!("open_tree of {}: {error}", directory.display()))?;
    let attributes = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
    set_mount_attributes(mount.as_fd(), attributes, Some(mapping)).map_err(|error| {
        let meaning = match error.raw_os_error() {
            Some(libc::EINVAL) => "; the filesystem supports no id mapping",
            _ => "",
        };
        format!("mount_setattr of {}: {error}{meaning}", directory.display())
    })?;
    Ok(mount)
}

fn send_go(socket: &OwnedFd, layer: Option<OwnedFd>) -> io::Result<()> {
    let descriptors: Vec<BorrowedFd<'_>> = layer.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("no room for a descriptor"));
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(&[1])], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{Trial, explain_clone};
    use crate::sys::probe_calls::Step;

    #[test]
    fn a_step_is_what_its_number_says() {
        let mut trial = Trial::untried("no socket");
        assert_eq!(trial.step(Step::Proc), Err("not tried: no socket".into()));
        assert_eq!(trial.id_mapping(), trial.step(Step::Proc));
        trial.steps[Step::Proc as usize] = Some(0);
        assert_eq!(trial.step(Step::Proc), Ok(()));
        trial.steps[Step::Proc as usize] = Some(libc::EPERM);
        assert_eq!(trial.step(Step::Proc), Err("Operation not permitted (os error 1)".into()));
    }

    #[test]
    fn a_refused_clone_names_the_limit() {
        let text = explain_clone(&io::Error::from_raw_os_error(libc::ENOSPC));
        assert!(text.contains("user.max_user_namespaces"), "{text}");
    }
}
