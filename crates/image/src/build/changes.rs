//! What a step has changed, from the upper directory of its overlay to the archive of a layer.
//!
//! The step was hostile, and is dead: nothing changes here any more. It may have made any name, mode and attribute that root of a
//! user namespace can make. Every directory is opened from the one it is in, by one name, without following a link.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Dir, FileType, Stat};

use super::BuildError;
use super::archive::{DELETION, LayerArchive, Metadata, Stoppable, below};
use crate::beneath;
use crate::limits::{LimitError, UnpackLimits};
use crate::unpack::{UnpackError, is_kept, is_opaque, printable};

/// No file system keeps more attributes of one file.
const MOST_ATTRIBUTE_BYTES: usize = 64 * 1024;
/// What a sandbox lays over the image: whatever a step has done there is not the image's.
const LAID_OVER: [&[u8]; 6] =
    [b"proc", b"dev", b"run/sandkasten", b"etc/hosts", b"etc/hostname", b"etc/resolv.conf"];
/// Directories that the sandbox has made for these: their attributes are the sandbox's, as long as nobody has changed them.
const MADE: [&[u8]; 2] = [b"etc", b"run"];
const MADE_MODE: u32 = 0o755;

/// What there is to write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    /// Pipes, sockets and devices, which are left out.
    pub(crate) skipped_nodes: u64,
}

/// Looks through everything, checks that it can be a layer, and counts.
pub(crate) fn look(
    root: BorrowedFd<'_>,
    limits: &UnpackLimits,
    go_on: GoOn<'_>,
) -> Result<Changes, BuildError> {
    let mut walk = Walk {
        output: None::<LayerArchive<std::io::Sink>>,
        limits,
        go_on,
        found: Changes::default(),
        names: HashMap::new(),
    };
    walk.whole(root)?;
    Ok(walk.found)
}

/// Writes the archive.
pub(crate) fn write(
    root: BorrowedFd<'_>,
    limits: &UnpackLimits,
    go_on: GoOn<'_>,
    output: impl Write,
) -> Result<(), BuildError> {
    let output = Some(LayerArchive::new(output));
    let mut walk = Walk { output, limits, go_on, found: Changes::default(), names: HashMap::new() };
    walk.whole(root)?;
    match walk.output {
        Some(output) => output.finish().map_err(|source| BuildError::WriteArchive { source }),
        None => Ok(()),
    }
}

/// Says whether to go on.
type GoOn<'a> = &'a (dyn Fn() -> ControlFlow<()> + Sync);

struct Walk<'a, W: Write> {
    /// None while only looking.
    output: Option<LayerArchive<W>>,
    limits: &'a UnpackLimits,
    go_on: GoOn<'a>,
    found: Changes,
    /// Files with several names, by device and number, with the first one.
    names: HashMap<(u64, u64), Vec<u8>>,
}

impl<W: Write> Walk<'_, W> {
    fn whole(&mut self, root: BorrowedFd<'_>) -> Result<(), BuildError> {
        let root = beneath::open_readable_directory(root, b"").map_err(unreadable(b""))?;
        self.directory(&root, b"", 0)
    }

    fn directory(&mut self, directory: &OwnedFd, path: &[u8], depth: usize) -> Result<(), BuildError> {
        if depth >= self.limits.max_depth {
            let name = printable(path);
            let limit = LimitError::Depth { allowed: self.limits.max_depth, name };
            return Err(BuildError::Changes { source: UnpackError::Limit(limit) });
        }
        let mut names = Vec::new();
        for entry in Dir::read_from(directory).map_err(unreadable(path))? {
            let entry = entry.map_err(unreadable(path))?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                names.push(name.to_vec());
            }
        }
        // The order of a directory is the file system's own; the archive is to depend on what is in it alone.
        names.sort_unstable();
        for name in names {
            let whole = below(path, &name);
            if !LAID_OVER.contains(&whole.as_slice()) {
                self.entry(directory, &name, &whole, path, depth)?;
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        directory: &OwnedFd,
        name: &[u8],
        path: &[u8],
        parent: &[u8],
        depth: usize,
    ) -> Result<(), BuildError> {
        let node = beneath::open_node(directory.as_fd(), name).map_err(unreadable(path))?;
        let stat = rustix::fs::fstat(&node).map_err(unreadable(path))?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0 {
            self.count(0)?;
            return self.put(|output| output.deletion(parent, name));
        }
        if name.starts_with(DELETION) {
            return Err(BuildError::NameOfDeletion { path: printable(path) });
        }
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let opened =
                    beneath::open_readable_directory(directory.as_fd(), name).map_err(unreadable(path))?;
                let is_ours = MADE.contains(&path)
                    && (stat.st_mode & 0o7777, stat.st_uid, stat.st_gid) == (MADE_MODE, 0, 0);
                if !is_ours {
                    self.count(0)?;
                    let metadata = metadata(&stat, Some(opened.as_fd()), path)?;
                    self.put(|output| output.directory(path, &metadata))?;
                }
                if is_opaque(opened.as_fd()).map_err(unreadable(path))? {
                    self.count(0)?;
                    self.put(|output| output.opaque(path))?;
                }
                self.directory(&opened, path, depth + 1)
            }
            FileType::RegularFile => self.file(directory, name, path, &stat),
            FileType::Symlink => {
                self.count(0)?;
                let target = rustix::fs::readlinkat(&node, c"", Vec::new()).map_err(unreadable(path))?;
                let metadata = metadata(&stat, None, path)?;
                self.put(|output| output.symlink(path, target.as_bytes(), &metadata))
            }
            _ => {
                self.found.skipped_nodes += 1;
                Ok(())
            }
        }
    }

    fn file(&mut self, directory: &OwnedFd, name: &[u8], path: &[u8], stat: &Stat) -> Result<(), BuildError> {
        if stat.st_nlink > 1 {
            let first = self.names.entry((stat.st_dev, stat.st_ino)).or_insert_with(|| path.to_vec()).clone();
            if first != path {
                self.count(0)?;
                let metadata = metadata(stat, None, path)?;
                return self.put(|output| output.hardlink(path, &first, &metadata));
            }
        }
        let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
        self.count(size)?;
        if self.output.is_none() {
            return Ok(());
        }
        let file: File = beneath::open_regular(directory.as_fd(), name).map_err(unreadable(path))?;
        let metadata = metadata(stat, Some(file.as_fd()), path)?;
        let contents = Stoppable { contents: file, go_on: self.go_on };
        self.put(|output| output.file(path, &metadata, size, contents))
    }

    fn count(&mut self, bytes: u64) -> Result<(), BuildError> {
        if (self.go_on)().is_break() {
            return Err(BuildError::Cancelled);
        }
        let past = |limit| BuildError::Changes { source: UnpackError::Limit(limit) };
        self.found.entries += 1;
        self.found.bytes = self.found.bytes.saturating_add(bytes);
        if self.found.entries > self.limits.max_entries {
            return Err(past(LimitError::Entries { allowed: self.limits.max_entries }));
        }
        if self.found.bytes > self.limits.max_bytes {
            return Err(past(LimitError::Bytes { allowed: self.limits.max_bytes }));
        }
        Ok(())
    }

    fn put(
        &mut self,
        write: impl FnOnce(&mut LayerArchive<W>) -> std::io::Result<()>,
    ) -> Result<(), BuildError> {
        let written = self.output.as_mut().map_or(Ok(()), write);
        written.map_err(|source| BuildError::WriteArchive { source })
    }
}

fn metadata(stat: &Stat, open: Option<BorrowedFd<'_>>, path: &[u8]) -> Result<Metadata, BuildError> {
    Ok(Metadata {
        mode: stat.st_mode & 0o7777,
        owner: stat.st_uid,
        group: stat.st_gid,
        modified: u64::try_from(stat.st_mtime).unwrap_or(0),
        attributes: open.map(attributes).transpose().map_err(unreadable(path))?.unwrap_or_default(),
    })
}

/// The extended attributes that layers keep.
fn attributes(file: BorrowedFd<'_>) -> rustix::io::Result<Vec<(String, Vec<u8>)>> {
    let mut names = vec![0; MOST_ATTRIBUTE_BYTES];
    let length = rustix::fs::flistxattr(file, &mut names)?;
    let mut kept = Vec::new();
    for name in names[..length].split(|byte| *byte == 0).filter(|name| is_kept(name)) {
        // A name that is no text cannot be in an extended header.
        let Ok(text) = std::str::from_utf8(name) else { continue };
        if text.contains('=') {
            continue;
        }
        let mut value = vec![0; MOST_ATTRIBUTE_BYTES];
        let length = rustix::fs::fgetxattr(file, name, &mut value)?;
        value.truncate(length);
        kept.push((text.to_owned(), value));
    }
    kept.sort_unstable();
    Ok(kept)
}

fn unreadable(path: &[u8]) -> impl Fn(rustix::io::Errno) -> BuildError {
    let path = printable(path);
    move |source| BuildError::ReadChanges { path: path.clone(), source: source.into() }
}
