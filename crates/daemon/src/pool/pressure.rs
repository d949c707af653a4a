//! Notices of the kernel that programs wait for memory: proc_pressure(5), since Linux 4.20.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

const FILE: &str = "/proc/pressure/memory";
/// Some task has waited for memory for 300 ms of two seconds: without privilege the kernel takes whole windows of two alone. Ends
/// with NUL, as the kernel's own example has it.
const TRIGGER: &[u8] = b"some 300000 2000000\0";

/// A trigger of the kernel's, which is gone when this is dropped.
#[derive(Debug)]
pub(crate) struct MemoryPressure(AsyncFd<OwnedFd>);

impl MemoryPressure {
    /// Sets the trigger. To be called on a thread of a runtime.
    ///
    /// # Errors
    /// The kernel's: it may be built or started without.
    pub(crate) fn watch() -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(FILE, flags, Mode::empty())?;
        rustix::io::write(&file, TRIGGER)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe, for descriptors that are not owned; this one is"
        )]
        let notices = AsyncFd::with_interest(file, Interest::PRIORITY)?;
        Ok(Self(notices))
    }

    /// Waits for the next notice; the kernel gives at most one in each window.
    ///
    /// # Errors
    /// The runtime's, at its end.
    pub(crate) async fn rises(&self) -> io::Result<()> {
        self.0.ready(Interest::PRIORITY).await?.clear_ready();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::MemoryPressure;

    #[tokio::test]
    async fn the_kernel_takes_the_trigger() {
        match MemoryPressure::watch() {
            Ok(_) => {}
            // A kernel that is built or started without.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported) => {}
            Err(error) => panic!("{error}"),
        }
    }
}
