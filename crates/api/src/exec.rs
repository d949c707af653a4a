//! Running a command in a session: the request, the whole result, and the events of a stream.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::ExecId;
use crate::schema::{
    AbsolutePath, Arguments, CommandText, Environment, ExecTimeoutMs, InputText, OutputBytes, SandboxUser,
    ShellName, TerminalExtent,
};
use crate::verdict::{OptionalVerdict, Verdict};

/// The body of `POST /v1/sessions/{id}/exec` and of `…/exec/stream`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecRequest {
    /// Shell text, 1 byte to 1 MiB. Either this or `argv`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<CommandText>)]
    pub cmd: Option<String>,
    /// A program and its arguments, executed without a shell. The program is looked for in `PATH`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Arguments>)]
    pub argv: Option<Vec<String>>,
    /// Milliseconds until the command's processes are killed; 0 or absent means the configured maximum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ExecTimeoutMs>)]
    pub timeout_ms: Option<u64>,
    /// Leaves ANSI sequences and line ends as the command wrote them.
    #[serde(default)]
    pub raw_output: bool,
    /// Variables that the command gets on top of the session's; a persistent shell does not keep them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Environment)]
    pub env: BTreeMap<String, String>,
    /// The directory to change to before the command, as `cd` would: a persistent shell stays there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<AbsolutePath>)]
    pub cwd: Option<String>,
    /// What the command reads from its standard input, which is at its end from the start where this is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<InputText>)]
    pub stdin: Option<String>,
    /// Who runs it: `sandbox` or 1000, the one user that commands run as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<SandboxUser>)]
    pub user: Option<User>,
    /// Which persistent shell carries `cmd` out: `main` by default, any other name makes another shell that runs beside it;
    /// `none` runs it in a fresh process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ShellName>)]
    pub shell: Option<String>,
    /// Gives standard error apart from standard output.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub separate_output: bool,
    /// The most bytes of output that are returned, of each stream; at most and by default
    /// 1 MiB. A stream is not cut unless this is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<OutputBytes>)]
    pub max_output_bytes: Option<u64>,
    /// Which part of a longer output is returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_limit: Option<OnLimit>,
    /// Runs the command in a fresh process with a terminal of this size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tty: Option<TerminalSize>,
}

/// A user inside, by name or number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum User {
    /// By number.
    Id(u32),
    /// By name.
    Name(String),
}

/// Which part of an output that is too long is returned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnLimit {
    /// The beginning.
    #[default]
    Head,
    /// The end.
    Tail,
    /// Half of each, with a line in between that says how much was left out.
    HeadTail,
}

/// How many characters a terminal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TerminalSize {
    /// Lines, 1 to 1000.
    #[schema(value_type = TerminalExtent)]
    pub rows: u16,
    /// Characters in a line, 1 to 1000.
    #[schema(value_type = TerminalExtent)]
    pub cols: u16,
}

/// The answer of `exec`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExecResult {
    /// Names this exec: its result can be asked for again, and it is listed among the processes. An older daemon does not
    /// say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec_id: Option<ExecId>,
    /// The command's exit status; 128 + N after death by signal N.
    pub exit_code: i32,
    /// The shell's working directory afterwards.
    pub cwd: String,
    /// Standard output and error in the order they were written; only the former where they are separate.
    pub output: String,
    /// Standard output, where it was asked for apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<String>,
    /// Standard error, where it was asked for apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<String>,
    /// Whether output was cut at the limit.
    pub truncated: bool,
    /// How many bytes were left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub omitted_bytes: u64,
    /// Wall-clock time of the command in milliseconds.
    pub duration_ms: u64,
    /// Why it ended, and what it used. An older daemon does not say it.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Verdict)]
    pub verdict: Option<Verdict>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The data of a stream's `chunk` event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExecChunk {
    /// A piece of output.
    pub chunk: String,
    /// When it was read, in milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// Which stream it is of, where they were asked for apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamName>,
}

/// One of the two streams that a command writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StreamName {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The data of a stream's `done` event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExecDone {
    /// Names this exec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec_id: Option<ExecId>,
    /// The command's exit status; 128 + N after death by signal N.
    pub exit_code: i32,
    /// The shell's working directory afterwards.
    pub cwd: String,
    /// Wall-clock time of the command in milliseconds.
    pub duration_ms: u64,
    /// Why it ended, and what it used. An older daemon does not say it.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Verdict)]
    pub verdict: Option<Verdict>,
}

/// The data of a stream's `error` event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExecFailed {
    /// What ended the command instead of its own exit.
    pub error: String,
    /// The code the same failure has as an HTTP answer.
    pub error_code: crate::error::ErrorCode,
    /// Names this exec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec_id: Option<ExecId>,
    /// Why it ended, and what it used.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = OptionalVerdict)]
    pub verdict: Option<Verdict>,
}
