//! Unpacks one archive of a root file system into one empty directory, trusting nothing in it.
//!
//! The tar crate only iterates the entries; this module decides what is created, and how. It knows no store and no names
//! of images.

mod attributes;
mod directories;
mod entry_path;
mod error;
mod stream;
mod writer;

use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use tar::EntryType;

use attributes::{Attributes, ReadAttributesError};
use entry_path::{EntryPath, printable};
use stream::{StreamState, TarStream};
use writer::LayerWriter;

use crate::limits::{LimitError, UnpackLimits};

pub use error::{HardlinkProblem, NameProblem, UnpackError};
pub use stream::Compression;
pub(crate) use stream::hexadecimal;

const BUFFER_SIZE: usize = 128 * 1024;
static ZEROS: [u8; BUFFER_SIZE] = [0; BUFFER_SIZE];
/// Entries between two calls of the progress callback.
const PROGRESS_INTERVAL: u64 = 512;
const LONGEST_LINK: usize = 4095;

/// What was unpacked, and what was left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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
}

/// How far an import has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Entries so far.
    pub entries: u64,
    /// Bytes of the uncompressed archive so far.
    pub archive_bytes: u64,
}

/// An archive that was unpacked whole.
pub(crate) struct Unpacked {
    /// SHA-256 of the uncompressed archive, in lowercase hexadecimal.
    pub(crate) digest: String,
    pub(crate) compression: Compression,
    pub(crate) summary: UnpackSummary,
}

/// Unpacks `input` into the empty directory `root`. After an error the directory holds a part and must be removed.
pub(crate) fn unpack(
    root: BorrowedFd<'_>,
    input: impl Read,
    limits: &UnpackLimits,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Unpacked, UnpackError> {
    let (stream, state, compression) = stream::open(input, limits)?;
    let mut archive = tar::Archive::new(stream);
    let mut unpacker = Unpacker {
        writer: LayerWriter::new(root),
        limits,
        state: &state,
        summary: UnpackSummary::default(),
        buffer: vec![0; BUFFER_SIZE],
    };
    unpacker.entries(&mut archive, progress)?;
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(|source| state.error(source))?;
    let summary = unpacker.finish()?;
    Ok(Unpacked { digest: state.digest(), compression, summary })
}

struct Unpacker<'a> {
    writer: LayerWriter<'a>,
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
            self.state.end_header();
            let Some(entry) = next else { break };
            let mut entry = entry.map_err(|source| self.state.error(source))?;
            self.summary.entries += 1;
            if self.summary.entries > self.limits.max_entries {
                return Err(LimitError::Entries { allowed: self.limits.max_entries }.into());
            }
            self.entry(&mut entry)?;
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
        self.summary.dropped_attributes += self.writer.finish()?;
        Ok(self.summary)
    }

    fn entry(&mut self, entry: &mut Entry<'_, '_>) -> Result<(), UnpackError> {
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() || kind.as_byte() == b'V' {
            // Comments and the label of a volume: about no file.
            return Ok(());
        }
        let name = entry.path_bytes().into_owned();
        let path = EntryPath::parse(&name)
            .map_err(|source| UnpackError::RefusedName { name: printable(&name), source })?;
        if path.depth() > self.limits.max_depth {
            return Err(LimitError::Depth { allowed: self.limits.max_depth, name: printable(&name) }.into());
        }
        let unsupported = |kind: String| UnpackError::UnsupportedEntry { name: printable(&name), kind };
        match kind {
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                self.summary.skipped_nodes += 1;
                return Ok(());
            }
            EntryType::Link => return self.hardlink(entry, &path),
            _ => {}
        }
        let attributes = Attributes::read(entry, &mut self.summary).map_err(|error| match error {
            ReadAttributesError::Header(source) => self.state.error(source),
            ReadAttributesError::PaxSparse => unsupported("PAX sparse file".to_owned()),
        })?;
        match kind {
            EntryType::Directory => self.writer.directory(&path, attributes),
            // Archives from before POSIX have no kind for directories but the slash.
            EntryType::Regular if name.ends_with(b"/") => self.writer.directory(&path, attributes),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.file(entry, &path, &attributes)
            }
            EntryType::Symlink => self.symlink(entry, &path, &attributes),
            other => Err(unsupported(char::from(other.as_byte()).escape_default().to_string())),
        }
    }

    fn hardlink(&mut self, entry: &Entry<'_, '_>, path: &EntryPath) -> Result<(), UnpackError> {
        let target = entry.link_name_bytes().unwrap_or_default().into_owned();
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
        self.writer.hardlink(path, &target_path)
    }

    fn symlink(
        &mut self,
        entry: &Entry<'_, '_>,
        path: &EntryPath,
        attributes: &Attributes,
    ) -> Result<(), UnpackError> {
        let target = entry.link_name_bytes().unwrap_or_default();
        if target.is_empty() || target.contains(&0) || target.len() > LONGEST_LINK {
            return Err(UnpackError::RefusedSymlink { name: printable(path.as_bytes()) });
        }
        self.writer.symlink(path, &target, attributes)
    }

    fn file(
        &mut self,
        entry: &mut Entry<'_, '_>,
        path: &EntryPath,
        attributes: &Attributes,
    ) -> Result<(), UnpackError> {
        let size = entry.size();
        self.summary.bytes = self.summary.bytes.saturating_add(size);
        if self.summary.bytes > self.limits.max_bytes {
            return Err(LimitError::Bytes { allowed: self.limits.max_bytes }.into());
        }
        let file = self.writer.file(path)?;
        self.contents(entry, &file, size, path)?;
        let name = printable(path.as_bytes());
        self.summary.dropped_attributes += attributes.apply(file.as_fd(), &name)?;
        Ok(())
    }

    /// Copies the contents. Long runs of zeros become holes, so that a sparse file stays one and zeros cost no disk.
    fn contents(
        &mut self,
        entry: &mut Entry<'_, '_>,
        file: &File,
        size: u64,
        path: &EntryPath,
    ) -> Result<(), UnpackError> {
        let failed = |source| UnpackError::Write { name: printable(path.as_bytes()), source };
        let mut offset = 0;
        while offset < size {
            let filled = self.fill(entry)?;
            if filled == 0 {
                return Err(UnpackError::Truncated { position: self.state.position() });
            }
            let chunk = &self.buffer[..filled];
            if chunk != &ZEROS[..filled] {
                file.write_all_at(chunk, offset).map_err(failed)?;
            }
            offset += filled as u64;
            // The holes of a sparse file come without a read of the stream, which has its own check.
            self.state.check_duration()?;
        }
        file.set_len(size).map_err(failed)
    }

    /// Reads until the buffer is full or the entry ends.
    fn fill(&mut self, entry: &mut Entry<'_, '_>) -> Result<usize, UnpackError> {
        let mut filled = 0;
        while filled < self.buffer.len() {
            match entry.read(&mut self.buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.state.error(error)),
            }
        }
        Ok(filled)
    }
}
