//! Failures as SWE-ReX's client raises them again.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

use super::Refusal;

/// An exception of Python, by its full name, with what its client is told.
#[derive(Debug)]
pub(super) struct Exception {
    class: &'static str,
    message: String,
    extra: Value,
}

impl Exception {
    fn new(class: &'static str, message: String) -> Self {
        Self { class, message, extra: json!({}) }
    }

    pub(super) fn timeout(message: String) -> Self {
        Self::new("swerex.exceptions.CommandTimeoutError", message)
    }

    pub(super) fn non_zero(message: String) -> Self {
        Self::new("swerex.exceptions.NonZeroExitCodeError", message)
    }

    pub(super) fn syntax(message: String, stdout: &str, stderr: &str) -> Self {
        let extra = json!({ "bash_stdout": stdout, "bash_stderr": stderr });
        Self { extra, ..Self::new("swerex.exceptions.BashIncorrectSyntaxError", message) }
    }

    pub(super) fn session_exists(name: &str) -> Self {
        Self::new("swerex.exceptions.SessionExistsError", format!("session {name} already exists"))
    }

    pub(super) fn no_such_session(name: &str) -> Self {
        Self::new("swerex.exceptions.SessionDoesNotExistError", format!("session {name:?} does not exist"))
    }

    /// Something of the protocol that there is not here.
    pub(super) fn unsupported(what: &str) -> Self {
        Self::new("builtins.NotImplementedError", format!("Sandkasten does not do this: {what}"))
    }

    pub(super) fn value(message: String) -> Self {
        Self::new("builtins.ValueError", message)
    }

    pub(super) fn file_not_found(message: String) -> Self {
        Self::new("builtins.FileNotFoundError", message)
    }

    pub(super) fn os(message: String) -> Self {
        Self::new("builtins.OSError", message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Exception { class, message, extra } = match self {
            Self::Api(error) => return error.into_response(),
            Self::Exception(exception) => exception,
        };
        let transfer = json!({
            "swerexception": { "message": message, "class_path": class, "traceback": "", "extra_info": extra }
        });
        (StatusCode::NETWORK_AUTHENTICATION_REQUIRED, Json(transfer)).into_response()
    }
}
