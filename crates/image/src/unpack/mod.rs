//! Unpacks one archive into one empty directory, trusting nothing in it: that of a whole root file system, or a layer that
//! says what it has more and less than those below it.
//!
//! The tar crate only iterates the entries; this module decides what is created, and how. It knows no store and no names
//! of images.

mod attributes;
mod directories;
mod entry_path;
mod error;
mod extended_header;
mod lower_layers;
mod record;
mod sparse;
mod stream;
mod whiteouts;
mod writer;

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};
use tar::EntryType;

use attributes::Attributes;
use entry_path::{EntryPath, LayerName};
use extended_header::ExtendedHeader;
use sparse::SparseMap;
use stream::StreamState;
use writer::LayerWriter;

use crate::digest::Digest;
use crate::limits::{LimitError, UnpackLimits};
use crate::root_view::RootView;

pub(crate) use attributes::{is_kept, is_opaque};
pub(crate) use entry_path::printable;
pub(crate) use record::{CONTENTS, LITERAL, Recorder};
pub(crate) use stream::{TarStream, open, open_plain};

pub use error::{HardlinkProblem, NameProblem, UnpackError};
pub use stream::Compression;

const BUFFER_SIZE: usize = 128 * 1024;
static ZEROS: [u8; BUFFER_SIZE] = [0; BUFFER_SIZE];
/// Entries between two calls of the progress callback.
const PROGRESS_INTERVAL: u64 = 512;
const LONGEST_LINK: usize = 4095;

/// What was unpacked, and what was left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnpackSummary {
    /// Entries in the archive.
    pub entries: u64,
    /// Bytes of file contents, holes included.
    pub bytes: u64,
    /// Device nodes, pipes and sockets, none of which is created.
    pub skipped_nodes: u64,
    /// Entries whose owner or group was above 65535 and became 65534.
    pub clamped_owners: u64,
    /// Extended attributes that were not kept.
    pub dropped_attributes: u64,
    /// Entries that took the place of an earlier one of the same name.
    pub replaced_entries: u64,
    /// Things of lower layers that were deleted.
    pub deletions: u64,
}

impl UnpackSummary {
    /// Adds what was unpacked of another archive.
    pub(crate) fn add(&mut self, other: &Self) {
        self.entries += other.entries;
        self.bytes += other.bytes;
        self.skipped_nodes += other.skipped_nodes;
        self.clamped_owners += other.clamped_owners;
        self.dropped_attributes += other.dropped_attributes;
        self.replaced_entries += other.replaced_entries;
        self.deletions += other.deletions;
    }
}

/// How far an import has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Entries so far.
    pub entries: u64,
    /// Bytes of the uncompressed archive so far.
    pub archive_bytes: u64,
}

/// What an archive is to become.
#[derive(Clone, Copy)]
pub(crate) enum Content<'a> {
    /// A root file system on its own: names of deletions are refused in it.
    RootFileSystem,
    /// A layer on top of others.
    Layer(&'a RootView),
}

/// An archive that was unpacked whole.
pub(crate) struct Unpacked {
    /// Of the uncompressed archive.
    pub(crate) diff_id: Digest,
    /// Of the archive as it came.
    pub(crate) blob: Digest,
    /// Bytes of the archive as it came.
    pub(crate) blob_bytes: u64,
    pub(crate) compression: Compression,
    pub(crate) summary: UnpackSummary,
    /// On other layers, it would have become something else.
    pub(crate) depends_on_below: bool,
}

/// Unpacks an archive into the empty directory `root`, and writes down in `recorder` what is not in the files. After an
/// error the directory holds a part and must be removed.
pub(crate) fn unpack(
    root: BorrowedFd<'_>,
    stream: TarStream<'_>,
    content: Content<'_>,
    recorder: Recorder,
    limits: &UnpackLimits,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Unpacked, UnpackError> {
    let (state, compression) = (stream.state(), stream.compression());
    state.record(recorder);
    let nothing = RootView::empty();
    let below = match content {
        Content::RootFileSystem => &nothing,
        Content::Layer(below) => below,
    };
    let mut archive = tar::Archive::new(stream);
    let mut unpacker = Unpacker {
        writer: LayerWriter::new(root, below),
        content,
        limits,
        state: &state,
        summary: UnpackSummary::default(),
        buffer: vec![0; BUFFER_SIZE],
    };
    unpacker.entries(&mut archive, progress)?;
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(|source| state.error(source))?;
    state.finish_record().map_err(|source| UnpackError::Record { source })?;
    let depends_on_below = unpacker.writer.depends_on_below;
    let summary = unpacker.finish()?;
    let (blob, blob_bytes) = state.compressed_digest();
    Ok(Unpacked { diff_id: state.digest(), blob, blob_bytes, compression, summary, depends_on_below })
}

struct Unpacker<'a> {
    writer: LayerWriter<'a>,
    content: Content<'a>,
    limits: &'a UnpackLimits,
    state: &'a StreamState,
    summary: UnpackSummary,
    buffer: Vec<u8>,
}

type Entry<'a, 'b> = tar::Entry<'a, TarStream<'b>>;

impl Unpacker<'_> {
    fn entries(
        &mut self,
        archive: &mut tar::Archive<TarStream<'_>>,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<(), UnpackError> {
        let mut entries = archive.entries().map_err(|source| self.state.error(source))?;
        loop {
            self.state.begin_header();
            let next = entries.next();
            let extended = ExtendedHeader::parse(&self.state.end_header());
            let Some(entry) = next else { break };
            let mut entry = entry.map_err(|source| self.state.error(source))?;
            let extended = extended.ok_or_else(|| self.state.error(malformed()))?;
            self.summary.entries += 1;
            if self.summary.entries > self.limits.max_entries {
                return Err(LimitError::Entries { allowed: self.limits.max_entries }.into());
            }
            self.entry(&mut entry, &extended)?;
            // What is left of the entry must not be taken for headers of the next.
            io::copy(&mut entry, &mut io::sink()).map_err(|source| self.state.error(source))?;
            if self.summary.entries % PROGRESS_INTERVAL == 1 {
                let now = Progress { entries: self.summary.entries, archive_bytes: self.state.position() };
                if progress(now).is_break() {
                    return Err(UnpackError::Cancelled);
                }
            }
        }
        if self.state.has_ended() {
            // A reader that finds the end marker stops there, before the end of the stream.
            return Err(UnpackError::Truncated { position: self.state.position() });
        }
        if self.summary.entries == 0 { Err(UnpackError::Empty) } else { Ok(()) }
    }

    fn finish(mut self) -> Result<UnpackSummary, UnpackError> {
        self.summary.replaced_entries = self.writer.replaced;
        self.summary.dropped_attributes += self.writer.finish(self.state.deadline())?;
        Ok(self.summary)
    }

    fn entry(&mut self, entry: &mut Entry<'_, '_>, extended: &ExtendedHeader) -> Result<(), UnpackError> {
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() || kind.as_byte() == b'V' {
            // Comments and the label of a volume: about no file.
            return Ok(());
        }
        let name = extended.name().map_or_else(|| entry.header().path_bytes(), Cow::Borrowed).into_owned();
        let Some(path) = self.present(&name)? else { return Ok(()) };
        match kind {
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                self.summary.skipped_nodes += 1;
                return Ok(());
            }
            EntryType::Link => return self.hardlink(entry, extended, &path),
            _ => {}
        }
        let attributes = Attributes::read(entry, extended, &mut self.summary)
            .map_err(|source| self.state.error(source))?;
        match kind {
            EntryType::Directory => self.writer.directory(&path, attributes),
            // Archives from before POSIX have no kind for directories but the slash.
            EntryType::Regular if name.ends_with(b"/") => self.writer.directory(&path, attributes),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.file(entry, extended, &path, &attributes)
            }
            EntryType::Symlink => self.symlink(entry, extended, &path, &attributes),
            other => {
                let kind = char::from(other.as_byte()).escape_default().to_string();
                Err(UnpackError::UnsupportedEntry { name: printable(&name), kind })
            }
        }
    }

    /// Returns the path of an entry that is about something present. One about something deleted is noted here.
    fn present(&mut self, name: &[u8]) -> Result<Option<EntryPath>, UnpackError> {
        let refused = |source| UnpackError::RefusedName { name: printable(name), source };
        let parsed = match self.content {
            Content::RootFileSystem => EntryPath::parse(name).map(LayerName::Present),
            Content::Layer(_) => LayerName::parse(name),
        };
        let parsed = parsed.map_err(refused)?;
        if let LayerName::Present(path) | LayerName::Deleted(path) | LayerName::Opaque(path) = &parsed
            && path.depth() > self.limits.max_depth
        {
            return Err(LimitError::Depth { allowed: self.limits.max_depth, name: printable(name) }.into());
        }
        match parsed {
            LayerName::Present(path) => return Ok(Some(path)),
            LayerName::Deleted(path) => self.writer.delete(&path)?,
            LayerName::Opaque(path) => self.writer.make_opaque(&path)?,
            LayerName::Bookkeeping => return Ok(None),
        }
        self.summary.deletions += 1;
        Ok(None)
    }

    fn hardlink(
        &mut self,
        entry: &Entry<'_, '_>,
        extended: &ExtendedHeader,
        path: &EntryPath,
    ) -> Result<(), UnpackError> {
        let target = link_name(entry, extended);
        let refuse = |source| UnpackError::RefusedHardlink {
            name: printable(path.as_bytes()),
            target: printable(&target),
            source,
        };
        let target_path =
            EntryPath::parse(&target).map_err(|source| refuse(HardlinkProblem::Name { source }))?;
        if target_path.is_root() {
            return Err(refuse(HardlinkProblem::NoTarget));
        }
        let allowed = self.limits.max_bytes.saturating_sub(self.summary.bytes);
        self.summary.bytes += self.writer.hardlink(path, &target_path, allowed)?;
        Ok(())
    }

    fn symlink(
        &mut self,
        entry: &Entry<'_, '_>,
        extended: &ExtendedHeader,
        path: &EntryPath,
        attributes: &Attributes,
    ) -> Result<(), UnpackError> {
        let target = link_name(entry, extended);
        if target.is_empty() || target.contains(&0) || target.len() > LONGEST_LINK {
            return Err(UnpackError::RefusedSymlink { name: printable(path.as_bytes()) });
        }
        self.writer.symlink(path, &target, attributes)
    }

    fn file(
        &mut self,
        entry: &mut Entry<'_, '_>,
        extended: &ExtendedHeader,
        path: &EntryPath,
        attributes: &Attributes,
    ) -> Result<(), UnpackError> {
        let plain = entry.header().entry_type() != EntryType::GNUSparse;
        let stored = entry.size();
        let map = match plain {
            true => SparseMap::read(extended, stored, entry).map_err(|source| self.state.error(source))?,
            false => None,
        };
        let size = map.as_ref().map_or(stored, |map| map.size);
        self.summary.bytes = self.summary.bytes.saturating_add(size);
        if self.summary.bytes > self.limits.max_bytes {
            return Err(LimitError::Bytes { allowed: self.limits.max_bytes }.into());
        }
        let (file, placed) = self.writer.file(path)?;
        match map {
            Some(map) => {
                for (offset, length) in map.segments {
                    self.contents(entry, &file, offset, length, path)?;
                }
            }
            None => {
                if plain {
                    self.state
                        .begin_contents(placed.as_bytes(), size)
                        .map_err(|source| UnpackError::Record { source })?;
                }
                self.contents(entry, &file, 0, size, path)?;
            }
        }
        let name = printable(path.as_bytes());
        file.set_len(size).map_err(|source| UnpackError::Write { name: name.clone(), source })?;
        self.summary.dropped_attributes += attributes.apply(file.as_fd(), &name)?;
        Ok(())
    }

    /// Copies a part of the contents. Long runs of zeros become holes, so that a sparse file stays one and zeros cost no
    /// disk.
    fn contents(
        &mut self,
        entry: &mut Entry<'_, '_>,
        file: &File,
        start: u64,
        size: u64,
        path: &EntryPath,
    ) -> Result<(), UnpackError> {
        let failed = |source| UnpackError::Write { name: printable(path.as_bytes()), source };
        let mut done = 0;
        while done < size {
            let most = usize::try_from(size - done).unwrap_or(BUFFER_SIZE).min(BUFFER_SIZE);
            let filled = self.fill(entry, most)?;
            if filled == 0 {
                return Err(UnpackError::Truncated { position: self.state.position() });
            }
            let chunk = &self.buffer[..filled];
            if chunk != &ZEROS[..filled] {
                file.write_all_at(chunk, start + done).map_err(failed)?;
            }
            done += filled as u64;
            // The holes of a sparse file come without a read of the stream, which has its own check.
            self.state.deadline().check()?;
        }
        Ok(())
    }

    /// Reads until the buffer has `most` bytes or the entry ends.
    fn fill(&mut self, entry: &mut Entry<'_, '_>, most: usize) -> Result<usize, UnpackError> {
        let mut filled = 0;
        while filled < most {
            match entry.read(&mut self.buffer[filled..most]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.state.error(error)),
            }
        }
        Ok(filled)
    }
}

fn link_name(entry: &Entry<'_, '_>, extended: &ExtendedHeader) -> Vec<u8> {
    let own = || entry.header().link_name_bytes().unwrap_or_default();
    extended.link().map_or_else(own, Cow::Borrowed).into_owned()
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "an extended header is malformed")
}
