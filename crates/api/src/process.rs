//! Processes of a session: what was started to run beside the shell, and execs.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::ErrorCode;
use crate::exec::{TerminalSize, User};
use crate::id::ExecId;
use crate::schema::{
    AbsolutePath, Arguments, Base64, CommandText, Environment, InputText, ProcessName, ProcessTimeoutMs,
    SandboxUser, SignalName,
};
use crate::verdict::{OptionalVerdict, Verdict};

/// The body of `POST /v1/sessions/{id}/processes`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessRequest {
    /// Shell text, carried out by a fresh shell. Either this or `argv`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<CommandText>)]
    pub cmd: Option<String>,
    /// A program and its arguments, executed without a shell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Arguments>)]
    pub argv: Option<Vec<String>>,
    /// Variables on top of the session's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Environment)]
    pub env: BTreeMap<String, String>,
    /// The directory it starts in; `/workspace` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<AbsolutePath>)]
    pub cwd: Option<String>,
    /// Who runs it: `sandbox` or 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<SandboxUser>)]
    pub user: Option<User>,
    /// A name to show, up to 64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ProcessName>)]
    pub name: Option<String>,
    /// Keeps standard input open for `…/stdin`; it is at its end from the start otherwise.
    #[serde(default)]
    pub stdin: bool,
    /// Gives it a terminal of this size. Its standard input is then open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tty: Option<TerminalSize>,
    /// Keeps standard error apart from standard output; not with a terminal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub separate_output: bool,
    /// Lets it wait, once it has written as much as is kept, for a first client that follows its output, so that nothing is lost
    /// before that one has come.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hold_output: bool,
    /// Milliseconds until it is killed with everything that it started; never where 0 or absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ProcessTimeoutMs>)]
    pub timeout_ms: Option<u64>,
}

/// What kind of thing runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProcessKind {
    /// A command of `…/exec` or `…/exec/stream`.
    Exec,
    /// Started by `…/processes`.
    Process,
    /// A shell of `…/tty`.
    Terminal,
}

/// Where it is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProcessStatus {
    /// It waits for its shell.
    Queued,
    /// It runs.
    Running,
    /// It has ended.
    Ended,
}

/// A process or exec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Process {
    /// Names it within its session.
    pub id: ExecId,
    /// What it is.
    pub kind: ProcessKind,
    /// Its name, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The command, cut after 4 KiB.
    pub command: String,
    /// The persistent shell that carries it out, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Where it is in its life.
    pub status: ProcessStatus,
    /// When it was started, or queued.
    pub started_at: Timestamp,
    /// With `ended`: its exit status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// With `ended`: how long it ran, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// With `ended`: why, and what it used.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = OptionalVerdict)]
    pub verdict: Option<Verdict>,
}

/// The answer of `GET /v1/sessions/{id}/processes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProcessList {
    /// Oldest first; those that have ended as long as they are kept.
    pub processes: Vec<Process>,
}

/// The body of `…/signal`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignalRequest {
    /// A name such as `TERM` or `SIGTERM`, or a number as text.
    #[schema(value_type = SignalName)]
    pub signal: String,
}

/// The body of `…/stdin`: at most one of `text` and `content_base64`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StdinRequest {
    /// Text for its standard input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<InputText>)]
    pub text: Option<String>,
    /// Bytes for its standard input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Base64>)]
    pub content_base64: Option<String>,
    /// Ends its standard input behind them.
    #[serde(default)]
    pub close: bool,
}

/// The answer of `…/logs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProcessLogs {
    /// What was written from `offset` on, as far as it is kept.
    pub output: String,
    /// The place of the first byte; later than asked for where what came before is not kept any more.
    pub offset: u64,
    /// The place behind the last byte: what to ask for next.
    pub next_offset: u64,
    /// Where the process is in its life.
    pub status: ProcessStatus,
}

/// The data of an `error` event of `…/logs?follow=true`, the last one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogFailed {
    /// What ended the stream.
    pub error: String,
    /// The code that the same failure has as an HTTP answer.
    pub error_code: ErrorCode,
}

/// The data of a `chunk` event of `…/logs?follow=true`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogChunk {
    /// A piece of output.
    pub chunk: String,
    /// The place of its first byte.
    pub offset: u64,
    /// The place behind its last byte.
    pub next_offset: u64,
}
