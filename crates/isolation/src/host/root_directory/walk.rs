//! A walk through a tree that its owner may rewrite meanwhile.
//!
//! Every directory is opened from the descriptor of the one it is in, by one name, never through a link and never onto
//! another mount. Nothing here resolves a path, and `..` is never used: what is swapped for a link meanwhile ends the way
//! there.

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat2, statat};
use rustix::io::Errno;

use super::bounds::RunningBounds;
use super::file_error::explain;
use super::{FileError, TreeBounds};

/// A walk that has begun. Directories are entered only where the caller does.
pub(super) struct Walk {
    frames: Vec<Frame>,
    base: String,
    seen: usize,
    bounds: RunningBounds,
    one_name: ResolveFlags,
}

struct Frame {
    directory: OwnedFd,
    names: std::vec::IntoIter<CString>,
    /// There were more names than the bounds allow.
    overfull: bool,
    found: Option<Found>,
}

/// One entry of a directory, as it was when it was looked at.
pub(super) struct Found {
    pub(super) name: CString,
    /// Its path from where the walk began.
    pub(super) path: Vec<u8>,
    pub(super) status: Stat,
}

pub(super) enum Step {
    Found(Found),
    /// A directory that was entered has been gone through; it is in [`Walk::directory`].
    Left(Found),
}

impl Found {
    pub(super) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.status.st_mode)
    }
}

impl Walk {
    /// Begins in an open directory; `base` is its path for messages.
    pub(super) fn new(directory: OwnedFd, base: &str, bounds: TreeBounds) -> Result<Self, FileError> {
        let mut walk = Self {
            frames: Vec::new(),
            base: base.to_owned(),
            seen: 0,
            bounds: bounds.begin(),
            one_name: one_name(),
        };
        walk.push(directory, None)?;
        Ok(walk)
    }

    /// Opens each name below in this way.
    pub(super) fn opening(mut self, one_name: ResolveFlags) -> Self {
        self.one_name = one_name;
        self
    }

    /// The directory that the last entry is in.
    pub(super) fn directory(&self) -> Option<&OwnedFd> {
        self.frames.last().map(|frame| &frame.directory)
    }

    pub(super) fn depth(&self) -> usize {
        self.frames.len()
    }

    /// The path of an entry, for messages.
    pub(super) fn shown(&self, found: &Found) -> String {
        format!("{}/{}", self.base.trim_end_matches('/'), String::from_utf8_lossy(&found.path))
    }

    pub(super) fn next(&mut self) -> Result<Option<Step>, FileError> {
        loop {
            self.bounds.check_time(&self.base)?;
            let Some(frame) = self.frames.last_mut() else { return Ok(None) };
            let Some(name) = frame.names.next() else {
                if frame.overfull {
                    return Err(self.bounds.too_many(&self.base));
                }
                let left = self.frames.pop().and_then(|frame| frame.found);
                return Ok(left.map(Step::Left));
            };
            let status = match statat(&frame.directory, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(status) => status,
                // It has gone since its directory was read.
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(explain("look at", &self.base, error)),
            };
            let above = frame.found.as_ref().map_or(&b""[..], |found| &found.path);
            let path = if above.is_empty() {
                name.as_bytes().to_owned()
            } else {
                [above, b"/", name.as_bytes()].concat()
            };
            return Ok(Some(Step::Found(Found { name, path, status })));
        }
    }

    /// Goes on inside of a directory that was found.
    ///
    /// # Errors
    /// [`FileError::Changed`] where it is no directory any more, and what opening it gives.
    pub(super) fn enter(&mut self, found: Found) -> Result<(), FileError> {
        let shown = self.shown(&found);
        let Some(frame) = self.frames.last() else { return Err(FileError::Changed { path: shown }) };
        if self.frames.len() > self.bounds.bounds.depth {
            return Err(self.bounds.too_deep(&shown));
        }
        let directory = open_one(&frame.directory, &found.name, self.one_name, &shown)?;
        self.push(directory, Some(found))
    }

    fn push(&mut self, directory: OwnedFd, found: Option<Found>) -> Result<(), FileError> {
        let shown = found.as_ref().map_or_else(|| self.base.clone(), |found| self.shown(found));
        let mut names = Vec::new();
        let mut overfull = false;
        for entry in Dir::read_from(&directory).map_err(|error| explain("read", &shown, error))? {
            let entry = entry.map_err(|error| explain("read", &shown, error))?;
            if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            if self.seen == self.bounds.bounds.entries {
                overfull = true;
                break;
            }
            self.seen += 1;
            if self.seen.is_multiple_of(1_024) {
                self.bounds.check_time(&self.base)?;
            }
            names.push(entry.file_name().to_owned());
        }
        names.sort_unstable();
        self.frames.push(Frame { directory, names: names.into_iter(), overfull, found });
        Ok(())
    }
}

/// Opens the directory of this very name for reading.
///
/// # Errors
/// [`FileError::Changed`] where it is a link or no directory, and what opening it gives.
pub(super) fn open_below(directory: &OwnedFd, name: &CStr, shown: &str) -> Result<OwnedFd, FileError> {
    open_one(directory, name, one_name(), shown)
}

/// As [`open_below`], resolved in this way.
pub(super) fn open_one(
    directory: &OwnedFd,
    name: &CStr,
    resolve: ResolveFlags,
    shown: &str,
) -> Result<OwnedFd, FileError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    openat2(directory, name, flags, Mode::empty(), resolve).map_err(|error| changed(shown, error))
}

/// Opens the regular file of this very name for reading, without waiting for anything.
///
/// # Errors
/// As [`open_below`].
pub(super) fn open_file_below(directory: &OwnedFd, name: &CStr, shown: &str) -> Result<OwnedFd, FileError> {
    open_one_file(directory, name, one_name(), shown)
}

/// As [`open_file_below`], resolved in this way.
pub(super) fn open_one_file(
    directory: &OwnedFd,
    name: &CStr,
    resolve: ResolveFlags,
    shown: &str,
) -> Result<OwnedFd, FileError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file =
        openat2(directory, name, flags, Mode::empty(), resolve).map_err(|error| changed(shown, error))?;
    let status = fstat(&file).map_err(|error| explain("look at", shown, error))?;
    if FileType::from_raw_mode(status.st_mode) == FileType::RegularFile {
        Ok(file)
    } else {
        Err(FileError::Changed { path: shown.to_owned() })
    }
}

/// One name: no link, no way up, no other mount.
pub(super) fn one_name() -> ResolveFlags {
    ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV
}

fn changed(shown: &str, error: Errno) -> FileError {
    match error {
        Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::NXIO | Errno::AGAIN => {
            FileError::Changed { path: shown.to_owned() }
        }
        error => explain("open", shown, error),
    }
}
