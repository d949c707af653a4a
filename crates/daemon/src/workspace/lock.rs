//! Who uses a workspace, over all daemons of a data directory and without any daemon's memory.
//!
//! Each workspace has a file for an flock(2), beside the tree and out of its reach. Users hold it shared: requests as long
//! as they take, and a session's runner, which inherits the open file, as long as the sandbox lives, whatever became
//! of the daemon. Who removes, renames or makes a whole one holds it alone.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat};
use sandkasten_api::id::WorkspaceId;
use sandkasten_isolation::host::PathError;

use super::WorkspaceError;

/// How often a lock file that is taken away under the hand is opened anew.
const ATTEMPTS: usize = 100;

/// A workspace that others leave alone, or only use as well, as long as this is open.
#[derive(Debug)]
pub(super) struct WorkspaceLock {
    file: OwnedFd,
    path: PathBuf,
}

impl WorkspaceLock {
    /// Holds the workspace together with others that use it.
    ///
    /// # Errors
    /// [`WorkspaceError::InUse`] where somebody has it alone.
    pub(super) fn share(directory: &Path, id: &WorkspaceId) -> Result<Self, WorkspaceError> {
        Self::take(directory, id, FlockOperation::NonBlockingLockShared)
    }

    /// Holds the workspace alone.
    ///
    /// # Errors
    /// [`WorkspaceError::InUse`] where anybody has it.
    pub(super) fn claim(directory: &Path, id: &WorkspaceId) -> Result<Self, WorkspaceError> {
        Self::take(directory, id, FlockOperation::NonBlockingLockExclusive)
    }

    fn take(directory: &Path, id: &WorkspaceId, operation: FlockOperation) -> Result<Self, WorkspaceError> {
        Self::take_file(directory.join(id.as_str()), id, operation)
    }

    /// As [`share`](Self::share), of a file that has another name until the workspace gets its own.
    pub(super) fn share_file(path: PathBuf, id: &WorkspaceId) -> Result<Self, WorkspaceError> {
        Self::take_file(path, id, FlockOperation::NonBlockingLockShared)
    }

    /// As [`claim`](Self::claim), of a file that has another name.
    pub(super) fn claim_file(path: PathBuf, id: &WorkspaceId) -> Result<Self, WorkspaceError> {
        Self::take_file(path, id, FlockOperation::NonBlockingLockExclusive)
    }

    fn take_file(path: PathBuf, id: &WorkspaceId, operation: FlockOperation) -> Result<Self, WorkspaceError> {
        for _ in 0..ATTEMPTS {
            let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let file = rustix::fs::open(&path, flags, Mode::from_raw_mode(0o600))
                .map_err(PathError::of("open", &path))?;
            match flock(&file, operation) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => break,
                Err(error) => return Err(PathError::of("lock", &path)(error).into()),
            }
            // Whoever had it alone may have removed it between the two: then it locks nothing.
            if fstat(&file).map_err(PathError::of("look at", &path))?.st_nlink > 0 {
                return Ok(Self { file, path });
            }
        }
        Err(WorkspaceError::InUse { id: id.clone() })
    }

    /// Removes the file of a workspace that is gone, and lets go of it. It must be held alone.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn remove(self) -> Result<(), PathError> {
        fs::remove_file(&self.path).map_err(PathError::of("remove", &self.path))
    }

    /// Tells whether nobody else has it, and then holds it alone.
    pub(super) fn try_upgrade(&self) -> bool {
        flock(&self.file, FlockOperation::NonBlockingLockExclusive).is_ok()
    }
}

impl AsFd for WorkspaceLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use sandkasten_api::id::WorkspaceId;

    use super::{WorkspaceError, WorkspaceLock};

    fn id() -> WorkspaceId {
        "user-1".parse().expect("an id")
    }

    fn is_in_use(taken: &Result<WorkspaceLock, WorkspaceError>) -> bool {
        matches!(taken, Err(WorkspaceError::InUse { .. }))
    }

    #[test]
    fn users_share_and_whoever_has_it_alone_waits_for_all_of_them() {
        let directory = tempfile::tempdir().expect("a directory");
        let share = || WorkspaceLock::share(directory.path(), &id());
        let claim = || WorkspaceLock::claim(directory.path(), &id());
        let (one, two) = (share().expect("shared"), share().expect("shared"));
        assert!(is_in_use(&claim()));
        drop(one);
        let inherited = two.as_fd().try_clone_to_owned().expect("a copy");
        drop(two);
        assert!(is_in_use(&claim()), "the copy is as good");
        drop(inherited);
        let alone = claim().expect("alone");
        assert!(is_in_use(&share()) && is_in_use(&claim()));
        alone.remove().expect("removed");
        assert!(std::fs::read_dir(directory.path()).expect("listed").next().is_none());
        assert!(share().is_ok());
    }

    #[test]
    fn a_lock_whose_file_was_removed_meanwhile_is_none() {
        let directory = tempfile::tempdir().expect("a directory");
        let alone = WorkspaceLock::claim(directory.path(), &id()).expect("alone");
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let taker = scope.spawn(|| {
                loop {
                    match WorkspaceLock::share(directory.path(), &id()) {
                        Ok(lock) => break lock,
                        Err(error) => assert!(matches!(error, WorkspaceError::InUse { .. }), "{error}"),
                    }
                    assert!(!stop.load(std::sync::atomic::Ordering::Relaxed));
                }
            });
            alone.remove().expect("removed");
            let lock = taker.join().expect("it gets one");
            assert!(rustix::fs::fstat(&lock).expect("looked at").st_nlink > 0);
            assert!(is_in_use(&WorkspaceLock::claim(directory.path(), &id())));
        });
    }
}
