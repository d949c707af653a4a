//! How much of a filesystem is left free by those who write through a root directory.

use std::os::fd::AsFd;

use rustix::fs::fstatvfs;

use super::FileError;
use super::file_error::explain;

/// How many bytes are written until the room is looked at again.
const BYTES_BETWEEN_LOOKS: u64 = 1 << 20;

/// What is left free; nothing by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reserve {
    /// Bytes.
    pub bytes: u64,
    /// Files and directories, where the filesystem has a bound on them.
    pub files: u64,
}

/// A reserve that is looked at now and then while bytes are written.
#[derive(Debug, Default)]
pub(super) struct WatchedReserve {
    reserve: Reserve,
    unseen: u64,
}

impl Reserve {
    /// Refuses a new file, or more of one, where that would be taken of the reserve.
    pub(super) fn check(self, file: impl AsFd, path: &str) -> Result<(), FileError> {
        if self == Self::default() {
            return Ok(());
        }
        let disk = fstatvfs(file).map_err(|error| explain("look at the filesystem of", path, error))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let left = if free < self.bytes {
            format!("the disk has {} MiB free, and {} are kept", free >> 20, self.bytes >> 20)
        } else if disk.f_files > 0 && disk.f_favail < self.files {
            format!("the disk has room for {} more files only", disk.f_favail)
        } else {
            return Ok(());
        };
        Err(FileError::Reserved { path: path.to_owned(), left })
    }

    pub(super) fn watch(self) -> WatchedReserve {
        WatchedReserve { reserve: self, unseen: 0 }
    }
}

impl WatchedReserve {
    /// Counts bytes that were written into a file, and looks at the room where they are many.
    pub(super) fn count(&mut self, bytes: usize, file: impl AsFd, path: &str) -> Result<(), FileError> {
        self.unseen += bytes as u64;
        if self.unseen < BYTES_BETWEEN_LOOKS {
            return Ok(());
        }
        self.unseen = 0;
        self.reserve.check(file, path)
    }
}
