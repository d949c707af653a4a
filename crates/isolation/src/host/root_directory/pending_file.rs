//! A file that is being written: it has no name until it is whole.

use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, fchmod, linkat, openat, readlinkat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

use super::file_error::{explain, explain_io};
use super::reserve::WatchedReserve;
use super::{FileError, Reserve, RootDirectory, split, temporary_name};

/// As many links as the kernel itself follows: path_resolution(7).
const MAX_LINKS: usize = 40;

/// Content on its way into a file. Dropped before [`RootDirectory::finish_write`], it leaves nothing.
#[derive(Debug)]
pub struct PendingFile {
    directory: OwnedFd,
    name: CString,
    file: File,
    /// The name it has meanwhile, on filesystems that have no files without one.
    temporary: Option<CString>,
    mode: Mode,
    path: String,
    reserve: WatchedReserve,
}

impl PendingFile {
    /// Appends content. Blocking.
    ///
    /// # Errors
    /// [`FileError`], [`FileError::NoSpace`] above all.
    pub fn append(&mut self, content: &[u8]) -> Result<(), FileError> {
        self.file.write_all(content).map_err(|error| explain_io("write", &self.path, error))?;
        self.reserve.count(content.len(), &self.file, &self.path)
    }

    /// The directory and the name that it will have.
    pub(super) fn place(&self) -> (&OwnedFd, &CStr) {
        (&self.directory, &self.name)
    }
}

impl Drop for PendingFile {
    fn drop(&mut self) {
        if let Some(name) = &self.temporary {
            // What stays where this fails is the sandbox user's own, and inside its quota.
            unlinkat(&self.directory, name, AtFlags::empty()).ok();
        }
    }
}

impl RootDirectory {
    /// Writes a file whole or not at all: into a file without a name, which then takes the name. Missing parent
    /// directories are made; a symbolic link is written through. Without `mode`, permission bits alone, the mode of a file
    /// that was there is kept. Blocking.
    ///
    /// # Errors
    /// [`FileError`]; the old content is then untouched.
    pub fn write(&self, path: &str, content: &[u8], mode: Option<u32>) -> Result<(), FileError> {
        self.as_sandbox_user(path, || {
            let mut pending = self.begin(path, mode)?;
            pending.append(content)?;
            finish(pending)
        })
    }

    /// Begins to write a file as [`write`](Self::write) does it. Blocking.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn begin_write(&self, path: &str, mode: Option<u32>) -> Result<PendingFile, FileError> {
        self.as_sandbox_user(path, || self.begin(path, mode))
    }

    /// Gives a file that is whole its name. Blocking.
    ///
    /// # Errors
    /// [`FileError`]; the old content is then untouched.
    pub fn finish_write(&self, pending: PendingFile) -> Result<(), FileError> {
        let path = pending.path.clone();
        self.as_sandbox_user(&path, || finish(pending))
    }

    pub(super) fn begin(&self, path: &str, mode: Option<u32>) -> Result<PendingFile, FileError> {
        // Bytes: the names that links hold need not be text.
        let mut resolved = path.as_bytes().to_owned();
        for _ in 0..MAX_LINKS {
            let (parent, name) = split(&resolved);
            let directory = self.open_parent(parent, path)?;
            match readlinkat(&directory, name, Vec::new()) {
                Ok(target) => {
                    let target = target.as_bytes();
                    resolved = if target.starts_with(b"/") {
                        target.to_owned()
                    } else {
                        [parent, b"/", target].concat()
                    };
                }
                // Not a link, or nothing yet.
                Err(Errno::INVAL | Errno::NOENT) => {
                    return open_pending(directory, name, mode, self.reserve, path);
                }
                Err(error) => return Err(explain("look at", path, error)),
            }
        }
        Err(FileError::Unresolvable { path: path.to_owned(), source: Errno::LOOP.into() })
    }
}

pub(super) fn open_pending(
    directory: OwnedFd,
    name: &[u8],
    mode: Option<u32>,
    reserve: Reserve,
    path: &str,
) -> Result<PendingFile, FileError> {
    reserve.check(&directory, path)?;
    let is_directory = || FileError::IsDirectory { path: path.to_owned() };
    let kept = match statat(&directory, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(status) => match FileType::from_raw_mode(status.st_mode) {
            FileType::RegularFile => Mode::from_raw_mode(status.st_mode & 0o777),
            FileType::Directory => return Err(is_directory()),
            _ => return Err(FileError::NotRegular { path: path.to_owned() }),
        },
        Err(Errno::NOENT) => Mode::from_raw_mode(0o644),
        Err(error) => return Err(explain("look at", path, error)),
    };
    if matches!(name, b"" | b"." | b"..") {
        return Err(is_directory());
    }
    let mode = mode.map_or(kept, |mode| Mode::from_raw_mode(mode & 0o777));
    let name = CString::new(name).map_err(|_| is_directory())?;
    let owner = Mode::from_raw_mode(0o600);
    // O_TMPFILE, since Linux 3.11: it goes by itself when nobody has it open, whatever becomes of the daemon.
    let file = match openat(&directory, ".", OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC, owner) {
        Ok(file) => file,
        Err(Errno::OPNOTSUPP | Errno::ISDIR) => {
            return open_named(directory, name, mode, reserve, path);
        }
        Err(error) => return Err(explain("write", path, error)),
    };
    Ok(PendingFile {
        directory,
        name,
        file: file.into(),
        temporary: None,
        mode,
        path: path.to_owned(),
        reserve: reserve.watch(),
    })
}

/// For filesystems that have no files without a name.
pub(super) fn open_named(
    directory: OwnedFd,
    name: CString,
    mode: Mode,
    reserve: Reserve,
    path: &str,
) -> Result<PendingFile, FileError> {
    let temporary = temporary_name();
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(&directory, &temporary, flags, Mode::from_raw_mode(0o600))
        .map_err(|error| explain("write", path, error))?;
    Ok(PendingFile {
        directory,
        name,
        file: file.into(),
        temporary: Some(temporary),
        mode,
        path: path.to_owned(),
        reserve: reserve.watch(),
    })
}

pub(super) fn finish(mut pending: PendingFile) -> Result<(), FileError> {
    let failed = |error| explain("write", &pending.path, error);
    fchmod(&pending.file, pending.mode).map_err(failed)?;
    let temporary = match pending.temporary.take() {
        Some(temporary) => temporary,
        None => {
            let temporary = temporary_name();
            let nameless = format!("/proc/self/fd/{}", pending.file.as_raw_fd());
            linkat(CWD, nameless, &pending.directory, &temporary, AtFlags::SYMLINK_FOLLOW).map_err(failed)?;
            temporary
        }
    };
    let renamed = renameat(&pending.directory, &temporary, &pending.directory, &pending.name);
    let renamed = renamed.map_err(|error| explain("write", &pending.path, error));
    if renamed.is_err() {
        pending.temporary = Some(temporary);
    }
    renamed
}
