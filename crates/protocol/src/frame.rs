//! Framing: four bytes of length (little-endian, of what follows), one byte of kind, the payload.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::message::{Incoming, Piece, Reply, Request, Stream};

/// The largest frame, payload and kind together: a command of 1 MiB and an input of 1 MiB, with room for the rest.
pub const MAX_FRAME_BYTES: usize = (2 << 20) + (256 << 10);

/// What comes before the bytes of a piece of output: the stream and the offset.
const PIECE_HEADER_BYTES: usize = 1 + 8;

const LENGTH_BYTES: usize = 4;
const MESSAGE: u8 = 0;
const OUTPUT: u8 = 1;

/// A message that cannot be framed.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The message could not be serialised.
    #[error("failed to serialise a message")]
    Serialise {
        /// The serialiser's reason.
        source: postcard::Error,
    },
    /// The message is larger than a frame.
    #[error("a message of {bytes} bytes does not fit a frame of {MAX_FRAME_BYTES}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

/// Bytes that are no frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The length is zero or larger than any frame.
    #[error("a frame claims {length} bytes, allowed are 1 to {MAX_FRAME_BYTES}")]
    Length {
        /// What it claims.
        length: usize,
    },
    /// The kind is unknown, or not one that this side receives.
    #[error("a frame of unknown kind {kind}")]
    Kind {
        /// Which one.
        kind: u8,
    },
    /// A piece of output lacks its head, or is of no known stream.
    #[error("a piece of output without its head")]
    Piece,
    /// The payload is no message of this protocol version.
    #[error("failed to decode a message")]
    Decode {
        /// The decoder's reason.
        source: postcard::Error,
    },
}

/// Frames a request.
///
/// # Errors
/// [`EncodeError::TooLarge`] for a command beyond the contract's limit.
pub fn encode_request(request: &Request) -> Result<Vec<u8>, EncodeError> {
    encode_message(request)
}

/// Frames a reply.
///
/// # Errors
/// [`EncodeError::TooLarge`] for a text beyond any reason.
pub fn encode_reply(reply: &Reply) -> Result<Vec<u8>, EncodeError> {
    encode_message(reply)
}

/// Frames a piece of output, which must fit a frame: the bytes of `stream` that begin at `offset`.
///
/// # Errors
/// [`EncodeError::TooLarge`].
pub fn encode_output(stream: Stream, offset: u64, bytes: &[u8]) -> Result<Vec<u8>, EncodeError> {
    let mut header = [stream as u8; PIECE_HEADER_BYTES];
    if let Some(place) = header.last_chunk_mut::<8>() {
        *place = offset.to_le_bytes();
    }
    frame(OUTPUT, &[&header, bytes])
}

fn encode_message(message: &impl Serialize) -> Result<Vec<u8>, EncodeError> {
    let payload = postcard::to_stdvec(message).map_err(|source| EncodeError::Serialise { source })?;
    frame(MESSAGE, &[&payload])
}

fn frame(kind: u8, parts: &[&[u8]]) -> Result<Vec<u8>, EncodeError> {
    let bytes = parts.iter().map(|part| part.len()).sum::<usize>() + 1;
    let length = u32::try_from(bytes)
        .ok()
        .filter(|_| bytes <= MAX_FRAME_BYTES)
        .ok_or(EncodeError::TooLarge { bytes })?;
    let mut framed = Vec::with_capacity(LENGTH_BYTES + bytes);
    framed.extend_from_slice(&length.to_le_bytes());
    framed.push(kind);
    parts.iter().for_each(|part| framed.extend_from_slice(part));
    Ok(framed)
}

/// Collects bytes until they make frames.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// How much of the buffer has been taken. It is thrown away with the next push and not with each frame: frames may be
    /// tiny, and moving the rest for each of them would make a few kilobytes cost as much as many megabytes.
    taken: usize,
}

impl Decoder {
    /// Adds bytes that were read. Whoever takes all complete frames before the next push keeps the buffer below
    /// [`MAX_FRAME_BYTES`] and one read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Takes the next request, if one is complete.
    ///
    /// # Errors
    /// [`FrameError`]; the connection is then useless, and every later call says so again.
    pub fn next_request(&mut self) -> Result<Option<Request>, FrameError> {
        self.next_frame(|kind, payload| match kind {
            MESSAGE => decode(payload),
            kind => Err(FrameError::Kind { kind }),
        })
    }

    /// Takes the next frame of a runner, if one is complete.
    ///
    /// # Errors
    /// [`FrameError`]; the connection is then useless, and every later call says so again.
    pub fn next_incoming(&mut self) -> Result<Option<Incoming>, FrameError> {
        self.next_frame(|kind, payload| match kind {
            MESSAGE => decode(payload).map(Incoming::Reply),
            OUTPUT => decode_piece(payload).map(Incoming::Output),
            kind => Err(FrameError::Kind { kind }),
        })
    }

    /// Reads the next frame where it is, and takes it if it could be read.
    fn next_frame<T>(
        &mut self,
        read: impl FnOnce(u8, &[u8]) -> Result<T, FrameError>,
    ) -> Result<Option<T>, FrameError> {
        let unread = self.buffer.get(self.taken..).unwrap_or_default();
        let Some((header, rest)) = unread.split_first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = usize::try_from(u32::from_le_bytes(*header)).unwrap_or(usize::MAX);
        if length == 0 || length > MAX_FRAME_BYTES {
            return Err(FrameError::Length { length });
        }
        let Some((kind, payload)) = rest.get(..length).and_then(<[u8]>::split_first) else { return Ok(None) };
        let frame = read(*kind, payload)?;
        self.taken += LENGTH_BYTES + length;
        Ok(Some(frame))
    }
}

fn decode_piece(payload: &[u8]) -> Result<Piece, FrameError> {
    let (stream, rest) = payload.split_first().ok_or(FrameError::Piece)?;
    let (offset, bytes) = rest.split_first_chunk::<8>().ok_or(FrameError::Piece)?;
    let stream = match stream {
        0 => Stream::Output,
        1 => Stream::Error,
        _ => return Err(FrameError::Piece),
    };
    Ok(Piece { stream, offset: u64::from_le_bytes(*offset), bytes: bytes.to_vec() })
}

fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T, FrameError> {
    postcard::from_bytes(payload).map_err(|source| FrameError::Decode { source })
}

#[cfg(test)]
mod tests;
