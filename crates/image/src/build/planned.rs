//! What will be copied: a hash of all of it, and its archive.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::ControlFlow;

use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::BuildError;
use super::added_archive;
use super::archive::{LayerArchive, Metadata, Stoppable};
use super::copy::Sources;
use crate::digest::Digest;
use crate::limits::UnpackLimits;
use crate::root_view::RootView;
use crate::unpack::printable;

const BUFFER_BYTES: usize = 128 * 1024;

/// What will be copied.
pub struct CopyPlan {
    pub(super) entries: Vec<Planned>,
    /// Of all that the entries are.
    pub(super) digest: Digest,
    /// Pipes, sockets and devices, which are left out.
    pub skipped_nodes: u64,
}

pub(super) struct Planned {
    pub(super) target: Vec<u8>,
    pub(super) metadata: Metadata,
    pub(super) node: Node,
}

pub(super) enum Node {
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

pub(super) fn unreadable(path: &[u8]) -> impl Fn(Errno) -> BuildError {
    let path = printable(path);
    move |source| BuildError::ReadSource { path: path.clone(), source: source.into() }
}
