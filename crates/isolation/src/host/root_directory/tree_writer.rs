//! Filling a directory with entries that somebody else has named: each name is made or opened on its own, and nothing is
//! written through a link.

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, fchmod, fstatvfs, mkdirat, readlinkat, symlinkat};
use rustix::io::Errno;

use super::file_error::explain;
use super::pending_file::{finish, open_pending};
use super::walk::open_one;
use super::{FileError, PendingFile, RootDirectory, without_trailing_slashes};

/// A directory that is being filled. Paths are relative to it, and without `.` and `..`.
#[derive(Debug)]
pub struct TreeWriter<'a> {
    root: &'a RootDirectory,
    base: OwnedFd,
    path: String,
}

impl RootDirectory {
    /// Opens a directory to be filled; it and its parents are made where they are missing. Blocking, as is what follows.
    ///
    /// # Errors
    /// [`FileError`], as for all that follows.
    pub fn tree_writer(&self, path: &str) -> Result<TreeWriter<'_>, FileError> {
        let base = self.as_sandbox_user(path, || {
            self.open_parent(without_trailing_slashes(path.as_bytes()), path)?;
            self.open_directory(path)
        })?;
        Ok(TreeWriter { root: self, base, path: path.to_owned() })
    }
}

impl TreeWriter<'_> {
    /// Returns how many bytes the filesystem holds in all.
    pub fn capacity(&self) -> Result<u64, FileError> {
        let status = fstatvfs(&self.base).map_err(|error| explain("look at", &self.path, error))?;
        Ok(status.f_blocks.saturating_mul(status.f_frsize))
    }

    /// Makes a directory, or finds it there.
    pub fn directory(&self, relative: &[u8]) -> Result<(), FileError> {
        self.inside(relative, |shown| self.descend(relative, shown).map(drop))
    }

    /// Sets the permission bits of a directory that was made before.
    pub fn set_directory_mode(&self, relative: &[u8], mode: u32) -> Result<(), FileError> {
        self.inside(relative, |shown| {
            let directory = self.descend(relative, shown)?;
            fchmod(&directory, Mode::from_raw_mode(self.root.permitted(mode)))
                .map_err(|error| explain("set the mode of", shown, error))
        })
    }

    /// Begins a file; one that is there is replaced when this one is whole.
    pub fn begin_file(&self, relative: &[u8], mode: u32) -> Result<PendingFile, FileError> {
        self.inside(relative, |shown| {
            let (directory, name) = self.locate(relative, shown)?;
            open_pending(
                directory,
                name.as_bytes(),
                Some(self.root.permitted(mode)),
                self.root.reserve,
                shown,
            )
        })
    }

    /// Gives a file that is whole its name.
    pub fn finish_file(&self, pending: PendingFile) -> Result<(), FileError> {
        self.root.as_sandbox_user(&self.path, || finish(pending))
    }

    /// Makes a link, or finds the same one there.
    pub fn symlink(&self, relative: &[u8], target: &[u8]) -> Result<(), FileError> {
        self.inside(relative, |shown| {
            let (directory, name) = self.locate(relative, shown)?;
            self.root.reserve.check(&directory, shown)?;
            match symlinkat(target, &directory, &name) {
                Err(Errno::EXIST)
                    if readlinkat(&directory, &name, Vec::new())
                        .is_ok_and(|there| there.as_bytes() == target) =>
                {
                    Ok(())
                }
                made => made.map_err(|error| explain("make", shown, error)),
            }
        })
    }

    fn inside<T>(
        &self,
        relative: &[u8],
        work: impl FnOnce(&str) -> Result<T, FileError>,
    ) -> Result<T, FileError> {
        let shown = format!("{}/{}", self.path, String::from_utf8_lossy(relative));
        self.root.as_sandbox_user(&self.path, || work(&shown))
    }

    fn locate(&self, relative: &[u8], shown: &str) -> Result<(OwnedFd, CString), FileError> {
        let (parent, name) = super::split(relative);
        Ok((self.descend(parent, shown)?, one_name(name, shown)?))
    }

    /// Opens a directory below, making what is missing of it.
    fn descend(&self, relative: &[u8], shown: &str) -> Result<OwnedFd, FileError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut directory = rustix::fs::openat(&self.base, ".", flags, Mode::empty())
            .map_err(|error| explain("open", shown, error))?;
        if relative.is_empty() {
            return Ok(directory);
        }
        for name in relative.split(|byte| *byte == b'/') {
            let name = one_name(name, shown)?;
            directory = match self.open_directory(&directory, &name, shown) {
                Err(FileError::NotFound { .. }) => self.make_directory(&directory, &name, shown)?,
                opened => opened?,
            };
        }
        Ok(directory)
    }

    fn open_directory(&self, parent: &OwnedFd, name: &CStr, shown: &str) -> Result<OwnedFd, FileError> {
        open_one(parent, name, self.root.one_name(), shown).map_err(|error| match error {
            // A file or a link has the name of a directory.
            FileError::Changed { path } => FileError::NotDirectory { path },
            error => error,
        })
    }

    fn make_directory(&self, parent: &OwnedFd, name: &CStr, shown: &str) -> Result<OwnedFd, FileError> {
        self.root.reserve.check(parent, shown)?;
        let made = match mkdirat(parent, name, Mode::RWXU) {
            Ok(()) => true,
            // Code inside was faster.
            Err(Errno::EXIST) => false,
            Err(error) => return Err(explain("make", shown, error)),
        };
        let directory = self.open_directory(parent, name, shown)?;
        if made {
            fchmod(&directory, Mode::from_raw_mode(self.root.permitted(0o755)))
                .map_err(|error| explain("set the mode of", shown, error))?;
        }
        Ok(directory)
    }
}

fn one_name(name: &[u8], shown: &str) -> Result<CString, FileError> {
    let invalid = || FileError::Unresolvable { path: shown.to_owned(), source: Errno::INVAL.into() };
    if matches!(name, b"" | b"." | b"..") || name.contains(&b'/') {
        return Err(invalid());
    }
    CString::new(name).map_err(|_| invalid())
}
