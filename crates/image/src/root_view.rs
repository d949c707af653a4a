//! Looking up paths in a root file system as a process inside it would see them: layers on top of each other with what
//! they delete, binds over them, symbolic links resolved within. No link is ever followed by the kernel, so none can lead
//! to the host.

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::{Errno, Result};

use crate::beneath;
use crate::image::HostBind;
use crate::unpack::is_opaque;

/// As many as path_resolution(7) allows.
pub(crate) const MOST_LINKS: usize = 40;

/// An image seen from inside.
pub(crate) struct RootView {
    /// Topmost first.
    layers: Vec<OwnedFd>,
    binds: Vec<(Vec<u8>, OwnedFd)>,
}

/// What a path leads to once all links are resolved.
pub(crate) struct Found<'a> {
    base: &'a OwnedFd,
    path: Vec<u8>,
    /// Type of the file.
    pub(crate) kind: FileType,
    /// All that is known of the file.
    pub(crate) stat: Stat,
}

impl RootView {
    /// Opens the directories of an image, topmost layer first.
    pub(crate) fn open(layers: &[impl AsRef<Path>], binds: &[HostBind]) -> Result<Self> {
        let layers = layers.iter().map(|layer| open_base(layer.as_ref())).collect::<Result<_>>()?;
        let binds = binds
            .iter()
            .map(|bind| Ok((relative(bind.target.as_os_str().as_encoded_bytes()), open_base(&bind.source)?)))
            .collect::<Result<_>>()?;
        Ok(Self { layers, binds })
    }

    /// A root file system with nothing in it.
    pub(crate) const fn empty() -> Self {
        Self { layers: Vec::new(), binds: Vec::new() }
    }

    /// Resolves a path; `ENOENT`, `ENOTDIR` and `ELOOP` as the kernel would say inside.
    pub(crate) fn find(&self, path: &str) -> Result<Found<'_>> {
        self.find_bytes(path.as_bytes())
    }

    /// As [`find`](Self::find), for a path that may be no text.
    pub(crate) fn find_bytes(&self, path: &[u8]) -> Result<Found<'_>> {
        let mut pending: VecDeque<Vec<u8>> = components(path).collect();
        let mut resolved: Vec<Vec<u8>> = Vec::new();
        let mut links = 0;
        while let Some(component) = pending.pop_front() {
            if component == b".." {
                resolved.pop();
                continue;
            }
            resolved.push(component);
            let found = self.look(&resolved.join(&b'/'))?;
            if found.kind == FileType::Symlink {
                links += 1;
                if links > MOST_LINKS {
                    return Err(Errno::LOOP);
                }
                let target = found.link_target()?;
                if target.starts_with(b"/") {
                    resolved.clear();
                } else {
                    resolved.pop();
                }
                for component in components(&target).collect::<Vec<_>>().into_iter().rev() {
                    pending.push_front(component);
                }
            } else if found.kind != FileType::Directory && !pending.is_empty() {
                return Err(Errno::NOTDIR);
            }
        }
        self.look(&resolved.join(&b'/'))
    }

    /// Says what is at a path itself, a link being a link.
    pub(crate) fn find_unresolved(&self, path: &str) -> Result<FileType> {
        Ok(self.look(path.as_bytes())?.kind)
    }

    /// Resolves a path to a regular file and reads it, at most `most` bytes; a larger file is `EFBIG`.
    pub(crate) fn read(&self, path: &str, most: u64) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.find(path)?.open()?.take(most + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > most { Err(Errno::FBIG.into()) } else { Ok(bytes) }
    }

    /// Lists the root directory.
    pub(crate) fn names_in_root(&self) -> Result<Vec<Vec<u8>>> {
        let mut names = BTreeSet::new();
        for layer in &self.layers {
            let directory = beneath::open_readable_directory(layer.as_fd(), b"")?;
            for entry in Dir::read_from(&directory)? {
                names.insert(entry?.file_name().to_bytes().to_vec());
            }
        }
        names.retain(|name| !matches!(name.as_slice(), b"." | b".."));
        Ok(names.into_iter().collect())
    }

    /// Lists a directory, in the order of names. No link of the path is resolved, and nothing of binds is listed.
    pub(crate) fn list(&self, path: &[u8]) -> Result<Vec<Vec<u8>>> {
        let (mut names, mut deleted) = (BTreeSet::new(), BTreeSet::new());
        let mut some = false;
        for layer in &self.layers {
            let directory = match beneath::open_readable_directory(layer.as_fd(), path) {
                Ok(directory) => directory,
                Err(Errno::NOENT) if hides_lower(layer, path)? => break,
                Err(Errno::NOENT) => continue,
                // Something else is in its place here, and hides what is below.
                Err(_) if some => break,
                Err(error) => return Err(error),
            };
            some = true;
            for entry in Dir::read_from(&directory)? {
                let entry = entry?;
                let name = entry.file_name().to_bytes();
                if matches!(name, b"." | b"..") || deleted.contains(name) {
                    continue;
                }
                if entry.file_type() == FileType::CharacterDevice
                    && look_in(&directory, name).is_ok_and(|found| found.is_whiteout())
                {
                    if !names.contains(name) {
                        deleted.insert(name.to_vec());
                    }
                    continue;
                }
                names.insert(name.to_vec());
            }
            if is_opaque(directory.as_fd())? {
                break;
            }
        }
        if some { Ok(names.into_iter().collect()) } else { Err(Errno::NOENT) }
    }

    /// Looks at one relative path without resolving any link.
    pub(crate) fn look(&self, path: &[u8]) -> Result<Found<'_>> {
        for (target, source) in &self.binds {
            let Some(rest) = path.strip_prefix(target.as_slice()) else { continue };
            if let Some(below) = if rest.is_empty() { Some(rest) } else { rest.strip_prefix(b"/") } {
                return look_in(source, below);
            }
        }
        for layer in &self.layers {
            match look_in(layer, path) {
                // A file or link here hides whatever lower layers have below that name, and look_in says NOTDIR or LOOP.
                Err(Errno::NOENT) => {
                    if hides_lower(layer, path)? {
                        return Err(Errno::NOENT);
                    }
                }
                Ok(found) if found.is_whiteout() => return Err(Errno::NOENT),
                found => return found,
            }
        }
        Err(Errno::NOENT)
    }
}

impl Found<'_> {
    /// Where it is, relative to the root, with no link on the way.
    pub(crate) fn path(&self) -> &[u8] {
        &self.path
    }

    /// Opens the file for reading if it is a regular one; anything else is `EINVAL`.
    pub(crate) fn open(&self) -> Result<File> {
        beneath::open_regular(self.base.as_fd(), &self.path)
    }

    /// Says whether this is a regular file somebody may execute.
    pub(crate) fn is_program(&self) -> bool {
        self.kind == FileType::RegularFile && self.stat.st_mode & 0o111 != 0
    }

    /// Opens the directory to read its attributes.
    pub(crate) fn open_directory(&self) -> Result<OwnedFd> {
        beneath::open_readable_directory(self.base.as_fd(), &self.path)
    }

    /// Overlayfs has a character device of number 0 where an upper layer has deleted something.
    fn is_whiteout(&self) -> bool {
        self.kind == FileType::CharacterDevice && self.stat.st_rdev == 0
    }

    /// Where the symbolic link leads.
    pub(crate) fn link_target(&self) -> Result<Vec<u8>> {
        let node = beneath::open_node(self.base.as_fd(), &self.path)?;
        Ok(rustix::fs::readlinkat(&node, c"", Vec::new())?.into_bytes())
    }
}

fn look_in<'a>(base: &'a OwnedFd, path: &[u8]) -> Result<Found<'a>> {
    let node = beneath::open_node(base.as_fd(), path)?;
    let stat = rustix::fs::fstat(&node)?;
    Ok(Found { base, path: path.to_vec(), kind: FileType::from_raw_mode(stat.st_mode), stat })
}

/// Says whether a layer that has no `path` hides what lower layers have there: one of the directories above it does.
fn hides_lower(layer: &OwnedFd, path: &[u8]) -> Result<bool> {
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(index, _)| index);
    for end in ends {
        match beneath::open_readable_directory(layer.as_fd(), &path[..end]) {
            Ok(directory) if is_opaque(directory.as_fd())? => return Ok(true),
            Ok(_) => {}
            // Below that there is nothing of this layer.
            Err(Errno::NOENT) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

fn open_base(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty())
}

/// The parts of a path, without those that say nothing.
pub(crate) fn components(path: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").map(<[u8]>::to_vec)
}

fn relative(path: &[u8]) -> Vec<u8> {
    components(path).collect::<Vec<_>>().join(&b'/')
}
