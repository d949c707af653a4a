//! The one-way steps that the runner takes from inside its new namespaces, in the only order that works.
//!
//! The runner starts as PID 1 with every capability over its own namespaces and none over the host. It ends as the
//! supervisor of processes that have no capability at all, and has none itself; for a step of the building of an image, a few.

mod handover;
mod landlock;
mod mounts;
mod privileges;
mod process;
mod root;

use std::io;
use std::os::fd::OwnedFd;

pub use handover::{Handover, HandoverError, answer_failed, answer_ready, answer_shell_ready, receive};
pub use landlock::LandlockError;
pub use mounts::MountsError;
pub use privileges::PrivilegesError;
pub use process::{
    ChildExit, ChildSignals, Process, SpawnError, StartProcess, peer_has_read_all, reap_child,
};
pub use root::RootError;

use rustix::fs::{Mode, OFlags};

use crate::controls::{Control, Controls};
use crate::plan::{CONTROL_DIRECTORY, Identity, SandboxPlan};
use crate::seccomp::Instruction;
use crate::sys;

/// What the runner holds on to once the sandbox stands.
#[derive(Debug)]
pub struct Entered {
    /// The root directory of the sandbox.
    pub root: OwnedFd,
    /// The runner's own directory, [`CONTROL_DIRECTORY`].
    pub control: OwnedFd,
    /// The ABI of the landlock rules in force; 0 where the kernel has none.
    pub landlock_abi: u32,
    /// v1 `tasks` files that a started process joins before its program runs.
    session_tasks: Vec<OwnedFd>,
    process_group: Option<handover::ProcessGroupFiles>,
    filter: Option<Vec<Instruction>>,
    sealed: bool,
    identity: Identity,
    controls: Controls,
    /// The lock on the sandbox's uid range, held until the sandbox ends.
    _uid_lease: OwnedFd,
    /// The lock that says that the workspace is in use, likewise.
    _workspace_lock: Option<OwnedFd>,
}

impl Entered {
    /// Puts the seccomp filter in force for the runner itself, and so for everything it starts from now on. The first
    /// shell is started before, with the filter of its own, because the filter denies clone3(2), which alone can start a
    /// process inside a v2 cgroup; moving one there later stops every fork of the host for milliseconds.
    ///
    /// # Errors
    /// [`EnterError::Seccomp`]; the runner must then exit.
    pub fn seal(&mut self) -> Result<(), EnterError> {
        if let Some(filter) = &self.filter {
            sys::seccomp_filter::install_filter(filter).map_err(|source| EnterError::Seccomp { source })?;
        }
        self.sealed = true;
        Ok(())
    }
}

/// Which step of entering the sandbox failed.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// The mount tree could not be cut loose from the host's.
    #[error("failed to make the mount tree private")]
    Private {
        /// The kernel's reason.
        source: io::Error,
    },
    /// The directory to assemble the root on could not be opened.
    #[error("failed to open the staging directory {path:?}")]
    Staging {
        /// Which directory.
        path: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The runner could not become root of its user namespace.
    #[error("failed to become root of the user namespace")]
    NamespaceRoot {
        /// The kernel's reason.
        source: io::Error,
    },
    /// A cgroup could not be joined.
    #[error("failed to join a cgroup")]
    Cgroup {
        /// The kernel's reason.
        source: io::Error,
    },
    /// The cgroup and time namespaces could not be made.
    #[error("failed to unshare the cgroup and time namespaces")]
    Unshare {
        /// The kernel's reason.
        source: io::Error,
    },
    /// The clocks of the time namespace could not be set.
    #[error("failed to set the clock offsets of the time namespace")]
    Clocks {
        /// The kernel's reason.
        source: io::Error,
    },
    /// The host name could not be set.
    #[error("failed to set the host name")]
    Hostname {
        /// The kernel's reason.
        source: io::Error,
    },
    /// The loopback interface could not be brought up.
    #[error("failed to bring the loopback interface up")]
    Loopback {
        /// The kernel's reason.
        source: io::Error,
    },
    /// A session keyring could not be made.
    #[error("failed to make a new session keyring")]
    Keyring {
        /// The kernel's reason.
        source: io::Error,
    },
    /// The root filesystem could not be assembled.
    #[error(transparent)]
    Root(#[from] RootError),
    /// A mount inside the root failed.
    #[error(transparent)]
    Mounts(#[from] MountsError),
    /// The directory that the shell starts in could not be entered.
    #[error("failed to enter {path:?} in the new root")]
    WorkingDirectory {
        /// Which directory.
        path: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A directory of the new root could not be opened.
    #[error("failed to open {path} in the new root")]
    Open {
        /// Which directory.
        path: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
    /// Privileges could not be dropped.
    #[error(transparent)]
    Privileges(#[from] PrivilegesError),
    /// Landlock rules could not be put in force.
    #[error(transparent)]
    Landlock(#[from] LandlockError),
    /// The seccomp filter was refused.
    #[error("failed to install the seccomp filter")]
    Seccomp {
        /// The kernel's reason.
        source: io::Error,
    },
}

/// Builds the sandbox around the calling process, which must be a single-threaded PID 1 that the daemon has just
/// launched. After success the process has no capability left that its plan does not give it, and only the filter is missing: see [`Entered::seal`].
/// After an error it is useless and must exit.
///
/// # Errors
/// The first step that fails; nothing is skipped.
pub fn enter(plan: &SandboxPlan, files: handover::Files) -> Result<Entered, EnterError> {
    root::make_mounts_private().map_err(|source| EnterError::Private { source })?;
    // Opened with the host's ids, while the runner may still pass the daemon's private directories.
    let staging = rustix::fs::open(plan.staging.as_str(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(|source| EnterError::Staging { path: plan.staging.clone(), source: source.into() })?;
    let controls = plan.controls;
    privileges::become_namespace_root(controls).map_err(|source| EnterError::NamespaceRoot { source })?;
    // The cgroup namespace takes the cgroup that its maker is in as its root: the session's own.
    join(&files.session_tasks)?;
    sys::late_namespaces::unshare_cgroup_and_time(controls)
        .map_err(|source| EnterError::Unshare { source })?;
    join(&files.runner_tasks)?;
    configure_namespaces(plan)?;

    let assembly = root::assemble(plan, &staging, files.layers, files.kept.as_ref())?;
    let (workspace, workspace_lock) = files.workspace.map(|files| (files.mount, files.lock)).unzip();
    mounts::populate(plan, &assembly, files.device_tree, files.binds, workspace.as_ref())?;
    root::pivot(&assembly, controls)?;
    drop((assembly, staging, workspace, files.kept));

    // The shell shares the runner's umask and working directory, from its start on.
    rustix::process::umask(Mode::from_raw_mode(0o022));
    rustix::process::chdir(plan.working_directory.as_str()).map_err(|source| {
        EnterError::WorkingDirectory { path: plan.working_directory.clone(), source: source.into() }
    })?;
    let root = open_directory("/")?;
    let control = open_directory(CONTROL_DIRECTORY)?;
    // Inherited by everything that is started; the filter below denies the call.
    sys::keyring::join_new_session_keyring().map_err(|source| EnterError::Keyring { source })?;
    if controls.keep(Control::ResourceLimits) {
        privileges::limit_resources(plan)?;
    }
    match &plan.identity {
        Identity::Sandbox => privileges::drop_all(controls)?,
        Identity::Builder(_) => privileges::keep_for_building()?,
    }
    let fenced = controls.keep(Control::Landlock) && controls.keep(Control::NoNewPrivileges);
    let landlock_abi = if fenced { landlock::restrict(plan)? } else { 0 };
    Ok(Entered {
        root,
        control,
        landlock_abi,
        session_tasks: files.session_tasks,
        process_group: files.process_group,
        filter: plan.seccomp.clone(),
        sealed: false,
        identity: plan.identity.clone(),
        controls,
        _uid_lease: files.uid_lease,
        _workspace_lock: workspace_lock,
    })
}

/// Gives the new time, uts and network namespaces what they need to be used.
fn configure_namespaces(plan: &SandboxPlan) -> Result<(), EnterError> {
    let controls = plan.controls;
    if controls.keep(Control::TimeNamespace) {
        set_clocks().map_err(|source| EnterError::Clocks { source })?;
    }
    if controls.keep(Control::UtsNamespace) {
        rustix::system::sethostname(plan.hostname.as_bytes())
            .map_err(|source| EnterError::Hostname { source: source.into() })?;
    }
    if controls.keep(Control::NetworkNamespace) {
        bring_loopback_up().map_err(|source| EnterError::Loopback { source })?;
    }
    Ok(())
}

fn join(tasks: &[OwnedFd]) -> Result<(), EnterError> {
    for tasks in tasks {
        rustix::io::write(tasks, b"0").map_err(|source| EnterError::Cgroup { source: source.into() })?;
    }
    Ok(())
}

/// Lets the sandbox's clocks start near zero, so that the host's uptime does not show. Only processes that are started
/// later live in the new time namespace: time_namespaces(7), since Linux 5.6.
fn set_clocks() -> io::Result<()> {
    use rustix::time::{ClockId, clock_gettime};
    let monotonic = clock_gettime(ClockId::Monotonic).tv_sec;
    let boottime = clock_gettime(ClockId::Boottime).tv_sec;
    std::fs::write("/proc/self/timens_offsets", format!("monotonic -{monotonic} 0\nboottime -{boottime} 0\n"))
}

fn bring_loopback_up() -> io::Result<()> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    sys::interface::bring_loopback_up(std::os::fd::AsFd::as_fd(&socket))
}

fn open_directory(path: &'static str) -> Result<OwnedFd, EnterError> {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|source| EnterError::Open { path, source: source.into() })
}
