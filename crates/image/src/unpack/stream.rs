//! The bytes of an archive on their way in: decompressed, hashed, counted and bounded.
//!
//! Both forms are hashed: the compressed one is what an image names a blob by, the uncompressed one is a layer's identity.

use std::cell::{Cell, Ref, RefCell};
use std::io::{self, BufReader, Cursor, Read};
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::error::UnpackError;
use super::record::Recorder;
use crate::digest::Digest;
use crate::limits::{Deadline, LimitError, UnpackLimits};

/// Enough for any real entry: the longest path and link, attributes, and the map of a file with 40,000 holes.
const MOST_HEADER_BYTES: u64 = 1 << 20;
const LONGEST_MAGIC: usize = 6;
const BUFFER_SIZE: usize = 128 * 1024;
const BLOCK: u64 = 512;
/// What xz -9 needs, and as much again; a dictionary can have 4 GiB.
const MOST_XZ_KIBIBYTES: u32 = 128 * 1024;

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
    /// The .xz format, any number of streams.
    Xz,
}

/// What is known about a stream while a tar reader owns it.
pub(crate) struct StreamState {
    hasher: RefCell<Sha256>,
    /// Of the compressed bytes; none where nothing is compressed, so that nothing is hashed twice.
    compressed_hasher: RefCell<Option<Sha256>>,
    compressed: Cell<u64>,
    position: Cell<u64>,
    ended: Cell<bool>,
    header_budget: Cell<u64>,
    /// What was read since `begin_header`.
    header: RefCell<Vec<u8>>,
    /// Gets every byte that is not the contents of a file.
    recorder: RefCell<Option<Recorder>>,
    refusal: RefCell<Option<LimitError>>,
    deadline: Deadline,
    limits: UnpackLimits,
}

/// The uncompressed archive.
pub(crate) struct TarStream<'a> {
    source: Box<dyn Read + 'a>,
    /// Bytes that were looked at before anybody read them.
    peeked: Cursor<Vec<u8>>,
    state: Rc<StreamState>,
    compression: Compression,
}

/// Counts what goes into the decompressor.
struct CompressedBytes<R> {
    source: R,
    state: Rc<StreamState>,
}

/// Detects the compression and opens the stream.
pub(crate) fn open<'a>(
    mut input: impl Read + 'a,
    limits: &UnpackLimits,
    deadline: Deadline,
) -> Result<TarStream<'a>, UnpackError> {
    let unreadable = |source| UnpackError::ReadArchive { position: 0, source };
    let mut magic = Vec::with_capacity(LONGEST_MAGIC);
    input.by_ref().take(LONGEST_MAGIC as u64).read_to_end(&mut magic).map_err(unreadable)?;
    let compression = detect(&magic)?;
    open_as(compression, Cursor::new(magic).chain(input), limits, deadline)
}

/// Opens a stream that is known not to be compressed, whatever it begins with.
pub(crate) fn open_plain<'a>(
    input: impl Read + 'a,
    limits: &UnpackLimits,
    deadline: Deadline,
) -> TarStream<'a> {
    let state = Rc::new(StreamState::new(Compression::None, limits, deadline));
    let buffered =
        BufReader::with_capacity(BUFFER_SIZE, CompressedBytes { source: input, state: Rc::clone(&state) });
    let source = Box::new(buffered);
    TarStream { source, peeked: Cursor::new(Vec::new()), state, compression: Compression::None }
}

fn open_as<'a>(
    compression: Compression,
    input: impl Read + 'a,
    limits: &UnpackLimits,
    deadline: Deadline,
) -> Result<TarStream<'a>, UnpackError> {
    let unreadable = |source| UnpackError::ReadArchive { position: 0, source };
    let state = Rc::new(StreamState::new(compression, limits, deadline));
    let whole = CompressedBytes { source: input, state: Rc::clone(&state) };
    let buffered = BufReader::with_capacity(BUFFER_SIZE, whole);
    // Small reads of headers would otherwise go through a decoder one by one.
    let source: Box<dyn Read + 'a> = match compression {
        Compression::None => Box::new(buffered),
        Compression::Gzip => {
            Box::new(BufReader::with_capacity(BUFFER_SIZE, flate2::bufread::MultiGzDecoder::new(buffered)))
        }
        Compression::Zstd => {
            let decoder = zstd::Decoder::with_buffer(buffered).map_err(unreadable)?;
            Box::new(BufReader::with_capacity(BUFFER_SIZE, decoder))
        }
        Compression::Xz => {
            let decoder = lzma_rust2::XzReader::new_mem_limit(buffered, true, MOST_XZ_KIBIBYTES);
            Box::new(BufReader::with_capacity(BUFFER_SIZE, decoder))
        }
    };
    Ok(TarStream { source, peeked: Cursor::new(Vec::new()), state, compression })
}

fn detect(magic: &[u8]) -> Result<Compression, UnpackError> {
    let unsupported = |found| Err(UnpackError::UnsupportedCompression { found });
    match magic {
        [0x1f, 0x8b, ..] => Ok(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Compression::Zstd),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Ok(Compression::Xz),
        [b'B', b'Z', b'h', ..] => unsupported("bzip2"),
        [0x04, 0x22, 0x4d, 0x18, ..] => unsupported("lz4"),
        [b'P', b'K', 3, 4, ..] => unsupported("zip"),
        _ => Ok(Compression::None),
    }
}

impl StreamState {
    fn new(compression: Compression, limits: &UnpackLimits, deadline: Deadline) -> Self {
        Self {
            hasher: RefCell::new(Sha256::new()),
            compressed_hasher: RefCell::new((compression != Compression::None).then(Sha256::new)),
            compressed: Cell::new(0),
            position: Cell::new(0),
            ended: Cell::new(false),
            header_budget: Cell::new(u64::MAX),
            header: RefCell::new(Vec::new()),
            recorder: RefCell::new(None),
            refusal: RefCell::new(None),
            deadline,
            limits: limits.clone(),
        }
    }
}

impl TarStream<'_> {
    pub(crate) fn state(&self) -> Rc<StreamState> {
        Rc::clone(&self.state)
    }

    pub(crate) const fn compression(&self) -> Compression {
        self.compression
    }

    /// Looks at the first bytes, which are read again later; fewer than `most` where the stream has no more. Only before
    /// anything was read.
    pub(crate) fn peek(&mut self, most: u64) -> Result<&[u8], UnpackError> {
        let mut bytes = Vec::new();
        self.source
            .by_ref()
            .take(most)
            .read_to_end(&mut bytes)
            .map_err(|source| UnpackError::ReadArchive { position: 0, source })?;
        self.peeked = Cursor::new(bytes);
        Ok(self.peeked.get_ref())
    }
}

impl StreamState {
    /// Bytes of the uncompressed archive read so far.
    pub(crate) fn position(&self) -> u64 {
        self.position.get()
    }

    /// Says whether the end of the stream was run into.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// Bounds what may be read until `end_header`, since a tar reader keeps extended headers in memory.
    pub(crate) fn begin_header(&self) {
        self.header_budget.set(MOST_HEADER_BYTES);
        self.header.borrow_mut().clear();
    }

    /// Returns the headers that were read since `begin_header`, from the first whole block.
    pub(crate) fn end_header(&self) -> Ref<'_, [u8]> {
        self.header_budget.set(u64::MAX);
        let header = self.header.borrow();
        // What fills the block of the entry before is read together with the next header.
        let begin = self.position.get() - header.len() as u64;
        let padding = usize::try_from(begin.next_multiple_of(BLOCK) - begin).unwrap_or(0);
        Ref::map(header, |header| header.get(padding..).unwrap_or_default())
    }

    /// Writes down what is needed to put the archive together again from the unpacked files.
    pub(super) fn record(&self, recorder: Recorder) {
        *self.recorder.borrow_mut() = Some(recorder);
    }

    /// Says that the next `size` bytes are the contents of the file at `path`.
    pub(super) fn begin_contents(&self, path: &[u8], size: u64) -> io::Result<()> {
        self.recorder.borrow_mut().as_mut().map_or(Ok(()), |recorder| recorder.contents(path, size))
    }

    /// Ends the recording once the archive was read to its end.
    pub(super) fn finish_record(&self) -> io::Result<()> {
        self.recorder.borrow_mut().take().map_or(Ok(()), Recorder::finish)
    }

    /// SHA-256 of all that was read.
    pub(crate) fn digest(&self) -> Digest {
        Digest::of_hasher(self.hasher.borrow().clone())
    }

    /// SHA-256 of the compressed form, and how many bytes it has.
    pub(super) fn compressed_digest(&self) -> (Digest, u64) {
        let digest = match &*self.compressed_hasher.borrow() {
            Some(hasher) => Digest::of_hasher(hasher.clone()),
            None => self.digest(),
        };
        (digest, self.compressed.get())
    }

    /// Turns an error of a tar reader into ours: a limit that the stream itself refused comes back typed.
    pub(crate) fn error(&self, source: io::Error) -> UnpackError {
        match self.refusal.borrow_mut().take() {
            Some(limit) => UnpackError::Limit(limit),
            // The tar crate has errors of its own for ends that come too early.
            None if source.kind() == io::ErrorKind::UnexpectedEof || self.ended.get() => {
                UnpackError::Truncated { position: self.position.get() }
            }
            None => UnpackError::ReadArchive { position: self.position.get(), source },
        }
    }

    /// When the import has to be done.
    pub(super) const fn deadline(&self) -> Deadline {
        self.deadline
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
        self.deadline.check()
    }
}

impl Read for TarStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut count = self.peeked.read(buffer)?;
        if count == 0 {
            count = self.source.read(buffer)?;
        }
        if count == 0 {
            if !buffer.is_empty() {
                self.state.ended.set(true);
            }
            return Ok(0);
        }
        let bytes = &buffer[..count];
        self.state.hasher.borrow_mut().update(bytes);
        if self.state.header_budget.get() != u64::MAX {
            self.state.header.borrow_mut().extend_from_slice(bytes);
        }
        if let Some(recorder) = self.state.recorder.borrow_mut().as_mut() {
            recorder.bytes(bytes)?;
        }
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
        if let Some(hasher) = self.state.compressed_hasher.borrow_mut().as_mut() {
            hasher.update(&buffer[..count]);
        }
        Ok(count)
    }
}
