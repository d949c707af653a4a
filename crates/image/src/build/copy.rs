//! Files to copy into an image: which they are and where they go, a hash of all of it, and their archive. Runs nothing.
//!
//! Sources are looked up in a context or in the layers of a stage, with links resolved within; nothing outside is reachable.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::path::Path;

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::BuildError;
use super::added_archive;
use super::archive::{DELETION, LayerArchive, Metadata, Stoppable, below};
use crate::digest::Digest;
use crate::limits::UnpackLimits;
use crate::root_view::RootView;
use crate::unpack::printable;

const MOST_ENTRIES: u64 = 1_000_000;
const BUFFER_BYTES: usize = 128 * 1024;

/// Says something of a path, relative to a context.
pub type PathTest = Box<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// A directory of files that may be copied.
pub struct Context {
    view: RootView,
    rules: ContextRules,
}

/// What of a context is left out.
pub struct ContextRules {
    /// Whether a path, relative to the context, is left out.
    pub leaves_out: PathTest,
    /// Whether something below a directory that is left out may be kept.
    pub has_exceptions: bool,
}

impl ContextRules {
    /// Nothing is left out.
    #[must_use]
    pub fn keeping_all() -> Self {
        Self { leaves_out: Box::new(|_| false), has_exceptions: false }
    }
}

impl Context {
    /// Opens a context.
    ///
    /// # Errors
    /// [`BuildError::OpenContext`].
    pub fn open(path: &Path, rules: ContextRules) -> Result<Self, BuildError> {
        let failed = |source| BuildError::OpenContext { path: path.to_owned(), source };
        let real = std::fs::canonicalize(path).map_err(failed)?;
        let view = RootView::open(&[real], &[]).map_err(|source| failed(source.into()))?;
        Ok(Self { view, rules })
    }

    /// Reads a file of the context, whether it is left out or not; none where it is not there.
    ///
    /// # Errors
    /// [`BuildError::ReadSource`].
    pub fn read(&self, path: &str, most: u64) -> Result<Option<Vec<u8>>, BuildError> {
        match self.view.read(path, most) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(BuildError::ReadSource { path: path.to_owned(), source }),
        }
    }
}

/// One source.
pub enum CopyItem {
    /// A path.
    Path(String),
    /// All paths of as many components that fit.
    Pattern {
        /// As it was given.
        text: String,
        /// Whether a path fits.
        fits: PathTest,
    },
    /// A file with these contents.
    Inline {
        /// Its name, where the destination is a directory.
        name: String,
        /// What is in it.
        content: String,
    },
}

/// What is to be copied, and how.
pub struct CopyRequest {
    /// The sources.
    pub items: Vec<CopyItem>,
    /// Absolute; a slash at its end says that it is a directory.
    pub destination: String,
    /// Who it all belongs to, `USER` or `USER:GROUP`.
    pub owner: Option<String>,
    /// The permission bits of all of it.
    pub mode: Option<u32>,
    /// Whether archives are unpacked.
    pub unpacks: bool,
}

/// What will be copied.
pub struct CopyPlan {
    pub(super) entries: Vec<Planned>,
    /// Of all that the entries are.
    pub(super) digest: Digest,
    /// Pipes, sockets and devices, which are left out.
    pub skipped_nodes: u64,
}

pub(super) struct Planned {
    target: Vec<u8>,
    metadata: Metadata,
    node: Node,
}

enum Node {
    Directory,
    Symlink {
        to: Vec<u8>,
    },
    Inline {
        content: Vec<u8>,
    },
    File {
        source: Vec<u8>,
        size: u64,
        digest: Option<Digest>,
    },
    /// An archive, unpacked below the target. `owner` is who all of it is to belong to.
    Archive {
        source: Vec<u8>,
        owner: Option<(u32, u32)>,
        digest: Option<Digest>,
    },
}

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
        let into = several || destination.ends_with('/') || self.is_directory(&relative(destination));
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
        self.directories(&relative(path)).map(drop)
    }

    fn copy(&mut self, source: &FoundSource, destination: &str, into: bool) -> Result<(), BuildError> {
        let found = self.sources.view.look(&source.real).map_err(unreadable(&source.named))?;
        match found.kind {
            FileType::Directory => {
                let (kind, stat) = (found.kind, found.stat);
                debug_assert_eq!(kind, FileType::Directory);
                let wanted = relative(destination);
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
                    let target = self.directories(&relative(destination))?;
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
        let destination = relative(destination);
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
        let named = relative(path);
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
        let depth = relative(text).split(|byte| *byte == b'/').count();
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

/// Of several sources that go to one place, the last one counts, as if they were copied one after the other. An archive that has
/// a name twice could not be put together again from its layer.
pub(super) fn each_once(entries: Vec<Planned>) -> Result<Vec<Planned>, BuildError> {
    let mut kinds: HashMap<Vec<u8>, bool> = HashMap::new();
    let mut kept = Vec::with_capacity(entries.len());
    for entry in entries.into_iter().rev() {
        if matches!(entry.node, Node::Archive { .. }) {
            kept.push(entry);
            continue;
        }
        let is_directory = matches!(entry.node, Node::Directory);
        match kinds.insert(entry.target.clone(), is_directory) {
            None => kept.push(entry),
            Some(other) if other == is_directory => {}
            Some(_) => return Err(BuildError::Destination { path: printable(&entry.target) }),
        }
    }
    kept.reverse();
    // A directory comes before what is in it, also where the last of several has been kept.
    kept.sort_by_key(|entry| !matches!(entry.node, Node::Directory));
    Ok(kept)
}

/// Reads everything and hashes it: names, attributes and contents, but not times.
pub(super) fn hash(
    entries: &mut [Planned],
    sources: Sources<'_>,
    go_on: &dyn Fn() -> ControlFlow<()>,
) -> Result<Digest, BuildError> {
    let mut whole = Sha256::new();
    let mut part = |bytes: &[u8]| {
        whole.update((bytes.len() as u64).to_be_bytes());
        whole.update(bytes);
    };
    for entry in entries {
        part(&entry.target);
        let Metadata { mode, owner, group, .. } = entry.metadata;
        part(format!("{mode:o} {owner} {group}").as_bytes());
        match &mut entry.node {
            Node::Directory => part(b"directory"),
            Node::Symlink { to } => part(&[b"link ", to.as_slice()].concat()),
            Node::Inline { content } => {
                part(&[b"file ", Digest::of(content).hexadecimal().as_bytes()].concat())
            }
            Node::File { source, digest, .. } | Node::Archive { source, digest, .. } => {
                let file = open(sources.view, source)?;
                let found = hash_file(file, source, go_on)?;
                *digest = Some(found);
                part(&[b"file ", found.hexadecimal().as_bytes()].concat());
            }
        }
        if let Node::Archive { owner, .. } = &entry.node {
            part(format!("unpacked {owner:?}").as_bytes());
        }
    }
    Ok(Digest::of_hasher(whole))
}

fn hash_file(mut file: File, path: &[u8], go_on: &dyn Fn() -> ControlFlow<()>) -> Result<Digest, BuildError> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        if go_on().is_break() {
            return Err(BuildError::Cancelled);
        }
        match file.read(&mut buffer).map_err(|source| failed_to_read(path, source))? {
            0 => return Ok(Digest::of_hasher(hasher)),
            count => hasher.update(&buffer[..count]),
        }
    }
}

/// Writes the archive of what was planned. A file that is not what was hashed any more is an error.
pub(super) fn write(
    entries: &[Planned],
    sources: Sources<'_>,
    limits: &UnpackLimits,
    go_on: &(dyn Fn() -> ControlFlow<()> + Sync),
    output: impl Write,
) -> Result<(), BuildError> {
    let mut archive = LayerArchive::new(output);
    for Planned { target, metadata, node } in entries {
        let unwritten = |source| BuildError::WriteArchive { source };
        match node {
            Node::Directory => archive.directory(target, metadata).map_err(unwritten)?,
            Node::Symlink { to } => archive.symlink(target, to, metadata).map_err(unwritten)?,
            Node::Inline { content } => {
                archive
                    .file(target, metadata, content.len() as u64, content.as_slice())
                    .map_err(unwritten)?;
            }
            Node::File { source, size, digest } => {
                let mut hashed = Hashed { file: open(sources.view, source)?, hasher: Sha256::new() };
                let contents = Stoppable { contents: &mut hashed, go_on };
                match archive.file(target, metadata, *size, contents) {
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                        return Err(BuildError::Changed { path: printable(source) });
                    }
                    Err(_) if go_on().is_break() => return Err(BuildError::Cancelled),
                    other => other.map_err(unwritten)?,
                }
                if *digest != Some(Digest::of_hasher(hashed.hasher)) {
                    return Err(BuildError::Changed { path: printable(source) });
                }
            }
            Node::Archive { source, owner, digest } => {
                if *digest != Some(hash_file(open(sources.view, source)?, source, go_on)?) {
                    return Err(BuildError::Changed { path: printable(source) });
                }
                let file = open(sources.view, source)?;
                added_archive::copy(file, source, target, *owner, limits, &mut archive)?;
            }
        }
    }
    archive.finish().map_err(|source| BuildError::WriteArchive { source })
}

struct Hashed {
    file: File,
    hasher: Sha256,
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

fn open(view: &RootView, path: &[u8]) -> Result<File, BuildError> {
    view.look(path).and_then(|found| found.open()).map_err(unreadable(path))
}

fn failed_to_read(path: &[u8], source: io::Error) -> BuildError {
    BuildError::ReadSource { path: printable(path), source }
}

fn unreadable(path: &[u8]) -> impl Fn(Errno) -> BuildError {
    let path = printable(path);
    move |source| BuildError::ReadSource { path: path.clone(), source: source.into() }
}

/// A path without what means nothing; `..` does not lead above the root.
fn relative(path: &str) -> Vec<u8> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/").into_bytes()
}
