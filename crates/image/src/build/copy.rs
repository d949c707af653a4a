//! Files to copy into an image: which they are and where they go. Runs nothing.
//!
//! Sources are looked up in a context or in the layers of a stage, with links resolved within; nothing outside is reachable.

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use super::BuildError;
use super::added_archive;
use super::archive::{DELETION, Metadata, below};
use super::copy_request::{Context, ContextRules, CopyItem};
use super::planned::{Node, Planned, unreadable};
use crate::limits::UnpackLimits;
use crate::root_view::RootView;
use crate::text_path::clean;
use crate::unpack::printable;

const MOST_ENTRIES: u64 = 1_000_000;

/// Where sources are looked up.
#[derive(Clone, Copy)]
pub(super) struct Sources<'a> {
    pub(super) view: &'a RootView,
    pub(super) rules: Option<&'a ContextRules>,
}

impl<'a> Sources<'a> {
    pub(super) const fn of(context: &'a Context) -> Self {
        Self { view: &context.view, rules: Some(&context.rules) }
    }

    fn leaves_out(&self, path: &[u8]) -> bool {
        self.rules.is_some_and(|rules| (rules.leaves_out)(path))
    }
}

pub(super) struct Planner<'a> {
    pub(super) sources: Sources<'a>,
    /// The image so far.
    pub(super) image: &'a RootView,
    pub(super) owner: Option<(u32, u32)>,
    pub(super) mode: Option<u32>,
    pub(super) unpacks: bool,
    pub(super) limits: &'a UnpackLimits,
    /// For directories that have to be made, in seconds since 1970.
    pub(super) now: u64,
    pub(super) entries: Vec<Planned>,
    pub(super) bytes: u64,
    pub(super) skipped_nodes: u64,
}

/// A source that was found.
struct FoundSource {
    /// As it was named.
    named: Vec<u8>,
    /// Where it is.
    real: Vec<u8>,
}

impl Planner<'_> {
    /// Plans the copying of all items.
    pub(super) fn items(&mut self, items: &[CopyItem], destination: &str) -> Result<(), BuildError> {
        let mut found = Vec::new();
        let mut inline = Vec::new();
        for item in items {
            match item {
                CopyItem::Path(path) => found.push(self.source(path)?),
                CopyItem::Pattern { text, fits } => found.extend(self.matching(text, fits)?),
                CopyItem::Inline { name, content } => inline.push((name, content)),
            }
        }
        let several = found.len() + inline.len() > 1;
        let into = several || destination.ends_with('/') || self.is_directory(clean(destination).as_bytes());
        for source in &found {
            self.copy(source, destination, into)?;
        }
        for (name, content) in inline {
            let target = self.target(destination, into.then_some(name.as_bytes()))?;
            let metadata = self.own(0o644, self.now);
            self.bytes += content.len() as u64;
            self.push(target, metadata, Node::Inline { content: content.clone().into_bytes() })?;
        }
        Ok(())
    }

    /// Plans a directory, and those above it, where they are not there.
    pub(super) fn make_directory(&mut self, path: &str) -> Result<(), BuildError> {
        self.directories(clean(path).as_bytes()).map(drop)
    }

    fn copy(&mut self, source: &FoundSource, destination: &str, into: bool) -> Result<(), BuildError> {
        let found = self.sources.view.look(&source.real).map_err(unreadable(&source.named))?;
        match found.kind {
            FileType::Directory => {
                let (kind, stat) = (found.kind, found.stat);
                debug_assert_eq!(kind, FileType::Directory);
                let wanted = clean(destination).into_bytes();
                let before = self.entries.len();
                let target = self.directories(&wanted)?;
                // One that has just been planned is the source's own.
                if self.entries.len() > before
                    && let Some(last) = self.entries.pop()
                {
                    let metadata = self.metadata(&stat);
                    self.entries.push(Planned { metadata, ..last });
                }
                self.tree(&source.real, &target, 0)
            }
            FileType::RegularFile => {
                if self.unpacks && added_archive::is_archive(&found, self.limits, &source.named)? {
                    let target = self.directories(clean(destination).as_bytes())?;
                    let node = Node::Archive { source: source.real.clone(), owner: self.owner, digest: None };
                    let metadata = self.own(0o755, self.now);
                    self.entries.push(Planned { target, metadata, node });
                    return Ok(());
                }
                let stat = found.stat;
                let name = source.named.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
                let target = self.target(destination, into.then_some(name))?;
                self.file(source.real.clone(), target, &stat)
            }
            _ => Err(BuildError::SourceKind { path: printable(&source.named) }),
        }
    }

    /// Where a file goes: in the destination where that is a directory and the file has a name there, else the destination.
    fn target(&mut self, destination: &str, name: Option<&[u8]>) -> Result<Vec<u8>, BuildError> {
        let destination = clean(destination).into_bytes();
        if let Some(name) = name {
            let directory = self.directories(&destination)?;
            return Ok(below(&directory, name));
        }
        let place = destination.iter().rposition(|byte| *byte == b'/');
        let (parent, name) = match place {
            Some(place) => (&destination[..place], &destination[place + 1..]),
            None => (&b""[..], destination.as_slice()),
        };
        let directory = self.directories(parent)?;
        let target = below(&directory, name);
        // A link at the end leads to what is to be replaced.
        match self.image.find_bytes(&target) {
            Ok(found) => Ok(found.path().to_vec()),
            Err(Errno::NOENT) => Ok(target),
            Err(source) => Err(BuildError::ReadSource { path: printable(&target), source: source.into() }),
        }
    }

    /// Plans what is missing of a directory, and returns where it is once all links are resolved.
    fn directories(&mut self, path: &[u8]) -> Result<Vec<u8>, BuildError> {
        let mut real: Vec<u8> = Vec::new();
        let mut missing = false;
        for component in path.split(|byte| *byte == b'/').filter(|component| !component.is_empty()) {
            let next = below(&real, component);
            let in_the_way = || BuildError::Destination { path: printable(&next) };
            if !missing {
                match self.image.find_bytes(&next) {
                    Ok(found) if found.kind == FileType::Directory => {
                        real = found.path().to_vec();
                        continue;
                    }
                    Ok(_) => return Err(in_the_way()),
                    // A link that leads to nothing.
                    Err(Errno::NOENT) if self.image.look(&next).is_ok() => return Err(in_the_way()),
                    Err(Errno::NOENT) => missing = true,
                    Err(_) => return Err(in_the_way()),
                }
            }
            real = next;
            if self.planned(&real) {
                continue;
            }
            let metadata = Metadata { mode: 0o755, ..self.own(0o755, self.now) };
            self.push(real.clone(), metadata, Node::Directory)?;
        }
        Ok(real)
    }

    fn planned(&self, path: &[u8]) -> bool {
        self.entries.iter().rev().any(|entry| entry.target == path && matches!(entry.node, Node::Directory))
    }

    fn is_directory(&self, path: &[u8]) -> bool {
        self.image.find_bytes(path).is_ok_and(|found| found.kind == FileType::Directory)
    }

    fn tree(&mut self, source: &[u8], target: &[u8], depth: usize) -> Result<(), BuildError> {
        if depth > self.limits.max_depth {
            let allowed = self.limits.max_depth as u64;
            return Err(BuildError::TooMuch { what: "directories below each other", allowed });
        }
        for name in self.sources.view.list(source).map_err(unreadable(source))? {
            let (path, place) = (below(source, &name), below(target, &name));
            let left_out = self.sources.leaves_out(&path);
            let exceptions = self.sources.rules.is_some_and(|rules| rules.has_exceptions);
            let found = match self.sources.view.look(&path) {
                Ok(found) => found,
                // Gone since the listing.
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(unreadable(&path)(error)),
            };
            let stat = found.stat;
            match found.kind {
                FileType::Directory if left_out && !exceptions => {}
                FileType::Directory => {
                    let before = self.entries.len();
                    self.tree(&path, &place, depth + 1)?;
                    let wanted = !left_out || self.entries.len() > before;
                    if wanted && !self.is_directory(&place) {
                        let entry =
                            Planned { target: place, metadata: self.metadata(&stat), node: Node::Directory };
                        self.entries.insert(before, entry);
                        self.count()?;
                    }
                }
                _ if left_out => {}
                FileType::RegularFile => self.file(path, place, &stat)?,
                FileType::Symlink => {
                    let to = found.link_target().map_err(unreadable(&path))?;
                    let metadata = self.metadata(&stat);
                    self.push(place, metadata, Node::Symlink { to })?;
                }
                _ => self.skipped_nodes += 1,
            }
        }
        Ok(())
    }

    fn file(&mut self, source: Vec<u8>, target: Vec<u8>, stat: &Stat) -> Result<(), BuildError> {
        let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > self.limits.max_bytes {
            return Err(BuildError::TooMuch { what: "bytes", allowed: self.limits.max_bytes });
        }
        let metadata = self.metadata(stat);
        self.push(target, metadata, Node::File { source, size, digest: None })
    }

    fn push(&mut self, target: Vec<u8>, metadata: Metadata, node: Node) -> Result<(), BuildError> {
        if target.split(|byte| *byte == b'/').any(|name| name.starts_with(DELETION)) {
            return Err(BuildError::NameOfDeletion { path: printable(&target) });
        }
        self.entries.push(Planned { target, metadata, node });
        self.count()
    }

    fn count(&self) -> Result<(), BuildError> {
        match self.entries.len() as u64 > MOST_ENTRIES {
            true => Err(BuildError::TooMuch { what: "files", allowed: MOST_ENTRIES }),
            false => Ok(()),
        }
    }

    /// Of something that has no owner and no mode in the source.
    fn own(&self, mode: u32, modified: u64) -> Metadata {
        let (owner, group) = self.owner.unwrap_or((0, 0));
        Metadata { mode: self.mode.unwrap_or(mode), owner, group, modified, attributes: Vec::new() }
    }

    fn metadata(&self, stat: &Stat) -> Metadata {
        // Owners on this host mean nothing in the image; those in a stage do.
        let theirs = if self.sources.rules.is_some() { (0, 0) } else { (stat.st_uid, stat.st_gid) };
        let (owner, group) = self.owner.unwrap_or(theirs);
        Metadata {
            mode: self.mode.unwrap_or(stat.st_mode & 0o7777),
            owner,
            group,
            modified: u64::try_from(stat.st_mtime).unwrap_or(0),
            attributes: Vec::new(),
        }
    }

    fn source(&self, path: &str) -> Result<FoundSource, BuildError> {
        let missing = || BuildError::NoSource { path: path.to_owned() };
        let named = clean(path).into_bytes();
        let found = match self.sources.view.find_bytes(&named) {
            Ok(found) => found,
            Err(Errno::NOENT | Errno::NOTDIR) => return Err(missing()),
            Err(error) => return Err(unreadable(&named)(error)),
        };
        let real = found.path().to_vec();
        let exceptions = self.sources.rules.is_some_and(|rules| rules.has_exceptions);
        let kept_below = found.kind == FileType::Directory && exceptions;
        for path in [&named, &real] {
            if !path.is_empty() && self.sources.leaves_out(path) && !kept_below {
                return Err(missing());
            }
        }
        Ok(FoundSource { named, real })
    }

    /// All that fits a pattern, in the order of names.
    fn matching(&self, text: &str, fits: &dyn Fn(&[u8]) -> bool) -> Result<Vec<FoundSource>, BuildError> {
        let depth = clean(text).split('/').count();
        let mut level: Vec<Vec<u8>> = vec![Vec::new()];
        for _ in 0..depth {
            let mut next = Vec::new();
            for directory in &level {
                let names = match self.sources.view.list(directory) {
                    Ok(names) => names,
                    // A file, which has nothing below it, or one that is gone.
                    Err(Errno::NOTDIR | Errno::NOENT | Errno::LOOP) => continue,
                    Err(error) => return Err(unreadable(directory)(error)),
                };
                next.extend(names.iter().map(|name| below(directory, name)));
                if next.len() as u64 > MOST_ENTRIES {
                    return Err(BuildError::TooMuch { what: "names to look through", allowed: MOST_ENTRIES });
                }
            }
            level = next;
        }
        let mut found = Vec::new();
        for path in level.into_iter().filter(|path| fits(path) && !self.sources.leaves_out(path)) {
            // A link to nothing fits, and is nothing to copy.
            let Ok(real) = self.sources.view.find_bytes(&path).map(|found| found.path().to_vec()) else {
                continue;
            };
            if !self.sources.leaves_out(&real) || real.is_empty() {
                found.push(FoundSource { named: path, real });
            }
        }
        if found.is_empty() { Err(BuildError::NoSource { path: text.to_owned() }) } else { Ok(found) }
    }
}
