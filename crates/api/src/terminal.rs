//! A terminal of a session over a WebSocket: which one is wanted, and the text frames in both directions. Binary frames are
//! the bytes themselves: to the daemon for its input, from the daemon what it wrote.

use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use crate::error::ErrorCode;
use crate::exec::StreamName;
use crate::id::ExecId;
use crate::process::Process;
use crate::schema::{Offset, ShellName, TerminalExtent};

/// The query of `GET /v1/sessions/{id}/tty`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct TerminalQuery {
    /// Which terminal of the session, `main` where absent. One that is not there is started: the session's kind of shell,
    /// interactive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<ShellName>)]
    pub name: Option<String>,
    /// In the place of `name`: a process or exec, with or without a terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ExecId>,
    /// Lines of the client's window; the terminal takes this size, together with `cols`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<TerminalExtent>)]
    pub rows: Option<u16>,
    /// Characters in a line of the client's window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<TerminalExtent>)]
    pub cols: Option<u16>,
    /// The first byte of the output that is wanted. What is kept before the connection is made is sent first: at most the last
    /// 1 MiB.
    #[serde(default)]
    #[param(value_type = Offset)]
    pub since: u64,
    /// Only watches: gives no input, sets no size, and never holds the terminal up.
    #[serde(default)]
    pub view: bool,
}

/// A text frame to the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum TerminalCommand {
    /// The client's window has another size now.
    Resize {
        /// Lines, 1 to 1000.
        rows: u16,
        /// Characters in a line, 1 to 1000.
        cols: u16,
    },
    /// Ends the standard input, behind all binary frames before. On a terminal it is the end-of-file character.
    CloseInput,
}

/// A text frame from the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TerminalEvent {
    /// The first frame: what the connection is to.
    Attached {
        /// The process.
        process: Box<Process>,
        /// How many bytes had been written by now: output before this place was there already.
        written: u64,
    },
    /// The binary frames behind this one are of this stream, where the process has two. Before the first it is `stdout`.
    Stream {
        /// Which stream.
        stream: StreamName,
    },
    /// The next byte is at this place of its stream: what came before is not kept any more, or the client was too slow.
    Offset {
        /// The place.
        offset: u64,
    },
    /// The process has ended, and this was all. The connection is closed then.
    Exit {
        /// The process, with how it ended.
        process: Box<Process>,
    },
    /// Something that was sent could not be taken, or, where the connection is closed then, the terminal is lost.
    Error {
        /// Why.
        error: String,
        /// The code the same failure has as an HTTP answer.
        error_code: ErrorCode,
    },
}
