//! Opening and removing things below a directory that holds untrusted content.
//!
//! Every open of this crate inside a layer goes through here: no symbolic link is ever followed, no magic link, and
//! nothing above the directory is reachable. openat2(2) is there since Linux 5.6.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::{Errno, Result};

const RESOLVE: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// Opens a directory for use as the base of further calls. The empty path is the base itself.
pub(crate) fn open_directory(base: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat2(base, or_dot(path), flags, Mode::empty(), RESOLVE)
}

/// Opens a directory to read its attributes and its entries.
pub(crate) fn open_readable_directory(base: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat2(base, or_dot(path), flags, Mode::empty(), RESOLVE)
}

/// Opens whatever is at a path, a symbolic link included, only to look at it.
pub(crate) fn open_node(base: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat2(base, or_dot(path), flags, Mode::empty(), RESOLVE)
}

/// Opens a regular file for reading; anything else is `EINVAL`. Never blocks on a pipe.
pub(crate) fn open_regular(base: BorrowedFd<'_>, path: &[u8]) -> Result<File> {
    // The type is looked at through an O_PATH descriptor first: opening some devices has effects of its own.
    let node = open_node(base, path)?;
    if FileType::from_raw_mode(rustix::fs::fstat(&node)?.st_mode) != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::openat2(base, path, flags, Mode::empty(), RESOLVE)?;
    if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    Ok(File::from(file))
}

/// Creates a regular file that must not be there yet.
pub(crate) fn create_file(base: BorrowedFd<'_>, path: &[u8]) -> Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat2(base, path, flags, Mode::RUSR | Mode::WUSR, RESOLVE).map(File::from)
}

/// Removes whatever is called `name` in `parent`, with all below it. Says whether it was a directory.
pub(crate) fn remove(parent: BorrowedFd<'_>, name: &[u8]) -> Result<bool> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) => return Ok(false),
        // Linux answers EISDIR, POSIX has EPERM.
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::openat2(parent, name, flags, Mode::empty(), RESOLVE)?;
    let mut names = Vec::new();
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_bytes().to_vec());
        }
    }
    for child in &names {
        remove(directory.as_fd(), child)?;
    }
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?;
    Ok(true)
}

fn or_dot(path: &[u8]) -> &[u8] {
    if path.is_empty() { b"." } else { path }
}
