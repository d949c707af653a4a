//! Why a tool did not work, in words for a language model. None of it is an error of the protocol.

use std::path::PathBuf;

use rmcp::ErrorData;
use rmcp::handler::server::tool::IntoCallToolResult;
use rmcp::model::{CallToolResponse, CallToolResult, ContentBlock};
use sandkasten_api::error::{ErrorBody, ErrorCode};
use sandkasten_client::{RequestError, with_causes};
use sandkasten_isolation::host::FileError;

/// A tool that did not work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolError {
    /// The engine refused, or cannot be reached.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The sandbox of this MCP session has ended, and what was in it is lost.
    #[error(
        "{}; the sandbox of this conversation has gone with everything in it, and the next call without `session` gets a fresh one",
        body.message
    )]
    SandboxGone {
        /// What the engine said.
        body: ErrorBody,
    },
    /// Nothing says which sandbox is meant.
    #[error(
        "there is no MCP session that a sandbox could belong to: call create_session, and give the id that it returns as `session`"
    )]
    NoSandbox,
    /// The MCP session has ended meanwhile.
    #[error("the MCP session has ended")]
    Over,
    /// As many calls are under way as may be.
    #[error("{most} calls of this MCP session are under way, as many as may be; wait for one of them")]
    TooManyCalls {
        /// How many.
        most: usize,
    },
    /// The client cancelled the call.
    #[error("cancelled")]
    Cancelled,
    /// An argument cannot be.
    #[error("{0}")]
    Argument(String),
    /// A path of this host that is out of bounds.
    #[error(
        "local_path {path:?} is not below {}, the directory that `sandkasten mcp --directory` names",
        directory.display()
    )]
    Outside {
        /// What was asked for.
        path: String,
        /// Where it must be.
        directory: PathBuf,
    },
    /// A file of this host is larger than is copied at once.
    #[error("{path:?} has more than {limit} bytes, the most that is copied at once")]
    TooLarge {
        /// Which file.
        path: String,
        /// How many bytes may be copied.
        limit: u64,
    },
    /// A file of this host is in the way.
    #[error("{path:?} exists on this host; give overwrite: true to replace it")]
    Exists {
        /// Which file.
        path: String,
    },
    /// A file of this host cannot be used.
    #[error(transparent)]
    HostFile(#[from] FileError),
    /// A task of ours ended early.
    #[error("a task of the server ended early: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl ToolError {
    /// Whether it says that a session has ended or is not there.
    pub(crate) fn session_loss(error: &RequestError) -> Option<&ErrorBody> {
        match error {
            RequestError::Refused { body, .. } => matches!(
                body.error_code,
                ErrorCode::SessionNotFound | ErrorCode::SessionExpired | ErrorCode::SessionNotRunning
            )
            .then_some(body),
            _ => None,
        }
    }

    /// All that there is to say about it.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Request(RequestError::Refused { body, .. }) => refusal(body, &body.message),
            Self::SandboxGone { body } => refusal(body, &self.to_string()),
            // These complete "cannot …".
            Self::Request(error) => format!("cannot {}", with_causes(error)),
            other => with_causes(other),
        }
    }
}

/// The code, what is wrong, and what to do where the engine has a hint.
fn refusal(body: &ErrorBody, message: &str) -> String {
    let code = serde_json::to_value(body.error_code).unwrap_or_default();
    let verdict = body.details.as_ref().and_then(|details| details.verdict.as_ref());
    let hint = verdict.and_then(|verdict| verdict.hint.as_deref()).unwrap_or_default();
    let code = code.as_str().unwrap_or_default();
    format!("{code}: {message} {hint}").trim_end().to_owned()
}

impl IntoCallToolResult for ToolError {
    fn into_call_tool_result(self) -> Result<CallToolResponse, ErrorData> {
        Ok(CallToolResult::error(vec![ContentBlock::text(self.text())]).into())
    }
}

#[cfg(test)]
mod tests {
    use sandkasten_api::error::{ErrorBody, ErrorCode, ErrorDetails};
    use sandkasten_api::verdict::Verdict;
    use sandkasten_client::RequestError;

    use super::ToolError;

    fn refused(error_code: ErrorCode, details: Option<Box<ErrorDetails>>) -> RequestError {
        let body = ErrorBody { error_code, message: "no.".to_owned(), details };
        RequestError::Refused { status: error_code.status(), body }
    }

    #[test]
    fn a_refusal_has_its_code_its_message_and_its_hint() {
        let details = ErrorDetails { verdict: Some(Verdict::sandbox_lost()), ..ErrorDetails::default() };
        let error = refused(ErrorCode::SessionNotRunning, Some(Box::new(details)));
        assert_eq!(
            ToolError::from(error).text(),
            "SESSION_NOT_RUNNING: no. The sandbox has gone; create a new session."
        );
        assert_eq!(ToolError::from(refused(ErrorCode::FileNotFound, None)).text(), "FILE_NOT_FOUND: no.");
    }

    #[test]
    fn a_daemon_that_is_not_there_is_said_with_its_address() {
        let source = "connection refused".into();
        let error = RequestError::Unreachable { url: "unix:/s".to_owned(), source };
        assert_eq!(ToolError::from(error).text(), "cannot reach the daemon at unix:/s: connection refused");
    }

    #[test]
    fn only_the_end_of_a_session_is_one() {
        for (code, expected) in [
            (ErrorCode::SessionExpired, true),
            (ErrorCode::SessionNotFound, true),
            (ErrorCode::SessionNotRunning, true),
            (ErrorCode::ProcessNotFound, false),
            (ErrorCode::LimitExceeded, false),
        ] {
            assert_eq!(ToolError::session_loss(&refused(code, None)).is_some(), expected, "{code:?}");
        }
    }
}
