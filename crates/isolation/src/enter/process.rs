//! Processes inside the sandbox, as the runner starts and reaps them.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use super::Entered;
use crate::controls::Control;
use crate::plan::{Account, Identity, SANDBOX_ID};
use crate::sys;

/// A program to start as the user of the plan, in the session's cgroup, with nothing inherited but `descriptors`.
#[derive(Debug)]
pub struct StartProcess<'a> {
    /// Absolute paths inside the sandbox: the first that can be executed is.
    pub programs: &'a [String],
    /// All arguments, the name included.
    pub arguments: &'a [String],
    /// `NAME=value` each.
    pub environment: &'a [String],
    /// Which descriptor becomes which number.
    pub descriptors: &'a [(BorrowedFd<'a>, RawFd)],
    /// The working directory. None shares the runner's own, and its umask, which begins at 022.
    pub directory: Option<&'a str>,
    /// The process group to join: its `cgroup.procs`, or in v1 `tasks`, as the daemon has opened it. None is the
    /// session's first one.
    pub group: Option<BorrowedFd<'a>>,
    /// Whether descriptor 0 becomes its controlling terminal.
    pub terminal: bool,
}

/// A started process.
#[derive(Debug)]
pub struct Process {
    /// Its id in the runner's pid namespace.
    pub pid: i32,
    /// Its process descriptor.
    pub descriptor: OwnedFd,
}

/// Why a program did not start.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// An argument or variable holds a NUL byte.
    #[error("failed to pass a text with a NUL byte to {program}")]
    Nul {
        /// Which program.
        program: String,
    },
    /// The working directory cannot be entered by the sandbox user.
    #[error("failed to change to {directory:?}")]
    Directory {
        /// Which one.
        directory: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The program is not there, or cannot be executed.
    #[error("failed to execute {program:?}")]
    Execute {
        /// Which program.
        program: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A step before the program's first instruction failed.
    #[error("failed to {step} for {program}")]
    Step {
        /// Which step.
        step: &'static str,
        /// Which program.
        program: String,
        /// The kernel's reason.
        source: io::Error,
    },
}

impl StartProcess<'_> {
    /// Starts the program. Blocks until its exec has happened.
    ///
    /// # Errors
    /// [`SpawnError`], also for what fails in the child before its exec.
    pub fn spawn(&self, entered: &Entered) -> Result<Process, SpawnError> {
        let name = || self.arguments.first().cloned().unwrap_or_default();
        let text = |text: &str| CString::new(text).map_err(|_| SpawnError::Nul { program: name() });
        let texts = |list: &[String]| list.iter().map(|item| text(item)).collect::<Result<Vec<_>, _>>();
        let (programs, arguments, environment) =
            (texts(self.programs)?, texts(self.arguments)?, texts(self.environment)?);
        let directory = self.directory.map(text).transpose()?;
        let leaked = (!entered.controls.keep(Control::Descriptors)).then(|| (entered.root.as_fd(), 77));
        let descriptors: Vec<_> = self.descriptors.iter().copied().chain(leaked).collect();
        let (user, sandbox_group, groups) = match &entered.identity {
            Identity::Sandbox => (SANDBOX_ID, SANDBOX_ID, None),
            Identity::Builder(Account { user, group, groups }) => (*user, *group, Some(groups.as_slice())),
        };
        let (pid, descriptor) = sys::spawn::spawn(&sys::spawn::Spawn {
            programs: &programs,
            arguments: &arguments,
            environment: &environment,
            tasks: &entered.session_tasks,
            group: self.group(entered),
            filter: if entered.sealed { None } else { entered.filter.as_deref() },
            descriptors: &descriptors,
            user,
            sandbox_group,
            groups,
            directory: directory.as_ref().map_or(sys::spawn::Directory::Shared, sys::spawn::Directory::Own),
            terminal: self.terminal,
        })
        .map_err(|(step, source)| match (step, self.directory) {
            (sys::spawn::ENTER_STEP, Some(directory)) => {
                SpawnError::Directory { directory: directory.to_owned(), source }
            }
            (sys::spawn::EXECUTE_STEP, _) => SpawnError::Execute { program: name(), source },
            _ => SpawnError::Step { step, program: name(), source },
        })?;
        Ok(Process { pid, descriptor })
    }

    fn group<'b>(&'b self, entered: &'b Entered) -> sys::spawn::Group<'b> {
        match (self.group, &entered.process_group) {
            (Some(file), _) => sys::spawn::Group::Join(file),
            (None, None) => sys::spawn::Group::None,
            (None, Some(group)) if entered.sealed => sys::spawn::Group::Join(group.procs.as_fd()),
            (None, Some(group)) => {
                let (directory, procs) = (group.directory.as_fd(), group.procs.as_fd());
                sys::spawn::Group::Into { directory, procs }
            }
        }
    }
}

/// Tells PID 1 of children that have ended.
#[derive(Debug)]
pub struct ChildSignals(OwnedFd);

impl ChildSignals {
    /// Blocks every signal for the runner and opens the descriptor that becomes readable for `SIGCHLD`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new() -> io::Result<Self> {
        sys::signals::block_all()?;
        Ok(Self(sys::signals::child_signal_descriptor()?))
    }

    /// Takes the pending notification away. Never blocks.
    ///
    /// # Errors
    /// The kernel's; that nothing is pending is none.
    pub fn clear(&self) -> io::Result<()> {
        let mut information = [0_u8; 128];
        match rustix::io::read(&self.0, &mut information) {
            Ok(_) | Err(rustix::io::Errno::AGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for ChildSignals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A child that has ended and was reaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChildExit {
    /// Its id in the runner's pid namespace.
    pub pid: i32,
    /// Its exit status; 128 + N after death by signal N.
    pub status: i32,
    /// The signal it died by, if it did.
    pub signal: Option<i32>,
}

/// Reaps one ended child, of those the runner started and those it inherited, or returns none. Never blocks.
///
/// # Errors
/// The kernel's; that there is no child at all is none.
pub fn reap_child() -> io::Result<Option<ChildExit>> {
    match sys::spawn::reap() {
        Ok(found) => Ok(found.map(|(pid, status, signal)| ChildExit { pid, status, signal })),
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the peer of a unix socket has read everything that was written to it. Never blocks.
///
/// # Errors
/// The kernel's.
pub fn peer_has_read_all(socket: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(sys::socket_queue::unread(socket)? <= 1)
}
