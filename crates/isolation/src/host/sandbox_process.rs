//! PID 1 of a sandbox, held by a process descriptor so that its id can never be mistaken for another's.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};

use super::PathError;

/// A process that is known by descriptor.
#[derive(Debug)]
pub struct SandboxProcess {
    pid: i32,
    descriptor: OwnedFd,
}

/// What failed about a process.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The descriptor could not be opened.
    #[error("failed to open process {pid}")]
    Open {
        /// Its id on the host.
        pid: i32,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The process could not be killed.
    #[error("failed to kill process {pid}")]
    Kill {
        /// Its id on the host.
        pid: i32,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The end of the process could not be awaited.
    #[error("failed to wait for process {pid}")]
    Wait {
        /// Its id on the host.
        pid: i32,
        /// The kernel's reason.
        source: io::Error,
    },
    /// Its id could not be read from the descriptor.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The process has ended.
    #[error("the process has ended")]
    Ended,
}

impl SandboxProcess {
    pub(super) fn from_child(pid: i32, descriptor: OwnedFd) -> Self {
        Self { pid, descriptor }
    }

    /// Takes a process descriptor and finds out the id it has on the host. Blocking.
    ///
    /// # Errors
    /// [`ProcessError::Ended`] where the process is gone.
    pub fn from_descriptor(descriptor: OwnedFd) -> Result<Self, ProcessError> {
        let path = PathBuf::from(format!("/proc/self/fdinfo/{}", descriptor.as_raw_fd()));
        let text = fs::read_to_string(&path).map_err(PathError::of("read", &path))?;
        let pid = text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse::<i32>().ok());
        match pid {
            Some(pid) if pid > 0 => Ok(Self { pid, descriptor }),
            _ => Err(ProcessError::Ended),
        }
    }

    /// Opens a process by its id and the instant it started (field 22 of `/proc/<pid>/stat`), so that a recycled id is
    /// not mistaken. Blocking.
    ///
    /// # Errors
    /// [`ProcessError::Ended`] where no such process lives any more.
    pub fn reopen(pid: i32, started: u64) -> Result<Self, ProcessError> {
        let raw = Pid::from_raw(pid).ok_or(ProcessError::Ended)?;
        let descriptor = match pidfd_open(raw, PidfdFlags::empty()) {
            Ok(descriptor) => descriptor,
            Err(rustix::io::Errno::SRCH) => return Err(ProcessError::Ended),
            Err(source) => return Err(ProcessError::Open { pid, source: source.into() }),
        };
        let process = Self { pid, descriptor };
        match process.started() {
            Ok(at) if at == started && process.is_alive() => Ok(process),
            _ => Err(ProcessError::Ended),
        }
    }

    /// Returns the id on the host.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Returns when the process started, in clock ticks since boot: proc_pid_stat(5), field 22. Blocking.
    ///
    /// # Errors
    /// The [`PathError`] of its stat file.
    pub fn started(&self) -> Result<u64, PathError> {
        let path = PathBuf::from(format!("/proc/{}/stat", self.pid));
        let text = fs::read_to_string(&path).map_err(PathError::of("read", &path))?;
        start_time(&text).ok_or_else(|| PathError {
            action: "find the start time in",
            path,
            source: io::ErrorKind::InvalidData.into(),
        })
    }

    /// Whether the process still runs. Never blocks.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.ends_within(Duration::ZERO)
    }

    /// Waits for the end of the process, but no longer than `patience`, and returns whether it has ended. Blocking.
    #[must_use]
    pub fn ends_within(&self, patience: Duration) -> bool {
        let mut watched = [PollFd::new(&self.descriptor, PollFlags::IN)];
        let patience = rustix::time::Timespec {
            tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: patience.subsec_nanos().into(),
        };
        matches!(rustix::io::retry_on_intr(|| poll(&mut watched, Some(&patience))), Ok(1..))
    }

    /// Sends a signal; to a process that has ended, none is sent and that is no error. Never blocks.
    ///
    /// # Errors
    /// [`ProcessError::Kill`].
    pub fn signal(&self, signal: Signal) -> Result<(), ProcessError> {
        match pidfd_send_signal(&self.descriptor, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(source) => Err(ProcessError::Kill { pid: self.pid, source: source.into() }),
        }
    }

    /// Kills the process, and with it everything in its pid namespace, and waits until all of it has ended: PID 1 only
    /// ends after the last of its namespace, pid_namespaces(7). Blocking.
    ///
    /// # Errors
    /// [`ProcessError::Kill`] or [`ProcessError::Wait`].
    pub fn kill_and_wait(&self) -> Result<(), ProcessError> {
        self.signal(Signal::KILL)?;
        let mut watched = [PollFd::new(&self.descriptor, PollFlags::IN)];
        rustix::io::retry_on_intr(|| poll(&mut watched, None))
            .map_err(|source| ProcessError::Wait { pid: self.pid, source: source.into() })?;
        // Only our own child needs reaping; one that an earlier daemon started is its adopter's.
        match waitid(WaitId::PidFd(self.descriptor.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            Ok(_) | Err(rustix::io::Errno::CHILD) => Ok(()),
            Err(source) => Err(ProcessError::Wait { pid: self.pid, source: source.into() }),
        }
    }

    /// Reads which namespace of a kind the process is in, for comparison. Blocking.
    ///
    /// # Errors
    /// The [`PathError`] of the link.
    pub fn namespace(&self, name: &str) -> Result<PathBuf, PathError> {
        let path = PathBuf::from(format!("/proc/{}/ns/{name}", self.pid));
        fs::read_link(&path).map_err(PathError::of("read", &path))
    }
}

impl AsFd for SandboxProcess {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Finds field 22; the second field is a name in parentheses that may hold anything.
fn start_time(stat: &str) -> Option<u64> {
    stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::start_time;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let fields: Vec<String> = (3..=52).map(|field| field.to_string()).collect();
        let stat = format!("7 (a) R 1 (b) ) {}", fields.join(" "));
        assert_eq!(start_time(&stat), Some(22));
    }
}
