//! Claims: whoever unpacks a layer has one on it, so that others who want the same layer wait and then find it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::digest::Digest;

/// What the names of all claims begin with.
pub(crate) const CLAIM_PREFIX: &str = ".claim-";

/// A claim on one layer; it goes with the value, or with the process.
pub(crate) struct Claim {
    path: PathBuf,
    _file: File,
}

impl Claim {
    /// Waits until nobody else has a claim on the layer.
    pub(crate) fn wait(layers: &Path, layer: &Digest) -> io::Result<Self> {
        let path = layers.join(format!("{CLAIM_PREFIX}{}", layer.hexadecimal()));
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        loop {
            let file = File::from(rustix::fs::openat(CWD, &path, flags, Mode::RUSR | Mode::WUSR)?);
            rustix::io::retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockExclusive))?;
            // Whoever had it has removed the file: a lock on that one is a lock on nothing.
            let (ours, there) = (file.metadata()?, fs::symlink_metadata(&path));
            if there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
                return Ok(Self { path, _file: file });
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Before the lock goes. What cannot be removed is an empty file that the next claim takes over.
        drop(fs::remove_file(&self.path));
    }
}

/// Removes a claim that nobody has any more.
pub(crate) fn clear(path: &Path) -> io::Result<()> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(CWD, path, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        other => other?,
    };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => return Ok(()),
        other => other?,
    }
    remove_if_there(path)
}

pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::Claim;
    use crate::digest::Digest;

    #[test]
    fn one_at_a_time_has_a_claim_and_nothing_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let (having, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let claim = Claim::wait(directory.path(), &Digest::of(b"layer")).unwrap();
                        most.fetch_max(having.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        having.fetch_sub(1, Ordering::SeqCst);
                        drop(claim);
                    }
                });
            }
        });
        assert_eq!(most.into_inner(), 1);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
