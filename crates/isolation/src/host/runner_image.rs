//! The runner's program as a sealed memory file: no path to it exists, and nothing can change it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags, fcntl_add_seals, memfd_create};

/// The runner, ready to be executed any number of times.
#[derive(Debug)]
pub struct RunnerImage(OwnedFd);

/// Which step of preparing the runner failed.
#[derive(Debug, thiserror::Error)]
pub enum RunnerImageError {
    /// No memory file could be made.
    #[error("failed to make a memory file for the runner")]
    Create {
        /// The kernel's reason.
        source: io::Error,
    },
    /// The program could not be written.
    #[error("failed to write the runner to its memory file")]
    Write {
        /// The kernel's reason.
        source: io::Error,
    },
    /// The file could not be sealed.
    #[error("failed to seal the runner's memory file")]
    Seal {
        /// The kernel's reason.
        source: io::Error,
    },
    /// The file could not be opened for reading only; an open writer would make every exec fail.
    #[error("failed to reopen the runner's memory file")]
    Reopen {
        /// The kernel's reason.
        source: io::Error,
    },
}

impl RunnerImage {
    /// Copies the program into a memory file and seals it. Blocking, once at start.
    ///
    /// # Errors
    /// [`RunnerImageError`].
    pub fn new(program: &[u8]) -> Result<Self, RunnerImageError> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // Executable memory files must be asked for by name since Linux 6.3; older kernels do not know the flag.
        let file = match memfd_create("sandkasten-runner", flags | MemfdFlags::EXEC) {
            Err(rustix::io::Errno::INVAL) => memfd_create("sandkasten-runner", flags),
            result => result,
        }
        .map_err(|source| RunnerImageError::Create { source: source.into() })?;
        let mut rest = program;
        while !rest.is_empty() {
            let written = rustix::io::write(&file, rest)
                .map_err(|source| RunnerImageError::Write { source: source.into() })?;
            rest = rest.get(written..).unwrap_or_default();
        }
        fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)
            .map_err(|source| RunnerImageError::Seal { source: source.into() })?;
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let reopened = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|source| RunnerImageError::Reopen { source: source.into() })?;
        Ok(Self(reopened))
    }
}

impl AsFd for RunnerImage {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
