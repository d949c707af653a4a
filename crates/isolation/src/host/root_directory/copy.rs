//! Copying files and trees: into something beside the target, which then takes the target's name.

use std::ffi::CStr;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, fchmod, fstat, mkdirat, openat, readlinkat, statat, symlinkat,
};
use rustix::io::Errno;

use super::bounds::RunningBounds;
use super::file_error::{explain, explain_io};
use super::removal::remove_tree;
use super::rename::put_in_place;
use super::walk::{Step, Walk, open_below, open_file_below};
use super::{Existing, FileError, Reserve, RootDirectory, TreeBounds, temporary_name};

const BUFFER_BYTES: usize = 256 << 10;

/// What was copied, and what was left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Files, directories and links.
    pub entries: u64,
    /// Bytes of contents; holes do not count.
    pub bytes: u64,
    /// Pipes, sockets and devices, none of which is copied.
    pub skipped: u64,
}

/// A copy under way.
struct Copy<'a> {
    bounds: RunningBounds,
    copied: Copied,
    buffer: Vec<u8>,
    reserve: Reserve,
    to: &'a str,
}

impl RootDirectory {
    /// Copies a file, a link as a link, or a tree, whole or not at all. Modes are kept, times are not. Blocking.
    ///
    /// # Errors
    /// [`FileError`]; nothing has changed then.
    pub fn copy(
        &self,
        from: &str,
        to: &str,
        existing: Existing,
        bounds: TreeBounds,
    ) -> Result<Copied, FileError> {
        if to.strip_prefix(from).is_some_and(|rest| rest.starts_with('/')) {
            return Err(FileError::IntoItself { path: to.to_owned() });
        }
        self.as_sandbox_user(from, || {
            let (source, source_name) = self.locate(from)?;
            let (target, target_name) = self.locate(to)?;
            let status = statat(&source, &source_name, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|error| explain("look at", from, error))?;
            let there = statat(&target, &target_name, AtFlags::SYMLINK_NOFOLLOW).is_ok();
            if there && existing == Existing::Kept {
                return Err(FileError::Exists { path: to.to_owned() });
            }
            let temporary = temporary_name();
            let mut copy = Copy {
                bounds: bounds.begin(),
                copied: Copied::default(),
                buffer: vec![0; BUFFER_BYTES],
                reserve: self.reserve,
                to,
            };
            let place = (&target, temporary.as_c_str());
            let copied = match FileType::from_raw_mode(status.st_mode) {
                FileType::Directory => copy.tree((&source, &source_name), from, place, bounds),
                _ => copy.single((&source, &source_name), &status, from, place),
            };
            let copied = copied.and_then(|()| {
                if copy.copied.entries == 0 {
                    return Err(FileError::NotRegular { path: from.to_owned() });
                }
                put_in_place(place, (&target, &target_name), existing, to)
            });
            if let Err(error) = copied {
                // The first failure is the one to tell; what stays is the sandbox user's own, and inside its quota.
                remove_tree(&target, &temporary, to, bounds).ok();
                return Err(error);
            }
            Ok(copy.copied)
        })
    }
}

impl Copy<'_> {
    fn tree(
        &mut self,
        (source, name): (&OwnedFd, &CStr),
        from: &str,
        (target, temporary): (&OwnedFd, &CStr),
        bounds: TreeBounds,
    ) -> Result<(), FileError> {
        let directory = open_below(source, name, from)?;
        let mode = fstat(&directory).map_err(|error| explain("look at", from, error))?.st_mode;
        let made = self.make_directory(target, temporary)?;
        let own = fstat(&made).map_err(|error| explain("look at", self.to, error))?;
        let mut walk = Walk::new(directory, from, bounds)?;
        // Behind the targets of the directories that are open stand their modes, which come last: they may forbid writing.
        let mut targets = vec![(made, mode)];
        while let Some(step) = walk.next()? {
            let (Some(inside), Some((parent, _))) = (walk.directory(), targets.last()) else { break };
            match step {
                Step::Found(found) if found.kind() == FileType::Directory => {
                    if (found.status.st_dev, found.status.st_ino) == (own.st_dev, own.st_ino) {
                        return Err(FileError::IntoItself { path: self.to.to_owned() });
                    }
                    let (mode, name) = (found.status.st_mode, found.name.clone());
                    let made = self.make_directory(parent, &name)?;
                    match walk.enter(found) {
                        Ok(()) => targets.push((made, mode)),
                        // Gone since its parent was read.
                        Err(FileError::NotFound { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
                Step::Found(found) => {
                    let shown = walk.shown(&found);
                    match self.single((inside, &found.name), &found.status, &shown, (parent, &found.name)) {
                        Ok(()) | Err(FileError::NotFound { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
                Step::Left(_) => {
                    if let Some((directory, mode)) = targets.pop() {
                        self.set_mode(&directory, mode)?;
                    }
                }
            }
        }
        targets.pop().map_or(Ok(()), |(directory, mode)| self.set_mode(&directory, mode))
    }

    fn single(
        &mut self,
        (source, name): (&OwnedFd, &CStr),
        status: &Stat,
        shown: &str,
        (target, new_name): (&OwnedFd, &CStr),
    ) -> Result<(), FileError> {
        self.reserve.check(target, self.to)?;
        match FileType::from_raw_mode(status.st_mode) {
            FileType::RegularFile => {
                let file = open_file_below(source, name, shown)?;
                let mode = fstat(&file).map_err(|error| explain("look at", shown, error))?.st_mode;
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let new = openat(target, new_name, flags, Mode::from_raw_mode(0o600))
                    .map_err(|error| explain("write", self.to, error))?;
                let new = File::from(new);
                self.content(File::from(file), &new, shown)?;
                self.set_mode(&new, mode)?;
            }
            FileType::Symlink => {
                let link = readlinkat(source, name, Vec::new()).map_err(|error| match error {
                    Errno::INVAL => FileError::Changed { path: shown.to_owned() },
                    error => explain("read", shown, error),
                })?;
                symlinkat(&link, target, new_name).map_err(|error| explain("write", self.to, error))?;
            }
            _ => {
                self.copied.skipped += 1;
                return Ok(());
            }
        }
        self.copied.entries += 1;
        Ok(())
    }

    /// Copies what is no hole: a file of any size is done when its data is.
    fn content(&mut self, mut from: File, mut to: &File, shown: &str) -> Result<(), FileError> {
        use rustix::fs::SeekFrom as Sparse;
        let read = |error| explain_io("read", shown, error);
        let size = from.metadata().map_err(read)?.len();
        let mut offset = 0;
        let mut reserve = self.reserve.watch();
        while offset < size {
            let data = match rustix::fs::seek(&from, Sparse::Data(offset)) {
                Ok(data) => data,
                // Nothing but a hole is left.
                Err(Errno::NXIO) => break,
                Err(error) => return Err(explain("read", shown, error)),
            };
            let hole = rustix::fs::seek(&from, Sparse::Hole(data)).unwrap_or(size).min(size);
            from.seek(SeekFrom::Start(data)).map_err(read)?;
            to.seek(SeekFrom::Start(data)).map_err(|error| explain_io("write", self.to, error))?;
            let mut part = (&from).take(hole.saturating_sub(data));
            loop {
                self.bounds.check_time(shown)?;
                let count = part.read(&mut self.buffer).map_err(read)?;
                if count == 0 {
                    break;
                }
                let piece = self.buffer.get(..count).unwrap_or_default();
                to.write_all(piece).map_err(|error| explain_io("write", self.to, error))?;
                reserve.count(count, to, self.to)?;
                self.copied.bytes += count as u64;
            }
            offset = hole.max(data + 1);
        }
        to.set_len(size).map_err(|error| explain_io("write", self.to, error))
    }

    fn make_directory(&mut self, parent: &OwnedFd, name: &CStr) -> Result<OwnedFd, FileError> {
        self.reserve.check(parent, self.to)?;
        mkdirat(parent, name, Mode::RWXU).map_err(|error| explain("make", self.to, error))?;
        self.copied.entries += 1;
        open_below(parent, name, self.to)
    }

    fn set_mode(&self, file: impl std::os::fd::AsFd, mode: u32) -> Result<(), FileError> {
        fchmod(file, Mode::from_raw_mode(mode & 0o777))
            .map_err(|error| explain("set the mode of", self.to, error))
    }
}
