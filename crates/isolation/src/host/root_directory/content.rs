//! The content of a file, opened to be read piece by piece.

use std::fs::File;

use rustix::fs::fstat;

use super::file_error::explain;
use super::{FileError, RootDirectory};

/// What tells one content of a name from another: it changes with every write, and with every file that takes the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileVersion {
    /// The filesystem.
    pub device: u64,
    /// The file in it.
    pub inode: u64,
    /// Bytes of content.
    pub size: u64,
    /// When the content last changed: seconds since 1970, nanoseconds.
    pub modified: (i64, u32),
    /// When anything about the file last changed, which nobody can set.
    pub changed: (i64, u32),
}

impl FileVersion {
    pub(super) fn of(status: &rustix::fs::Stat) -> Self {
        let nanoseconds = |value| u32::try_from(value).unwrap_or(0);
        Self {
            device: status.st_dev,
            inode: status.st_ino,
            size: u64::try_from(status.st_size).unwrap_or(0),
            modified: (status.st_mtime, nanoseconds(status.st_mtime_nsec)),
            changed: (status.st_ctime, nanoseconds(status.st_ctime_nsec)),
        }
    }
}

impl RootDirectory {
    /// Opens a regular file for reading, links followed inside the root. Blocking.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open_file(&self, path: &str) -> Result<(File, FileVersion), FileError> {
        self.as_sandbox_user(path, || {
            let file = self.open_regular(path)?;
            let status = fstat(&file).map_err(|error| explain("look at", path, error))?;
            Ok((file.into(), FileVersion::of(&status)))
        })
    }
}
