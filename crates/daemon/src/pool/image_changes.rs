//! Notices of the kernel that an image of this host has been made, replaced or removed, by whatever process: inotify(7).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use tokio::io::unix::AsyncFd;

/// A watch on the directory of manifests. Those are moved into it when they are whole.
#[derive(Debug)]
pub(crate) struct ImageChanges(AsyncFd<OwnedFd>);

impl ImageChanges {
    /// Begins to watch. To be called on a thread of a runtime.
    ///
    /// # Errors
    /// The kernel's: its user may have as many watches as they may.
    pub(crate) fn watch(directory: &Path) -> io::Result<Self> {
        let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let what = WatchFlags::MOVED_TO | WatchFlags::DELETE | WatchFlags::ONLYDIR;
        inotify::add_watch(&events, directory, what)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe, for descriptors that are not owned; this one is"
        )]
        let events = AsyncFd::new(events)?;
        Ok(Self(events))
    }

    /// Waits for a change, and takes all that there have been as one.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) async fn next(&self) -> io::Result<()> {
        let mut ready = self.0.readable().await?;
        let mut buffer = [MaybeUninit::uninit(); 4_096];
        let mut reader = Reader::new(self.0.get_ref(), &mut buffer);
        loop {
            match reader.next() {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    ready.clear_ready();
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::ImageChanges;

    #[tokio::test]
    async fn a_manifest_that_comes_or_goes_is_told_and_nothing_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let (temporary, manifest) = (directory.path().join(".tmp"), directory.path().join("python.json"));
        let changes = ImageChanges::watch(directory.path()).expect("a watch");
        let soon = |patience| tokio::time::timeout(patience, changes.next());
        fs::write(&temporary, "{}").expect("written");
        assert!(soon(Duration::from_millis(50)).await.is_err(), "it is not whole yet");
        fs::rename(&temporary, &manifest).expect("moved");
        soon(Duration::from_secs(20)).await.expect("in time").expect("told");
        fs::read(&manifest).expect("read");
        assert!(soon(Duration::from_millis(50)).await.is_err(), "both were taken");
        fs::remove_file(&manifest).expect("removed");
        soon(Duration::from_secs(20)).await.expect("in time").expect("told");
    }
}
