//! Messages between the daemon and a runner, and how they are framed on a stream socket.
//!
//! One connection carries one request and its replies. Tiny, synchronous, no I/O: both sides feed bytes in and take
//! frames out. A runner may be older than the daemon that adopts it, so every description carries [`VERSION`].
#![forbid(unsafe_code)]

mod captured;
mod frame;
mod message;

pub use captured::Captured;
pub use frame::{
    Decoder, EncodeError, FrameError, MAX_FRAME_BYTES, encode_output, encode_reply, encode_request,
};
pub use message::{
    Attach, Capture, FindShell, Finished, Hearing, Incoming, Input, JobPlan, JobState, MAIN_SHELL,
    MAX_NOTE_BYTES, Piece, ProcessInput, Program, Reply, Request, RunCommand, StartProcess, Stream,
    TerminalSize, VERSION,
};
