//! Processes inside the sandbox, as the runner starts and reaps them.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use super::Entered;
use crate::controls::Control;
use crate::plan::SANDBOX_ID;
use crate::sys;

/// A program to start as the sandbox user, in the session's cgroup, with nothing inherited but `descriptors`. It
/// shares the runner's working directory and umask.
#[derive(Debug)]
pub struct StartProcess<'a> {
    /// Absolute path inside the sandbox.
    pub program: &'a str,
    /// All arguments, the name included.
    pub arguments: &'a [String],
    /// `NAME=value` each.
    pub environment: &'a [String],
    /// Which descriptor becomes which number.
    pub descriptors: &'a [(BorrowedFd<'a>, RawFd)],
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
        let text =
            |text: &str| CString::new(text).map_err(|_| SpawnError::Nul { program: self.program.to_owned() });
        let texts = |list: &[String]| list.iter().map(|item| text(item)).collect::<Result<Vec<_>, _>>();
        let (program, arguments, environment) =
            (text(self.program)?, texts(self.arguments)?, texts(self.environment)?);
        let leaked = (!entered.controls.keep(Control::Descriptors)).then(|| (entered.root.as_fd(), 77));
        let descriptors: Vec<_> = self.descriptors.iter().copied().chain(leaked).collect();
        let (pid, descriptor) = sys::spawn::spawn(&sys::spawn::Spawn {
            program: &program,
            arguments: &arguments,
            environment: &environment,
            tasks: &entered.session_tasks,
            group: match &entered.process_group {
                None => sys::spawn::Group::None,
                Some(group) if entered.sealed => sys::spawn::Group::Join(group.procs.as_fd()),
                Some(group) => {
                    let (directory, procs) = (group.directory.as_fd(), group.procs.as_fd());
                    sys::spawn::Group::Into { directory, procs }
                }
            },
            filter: if entered.sealed { None } else { entered.filter.as_deref() },
            descriptors: &descriptors,
            user: SANDBOX_ID,
            sandbox_group: SANDBOX_ID,
        })
        .map_err(|(step, source)| SpawnError::Step {
            step,
            program: self.program.to_owned(),
            source,
        })?;
        Ok(Process { pid, descriptor })
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
}

/// Reaps one ended child, of those the runner started and those it inherited, or returns none. Never blocks.
///
/// # Errors
/// The kernel's; that there is no child at all is none.
pub fn reap_child() -> io::Result<Option<ChildExit>> {
    match sys::spawn::reap() {
        Ok(found) => Ok(found.map(|(pid, status)| ChildExit { pid, status })),
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
