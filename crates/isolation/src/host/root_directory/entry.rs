//! What is known of one file without opening it.

use std::ffi::CStr;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, Stat, fstat, readlinkat, statat};

use super::file_error::explain;
use super::{FileError, RootDirectory};

/// The type of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket's name.
    Socket,
    /// A character or block device.
    Device,
}

/// A file as `lstat(2)` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path from the directory that was asked about; empty for that itself.
    pub path: Vec<u8>,
    /// Its type.
    pub kind: EntryKind,
    /// Its size in bytes.
    pub size: u64,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// The time of its last change: seconds since 1970, nanoseconds.
    pub modified: (i64, u32),
    /// Where it leads, for a link.
    pub target: Option<Vec<u8>>,
}

impl EntryKind {
    pub(super) fn of(status: &Stat) -> Self {
        match FileType::from_raw_mode(status.st_mode) {
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Symlink,
            FileType::Fifo => Self::Fifo,
            FileType::Socket => Self::Socket,
            FileType::CharacterDevice | FileType::BlockDevice => Self::Device,
            _ => Self::File,
        }
    }
}

impl Entry {
    pub(super) fn read(directory: &OwnedFd, name: &CStr, path: Vec<u8>, status: &Stat) -> Self {
        let kind = EntryKind::of(status);
        // A link that has just gone has no target to show.
        let target =
            (kind == EntryKind::Symlink).then(|| readlinkat(directory, name, Vec::new()).ok()).flatten();
        Self {
            path,
            kind,
            size: u64::try_from(status.st_size).unwrap_or(0),
            mode: status.st_mode & 0o7777,
            modified: (status.st_mtime, u32::try_from(status.st_mtime_nsec).unwrap_or(0)),
            target: target.map(std::ffi::CString::into_bytes),
        }
    }
}

impl RootDirectory {
    /// Looks at a file without following it where it is a link; a dot is the root itself. Blocking.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn look_at(&self, path: &str) -> Result<Entry, FileError> {
        self.as_sandbox_user(path, || {
            if path == "." {
                let status = fstat(&self.root).map_err(|error| explain("look at", path, error))?;
                return Ok(Entry::read(&self.root, c".", Vec::new(), &status));
            }
            let (directory, name) = self.locate(path)?;
            let status = statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|error| explain("look at", path, error))?;
            Ok(Entry::read(&directory, &name, Vec::new(), &status))
        })
    }
}
