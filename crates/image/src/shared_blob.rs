//! Blobs that several pulls want at the same time, in whatever process: one fetches, and the others take what it has fetched.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::claim;
use crate::digest::Digest;

/// What the names of blobs begin with that are being fetched; whoever fetches has a lock on the file.
pub(crate) const FETCHING_PREFIX: &str = ".fetching-";
/// What the names of blobs begin with that were fetched. They are there for as long as a download has them as well.
pub(crate) const FETCHED_PREFIX: &str = ".fetched-";
/// As much of the hash of an origin as tells origins apart.
const ORIGIN_DIGITS: usize = 16;

/// A blob of one origin that others may want, too. Those who wait for it wait for an origin that they have asked themselves, and for
/// no other that may be slower.
#[derive(Debug)]
pub struct SharedBlob {
    fetching: PathBuf,
    fetched: PathBuf,
}

/// Whose turn it is to fetch a blob.
#[derive(Debug)]
pub enum FetchTurn {
    /// Nobody's: another one has fetched it, and it is where it was wanted.
    Done,
    /// Ours.
    Ours(BlobClaim),
    /// That of another one, who is at it.
    Others,
}

/// A blob that is ours to fetch. Dropped before it is finished, it is gone, and the turn is another one's.
#[derive(Debug)]
pub struct BlobClaim {
    blob: SharedBlob,
    file: File,
    finished: bool,
}

impl SharedBlob {
    pub(crate) fn new(layers: &Path, origin: &str, blob: &Digest) -> Self {
        let origin: String =
            Digest::of(origin.as_bytes()).hexadecimal().chars().take(ORIGIN_DIGITS).collect();
        let path = |prefix| layers.join(format!("{prefix}{origin}-{}", blob.hexadecimal()));
        Self { fetching: path(FETCHING_PREFIX), fetched: path(FETCHED_PREFIX) }
    }

    /// Finds out whose turn it is, and puts the blob to `wanted` where it has been fetched. Does not wait for anybody.
    ///
    /// # Errors
    ///
    /// Where a file cannot be made or linked.
    pub fn turn(self, wanted: &Path) -> io::Result<FetchTurn> {
        if self.take(wanted)? {
            return Ok(FetchTurn::Done);
        }
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(CWD, &self.fetching, flags, Mode::RUSR | Mode::WUSR)?);
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Ok(FetchTurn::Others),
            other => other?,
        }
        // Whoever had it may have moved the file away, or removed it: a lock on that one is a lock on nothing.
        let (ours, there) = (file.metadata()?, fs::symlink_metadata(&self.fetching));
        if !there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
            return Ok(FetchTurn::Others);
        }
        let claim = BlobClaim { blob: self, file, finished: false };
        // It may have been finished since the first look.
        Ok(if claim.blob.take(wanted)? { FetchTurn::Done } else { FetchTurn::Ours(claim) })
    }

    fn take(&self, wanted: &Path) -> io::Result<bool> {
        match fs::hard_link(&self.fetched, wanted) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl BlobClaim {
    /// The file to write to.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// The path of that file, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.blob.fetching
    }

    /// Puts the blob, which has been checked, to `wanted`, and where others find it.
    ///
    /// # Errors
    ///
    /// Where it cannot be linked or moved.
    pub fn finish(mut self, wanted: &Path) -> io::Result<()> {
        fs::hard_link(&self.blob.fetching, wanted)?;
        fs::rename(&self.blob.fetching, &self.blob.fetched)?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for BlobClaim {
    fn drop(&mut self) {
        if !self.finished {
            // Before the lock goes. What cannot be removed is taken over by the next one, or goes when the store is opened.
            drop(fs::remove_file(&self.blob.fetching));
        }
    }
}

/// Removes what was fetched and is in no download any more.
pub(crate) fn clear_fetched(layers: &Path) -> io::Result<()> {
    for entry in fs::read_dir(layers)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(FETCHED_PREFIX.as_bytes())
            && fs::symlink_metadata(entry.path()).is_ok_and(|meta| meta.nlink() == 1)
        {
            claim::remove_if_there(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::path::Path;

    use super::{FetchTurn, SharedBlob, clear_fetched};
    use crate::digest::Digest;

    fn turn(layers: &Path, origin: &str, wanted: &str) -> FetchTurn {
        SharedBlob::new(layers, origin, &Digest::of(b"blob")).turn(&layers.join(wanted)).unwrap()
    }

    fn names(layers: &Path) -> usize {
        fs::read_dir(layers).unwrap().count()
    }

    #[test]
    fn one_fetches_and_the_others_have_it_until_nobody_needs_it() {
        let directory = tempfile::tempdir().unwrap();
        let layers = directory.path();
        let FetchTurn::Ours(claim) = turn(layers, "r", "a") else { panic!("nobody else wants it") };
        assert!(matches!(turn(layers, "r", "b"), FetchTurn::Others));
        claim.file().write_all(b"blob").unwrap();
        claim.finish(&layers.join("a")).unwrap();
        assert!(matches!(turn(layers, "r", "b"), FetchTurn::Done));
        fs::remove_file(layers.join("a")).unwrap();
        clear_fetched(layers).unwrap();
        assert!(matches!(turn(layers, "r", "c"), FetchTurn::Done));
        for name in ["b", "c"] {
            assert_eq!(fs::read(layers.join(name)).unwrap(), b"blob");
            fs::remove_file(layers.join(name)).unwrap();
        }
        clear_fetched(layers).unwrap();
        assert_eq!(names(layers), 0);
    }

    #[test]
    fn what_is_given_up_is_the_turn_of_another_one_and_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let layers = directory.path();
        let FetchTurn::Ours(claim) = turn(layers, "r", "a") else { panic!("nobody else wants it") };
        claim.file().write_all(b"bl").unwrap();
        drop(claim);
        assert_eq!(names(layers), 0);
        let FetchTurn::Ours(claim) = turn(layers, "r", "a") else { panic!("nobody else wants it") };
        assert_eq!(claim.file().metadata().unwrap().len(), 0);
    }

    #[test]
    fn nobody_waits_for_another_origin() {
        let directory = tempfile::tempdir().unwrap();
        let FetchTurn::Ours(_slow) = turn(directory.path(), "slow", "a") else {
            panic!("nobody else wants it")
        };
        assert!(matches!(turn(directory.path(), "r", "b"), FetchTurn::Ours(_)));
    }
}
