//! Framing: four bytes of length (little-endian, of what follows), one byte of kind, the payload.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::message::{Incoming, Reply, Request};

/// The largest frame, payload and kind together: a command of 1 MiB with room for the rest.
pub const MAX_FRAME_BYTES: usize = (1 << 20) + 4096;

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

/// Frames a piece of output, which must fit a frame.
///
/// # Errors
/// [`EncodeError::TooLarge`].
pub fn encode_output(output: &[u8]) -> Result<Vec<u8>, EncodeError> {
    frame(OUTPUT, output)
}

fn encode_message(message: &impl Serialize) -> Result<Vec<u8>, EncodeError> {
    let payload = postcard::to_stdvec(message).map_err(|source| EncodeError::Serialise { source })?;
    frame(MESSAGE, &payload)
}

fn frame(kind: u8, payload: &[u8]) -> Result<Vec<u8>, EncodeError> {
    let bytes = payload.len() + 1;
    let length = u32::try_from(bytes)
        .ok()
        .filter(|_| bytes <= MAX_FRAME_BYTES)
        .ok_or(EncodeError::TooLarge { bytes })?;
    let mut framed = Vec::with_capacity(LENGTH_BYTES + bytes);
    framed.extend_from_slice(&length.to_le_bytes());
    framed.push(kind);
    framed.extend_from_slice(payload);
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
            OUTPUT => Ok(Incoming::Output(payload.to_vec())),
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

fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T, FrameError> {
    postcard::from_bytes(payload).map_err(|source| FrameError::Decode { source })
}

#[cfg(test)]
mod tests {
    use super::{Decoder, FrameError, encode_output, encode_reply, encode_request};
    use crate::message::{Finished, Incoming, Reply, Request, RunCommand};

    #[test]
    fn frames_survive_any_split_of_the_stream() {
        let reply =
            Reply::Finished(Finished { status: 3, cwd: "/tmp".into(), truncated: true, generation: 2 });
        let mut bytes = encode_output(b"a\0b").expect("fits");
        bytes.extend(encode_reply(&reply).expect("fits"));
        for split in 0..bytes.len() {
            let mut decoder = Decoder::default();
            let mut frames = Vec::new();
            for part in [&bytes[..split], &bytes[split..]] {
                decoder.push(part);
                while let Some(frame) = decoder.next_incoming().expect("sound frames") {
                    frames.push(frame);
                }
            }
            assert_eq!(frames, [Incoming::Output(b"a\0b".to_vec()), Incoming::Reply(reply.clone())]);
        }
    }

    #[test]
    fn a_command_of_the_largest_size_fits() {
        let command = "x".repeat(1 << 20);
        let request = Request::Run(RunCommand { generation: 1, command, output_limit: Some(1) });
        let mut decoder = Decoder::default();
        decoder.push(&encode_request(&request).expect("fits"));
        assert_eq!(decoder.next_request().expect("a sound frame"), Some(request));
    }

    #[test]
    fn a_length_beyond_any_frame_is_refused_before_it_is_buffered() {
        for length in [0_u32, u32::MAX] {
            let mut decoder = Decoder::default();
            decoder.push(&length.to_le_bytes());
            assert!(matches!(decoder.next_incoming(), Err(FrameError::Length { .. })));
        }
    }

    #[test]
    fn output_is_no_request() {
        let mut decoder = Decoder::default();
        decoder.push(&encode_output(b"x").expect("fits"));
        assert!(matches!(decoder.next_request(), Err(FrameError::Kind { kind: 1 })));
    }

    /// The bytes of generation 1, frozen: a daemon must understand runners that an older one started.
    #[test]
    fn the_wire_form_of_version_1_is_frozen() {
        let run = RunCommand { generation: 1, command: "ls".into(), output_limit: None };
        assert_eq!(encode_request(&Request::Describe).expect("fits"), [2, 0, 0, 0, 0, 0]);
        assert_eq!(
            encode_request(&Request::Run(run)).expect("fits"),
            [7, 0, 0, 0, 0, 2, 1, 2, b'l', b's', 0]
        );
        let finished = Finished { status: -1, cwd: "/".into(), truncated: false, generation: 1 };
        assert_eq!(
            encode_reply(&Reply::Finished(finished)).expect("fits"),
            [7, 0, 0, 0, 0, 1, 1, 1, b'/', 0, 1]
        );
    }
}
