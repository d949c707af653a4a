//! Creates files, directories and links in a layer. Everything goes through a parent directory that was opened below
//! the root without following any link; what is there already is replaced, never written to.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode};
use rustix::io::Errno;

use super::attributes::Attributes;
use super::directories::PendingDirectories;
use super::entry_path::{EntryPath, printable};
use super::error::{HardlinkProblem, UnpackError};
use crate::beneath;

/// Writes into one layer.
pub(super) struct LayerWriter<'a> {
    root: BorrowedFd<'a>,
    directories: PendingDirectories,
    /// The directory of the last entry: the next one mostly has the same.
    parent: Option<(Vec<u8>, OwnedFd)>,
    /// How many earlier entries were replaced.
    pub(super) replaced: u64,
}

impl<'a> LayerWriter<'a> {
    pub(super) fn new(root: BorrowedFd<'a>) -> Self {
        Self { root, directories: PendingDirectories::default(), parent: None, replaced: 0 }
    }

    /// Creates a directory, or takes the one that is there; its attributes are set at the end.
    pub(super) fn directory(&mut self, path: &EntryPath, attributes: Attributes) -> Result<(), UnpackError> {
        if path.is_root() {
            return Ok(self.directories.insert(b"", attributes.into_root())?);
        }
        self.open_parent(path)?;
        self.make_directory(path)?;
        Ok(self.directories.insert(path.as_bytes(), attributes)?)
    }

    /// Creates an empty file.
    pub(super) fn file(&mut self, path: &EntryPath) -> Result<File, UnpackError> {
        self.create(path, "file", beneath::create_file)
    }

    /// Creates a symbolic link.
    pub(super) fn symlink(
        &mut self,
        path: &EntryPath,
        target: &[u8],
        attributes: &Attributes,
    ) -> Result<(), UnpackError> {
        self.create(path, "symbolic link", |parent, name| rustix::fs::symlinkat(target, parent, name))?;
        let (_, file_name) = path.split();
        attributes.apply_to_link(self.current_parent(), file_name, &printable(path.as_bytes()))
    }

    /// Creates a hard link to an earlier entry.
    pub(super) fn hardlink(&mut self, path: &EntryPath, target: &EntryPath) -> Result<(), UnpackError> {
        if path.is_root() {
            return Err(UnpackError::RootIsNotDirectory { kind: "hard link" });
        }
        let refuse = |source| UnpackError::RefusedHardlink {
            name: printable(path.as_bytes()),
            target: printable(target.as_bytes()),
            source,
        };
        let (target_directory, target_name) = target.split();
        let directory =
            beneath::open_directory(self.root, target_directory).map_err(|error| match error {
                Errno::LOOP => refuse(HardlinkProblem::ThroughSymlink),
                Errno::NOTDIR if self.is_symlink(target_directory) => refuse(HardlinkProblem::ThroughSymlink),
                _ => refuse(HardlinkProblem::Missing),
            })?;
        let found = rustix::fs::statat(&directory, target_name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|_| refuse(HardlinkProblem::Missing))?;
        if !matches!(FileType::from_raw_mode(found.st_mode), FileType::RegularFile | FileType::Symlink) {
            return Err(refuse(HardlinkProblem::Kind));
        }
        if path == target {
            return Ok(());
        }
        if target.is_within(path) {
            // Making room for the link would remove what it is to lead to.
            return Err(refuse(HardlinkProblem::Missing));
        }
        self.create(path, "hard link", |parent, name| {
            // Without AT_SYMLINK_FOLLOW, a link to a symbolic link is one to the link itself.
            rustix::fs::linkat(&directory, target_name, parent, name, AtFlags::empty())
        })
    }

    /// Sets the attributes of all directories; returns how many extended attributes the file system refused.
    pub(super) fn finish(self) -> Result<u64, UnpackError> {
        self.directories.apply(self.root)
    }

    fn create<T>(
        &mut self,
        path: &EntryPath,
        kind: &'static str,
        call: impl Fn(BorrowedFd<'_>, &[u8]) -> Result<T, Errno>,
    ) -> Result<T, UnpackError> {
        if path.is_root() {
            return Err(UnpackError::RootIsNotDirectory { kind });
        }
        self.open_parent(path)?;
        let (_, file_name) = path.split();
        let created = match call(self.current_parent(), file_name) {
            Err(Errno::EXIST) => {
                self.make_room(path)?;
                call(self.current_parent(), file_name)
            }
            other => other,
        };
        created.map_err(|error| failed(kind, path, error))
    }

    /// Removes what an earlier entry left, whatever it is.
    fn make_room(&mut self, path: &EntryPath) -> Result<(), UnpackError> {
        let (_, file_name) = path.split();
        let was_directory = beneath::remove(self.current_parent(), file_name).map_err(|source| {
            UnpackError::Replace { name: printable(path.as_bytes()), source: source.into() }
        })?;
        if was_directory {
            self.directories.remove(path.as_bytes());
        }
        self.replaced += 1;
        Ok(())
    }

    fn make_directory(&mut self, path: &EntryPath) -> Result<(), UnpackError> {
        let (_, file_name) = path.split();
        match rustix::fs::mkdirat(self.current_parent(), file_name, Mode::RWXU) {
            Err(Errno::EXIST) => {}
            other => return other.map_err(|error| failed("directory", path, error)),
        }
        let found = rustix::fs::statat(self.current_parent(), file_name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| failed("directory", path, error))?;
        if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
            return Ok(());
        }
        self.make_room(path)?;
        rustix::fs::mkdirat(self.current_parent(), file_name, Mode::RWXU)
            .map_err(|error| failed("directory", path, error))
    }

    /// Opens the directory an entry belongs in, making it and those above it where the archive has no entry for them.
    fn open_parent(&mut self, path: &EntryPath) -> Result<(), UnpackError> {
        let (directory, _) = path.split();
        if self.parent.as_ref().is_some_and(|(current, _)| current == directory) {
            return Ok(());
        }
        let opened = match beneath::open_directory(self.root, directory) {
            Err(Errno::NOENT) => {
                self.make_parents(path, directory)?;
                beneath::open_directory(self.root, directory)
            }
            other => other,
        };
        let opened = opened.map_err(|error| match error {
            Errno::LOOP => UnpackError::ParentIsSymlink { name: printable(path.as_bytes()) },
            Errno::NOTDIR if self.is_symlink(directory) => {
                UnpackError::ParentIsSymlink { name: printable(path.as_bytes()) }
            }
            Errno::NOTDIR => UnpackError::ParentIsNotDirectory { name: printable(path.as_bytes()) },
            error => failed("directory", path, error),
        })?;
        self.parent = Some((directory.to_vec(), opened));
        Ok(())
    }

    fn make_parents(&mut self, path: &EntryPath, directory: &[u8]) -> Result<(), UnpackError> {
        let ends = directory.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(index, _)| index);
        let mut above =
            beneath::open_directory(self.root, b"").map_err(|error| failed("directory", path, error))?;
        let mut start = 0;
        for end in ends.chain([directory.len()]) {
            let name = &directory[start..end];
            start = end + 1;
            match rustix::fs::mkdirat(&above, name, Mode::RWXU) {
                Ok(()) => self.directories.insert(&directory[..end], Attributes::implied_directory())?,
                Err(Errno::EXIST) => {}
                Err(error) => return Err(failed("directory", path, error)),
            }
            above = match beneath::open_directory(above.as_fd(), name) {
                Ok(next) => next,
                // The caller opens the whole path again and says which of the two it is.
                Err(Errno::LOOP | Errno::NOTDIR) => return Ok(()),
                Err(error) => return Err(failed("directory", path, error)),
            };
        }
        Ok(())
    }

    /// Tells the two reasons for ENOTDIR apart: a link as the last component is also no directory to the kernel.
    fn is_symlink(&self, path: &[u8]) -> bool {
        beneath::open_node(self.root, path)
            .and_then(rustix::fs::fstat)
            .is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Symlink)
    }

    /// The directory that `open_parent` opened.
    fn current_parent(&self) -> BorrowedFd<'_> {
        self.parent.as_ref().map_or(self.root, |(_, directory)| directory.as_fd())
    }
}

fn failed(kind: &'static str, path: &EntryPath, error: Errno) -> UnpackError {
    UnpackError::Create { kind, name: printable(path.as_bytes()), source: error.into() }
}
