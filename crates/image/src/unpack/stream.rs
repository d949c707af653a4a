//! The bytes of an archive on their way in: decompressed, hashed, counted and bounded.

use std::cell::{Cell, RefCell};
use std::io::{self, BufReader, Cursor, Read};
use std::rc::Rc;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::UnpackError;
use crate::limits::{LimitError, UnpackLimits};

/// Enough for any real entry: the longest path and link, attributes, and the map of a file with 40,000 holes.
const MOST_HEADER_BYTES: u64 = 1 << 20;
const LONGEST_MAGIC: usize = 6;

/// How an archive is compressed, told by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952, any number of members.
    Gzip,
    /// RFC 8878, any number of frames.
    Zstd,
}

/// What is known about a stream while a tar reader owns it.
pub(super) struct StreamState {
    hasher: RefCell<Sha256>,
    compressed: Cell<u64>,
    position: Cell<u64>,
    ended: Cell<bool>,
    header_budget: Cell<u64>,
    refusal: RefCell<Option<LimitError>>,
    started: Instant,
    limits: UnpackLimits,
}

/// The uncompressed archive.
pub(super) struct TarStream<'a> {
    source: Box<dyn Read + 'a>,
    state: Rc<StreamState>,
}

/// Counts what goes into the decompressor.
struct CompressedBytes<R> {
    source: R,
    state: Rc<StreamState>,
}

/// Detects the compression and opens the stream.
pub(super) fn open<'a>(
    mut input: impl Read + 'a,
    limits: &UnpackLimits,
) -> Result<(TarStream<'a>, Rc<StreamState>, Compression), UnpackError> {
    let state = Rc::new(StreamState {
        hasher: RefCell::new(Sha256::new()),
        compressed: Cell::new(0),
        position: Cell::new(0),
        ended: Cell::new(false),
        header_budget: Cell::new(u64::MAX),
        refusal: RefCell::new(None),
        started: Instant::now(),
        limits: limits.clone(),
    });
    let unreadable = |source| UnpackError::ReadArchive { position: 0, source };
    let mut magic = Vec::with_capacity(LONGEST_MAGIC);
    input.by_ref().take(LONGEST_MAGIC as u64).read_to_end(&mut magic).map_err(unreadable)?;
    let compression = detect(&magic)?;
    let whole = CompressedBytes { source: Cursor::new(magic).chain(input), state: Rc::clone(&state) };
    let buffered = BufReader::with_capacity(128 * 1024, whole);
    let source: Box<dyn Read + 'a> = match compression {
        Compression::None => Box::new(buffered),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(buffered)),
        Compression::Zstd => {
            let decoder = zstd::Decoder::with_buffer(buffered).map_err(unreadable)?;
            // Small reads of headers would otherwise cross into the decoder one by one.
            Box::new(BufReader::with_capacity(128 * 1024, decoder))
        }
    };
    Ok((TarStream { source, state: Rc::clone(&state) }, state, compression))
}

fn detect(magic: &[u8]) -> Result<Compression, UnpackError> {
    let unsupported = |found| Err(UnpackError::UnsupportedCompression { found });
    match magic {
        [0x1f, 0x8b, ..] => Ok(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Compression::Zstd),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => unsupported("xz"),
        [b'B', b'Z', b'h', ..] => unsupported("bzip2"),
        [0x04, 0x22, 0x4d, 0x18, ..] => unsupported("lz4"),
        [b'P', b'K', 3, 4, ..] => unsupported("zip"),
        _ => Ok(Compression::None),
    }
}

impl StreamState {
    /// Bytes of the uncompressed archive read so far.
    pub(super) fn position(&self) -> u64 {
        self.position.get()
    }

    /// Says whether the end of the stream was run into.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// Bounds what may be read until `end_header`, since a tar reader keeps extended headers in memory.
    pub(super) fn begin_header(&self) {
        self.header_budget.set(MOST_HEADER_BYTES);
    }

    pub(super) fn end_header(&self) {
        self.header_budget.set(u64::MAX);
    }

    /// SHA-256 of all that was read, in lowercase hexadecimal.
    pub(super) fn digest(&self) -> String {
        hexadecimal(&self.hasher.borrow().clone().finalize())
    }

    /// Turns an error of a tar reader into ours: a limit that the stream itself refused comes back typed.
    pub(super) fn error(&self, source: io::Error) -> UnpackError {
        match self.refusal.borrow_mut().take() {
            Some(limit) => UnpackError::Limit(limit),
            None if source.kind() == io::ErrorKind::UnexpectedEof => {
                UnpackError::Truncated { position: self.position.get() }
            }
            None => UnpackError::ReadArchive { position: self.position.get(), source },
        }
    }

    /// Checks the time limit; for loops that may go on for long without reading.
    pub(super) fn check_duration(&self) -> Result<(), LimitError> {
        let allowed = self.limits.max_duration;
        if self.started.elapsed() > allowed { Err(LimitError::Duration { allowed }) } else { Ok(()) }
    }

    fn account(&self, count: u64) -> Result<(), LimitError> {
        let position = self.position.get() + count;
        self.position.set(position);
        let budget = self.header_budget.get();
        if count > budget {
            return Err(LimitError::Header { allowed: MOST_HEADER_BYTES });
        }
        if budget != u64::MAX {
            self.header_budget.set(budget - count);
        }
        if position > self.limits.max_bytes {
            return Err(LimitError::Bytes { allowed: self.limits.max_bytes });
        }
        let allowed = self.limits.max_ratio;
        let hostile = position / self.compressed.get().max(1) > allowed;
        if position > self.limits.ratio_grace_bytes && hostile {
            return Err(LimitError::Ratio { allowed });
        }
        self.check_duration()
    }
}

impl Read for TarStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        if count == 0 {
            if !buffer.is_empty() {
                self.state.ended.set(true);
            }
            return Ok(0);
        }
        self.state.hasher.borrow_mut().update(&buffer[..count]);
        if let Err(limit) = self.state.account(count as u64) {
            *self.state.refusal.borrow_mut() = Some(limit.clone());
            return Err(io::Error::other(limit));
        }
        Ok(count)
    }
}

impl<R: Read> Read for CompressedBytes<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.state.compressed.set(self.state.compressed.get() + count as u64);
        Ok(count)
    }
}

/// Spells bytes in lowercase hexadecimal.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
        text
    })
}
