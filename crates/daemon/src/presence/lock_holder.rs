//! Which process holds the lock of a run directory, as the kernel tells: by descriptors and their locks in `/proc`.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::process::Pid;
use sandkasten_isolation::host::PathError;

/// The lock of a run directory, seen by a process that does not want it.
#[derive(Debug)]
pub(super) struct ObservedLock {
    file: fs::File,
    metadata: Metadata,
}

impl ObservedLock {
    /// Opens the lock of a run directory; none where no daemon ever ran there.
    pub(super) fn open(run: &Path) -> Result<Option<Self>, PathError> {
        let path = run.join("lock");
        let file = match fs::File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            result => result.map_err(PathError::of("open", &path))?,
        };
        let metadata = file.metadata().map_err(PathError::of("look at", &path))?;
        Ok(Some(Self { file, metadata }))
    }

    /// Tells whether any process holds it. A daemon that is just starting tries again.
    pub(super) fn is_held(&self) -> io::Result<bool> {
        match flock(&self.file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => {
                flock(&self.file, FlockOperation::Unlock)?;
                Ok(false)
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Tells whether a process has the lock, and not only the file, open. One that has ended has nothing open.
    pub(super) fn is_held_by(&self, pid: Pid) -> bool {
        let process = Path::new("/proc").join(pid.to_string());
        let descriptors = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        descriptors.into_iter().any(|descriptor| {
            // The link leads to the open file itself, whatever its path has come to mean.
            let same = fs::metadata(descriptor.path())
                .is_ok_and(|open| (open.dev(), open.ino()) == (self.metadata.dev(), self.metadata.ino()));
            same && has_exclusive_lock(&process.join("fdinfo").join(descriptor.file_name()))
        })
    }

    /// Finds the process that holds it among all that can be seen.
    pub(super) fn holder(&self) -> Option<Pid> {
        let processes = fs::read_dir("/proc").ok()?.flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter_map(Pid::from_raw).find(|pid| self.is_held_by(*pid))
    }
}

/// Whether an open file carries a lock by flock(2): `lock: 1: FLOCK  ADVISORY  WRITE 4711 fe:00:131 0 EOF`, since Linux
/// 4.1 (proc_pid_fdinfo(5)).
fn has_exclusive_lock(information: &Path) -> bool {
    let text = fs::read_to_string(information).unwrap_or_default();
    text.lines().filter_map(|line| line.strip_prefix("lock:")).any(|lock| {
        let words: Vec<&str> = lock.split_whitespace().collect();
        words.contains(&"FLOCK") && words.contains(&"WRITE")
    })
}
