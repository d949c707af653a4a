//! Messages between the daemon and a runner, and how they are framed on a stream socket.
//!
//! One connection carries one request and its replies. Tiny, synchronous, no I/O: both sides feed bytes in and take
//! frames out. A runner may be older than the daemon that adopts it, so every description carries [`VERSION`].
#![forbid(unsafe_code)]

mod frame;
mod message;

pub use frame::{
    Decoder, EncodeError, FrameError, MAX_FRAME_BYTES, encode_output, encode_reply, encode_request,
};
pub use message::{Finished, Incoming, Reply, Request, RunCommand, VERSION};
