//! Which uid range belongs to which live sandbox, over all daemons of the host and without any daemon's memory.
//!
//! Each range is a file, and its holder an exclusive flock(2) on it. The lock belongs to an open file that the runner
//! inherits: it is free again exactly when the sandbox has ended, whatever became of the daemon.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};

use super::PathError;
use crate::plan::{RANGES, UidRange};

/// Where the locks are, the same for every daemon of the host. Cleared by a reboot, as are the sandboxes.
pub const LEASE_DIRECTORY: &str = "/run/sandkasten/uid-ranges";

/// The ranges of this host.
#[derive(Debug)]
pub struct UidLeases {
    directory: PathBuf,
    next: AtomicU32,
}

/// A range that nobody else uses as long as this, or the runner's copy of it, is open.
#[derive(Debug)]
pub struct UidLease {
    range: UidRange,
    lock: OwnedFd,
}

/// Why no range could be leased.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The directory or a lock file could not be used.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Every range is taken.
    #[error("all {RANGES} uid ranges are in use; destroy sessions first")]
    Exhausted,
}

impl UidLeases {
    /// Opens the directory of locks, making it where it is missing. Blocking; needs root of the host.
    ///
    /// # Errors
    /// [`LeaseError::Path`].
    pub fn open(directory: &Path) -> Result<Self, LeaseError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(PathError::of("make the directory", directory))?;
        let metadata = fs::symlink_metadata(directory).map_err(PathError::of("look at", directory))?;
        if !metadata.is_dir() {
            return Err(PathError::of("use as a directory", directory)(io::Error::from(
                io::ErrorKind::NotADirectory,
            ))
            .into());
        }
        // Daemons that start at other places in the circle seldom meet.
        Ok(Self { directory: directory.to_owned(), next: AtomicU32::new(std::process::id()) })
    }

    /// Leases a free range. Blocking, for two system calls in the common case.
    ///
    /// # Errors
    /// [`LeaseError`].
    pub fn take(&self) -> Result<UidLease, LeaseError> {
        for _ in 0..RANGES {
            let index = self.next.fetch_add(1, Ordering::Relaxed) % RANGES;
            let Ok(range) = UidRange::from_index(index) else { continue };
            let path = self.directory.join(index.to_string());
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let lock = rustix::fs::open(&path, flags, Mode::from_raw_mode(0o600))
                .map_err(PathError::of("open", &path))?;
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(UidLease { range, lock }),
                Err(rustix::io::Errno::WOULDBLOCK) => {}
                Err(error) => return Err(PathError::of("lock", &path)(error).into()),
            }
        }
        Err(LeaseError::Exhausted)
    }
}

impl UidLease {
    /// Returns the range.
    #[must_use]
    pub fn range(&self) -> UidRange {
        self.range
    }
}

impl AsFd for UidLease {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::UidLeases;

    #[test]
    fn two_daemons_never_hold_the_same_range() {
        let directory = tempfile::tempdir().expect("a directory");
        let (one, two) = (UidLeases::open(directory.path()), UidLeases::open(directory.path()));
        let (one, two) = (one.expect("leases"), two.expect("leases"));
        let held: Vec<_> =
            (0..20).flat_map(|_| [one.take().expect("a lease"), two.take().expect("a lease")]).collect();
        let distinct: std::collections::BTreeSet<_> = held.iter().map(super::UidLease::range).collect();
        assert_eq!(distinct.len(), held.len());
    }

    #[test]
    fn a_range_stays_taken_while_a_copy_of_its_lock_is_open() {
        let directory = tempfile::tempdir().expect("a directory");
        let leases = UidLeases::open(directory.path()).expect("leases");
        let lease = leases.take().expect("a lease");
        let (range, copy) = (lease.range(), lease.as_fd().try_clone_to_owned().expect("a copy"));
        drop(lease);
        leases.next.store(range.index(), std::sync::atomic::Ordering::Relaxed);
        assert_ne!(leases.take().expect("a lease").range(), range);
        drop(copy);
        leases.next.store(range.index(), std::sync::atomic::Ordering::Relaxed);
        assert_eq!(leases.take().expect("a lease").range(), range);
    }
}
