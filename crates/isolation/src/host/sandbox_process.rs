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
use crate::sys::process_info;

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
    /// The process is none of the sandbox that handed out its descriptor.
    #[error("the runner handed out process {pid}, which is not in its sandbox")]
    Foreign {
        /// Its id on the host.
        pid: i32,
    },
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessEnd {
    /// By itself, with a status.
    Exited {
        /// The status.
        status: i32,
    },
    /// By a signal.
    Signalled {
        /// Its number.
        signal: i32,
    },
}

impl ProcessEnd {
    /// Reads the form of wait(2).
    const fn of_wait_status(status: i32) -> Self {
        match status & 0x7f {
            0 => Self::Exited { status: (status >> 8) & 0xff },
            signal => Self::Signalled { signal },
        }
    }
}

impl SandboxProcess {
    pub(super) fn from_child(pid: i32, descriptor: OwnedFd) -> Self {
        Self { pid, descriptor }
    }

    /// Takes a process descriptor that a runner handed out and finds out the id it has on the host. Blocking.
    ///
    /// The process must be in the sandbox of `first`, its PID 1. A runner that has been taken over can come by
    /// descriptors of others: of the daemon itself by `SO_PEERPIDFD`, since Linux 6.5.
    ///
    /// # Errors
    /// [`ProcessError::Ended`] where the process is gone, [`ProcessError::Foreign`] where it is another's.
    pub fn inside(first: &Self, descriptor: OwnedFd) -> Result<Self, ProcessError> {
        let process = Self::from_descriptor(descriptor)?;
        let namespaces = process.namespace("pid").and_then(|theirs| Ok((theirs, first.namespace("pid")?)));
        // Asked after the look: only then was it this process, and not a later one of the same id, that was looked at.
        if !process.is_alive() {
            return Err(ProcessError::Ended);
        }
        let (theirs, sandbox) = namespaces?;
        if theirs == sandbox { Ok(process) } else { Err(ProcessError::Foreign { pid: process.pid }) }
    }

    /// Takes a process descriptor that the caller has opened itself, and finds out the id it has on the host; for one that
    /// came from a sandbox there is [`SandboxProcess::inside`]. Blocking.
    ///
    /// # Errors
    /// [`ProcessError::Ended`] where the process is gone.
    pub fn from_descriptor(descriptor: OwnedFd) -> Result<Self, ProcessError> {
        match described_pid(&descriptor)? {
            Some(pid) => Ok(Self { pid, descriptor }),
            None => Err(ProcessError::Ended),
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

    /// Returns how the process ended; none where it has not, or where nobody can tell: before Linux 6.15 the end of a process
    /// that an earlier daemon started is known to its reaper alone. Leaves it to be reaped. Blocking.
    #[must_use]
    pub fn end(&self) -> Option<ProcessEnd> {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::PidFd(self.descriptor.as_fd()), look) {
            Ok(status) => {
                let status = status?;
                status
                    .exit_status()
                    .map(|status| ProcessEnd::Exited { status })
                    .or_else(|| status.terminating_signal().map(|signal| ProcessEnd::Signalled { signal }))
            }
            // None of our children: it waits for its reaper, or has been reaped.
            Err(_) => self
                .end_of_unreaped()
                .or_else(|| process_info::exit_code(self.descriptor.as_fd()).ok().flatten())
                .map(ProcessEnd::of_wait_status),
        }
    }

    fn end_of_unreaped(&self) -> Option<i32> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        let code = zombie_exit_code(&stat)?;
        // Asked after the look: only then was it this process, and not a later one of the same id.
        (described_pid(&self.descriptor).ok()? == Some(self.pid)).then_some(code)
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

/// Returns the id of the process that a descriptor is about; none where it has been reaped, or is no process.
fn described_pid(descriptor: &OwnedFd) -> Result<Option<i32>, PathError> {
    let path = PathBuf::from(format!("/proc/self/fdinfo/{}", descriptor.as_raw_fd()));
    let text = fs::read_to_string(&path).map_err(PathError::of("read", &path))?;
    let pid = text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse::<i32>().ok());
    Ok(pid.filter(|pid| *pid > 0))
}

/// Finds field 52, how the process ended in the form of wait(2), where field 3 says that it has: proc_pid_stat(5).
fn zombie_exit_code(stat: &str) -> Option<i32> {
    let mut fields = stat.rsplit_once(") ")?.1.trim_end().split(' ');
    if fields.next()? != "Z" {
        return None;
    }
    fields.nth(48)?.parse().ok()
}

/// Finds field 22; the second field is a name in parentheses that may hold anything.
fn start_time(stat: &str) -> Option<u64> {
    stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rustix::process::{Pid, PidfdFlags, pidfd_open};

    use super::{ProcessEnd, ProcessError, SandboxProcess, start_time};

    fn open(pid: u32) -> std::os::fd::OwnedFd {
        let pid = Pid::from_raw(i32::try_from(pid).expect("an id")).expect("an id");
        pidfd_open(pid, PidfdFlags::empty()).expect("a living process")
    }

    #[test]
    fn a_process_of_another_pid_namespace_is_not_taken_for_the_sandboxs() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIP: a pid namespace needs root");
            return;
        }
        // `unshare` ends with its child, which is PID 1 of the new namespace.
        let mut outer = Command::new("unshare")
            .args(["--pid", "--fork", "--kill-child", "sh", "-c", "sleep 60 & wait"])
            .spawn()
            .expect("unshare runs");
        let children = |pid: u32| {
            let path = format!("/proc/{pid}/task/{pid}/children");
            std::fs::read_to_string(path).ok()?.split_whitespace().next()?.parse::<u32>().ok()
        };
        let (first, second) = (0..500)
            .find_map(|_| {
                std::thread::sleep(std::time::Duration::from_millis(10));
                let first = children(outer.id())?;
                Some((first, children(first)?))
            })
            .expect("the namespace has two processes");
        let first = SandboxProcess::from_descriptor(open(first)).expect("PID 1");
        let inside = SandboxProcess::inside(&first, open(second)).expect("one of its own");
        assert_eq!(inside.pid().unsigned_abs(), second);
        for foreign in [std::process::id(), outer.id()] {
            let refused = SandboxProcess::inside(&first, open(foreign)).expect_err("a process of the host");
            assert!(matches!(refused, ProcessError::Foreign { pid } if pid.unsigned_abs() == foreign));
        }
        let (file, _) = std::io::pipe().expect("a pipe");
        assert!(SandboxProcess::inside(&first, file.into()).is_err(), "a pipe is no process");
        outer.kill().expect("killed");
        outer.wait().expect("ended");
    }

    #[test]
    fn how_a_child_ended_is_told_and_still_there_to_be_reaped() {
        for (script, end) in [
            ("exit 7", ProcessEnd::Exited { status: 7 }),
            ("kill -KILL $$", ProcessEnd::Signalled { signal: 9 }),
        ] {
            let mut child = Command::new("sh").args(["-c", script]).spawn().expect("sh runs");
            let process = SandboxProcess::from_descriptor(open(child.id())).expect("a child");
            assert!(process.ends_within(std::time::Duration::from_secs(20)));
            assert_eq!((process.end(), process.end()), (Some(end), Some(end)), "{script}");
            child.wait().expect("it is there to be reaped");
        }
    }

    #[test]
    fn how_anothers_child_ended_is_told_while_it_waits_to_be_reaped() {
        // Of what runs in the background a shell takes descriptor 0 away.
        let script = "exec 3<&0; sh -c 'read x <&3; kill -KILL $$' & echo $!; exec sleep 60";
        let mut parent = Command::new("sh")
            .args(["-c", script])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("sh runs");
        let mut line = String::new();
        let output = parent.stdout.take().expect("a pipe");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).expect("a line");
        let process =
            SandboxProcess::from_descriptor(open(line.trim().parse().expect("an id"))).expect("alive");
        assert_eq!(process.end(), None, "it has not ended");
        drop(parent.stdin.take());
        assert!(process.ends_within(std::time::Duration::from_secs(20)));
        assert_eq!(process.end(), Some(ProcessEnd::Signalled { signal: 9 }));
        parent.kill().expect("killed");
        parent.wait().expect("ended");
    }

    #[test]
    fn how_a_process_ended_is_told_after_another_has_reaped_it() {
        let mut child = Command::new("sh")
            .args(["-c", "read x; kill -KILL $$"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("sh runs");
        let process = SandboxProcess::from_descriptor(open(child.id())).expect("a child");
        drop(child.stdin.take());
        child.wait().expect("reaped");
        let told = process.end();
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
        if (numbers.next(), numbers.next()) < (Some(6), Some(15)) {
            eprintln!("SKIP: Linux {release} does not tell how a process that was reaped ended");
        } else {
            assert_eq!(told, Some(ProcessEnd::Signalled { signal: 9 }));
        }
    }

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let fields: Vec<String> = (3..=52).map(|field| field.to_string()).collect();
        let stat = format!("7 (a) R 1 (b) ) {}", fields.join(" "));
        assert_eq!(start_time(&stat), Some(22));
    }
}
