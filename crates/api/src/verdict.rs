//! Why a command or process ended, in words that a program can branch on.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

/// The cause of an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It exited by itself.
    Exit,
    /// A signal ended it.
    Signal,
    /// It ran past its timeout and was killed.
    Timeout,
    /// The kernel killed one of its processes because the session's memory was used up.
    Oom,
    /// It could not start a process or thread because the session has as many as it may.
    PidsLimit,
    /// It failed while a file system of the session was full.
    DiskFull,
    /// It was cancelled by a client.
    Cancelled,
    /// The sandbox ended under it.
    SandboxLost,
}

impl Reason {
    /// Returns the word used on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exit => "exit",
            Self::Signal => "signal",
            Self::Timeout => "timeout",
            Self::Oom => "oom",
            Self::PidsLimit => "pids_limit",
            Self::DiskFull => "disk_full",
            Self::Cancelled => "cancelled",
            Self::SandboxLost => "sandbox_lost",
        }
    }
}

/// Why something ended, what it used, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Verdict {
    /// The cause.
    pub reason: Reason,
    /// With `signal` and `oom`: which signal, such as `SIGSEGV`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// With `timeout`, `oom`, `pids_limit` and `disk_full`: the limit, in milliseconds, bytes or processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Beside `limit`: how much of it was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    /// The most memory that the session used while it ran, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
    /// The processor time of its processes, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_usec: Option<u64>,
    /// What to do next, in one line; absent after success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// A verdict of what may not have ended: all of it is there, or nothing.
#[derive(Debug)]
pub enum OptionalVerdict {}

impl PartialSchema for OptionalVerdict {
    fn schema() -> RefOr<Schema> {
        let mut schema = Verdict::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            object.required.clear();
            object.description =
                Some("A verdict of what may not have ended: all of it is there, or nothing.".to_owned());
        }
        schema
    }
}

impl ToSchema for OptionalVerdict {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("OptionalVerdict")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Verdict::schemas(schemas);
    }
}

impl Verdict {
    /// Of something whose sandbox has ended under it: nothing can be read any more.
    #[must_use]
    pub fn sandbox_lost() -> Self {
        Self {
            reason: Reason::SandboxLost,
            signal: None,
            limit: None,
            used: None,
            peak_memory_bytes: None,
            cpu_usec: None,
            hint: Some("The sandbox has gone; create a new session.".to_owned()),
        }
    }
}
