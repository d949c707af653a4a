//! Finding the daemon of a run directory from another process, and ending it: never one that only has its number.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use sandkasten_isolation::host::PathError;

use super::lock_holder::ObservedLock;
use super::{DaemonRecord, PID_FILE, RECORD_FILE};

/// The most bytes of a pid file or a record that are read.
const MAX_FILE_BYTES: u64 = 16 << 10;
/// How long a daemon that has been killed may take to end.
const DYING: Duration = Duration::from_secs(5);

/// A daemon that holds the lock of its run directory, by a descriptor of its process: what is done to it is done to no
/// other, even where it ends and its number is given away.
#[derive(Debug)]
pub struct RunningDaemon {
    pid: Pid,
    process: OwnedFd,
    record: Option<DaemonRecord>,
}

/// Why it is not known whether a daemon runs.
#[derive(Debug, thiserror::Error)]
pub enum FindDaemonError {
    /// A file could not be read.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The process that holds the lock cannot be seen from here.
    #[error("{run:?} is locked by a process that cannot be seen from here, as from another container")]
    Unseen {
        /// Which directory.
        run: PathBuf,
    },
}

impl RunningDaemon {
    /// Finds the daemon that holds the lock of a run directory; none where nobody does. Needs root. Blocking.
    ///
    /// # Errors
    /// [`FindDaemonError`].
    pub fn find(run: &Path) -> Result<Option<Self>, FindDaemonError> {
        let Some(lock) = ObservedLock::open(run)? else { return Ok(None) };
        let is_held = || lock.is_held().map_err(PathError::of("look at the lock in", run));
        let named = pid_in_file(&run.join(PID_FILE))?;
        let found = match named.and_then(|pid| verified(pid, &lock)) {
            Some(found) => Some(found),
            // The file is of a daemon that was killed, or this one has not come to writing its own.
            None if is_held()? => {
                let found = lock.holder().and_then(|pid| verified(pid, &lock));
                if found.is_none() && is_held()? {
                    // One that is dying has let go of its descriptors, and lets go of what they had locked a moment later.
                    named
                        .map(|pid| await_end(pid, DYING))
                        .transpose()
                        .map_err(PathError::of("wait in", run))?;
                    if is_held()? {
                        return Err(FindDaemonError::Unseen { run: run.to_owned() });
                    }
                }
                found
            }
            None => None,
        };
        let Some((pid, process)) = found else { return Ok(None) };
        let record = read_record(&run.join(RECORD_FILE))?;
        let record = record.filter(|record| i32::try_from(record.pid) == Ok(pid.as_raw_pid()));
        Ok(Some(Self { pid, process, record }))
    }

    /// Returns the number of its process.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_pid()
    }

    /// Returns what it says about itself; none where it is not ready yet.
    #[must_use]
    pub fn record(&self) -> Option<&DaemonRecord> {
        self.record.as_ref()
    }

    /// Asks it to end, as SIGTERM does. Sessions live on.
    ///
    /// # Errors
    /// The kernel's, but for a process that has ended already.
    pub fn terminate(&self) -> io::Result<()> {
        match pidfd_send_signal(&self.process, Signal::TERM) {
            Err(rustix::io::Errno::SRCH) => Ok(()),
            result => Ok(result?),
        }
    }

    /// Waits until it has ended, and returns whether it has. Blocking.
    ///
    /// # Errors
    /// The kernel's.
    pub fn wait(&self, timeout: Duration) -> io::Result<bool> {
        has_ended(&self.process, timeout)
    }
}

/// Takes hold of a process and checks that it is the one that has the lock.
fn verified(pid: Pid, lock: &ObservedLock) -> Option<(Pid, OwnedFd)> {
    // In this order: what is found out about the number is true of the descriptor's process if that has not ended since.
    let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    let ours = lock.is_held_by(pid) && !has_ended(&process, Duration::ZERO).ok()?;
    ours.then_some((pid, process))
}

/// Waits until there is no process of this number any more, or the time is over.
fn await_end(pid: Pid, timeout: Duration) -> io::Result<()> {
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(process) => has_ended(&process, timeout).map(drop),
        Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn has_ended(process: &OwnedFd, timeout: Duration) -> io::Result<bool> {
    let deadline = std::time::Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&left)) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn pid_in_file(path: &Path) -> Result<Option<Pid>, PathError> {
    let pid = read_small(path)?.and_then(|text| text.trim().parse().ok());
    Ok(pid.filter(|pid: &i32| pid.is_positive()).and_then(Pid::from_raw))
}

fn read_record(path: &Path) -> Result<Option<DaemonRecord>, PathError> {
    Ok(read_small(path)?.and_then(|text| serde_json::from_str(&text).ok()))
}

/// Reads a file of ours; none where there is none.
fn read_small(path: &Path) -> Result<Option<String>, PathError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        result => result.map_err(PathError::of("open", path))?,
    };
    let mut bytes = Vec::new();
    let read = File::from(file).take(MAX_FILE_BYTES).read_to_end(&mut bytes);
    read.map_err(PathError::of("read", path))?;
    Ok(String::from_utf8(bytes).ok())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::IoSlice;
    use std::mem::MaybeUninit;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::path::Path;
    use std::process::{Child, Command, Stdio};
    use std::time::Duration;

    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

    use super::{FindDaemonError, RunningDaemon};
    use crate::places::lock;

    fn find(run: &Path) -> Option<i32> {
        RunningDaemon::find(run).expect("looked").map(|daemon| daemon.pid())
    }

    fn own_pid() -> i32 {
        i32::try_from(std::process::id()).expect("a process id")
    }

    /// A process that is no daemon.
    fn bystander() -> Child {
        Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("a process")
    }

    #[test]
    fn the_holder_of_the_lock_is_found_whatever_the_files_say() {
        let run = tempfile::tempdir().expect("a directory");
        let run = run.path();
        assert_eq!(find(run), None);
        assert_eq!(find(&run.join("absent")), None);
        let mut other = bystander();
        let pid_file = run.join("sandkasten.pid");
        let held = lock(run).expect("a lock").expect("free");
        assert_eq!(find(run), Some(own_pid()));
        for text in
            ["", "no number", "-1", "0", "99999999999", &other.id().to_string(), &own_pid().to_string()]
        {
            fs::write(&pid_file, text).expect("written");
            assert_eq!(find(run), Some(own_pid()), "{text:?}");
        }
        drop(held);
        // Now every process that the file could name is one without the lock.
        for text in [own_pid().to_string(), other.id().to_string(), "1".to_owned(), "4194304".to_owned()] {
            fs::write(&pid_file, &text).expect("written");
            assert_eq!(find(run), None, "{text}");
        }
        other.kill().expect("killed");
        other.wait().expect("ended");
    }

    #[test]
    fn a_process_that_has_the_file_open_or_shares_the_lock_is_not_the_daemon() {
        let run = tempfile::tempdir().expect("a directory");
        drop(lock(run.path()).expect("a lock"));
        let file = fs::File::open(run.path().join("lock")).expect("open");
        fs::write(run.path().join("sandkasten.pid"), own_pid().to_string()).expect("written");
        assert_eq!(find(run.path()), None);
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockShared).expect("shared");
        assert_eq!(find(run.path()), None);
    }

    /// Holds the lock as a process does that is dying: by a description that no process has a descriptor of.
    fn hold_unseen(run: &Path) -> (UnixStream, UnixStream) {
        let held = lock(run).expect("a lock").expect("free");
        let (sender, receiver) = UnixStream::pair().expect("a pair");
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = [held.as_fd()];
        assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
        let bytes = [IoSlice::new(b"x")];
        sendmsg(&sender, &bytes, &mut control, SendFlags::empty()).expect("sent");
        (sender, receiver)
    }

    #[test]
    fn the_end_of_a_daemon_that_is_dying_is_waited_for() {
        let run = tempfile::tempdir().expect("a directory");
        let pair = hold_unseen(run.path());
        assert!(matches!(RunningDaemon::find(run.path()), Err(FindDaemonError::Unseen { .. })));
        let mut dying = bystander();
        fs::write(run.path().join("sandkasten.pid"), dying.id().to_string()).expect("written");
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            drop(pair);
            dying.kill().expect("killed");
            dying.wait().expect("ended");
        });
        assert_eq!(find(run.path()), None);
        killer.join().expect("ended");
    }

    #[test]
    fn only_a_record_of_the_same_process_is_believed() {
        let run = tempfile::tempdir().expect("a directory");
        let _held = lock(run.path()).expect("a lock").expect("free");
        let record = |pid: i32| {
            let text = format!(
                r#"{{"pid":{pid},"address":"a","version":"v","ready_at":"2026-01-01T00:00:00Z","log":null}}"#
            );
            fs::write(run.path().join("daemon.json"), text).expect("written");
            let daemon = RunningDaemon::find(run.path()).expect("looked").expect("found");
            daemon.record().map(|record| record.address.clone())
        };
        assert_eq!(record(own_pid()).as_deref(), Some("a"));
        assert_eq!(record(1), None);
    }

    #[test]
    fn a_link_in_the_place_of_the_pid_file_is_not_followed() {
        let run = tempfile::tempdir().expect("a directory");
        let _held = lock(run.path()).expect("a lock").expect("free");
        std::os::unix::fs::symlink("/proc/self/stat", run.path().join("sandkasten.pid")).expect("a link");
        assert!(matches!(RunningDaemon::find(run.path()), Err(FindDaemonError::Path(_))));
    }

    #[test]
    fn waiting_ends_with_the_process_or_the_time() {
        let mut child = bystander();
        let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).expect("an id")).expect("an id");
        let process = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).expect("held");
        let daemon = RunningDaemon { pid, process, record: None };
        assert!(!daemon.wait(Duration::from_millis(10)).expect("waited"));
        daemon.terminate().expect("asked");
        assert!(daemon.wait(Duration::from_secs(20)).expect("waited"));
        child.wait().expect("ended");
        daemon.terminate().expect("a process that has ended needs no asking");
    }
}
