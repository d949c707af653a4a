//! Permission bits.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags, chmod};

use super::file_error::explain;
use super::{FileError, RootDirectory, refuse_proc};

impl RootDirectory {
    /// Sets the permission bits of what a path leads to, links followed inside the root. Blocking.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn set_mode(&self, path: &str, mode: u32) -> Result<(), FileError> {
        self.as_sandbox_user(path, || {
            let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
            let file = self
                .open_inside(path.as_bytes(), OFlags::PATH | OFlags::CLOEXEC, resolve)
                .map_err(|error| explain("open", path, error))?;
            refuse_proc(&file, path)?;
            set(&file, mode, path)
        })
    }
}

/// Sets the bits of what is open with `O_PATH` alone, by its descriptor's name: what cannot be read can have its mode changed
/// all the same.
pub(super) fn set(file: &OwnedFd, mode: u32, path: &str) -> Result<(), FileError> {
    chmod(format!("/proc/self/fd/{}", file.as_raw_fd()), Mode::from_raw_mode(mode & 0o777))
        .map_err(|error| explain("set the mode of", path, error))
}
