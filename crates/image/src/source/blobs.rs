//! Where the parts of an image are read from: a directory, or an archive that can be read at any place.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};

use super::archive_index::ArchiveIndex;
use crate::beneath;

/// The files of an image that was saved.
pub(crate) enum Blobs {
    Directory(OwnedFd),
    Archive(ArchiveIndex),
}

impl Blobs {
    pub(crate) fn open_directory(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self::Directory(rustix::fs::openat(CWD, path, flags, Mode::empty())?))
    }

    /// Says whether there is a file of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        match self {
            Self::Directory(directory) => beneath::open_regular(directory.as_fd(), name.as_bytes()).is_ok(),
            Self::Archive(index) => index.has(name),
        }
    }

    /// Opens a file; `NotFound` where there is none. Links of a directory are not followed. Returns its size, too.
    pub(crate) fn open(&self, name: &str) -> io::Result<(Box<dyn Read>, u64)> {
        match self {
            Self::Directory(directory) => {
                let file = beneath::open_regular(directory.as_fd(), name.as_bytes())?;
                let size = file.metadata()?.len();
                Ok((Box::new(file), size))
            }
            Self::Archive(index) => {
                let (section, size) = index.open(name)?;
                Ok((Box::new(section), size))
            }
        }
    }
}
