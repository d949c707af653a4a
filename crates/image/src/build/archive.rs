//! Writes the archive of a layer: POSIX tar, with extended headers only where a name or an attribute needs them.

use std::io::{self, Read, Write};
use std::ops::ControlFlow;

use tar::{EntryType, Header};

/// What marks a deletion, before the name that is deleted.
pub(crate) const DELETION: &[u8] = b".wh.";
/// Marks a directory as having nothing of lower layers.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// What fits the fields of a header.
const LONGEST_NAME: usize = 100;
const ATTRIBUTE: &str = "SCHILY.xattr.";

/// What every entry has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Metadata {
    pub(crate) mode: u32,
    pub(crate) owner: u32,
    pub(crate) group: u32,
    /// Seconds since 1970.
    pub(crate) modified: u64,
    /// Extended attributes.
    pub(crate) attributes: Vec<(String, Vec<u8>)>,
}

/// An archive on its way out. Paths are relative, without `.` and `..`.
pub(crate) struct LayerArchive<W: Write> {
    builder: tar::Builder<W>,
}

impl<W: Write> LayerArchive<W> {
    pub(crate) fn new(output: W) -> Self {
        Self { builder: tar::Builder::new(output) }
    }

    pub(crate) fn directory(&mut self, path: &[u8], metadata: &Metadata) -> io::Result<()> {
        self.entry(EntryType::Directory, &[path, b"/"].concat(), b"", metadata, 0, io::empty())
    }

    /// Writes a file of `size` bytes; contents that end before are an error.
    pub(crate) fn file(
        &mut self,
        path: &[u8],
        metadata: &Metadata,
        size: u64,
        contents: impl Read,
    ) -> io::Result<()> {
        let mut counted = Counted { contents: contents.take(size), left: size };
        self.entry(EntryType::Regular, path, b"", metadata, size, &mut counted)?;
        if counted.left == 0 { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    pub(crate) fn symlink(&mut self, path: &[u8], target: &[u8], metadata: &Metadata) -> io::Result<()> {
        self.entry(EntryType::Symlink, path, target, metadata, 0, io::empty())
    }

    /// Writes another name of an earlier file.
    pub(crate) fn hardlink(&mut self, path: &[u8], target: &[u8], metadata: &Metadata) -> io::Result<()> {
        self.entry(EntryType::Link, path, target, metadata, 0, io::empty())
    }

    /// Says that something of lower layers is deleted.
    pub(crate) fn deletion(&mut self, directory: &[u8], name: &[u8]) -> io::Result<()> {
        self.mark(directory, &[DELETION, name].concat())
    }

    /// Says that a directory has nothing of lower layers.
    pub(crate) fn opaque(&mut self, directory: &[u8]) -> io::Result<()> {
        self.mark(directory, OPAQUE)
    }

    /// Ends the archive.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.builder.into_inner()?.flush()
    }

    fn mark(&mut self, directory: &[u8], name: &[u8]) -> io::Result<()> {
        let metadata = Metadata { mode: 0o600, ..Metadata::default() };
        self.entry(EntryType::Regular, &below(directory, name), b"", &metadata, 0, io::empty())
    }

    fn entry(
        &mut self,
        kind: EntryType,
        path: &[u8],
        link: &[u8],
        metadata: &Metadata,
        size: u64,
        contents: impl Read,
    ) -> io::Result<()> {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(metadata.mode & 0o7777);
        header.set_uid(metadata.owner.into());
        header.set_gid(metadata.group.into());
        header.set_mtime(metadata.modified);
        header.set_size(size);
        let mut extended: Vec<(String, &[u8])> = Vec::new();
        for (value, key) in [(path, "path"), (link, "linkpath")] {
            if value.len() > LONGEST_NAME {
                extended.push((key.to_owned(), value));
            }
        }
        for (name, value) in &metadata.attributes {
            extended.push((format!("{ATTRIBUTE}{name}"), value));
        }
        if !extended.is_empty() {
            self.builder
                .append_pax_extensions(extended.iter().map(|(name, value)| (name.as_str(), *value)))?;
        }
        let fields = header.as_old_mut();
        fill(&mut fields.name, path);
        fill(&mut fields.linkname, link);
        header.set_cksum();
        self.builder.append(&header, contents)
    }
}

/// A path in a directory; the empty one is the root.
pub(crate) fn below(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

/// As much as there is room for; the whole is in an extended header then.
fn fill(field: &mut [u8; LONGEST_NAME], text: &[u8]) {
    let length = text.len().min(LONGEST_NAME);
    field[..length].copy_from_slice(&text[..length]);
}

/// Reads on as long as it is to.
pub(crate) struct Stoppable<'a, R> {
    pub(crate) contents: R,
    pub(crate) go_on: &'a (dyn Fn() -> ControlFlow<()> + Sync),
}

impl<R: Read> Read for Stoppable<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if (self.go_on)().is_break() {
            // Whoever stopped it knows better than this says.
            return Err(io::Error::other("stopped"));
        }
        self.contents.read(buffer)
    }
}

struct Counted<R> {
    contents: R,
    left: u64,
}

impl<R: Read> Read for &mut Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.contents.read(buffer)?;
        self.left = self.left.saturating_sub(count as u64);
        Ok(count)
    }
}
