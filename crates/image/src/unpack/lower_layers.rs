//! How entries of a layer meet the layers below it: directories it does not name, links of lower layers on the way, files
//! that it links to.
//!
//! Archives need not name the directories above an entry, and those of lower layers then go on to have the attributes they
//! had; an overlay mount takes them from the topmost. A link of a lower layer leads within the image, as it would for a
//! program in it. This is what containerd and umoci do, which unpack onto the lower layers' tree.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{FileType, Mode, SeekFrom};
use rustix::io::Errno;

use super::attributes::Attributes;
use super::entry_path::{EntryPath, printable};
use super::error::{HardlinkProblem, UnpackError};
use super::writer::{LayerWriter, failed};
use crate::limits::LimitError;
use crate::root_view::{Found, MOST_LINKS, components};

const COPY_BYTES: usize = 128 * 1024;

/// What the walk to a directory does with those that only lower layers have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// Makes them in this layer.
    Made,
    /// Leaves them.
    Left,
}

/// Where a walk ended early.
enum Obstacle {
    /// A link of this very layer.
    OwnSymlink,
    /// Something of this layer that is no directory.
    OwnFile,
    /// No layer has a directory there.
    Absent,
    /// There are links without end in the lower layers.
    Links,
    Failed(UnpackError),
}

/// Why there is nothing to link to.
pub(super) enum TargetError {
    Refused(HardlinkProblem),
    Failed(UnpackError),
}

impl TargetError {
    pub(super) fn about(self, refuse: impl Fn(HardlinkProblem) -> UnpackError) -> UnpackError {
        match self {
            Self::Refused(problem) => refuse(problem),
            Self::Failed(error) => error,
        }
    }
}

impl From<UnpackError> for TargetError {
    fn from(error: UnpackError) -> Self {
        Self::Failed(error)
    }
}

impl LayerWriter<'_> {
    /// Makes the directory of an entry and those above it where this layer has none, and returns where it is.
    pub(super) fn make_parents(&mut self, path: &EntryPath) -> Result<EntryPath, UnpackError> {
        // Lower layers may have a say in what is made, if only by having nothing.
        self.depends_on_below = true;
        let name = || printable(path.as_bytes());
        self.walk(&path.parent(), Missing::Made).map_err(|obstacle| match obstacle {
            Obstacle::OwnSymlink | Obstacle::Links => UnpackError::ParentIsSymlink { name: name() },
            Obstacle::OwnFile | Obstacle::Absent => UnpackError::ParentIsNotDirectory { name: name() },
            Obstacle::Failed(error) => error,
        })
    }

    /// Resolves links of lower layers in the directory of a path, as far as there is one. Makes nothing.
    pub(super) fn settle(&mut self, path: &EntryPath) -> Result<EntryPath, UnpackError> {
        match self.walk(&path.parent(), Missing::Left) {
            Ok(directory) => Ok(directory.join(path.split().1)),
            Err(Obstacle::Failed(error)) => Err(error),
            Err(_) => Ok(path.clone()),
        }
    }

    /// Finds what a hard link leads to and makes sure that this layer has it. Returns where, and how many bytes were copied
    /// for it.
    pub(super) fn link_target(
        &mut self,
        target: &EntryPath,
        allowed: u64,
    ) -> Result<(EntryPath, u64), TargetError> {
        let directory = self.walk(&target.parent(), Missing::Left).map_err(|obstacle| match obstacle {
            Obstacle::OwnSymlink | Obstacle::Links => TargetError::Refused(HardlinkProblem::ThroughSymlink),
            Obstacle::OwnFile | Obstacle::Absent => TargetError::Refused(HardlinkProblem::Missing),
            Obstacle::Failed(error) => TargetError::Failed(error),
        })?;
        let target = directory.join(target.split().1);
        let own = self.own_kind(&target).map_err(|error| failed("hard link", &target, error))?;
        let kind = match own {
            Some(kind) => kind,
            None => {
                self.depends_on_below = true;
                let below = self.below;
                match self.look_below(below.look(target.as_bytes()), &target)? {
                    Some(found) => {
                        return self.copy_up(&found, &target, allowed).map(|copied| (target, copied));
                    }
                    None => return Err(TargetError::Refused(HardlinkProblem::Missing)),
                }
            }
        };
        if matches!(kind, FileType::RegularFile | FileType::Symlink) {
            Ok((target, 0))
        } else {
            Err(TargetError::Refused(HardlinkProblem::Kind))
        }
    }

    /// What only lower layers have at a path, this layer having nothing in its way.
    pub(super) fn kind_below(&mut self, path: &EntryPath) -> Result<Option<FileType>, UnpackError> {
        match self.walk(&path.parent(), Missing::Left) {
            Ok(directory) => {
                let path = directory.join(path.split().1);
                Ok(self.look_below(self.below.look(path.as_bytes()), &path)?.map(|found| found.kind))
            }
            Err(Obstacle::Failed(error)) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Walks to a directory from the root, through this layer and those below it.
    fn walk(&mut self, directory: &EntryPath, missing: Missing) -> Result<EntryPath, Obstacle> {
        let mut pending: VecDeque<Vec<u8>> = components(directory.as_bytes()).collect();
        let mut walked = EntryPath::root();
        let mut links = 0;
        let below = self.below;
        while let Some(component) = pending.pop_front() {
            if component == b".." {
                walked = walked.parent();
                continue;
            }
            let next = walked.join(&component);
            let fail = |error| Obstacle::Failed(failed("directory", &next, error));
            match self.own_kind(&next).map_err(fail)? {
                Some(FileType::Directory) => {}
                Some(FileType::Symlink) => return Err(Obstacle::OwnSymlink),
                Some(_) => return Err(Obstacle::OwnFile),
                None => {
                    match self.look_below(below.look(next.as_bytes()), &next).map_err(Obstacle::Failed)? {
                        Some(found) if found.kind == FileType::Symlink => {
                            self.depends_on_below = true;
                            links += 1;
                            if links > MOST_LINKS {
                                return Err(Obstacle::Links);
                            }
                            let target = found.link_target().map_err(fail)?;
                            if target.starts_with(b"/") {
                                walked = EntryPath::root();
                            }
                            for component in components(&target).collect::<Vec<_>>().into_iter().rev() {
                                pending.push_front(component);
                            }
                            continue;
                        }
                        Some(found) if found.kind == FileType::Directory => {
                            if missing == Missing::Made {
                                let attributes = found
                                    .open_directory()
                                    .and_then(|directory| Attributes::of_open_file(directory.as_fd()))
                                    .map_err(fail)?;
                                self.make_implied(&next, attributes).map_err(Obstacle::Failed)?;
                            }
                        }
                        _ if missing == Missing::Left => return Err(Obstacle::Absent),
                        _ => {
                            let attributes = Attributes::implied_directory();
                            self.make_implied(&next, attributes).map_err(Obstacle::Failed)?;
                        }
                    }
                }
            }
            walked = next;
        }
        Ok(walked)
    }

    fn make_implied(&mut self, path: &EntryPath, attributes: Attributes) -> Result<(), UnpackError> {
        let (directory, file_name) = path.split();
        let parent = crate::beneath::open_directory(self.root, directory)
            .map_err(|error| failed("directory", path, error))?;
        rustix::fs::mkdirat(&parent, file_name, Mode::RWXU)
            .map_err(|error| failed("directory", path, error))?;
        Ok(self.directories.insert(path.as_bytes(), attributes)?)
    }

    /// Turns what lower layers say into what is left of it under this layer's deletions.
    fn look_below<'b>(
        &self,
        looked: Result<Found<'b>, Errno>,
        path: &EntryPath,
    ) -> Result<Option<Found<'b>>, UnpackError> {
        match looked {
            Ok(_) if self.whiteouts.hide(path) => Ok(None),
            Ok(found) => Ok(Some(found)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(error) => Err(failed("entry on a lower layer's", path, error)),
        }
    }

    /// Copies a file or link of a lower layer to the same place in this one.
    fn copy_up(&mut self, found: &Found<'_>, path: &EntryPath, allowed: u64) -> Result<u64, TargetError> {
        let fail = |error: Errno| TargetError::Failed(failed("copy of a lower layer's file", path, error));
        match found.kind {
            FileType::Symlink => {
                let target = found.link_target().map_err(fail)?;
                self.symlink(path, &target, &Attributes::of_stat(&found.stat))?;
                Ok(0)
            }
            FileType::RegularFile => {
                let source = found.open().map_err(fail)?;
                let attributes = Attributes::of_open_file(source.as_fd()).map_err(fail)?;
                let size = u64::try_from(found.stat.st_size).unwrap_or(u64::MAX);
                if size > allowed {
                    return Err(UnpackError::from(LimitError::Bytes { allowed }).into());
                }
                let (file, _) = self.file(path)?;
                copy(&source, &file, size)
                    .map_err(|source| UnpackError::Write { name: printable(path.as_bytes()), source })?;
                attributes.apply(file.as_fd(), &printable(path.as_bytes()))?;
                Ok(size)
            }
            _ => Err(TargetError::Refused(HardlinkProblem::Kind)),
        }
    }
}

/// Copies contents, holes staying holes.
fn copy(source: &File, target: &File, size: u64) -> io::Result<()> {
    let mut buffer = vec![0; COPY_BYTES];
    let mut offset = 0;
    while offset < size {
        let data = match rustix::fs::seek(source, SeekFrom::Data(offset)) {
            Ok(data) => data,
            // Nothing but a hole is left.
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let hole = rustix::fs::seek(source, SeekFrom::Hole(data))?.min(size);
        offset = data;
        while offset < hole {
            let wanted = usize::try_from(hole - offset).unwrap_or(COPY_BYTES).min(COPY_BYTES);
            source.read_exact_at(&mut buffer[..wanted], offset)?;
            target.write_all_at(&buffer[..wanted], offset)?;
            offset += wanted as u64;
        }
    }
    target.set_len(size)
}
