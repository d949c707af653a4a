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
use super::whiteouts::Whiteouts;
use crate::beneath;
use crate::limits::Deadline;
use crate::root_view::RootView;

/// Writes into one layer.
pub(super) struct LayerWriter<'a> {
    pub(super) root: BorrowedFd<'a>,
    /// The layers that this one lies on.
    pub(super) below: &'a RootView,
    pub(super) directories: PendingDirectories,
    pub(super) whiteouts: Whiteouts,
    /// The directory of the last entry: the next one mostly has the same.
    parent: Option<Parent>,
    /// How many earlier entries were replaced.
    pub(super) replaced: u64,
    /// The layer would be another one on other layers.
    pub(super) depends_on_below: bool,
}

/// A directory that entries are created in.
struct Parent {
    /// As entries name it.
    named: Vec<u8>,
    /// Where it is.
    path: EntryPath,
    directory: OwnedFd,
}

impl<'a> LayerWriter<'a> {
    pub(super) fn new(root: BorrowedFd<'a>, below: &'a RootView) -> Self {
        Self {
            root,
            below,
            directories: PendingDirectories::default(),
            whiteouts: Whiteouts::default(),
            parent: None,
            replaced: 0,
            depends_on_below: false,
        }
    }

    /// Creates a directory, or takes the one that is there; its attributes are set at the end.
    pub(super) fn directory(&mut self, path: &EntryPath, attributes: Attributes) -> Result<(), UnpackError> {
        if path.is_root() {
            return Ok(self.directories.insert(b"", attributes.into_root())?);
        }
        let path = self.place(path)?;
        self.make_directory(&path)?;
        Ok(self.directories.insert(path.as_bytes(), attributes)?)
    }

    /// Creates an empty file. Returns where, too: a link of a lower layer may have led elsewhere.
    pub(super) fn file(&mut self, path: &EntryPath) -> Result<(File, EntryPath), UnpackError> {
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

    /// Creates a hard link to an earlier entry, or to a file of a lower layer, which is then copied into this one: two
    /// names of one file have to be in one file system. At most `allowed` bytes are copied; returns how many were.
    pub(super) fn hardlink(
        &mut self,
        path: &EntryPath,
        target: &EntryPath,
        allowed: u64,
    ) -> Result<u64, UnpackError> {
        if path.is_root() {
            return Err(UnpackError::RootIsNotDirectory { kind: "hard link" });
        }
        let refuse = |source| UnpackError::RefusedHardlink {
            name: printable(path.as_bytes()),
            target: printable(target.as_bytes()),
            source,
        };
        let (target, copied) = self.link_target(target, allowed).map_err(|error| error.about(refuse))?;
        let placed = self.place(path)?;
        if placed == target {
            return Ok(copied);
        }
        if target.is_within(&placed) {
            // Making room for the link would remove what it is to lead to.
            return Err(refuse(HardlinkProblem::Missing));
        }
        let (target_directory, target_name) = target.split();
        let directory = beneath::open_directory(self.root, target_directory)
            .map_err(|error| failed("hard link", path, error))?;
        self.create(path, "hard link", |parent, name| {
            // Without AT_SYMLINK_FOLLOW, a link to a symbolic link is one to the link itself.
            rustix::fs::linkat(&directory, target_name, parent, name, AtFlags::empty())
        })?;
        Ok(copied)
    }

    /// Notes that something of lower layers is deleted, whatever this layer has in its place.
    pub(super) fn delete(&mut self, path: &EntryPath) -> Result<(), UnpackError> {
        self.depends_on_below = true;
        // The last entry may have gone through a link that this deletes.
        self.parent = None;
        let path = self.settle(path)?;
        Ok(self.whiteouts.delete(path)?)
    }

    /// Notes that a directory has nothing of lower layers.
    pub(super) fn make_opaque(&mut self, path: &EntryPath) -> Result<(), UnpackError> {
        self.depends_on_below = true;
        self.parent = None;
        let path = if path.is_root() { path.clone() } else { self.settle(path)? };
        Ok(self.whiteouts.make_opaque(path)?)
    }

    /// Carries deletions out and sets the attributes of all directories; returns how many extended attributes the file
    /// system refused.
    pub(super) fn finish(mut self, deadline: Deadline) -> Result<u64, UnpackError> {
        self.carry_out_whiteouts(deadline)?;
        self.directories.apply(self.root)
    }

    fn create<T>(
        &mut self,
        path: &EntryPath,
        kind: &'static str,
        call: impl Fn(BorrowedFd<'_>, &[u8]) -> Result<T, Errno>,
    ) -> Result<(T, EntryPath), UnpackError> {
        if path.is_root() {
            return Err(UnpackError::RootIsNotDirectory { kind });
        }
        let placed = self.place(path)?;
        let (_, file_name) = placed.split();
        let created = match call(self.current_parent(), file_name) {
            Err(Errno::EXIST) => {
                self.make_room(&placed)?;
                call(self.current_parent(), file_name)
            }
            other => other,
        };
        let created = created.map_err(|error| failed(kind, path, error))?;
        Ok((created, placed))
    }

    /// Removes what an earlier entry left, whatever it is.
    fn make_room(&mut self, placed: &EntryPath) -> Result<(), UnpackError> {
        let (_, file_name) = placed.split();
        let was_directory = beneath::remove(self.current_parent(), file_name).map_err(|source| {
            UnpackError::Replace { name: printable(placed.as_bytes()), source: source.into() }
        })?;
        if was_directory {
            self.directories.remove(placed.as_bytes());
        }
        self.replaced += 1;
        Ok(())
    }

    fn make_directory(&mut self, placed: &EntryPath) -> Result<(), UnpackError> {
        let (_, file_name) = placed.split();
        match rustix::fs::mkdirat(self.current_parent(), file_name, Mode::RWXU) {
            Err(Errno::EXIST) => {}
            other => return other.map_err(|error| failed("directory", placed, error)),
        }
        let found = rustix::fs::statat(self.current_parent(), file_name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| failed("directory", placed, error))?;
        if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
            return Ok(());
        }
        self.make_room(placed)?;
        rustix::fs::mkdirat(self.current_parent(), file_name, Mode::RWXU)
            .map_err(|error| failed("directory", placed, error))
    }

    /// Opens the directory an entry belongs in, making it and those above it where the archive has no entry for them.
    /// Returns where the entry goes.
    pub(super) fn place(&mut self, path: &EntryPath) -> Result<EntryPath, UnpackError> {
        let (directory, file_name) = path.split();
        if let Some(parent) = &self.parent
            && parent.named == directory
        {
            return Ok(parent.path.join(file_name));
        }
        let (opened, settled) = match beneath::open_directory(self.root, directory) {
            Ok(opened) => (opened, path.parent()),
            Err(Errno::NOENT) => {
                let settled = self.make_parents(path)?;
                let opened = beneath::open_directory(self.root, settled.as_bytes())
                    .map_err(|error| failed("directory", path, error))?;
                (opened, settled)
            }
            Err(Errno::LOOP) => {
                return Err(UnpackError::ParentIsSymlink { name: printable(path.as_bytes()) });
            }
            Err(Errno::NOTDIR) if self.has_symlink(&path.parent()) => {
                return Err(UnpackError::ParentIsSymlink { name: printable(path.as_bytes()) });
            }
            Err(Errno::NOTDIR) => {
                return Err(UnpackError::ParentIsNotDirectory { name: printable(path.as_bytes()) });
            }
            Err(error) => return Err(failed("directory", path, error)),
        };
        let placed = settled.join(file_name);
        self.parent = Some(Parent { named: directory.to_vec(), path: settled, directory: opened });
        Ok(placed)
    }

    /// The directory that `place` opened.
    pub(super) fn current_parent(&self) -> BorrowedFd<'_> {
        self.parent.as_ref().map_or(self.root, |parent| parent.directory.as_fd())
    }

    /// What this layer itself has at a path.
    pub(super) fn own_kind(&self, path: &EntryPath) -> Result<Option<FileType>, Errno> {
        match beneath::open_node(self.root, path.as_bytes()).and_then(rustix::fs::fstat) {
            Ok(found) => Ok(Some(FileType::from_raw_mode(found.st_mode))),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Tells the two reasons for ENOTDIR apart: a link as the last component is also no directory to the kernel.
    fn has_symlink(&self, path: &EntryPath) -> bool {
        self.own_kind(path) == Ok(Some(FileType::Symlink))
    }
}

pub(super) fn failed(kind: &'static str, path: &EntryPath, error: Errno) -> UnpackError {
    UnpackError::Create { kind, name: printable(path.as_bytes()), source: error.into() }
}
