//! The messages of SWE-ReX 1.x, as far as they mean something here. What a newer client adds is passed over.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(super) const DEFAULT_SESSION: &str = "default";

fn default_session() -> String {
    DEFAULT_SESSION.to_owned()
}

/// Makes a shell.
#[derive(Debug, Deserialize)]
pub(super) struct CreateSession {
    #[serde(default = "default_session")]
    pub(super) session: String,
    /// Files that the shell reads before its first command.
    #[serde(default)]
    pub(super) startup_source: Vec<String>,
    /// In seconds.
    pub(super) startup_timeout: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct CreatedSession {
    pub(super) output: String,
    pub(super) session_type: &'static str,
}

/// Something for a shell.
#[derive(Debug, Deserialize)]
#[serde(tag = "action_type")]
pub(super) enum Action {
    #[serde(rename = "bash")]
    Run(RunAction),
    #[serde(rename = "bash_interrupt")]
    Interrupt {
        #[serde(default = "default_session")]
        session: String,
    },
}

#[derive(Debug, Deserialize)]
pub(super) struct RunAction {
    pub(super) command: String,
    #[serde(default = "default_session")]
    pub(super) session: String,
    /// In seconds.
    pub(super) timeout: Option<f64>,
    #[serde(default)]
    pub(super) is_interactive_command: bool,
    #[serde(default)]
    pub(super) is_interactive_quit: bool,
    #[serde(default)]
    pub(super) check: Check,
    #[serde(default)]
    pub(super) error_msg: String,
    #[serde(default)]
    pub(super) expect: Vec<String>,
}

/// What becomes of the exit status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Check {
    /// It is told.
    Silent,
    /// It is told, and any but 0 is an exception.
    #[default]
    Raise,
    /// It is not told.
    Ignore,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Observation {
    pub(super) output: String,
    pub(super) exit_code: Option<i32>,
    pub(super) failure_reason: String,
    pub(super) expect_string: String,
    pub(super) session_type: &'static str,
}

#[derive(Debug, Deserialize)]
pub(super) struct CloseSession {
    #[serde(default = "default_session")]
    pub(super) session: String,
}

#[derive(Debug, Serialize)]
pub(super) struct ClosedSession {
    pub(super) session_type: &'static str,
}

/// A process of its own.
#[derive(Debug, Deserialize)]
pub(super) struct Command {
    pub(super) command: Words,
    /// In seconds.
    pub(super) timeout: Option<f64>,
    #[serde(default)]
    pub(super) shell: bool,
    #[serde(default)]
    pub(super) check: bool,
    #[serde(default)]
    pub(super) error_msg: String,
    pub(super) env: Option<BTreeMap<String, String>>,
    pub(super) cwd: Option<String>,
    #[serde(default)]
    pub(super) merge_output_streams: bool,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Words {
    Text(String),
    List(Vec<String>),
}

#[derive(Debug, Serialize)]
pub(super) struct CommandResponse {
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) exit_code: i32,
}

#[derive(Debug, Deserialize)]
pub(super) struct ReadFile {
    pub(super) path: String,
    pub(super) encoding: Option<String>,
    pub(super) errors: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct FileContent {
    pub(super) content: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct WriteFile {
    pub(super) content: String,
    pub(super) path: String,
}

/// Nothing more is said.
#[derive(Debug, Serialize)]
pub(super) struct Done {}
