//! An archive into a directory, trusting nothing in it. The tar crate only iterates the entries; what is created, and how, is
//! decided here and in the tree writer.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use sandkasten_api::limits::{MAX_TREE_DEPTH, MAX_TREE_ENTRIES};
use sandkasten_isolation::host::{FileError, RootDirectory, TreeWriter};
use tar::{Entry, EntryType};

use crate::ArchiveFormat;

/// What headers of one entry may hold, which the tar crate keeps in memory.
const HEADER_BYTES: u64 = 1 << 20;
/// How much more than the filesystem holds an archive may be, for its own headers and what replaces older files.
const SLACK_BYTES: u64 = 64 << 20;
const BUFFER_BYTES: usize = 256 << 10;
const LONGEST_LINK: usize = 4_095;

/// What was unpacked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Its entries.
    pub entries: u64,
    /// Bytes of contents.
    pub bytes: u64,
}

/// Why an archive was not unpacked to its end. What came before is there.
#[derive(Debug, thiserror::Error)]
pub enum UnpackArchiveError {
    /// An entry could not be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The bytes are no archive, or end early.
    #[error("the archive cannot be read: {source}")]
    Read {
        /// The reader's reason.
        source: io::Error,
    },
    /// An entry is none that is taken.
    #[error("the entry {name:?} is refused: {problem}")]
    Refused {
        /// Its name, cut to a printable length.
        name: String,
        /// Why.
        problem: &'static str,
    },
    /// It has no entry.
    #[error("the archive cannot be read: it has no entry")]
    Empty,
    /// It holds more than is taken.
    #[error("the archive has more than {limit}")]
    TooLarge {
        /// What there is too much of.
        limit: String,
    },
}

/// Counts what comes out of a stream, and ends it where it is too much.
struct Counted<R> {
    inner: R,
    left: Rc<Cell<u64>>,
    header: Rc<Cell<Option<u64>>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let left = self.left.get().checked_sub(count as u64);
        self.left.set(left.ok_or_else(|| io::Error::other("it is larger than the filesystem"))?);
        if let Some(header) = self.header.get() {
            let rest = header.checked_sub(count as u64);
            self.header
                .set(Some(rest.ok_or_else(|| io::Error::other("the headers of an entry are too large"))?));
        }
        Ok(count)
    }
}

/// Unpacks an archive into a directory, which is made where it is missing. Files, directories and symbolic links are taken; a
/// name may not climb, nothing is written through a link, and files that are there are replaced. Blocking.
///
/// # Errors
/// [`UnpackArchiveError`].
pub fn unpack(
    root: &RootDirectory,
    path: &str,
    format: ArchiveFormat,
    input: impl Read,
) -> Result<Unpacked, UnpackArchiveError> {
    let writer = root.tree_writer(path)?;
    let read = |source| UnpackArchiveError::Read { source };
    let most = writer.capacity()?.saturating_add(SLACK_BYTES);
    match format {
        ArchiveFormat::Tar => entries(&writer, input, most),
        ArchiveFormat::TarZstd => {
            let mut decoder = zstd::Decoder::new(input).map_err(read)?;
            // 128 MiB of window are what zstd itself takes without being told to.
            decoder.window_log_max(27).map_err(read)?;
            entries(&writer, decoder, most)
        }
    }
}

fn entries(writer: &TreeWriter<'_>, input: impl Read, most: u64) -> Result<Unpacked, UnpackArchiveError> {
    let read = |source| UnpackArchiveError::Read { source };
    let header = Rc::new(Cell::new(None));
    let counted = Counted { inner: input, left: Rc::new(Cell::new(most)), header: Rc::clone(&header) };
    let mut archive = tar::Archive::new(counted);
    let mut unpacked = Unpacked::default();
    let mut modes = Vec::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut entries = archive.entries().map_err(read)?;
    loop {
        header.set(Some(HEADER_BYTES));
        let next = entries.next();
        header.set(None);
        let Some(entry) = next else { break };
        let mut entry = entry.map_err(read)?;
        unpacked.entries += 1;
        if unpacked.entries > MAX_TREE_ENTRIES as u64 {
            return Err(UnpackArchiveError::TooLarge { limit: format!("{MAX_TREE_ENTRIES} entries") });
        }
        if let Some((path, mode)) = take_entry(writer, &mut entry, &mut buffer, &mut unpacked)? {
            modes.push((path, mode));
        }
    }
    // From within outwards, and last of all: a mode may forbid what comes after it.
    for (path, mode) in modes.into_iter().rev() {
        writer.set_directory_mode(&path, mode)?;
    }
    if unpacked.entries == 0 {
        return Err(UnpackArchiveError::Empty);
    }
    Ok(unpacked)
}

/// Makes one entry; of a directory, returns its path and the mode that it is to have.
fn take_entry(
    writer: &TreeWriter<'_>,
    entry: &mut Entry<'_, impl Read>,
    buffer: &mut [u8],
    unpacked: &mut Unpacked,
) -> Result<Option<(Vec<u8>, u32)>, UnpackArchiveError> {
    let kind = entry.header().entry_type();
    if kind == EntryType::XGlobalHeader {
        return Ok(None);
    }
    let name = entry.path_bytes().into_owned();
    let refused = |problem| UnpackArchiveError::Refused {
        name: String::from_utf8_lossy(name.get(..200).unwrap_or(&name)).into_owned(),
        problem,
    };
    let path = normalise(&name).map_err(refused)?;
    let mode = entry.header().mode().map_err(|source| UnpackArchiveError::Read { source })?;
    let is_directory = kind == EntryType::Directory || (kind == EntryType::Regular && name.ends_with(b"/"));
    if path.is_empty() {
        // The directory itself: it is there, with a mode of its own.
        return if is_directory { Ok(None) } else { Err(refused("it has no name")) };
    }
    match kind {
        _ if is_directory => {
            writer.directory(&path)?;
            return Ok(Some((path, mode)));
        }
        EntryType::Regular | EntryType::Continuous => {
            let size = entry.size();
            let mut pending = writer.begin_file(&path, mode)?;
            let mut written = 0;
            loop {
                let count = entry.read(buffer).map_err(|source| UnpackArchiveError::Read { source })?;
                if count == 0 {
                    break;
                }
                pending.append(buffer.get(..count).unwrap_or_default())?;
                written += count as u64;
            }
            if written != size {
                return Err(UnpackArchiveError::Read { source: io::ErrorKind::UnexpectedEof.into() });
            }
            unpacked.bytes += written;
            writer.finish_file(pending)?;
        }
        EntryType::Symlink => {
            let target = entry.link_name_bytes().unwrap_or_default().into_owned();
            if target.is_empty() || target.contains(&0) || target.len() > LONGEST_LINK {
                return Err(refused("its target is empty, too long, or holds a NUL byte"));
            }
            writer.symlink(&path, &target)?;
        }
        EntryType::Link => return Err(refused("hard links are not taken")),
        EntryType::Char | EntryType::Block | EntryType::Fifo => {
            return Err(refused("devices and pipes are not taken"));
        }
        _ => return Err(refused("only files, directories and symbolic links are taken")),
    }
    Ok(None)
}

/// Drops leading slashes and `.` components, as tar(1) does; what could climb is refused.
fn normalise(name: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut parts = Vec::new();
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err("a name may not hold .."),
            part if part.contains(&0) => return Err("a name may not hold a NUL byte"),
            part => parts.push(part),
        }
    }
    if parts.len() > MAX_TREE_DEPTH { Err("it is too deep") } else { Ok(parts.join(&b'/')) }
}
