//! Running a command in a session's shell: the request, the whole result, and the events of a stream.

use serde::{Deserialize, Serialize};

/// The body of `POST /v1/sessions/{id}/exec` and of `…/exec/stream`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecRequest {
    /// Shell text, 1 byte to [`limits::MAX_COMMAND_BYTES`](crate::limits::MAX_COMMAND_BYTES).
    pub cmd: String,
    /// Milliseconds until the command's processes are killed; 0 or absent means the configured maximum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Leaves ANSI sequences and line ends as the command wrote them.
    #[serde(default)]
    pub raw_output: bool,
}

/// The answer of `exec`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecResult {
    /// The command's exit status; 128 + N after death by signal N.
    pub exit_code: i32,
    /// The shell's working directory afterwards.
    pub cwd: String,
    /// Standard output and error in the order they were written.
    pub output: String,
    /// Whether `output` was cut at [`limits::MAX_OUTPUT_BYTES`](crate::limits::MAX_OUTPUT_BYTES).
    pub truncated: bool,
    /// Wall-clock time of the command in milliseconds.
    pub duration_ms: u64,
}

/// The data of a stream's `chunk` event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecChunk {
    /// A piece of output.
    pub chunk: String,
    /// When it was read, in milliseconds since the Unix epoch.
    pub timestamp: i64,
}

/// The data of a stream's `done` event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecDone {
    /// The command's exit status; 128 + N after death by signal N.
    pub exit_code: i32,
    /// The shell's working directory afterwards.
    pub cwd: String,
    /// Wall-clock time of the command in milliseconds.
    pub duration_ms: u64,
}

/// The data of a stream's `error` event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecFailed {
    /// What ended the command instead of its own exit.
    pub error: String,
    /// The code the same failure has as an HTTP answer.
    pub error_code: crate::error::ErrorCode,
}
