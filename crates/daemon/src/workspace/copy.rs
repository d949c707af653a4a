//! Copying a tree that hostile code has made and may be changing: nothing is followed, what is no file, directory or link is
//! left out, and so is what does not belong to the owner of workspaces. Files share their blocks where the filesystem can.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, SeekFrom, Stat, Timespec, Timestamps, Uid, chownat,
    copy_file_range, fchmod, fchown, fstat, ftruncate, futimens, ioctl_ficlone, mkdirat, openat, readlinkat,
    seek, statat, symlinkat,
};
use rustix::io::Errno;
use sandkasten_isolation::plan::WORKSPACE_OWNER;

use super::WorkspaceError;
use super::measure::{MAX_DEPTH, open_directory};

/// Bytes that are copied until the room on the disk is looked at again.
const PIECE_BYTES: u64 = 16 << 20;

/// Why a tree was not copied.
#[derive(Debug, thiserror::Error)]
pub(super) enum CopyError {
    /// A file or directory could not be.
    #[error("failed to copy a file of it")]
    Kernel {
        /// The kernel's reason.
        source: io::Error,
    },
    /// Directories are too deep in one another.
    #[error("its directories are more than {MAX_DEPTH} deep")]
    TooDeep,
    /// There is no room.
    #[error(transparent)]
    Room(Box<WorkspaceError>),
}

impl From<Errno> for CopyError {
    fn from(error: Errno) -> Self {
        Self::Kernel { source: error.into() }
    }
}

/// Copies what is in a directory into an empty one. `room` says whether as many bytes and another file fit. Blocking.
pub(super) fn copy(
    from: &OwnedFd,
    to: &OwnedFd,
    room: &dyn Fn(u64) -> Result<(), WorkspaceError>,
) -> Result<(), CopyError> {
    copy_entries(from, to, &|bytes| room(bytes).map_err(|error| CopyError::Room(Box::new(error))), 0)
}

type Room<'a> = dyn Fn(u64) -> Result<(), CopyError> + 'a;

fn copy_entries(from: &OwnedFd, to: &OwnedFd, room: &Room<'_>, depth: usize) -> Result<(), CopyError> {
    if depth > MAX_DEPTH {
        return Err(CopyError::TooDeep);
    }
    for entry in Dir::read_from(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        room(0)?;
        let status = match statat(from, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => continue,
            status => status?,
        };
        let copied = match FileType::from_raw_mode(status.st_mode) {
            FileType::Directory => copy_directory(from, to, name, room, depth),
            FileType::RegularFile => copy_file(from, to, name, room),
            FileType::Symlink if is_owners(&status) => copy_link(from, to, name),
            _ => Ok(()),
        };
        match copied {
            // It has gone, or become something else, since it was looked at: no part of the copy.
            Err(CopyError::Kernel { source }) if has_changed(&source) => {}
            copied => copied?,
        }
    }
    Ok(())
}

fn has_changed(error: &io::Error) -> bool {
    [Errno::NOENT, Errno::NOTDIR, Errno::LOOP, Errno::NXIO]
        .contains(&Errno::from_io_error(error).unwrap_or(Errno::IO))
}

fn copy_directory(
    from: &OwnedFd,
    to: &OwnedFd,
    name: &CStr,
    room: &Room<'_>,
    depth: usize,
) -> Result<(), CopyError> {
    let source = open_directory(from, name)?;
    let status = fstat(&source)?;
    if !is_owners(&status) {
        return Ok(());
    }
    mkdirat(to, name, Mode::RWXU)?;
    let target = open_directory(to, name)?;
    copy_entries(&source, &target, room, depth + 1)?;
    Ok(set_attributes(&target, &status)?)
}

fn copy_file(from: &OwnedFd, to: &OwnedFd, name: &CStr, room: &Room<'_>) -> Result<(), CopyError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let source = openat(from, name, flags, Mode::empty())?;
    let status = fstat(&source)?;
    if !is_owners(&status) || FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
        return Ok(());
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let target = openat(to, name, flags, Mode::RUSR | Mode::WUSR)?;
    // Not every filesystem can; the reasons are as many as filesystems.
    if ioctl_ficlone(&target, &source).is_err() {
        copy_content(&source, &target, u64::try_from(status.st_size).unwrap_or(0), room)?;
    }
    Ok(set_attributes(&target, &status)?)
}

/// Copies what a file holds, and leaves its holes holes.
fn copy_content(source: &OwnedFd, target: &OwnedFd, size: u64, room: &Room<'_>) -> Result<(), CopyError> {
    ftruncate(target, size)?;
    let mut at = 0;
    while at < size {
        at = match seek(source, SeekFrom::Data(at)) {
            // Nothing but a hole, up to the end.
            Err(Errno::NXIO) => return Ok(()),
            begin => begin?,
        };
        let end = seek(source, SeekFrom::Hole(at))?.min(size);
        while at < end {
            let piece = (end - at).min(PIECE_BYTES);
            room(piece)?;
            let (mut read_at, mut write_at) = (at, at);
            let length = usize::try_from(piece).unwrap_or(usize::MAX);
            let copied = copy_file_range(source, Some(&mut read_at), target, Some(&mut write_at), length)?;
            if copied == 0 {
                // It was cut meanwhile.
                return Ok(());
            }
            at = read_at;
        }
    }
    Ok(())
}

fn copy_link(from: &OwnedFd, to: &OwnedFd, name: &CStr) -> Result<(), CopyError> {
    let target = match readlinkat(from, name, Vec::new()) {
        Err(Errno::INVAL) => return Ok(()),
        target => target?,
    };
    symlinkat(target.as_c_str(), to, name)?;
    let (uid, gid) = owner();
    Ok(chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Gives a copy to the owner of workspaces, with permission bits and times of the original; setuid bits stay behind.
fn set_attributes(copy: impl AsFd, original: &Stat) -> Result<(), Errno> {
    let (uid, gid) = owner();
    fchown(&copy, Some(uid), Some(gid))?;
    fchmod(&copy, Mode::from_raw_mode(original.st_mode & 0o777))?;
    let time = |seconds, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or(0),
    };
    let times = Timestamps {
        last_access: time(original.st_atime, original.st_atime_nsec),
        last_modification: time(original.st_mtime, original.st_mtime_nsec),
    };
    futimens(&copy, &times)
}

fn is_owners(status: &Stat) -> bool {
    status.st_uid == WORKSPACE_OWNER && status.st_gid == WORKSPACE_OWNER
}

fn owner() -> (Uid, Gid) {
    (Uid::from_raw(WORKSPACE_OWNER), Gid::from_raw(WORKSPACE_OWNER))
}
