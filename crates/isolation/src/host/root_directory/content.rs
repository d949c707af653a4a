//! The content of a file, opened to be read piece by piece.

use std::fs::File;
use std::io::Read;

use rustix::fs::fstat;

use super::file_error::{explain, explain_io};
use super::walk::open_file_below;
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

    /// Reads a regular file of at most `limit` bytes. Blocking.
    ///
    /// # Errors
    /// [`FileError`], [`FileError::TooMuch`] where it is larger.
    pub fn read_whole(&self, path: &str, limit: u64) -> Result<(Vec<u8>, FileVersion), FileError> {
        let (file, version) = self.open_file(path)?;
        let content = read_at_most(file, limit, path)?;
        match content.len() as u64 {
            bytes if bytes <= limit => Ok((content, version)),
            _ => Err(FileError::TooMuch {
                path: path.to_owned(),
                limit: format!("it has more than {limit} bytes"),
            }),
        }
    }

    /// Writes a file as [`write`](Self::write) does it, provided that it is still the one that was read: looked at again,
    /// content included, at the last moment before the new one takes its name. Blocking.
    ///
    /// # Errors
    /// [`FileError`], [`FileError::Changed`] where it is another.
    pub fn replace(
        &self,
        path: &str,
        (old, version): (&[u8], &FileVersion),
        content: &[u8],
    ) -> Result<(), FileError> {
        self.as_sandbox_user(path, || {
            let mut pending = self.begin(path, None)?;
            pending.append(content)?;
            let (directory, name) = pending.place();
            let file = open_file_below(directory, name, path)?;
            let status = fstat(&file).map_err(|error| explain("look at", path, error))?;
            let is_same = FileVersion::of(&status) == *version
                && read_at_most(file.into(), old.len() as u64, path)? == old;
            if !is_same {
                return Err(FileError::Changed { path: path.to_owned() });
            }
            super::pending_file::finish(pending)
        })
    }
}

/// Reads a byte more than the limit, where there is one.
fn read_at_most(file: File, limit: u64, path: &str) -> Result<Vec<u8>, FileError> {
    let mut content = Vec::new();
    file.take(limit.saturating_add(1))
        .read_to_end(&mut content)
        .map_err(|error| explain_io("read", path, error))?;
    Ok(content)
}
