//! Every failure of the daemon as an answer: the one place where errors meet status codes.
//!
//! What a client can mend is said in full. What it cannot is logged with the request id, and the answer carries only
//! that id: no path, no value of the host.

use std::error::Error;
use std::sync::Arc;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use sandkasten_api::error::{ErrorBody, ErrorCode, ErrorDetails};
use sandkasten_api::id::ParseIdError;
use sandkasten_isolation::error_chain;
use sandkasten_isolation::host::{FileError, LaunchError};

use super::request_id::RequestId;
use crate::admission::AdmissionError;
use crate::idempotency::BeginError;
use crate::images::{BeginPullError, Fault, ImageError, PullError};
use crate::session::{ExecFailure, InvalidGlob, InvalidPath, ProcessError, SessionError};
use crate::workspace::WorkspaceError;

/// An answer that is not a success.
#[derive(Debug)]
pub(crate) struct ApiError {
    code: ErrorCode,
    status: StatusCode,
    message: String,
    details: Option<Box<ErrorDetails>>,
    internal: Option<Internal>,
}

/// Renders a client's text for a message: quoted, escaped, and cut after so many characters.
pub(super) fn quoted(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// What is behind an internal error, for the log; carried beside the response to where the request id is known.
#[derive(Debug, Clone)]
pub(super) struct Internal(pub(super) Arc<str>);

impl ApiError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { code, status, message: message.into(), details: None, internal: None }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidRequest, message)
    }

    /// Answers with another status than the code's usual one.
    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    pub(crate) fn with_details(self, details: ErrorDetails) -> Self {
        Self { details: Some(Box::new(details)), ..self }
    }

    /// Adds what a command had printed until its end.
    pub(crate) fn with_output(mut self, output: String, truncated: bool) -> Self {
        if let Some(details) = &mut self.details {
            details.output = Some(output);
            details.truncated = Some(truncated);
        }
        self
    }

    pub(crate) fn code(&self) -> ErrorCode {
        self.code
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The message for a stream that has begun. The reason of an internal error is logged here, as no answer can carry it any
    /// more; `failed` says of what.
    pub(super) fn told_in_stream(&self, RequestId(request_id): &RequestId, failed: &'static str) -> String {
        let Some(Internal(reason)) = &self.internal else { return self.message.clone() };
        tracing::error!(request_id, reason = &**reason, "{failed}");
        format!("the daemon failed; its log has the reason under request id {request_id}")
    }

    /// A handler panicked: a bug of ours.
    pub(super) fn panicked(text: &str) -> Self {
        Self {
            internal: Some(Internal(format!("panic: {text}").into())),
            ..Self::new(ErrorCode::InternalError, "the daemon failed; its log has the reason")
        }
    }

    pub(super) fn internal(error: &dyn Error) -> Self {
        Self {
            internal: Some(Internal(error_chain(error).into())),
            ..Self::new(ErrorCode::InternalError, "the daemon failed; its log has the reason")
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let code = self.code;
        let body = ErrorBody { error_code: code, message: self.message, details: self.details };
        let mut response = (self.status, Json(body)).into_response();
        if code == ErrorCode::LimitExceeded {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if code == ErrorCode::Unauthorized {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(internal) = self.internal {
            response.extensions_mut().insert(internal);
        }
        response
    }
}

impl ApiError {
    /// A failure of a file operation with a code of its own for each reason; the older routes answer with fewer.
    pub(super) fn of_file(error: SessionError) -> Self {
        let SessionError::File(error) = error else { return error.into() };
        let code = match &error {
            FileError::NotFound { .. } => ErrorCode::FileNotFound,
            FileError::IsDirectory { .. } => ErrorCode::IsDirectory,
            FileError::NotDirectory { .. } => ErrorCode::NotDirectory,
            FileError::NotRegular { .. } => ErrorCode::NotRegularFile,
            FileError::Exists { .. } => ErrorCode::FileExists,
            FileError::NotEmpty { .. } => ErrorCode::DirectoryNotEmpty,
            FileError::Changed { .. } => ErrorCode::FileChanged,
            FileError::Permission { .. } | FileError::ReadOnly { .. } => ErrorCode::PermissionDenied,
            FileError::TooMuch { .. } => ErrorCode::FileTooLarge,
            FileError::NoSpace { .. } => ErrorCode::NoSpace,
            FileError::Unwatchable { .. } | FileError::Reserved { .. } => ErrorCode::LimitExceeded,
            FileError::Unresolvable { .. } | FileError::IntoItself { .. } | FileError::OtherMount { .. } => {
                ErrorCode::InvalidRequest
            }
            FileError::Other { .. } => return Self::internal(&error),
        };
        Self::new(code, error.to_string())
    }
}

impl From<ParseIdError> for ApiError {
    fn from(error: ParseIdError) -> Self {
        let code = match error {
            ParseIdError::Session { .. } | ParseIdError::Exec { .. } => ErrorCode::InvalidRequest,
            ParseIdError::Workspace { .. } => ErrorCode::InvalidWorkspace,
        };
        Self::new(code, error.to_string())
    }
}

impl From<InvalidPath> for ApiError {
    fn from(error: InvalidPath) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<InvalidGlob> for ApiError {
    fn from(error: InvalidGlob) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<SessionError> for ApiError {
    fn from(error: SessionError) -> Self {
        let error = match error {
            SessionError::File(error) => return error.into(),
            SessionError::Workspace(error) => return error.into(),
            error => error,
        };
        let code = match &error {
            SessionError::NotFound { .. } => ErrorCode::SessionNotFound,
            SessionError::Expired { .. } => ErrorCode::SessionExpired,
            SessionError::NotRunning { .. } => ErrorCode::SessionNotRunning,
            SessionError::Image { .. } => ErrorCode::InvalidImage,
            SessionError::Exists { .. } => ErrorCode::SessionExists,
            SessionError::Labels { .. } => ErrorCode::InvalidRequest,
            SessionError::Admission(AdmissionError::Memory(_)) => return Self::internal(&error),
            SessionError::Admission(_) => ErrorCode::LimitExceeded,
            SessionError::Launch(LaunchError::UnusableImage { reason }) => {
                return Self::new(ErrorCode::InvalidImage, format!("the image cannot be used: {reason}"));
            }
            _ => return Self::internal(&error),
        };
        Self::new(code, error.to_string())
    }
}

impl From<BeginError> for ApiError {
    fn from(error: BeginError) -> Self {
        match &error {
            BeginError::Reused { .. } => Self::new(ErrorCode::IdempotencyKeyReused, error.to_string()),
            BeginError::Store(_) => Self::internal(&error),
        }
    }
}

impl From<FileError> for ApiError {
    fn from(error: FileError) -> Self {
        let code = match &error {
            FileError::NotFound { .. } => ErrorCode::FileNotFound,
            FileError::NoSpace { .. } | FileError::Reserved { .. } => ErrorCode::LimitExceeded,
            FileError::Other { .. } => return Self::internal(&error),
            _ => ErrorCode::InvalidRequest,
        };
        Self::new(code, error.to_string())
    }
}

impl From<WorkspaceError> for ApiError {
    fn from(error: WorkspaceError) -> Self {
        let error = match error {
            WorkspaceError::File(error) => return error.into(),
            error => error,
        };
        let code = match &error {
            WorkspaceError::NotFound { .. } => ErrorCode::WorkspaceNotFound,
            WorkspaceError::InUse { .. } => ErrorCode::WorkspaceInUse,
            WorkspaceError::Exists { .. } => ErrorCode::WorkspaceExists,
            WorkspaceError::TooDeep { .. } => ErrorCode::InvalidRequest,
            WorkspaceError::NoRoom { .. } | WorkspaceError::NoInodes { .. } => ErrorCode::LimitExceeded,
            _ => return Self::internal(&error),
        };
        Self::new(code, error.to_string())
    }
}

impl From<ImageError> for ApiError {
    fn from(error: ImageError) -> Self {
        let code = match &error {
            ImageError::NotFound { .. } => ErrorCode::ImageNotFound,
            ImageError::InUse { .. } | ImageError::BuiltIn { .. } => ErrorCode::ImageInUse,
            _ => return Self::internal(&error),
        };
        Self::new(code, error.to_string())
    }
}

impl From<BeginPullError> for ApiError {
    fn from(error: BeginPullError) -> Self {
        let code = match &error {
            BeginPullError::Reference(_) | BeginPullError::Credentials { .. } => ErrorCode::InvalidRequest,
            BeginPullError::Name { .. }
            | BeginPullError::Reserved { .. }
            | BeginPullError::NotAllowed { .. }
            | BeginPullError::Registry { .. } => ErrorCode::InvalidImage,
            BeginPullError::Busy { .. } => ErrorCode::LimitExceeded,
        };
        Self::new(code, error.to_string())
    }
}

impl From<PullError> for ApiError {
    fn from(error: PullError) -> Self {
        match error.fault() {
            Fault::Registry if matches!(error, PullError::Fetch { .. }) => {
                Self::new(ErrorCode::ImagePullFailed, error.to_string())
            }
            Fault::Registry => Self::new(ErrorCode::ImagePullFailed, error_chain(&error)),
            Fault::Configuration => Self::new(ErrorCode::InvalidImage, error.to_string()),
            // Where to is nothing that a client has to know.
            Fault::Space => Self::new(
                ErrorCode::NoSpace,
                "there is no room for the image on the disk of the daemon; remove images that are not used",
            ),
            Fault::Ours => Self::internal(&error),
        }
    }
}

impl From<ExecFailure> for ApiError {
    fn from(failure: ExecFailure) -> Self {
        let message = failure.to_string();
        match failure {
            ExecFailure::Session(error) => error.into(),
            ExecFailure::KeyReused { .. } => Self::new(ErrorCode::IdempotencyKeyReused, message),
            ExecFailure::Busy => Self::new(ErrorCode::LimitExceeded, message),
            ExecFailure::NoShell { .. } => Self::invalid(message),
            ExecFailure::Force(_) | ExecFailure::ShellKeepsEnding => Self::internal(&failure),
        }
    }
}

impl From<ProcessError> for ApiError {
    fn from(error: ProcessError) -> Self {
        let message = error.to_string();
        let code = match error {
            ProcessError::NotFound { .. } => ErrorCode::ProcessNotFound,
            ProcessError::NotRunning { .. }
            | ProcessError::InputClosed { .. }
            | ProcessError::NoTerminal { .. } => ErrorCode::ProcessNotRunning,
            ProcessError::InputFull { .. } | ProcessError::TooManyFollowers => ErrorCode::LimitExceeded,
            ProcessError::Session(error) => return error.into(),
            ProcessError::Group(_) => return Self::internal(&error),
        };
        Self::new(code, message)
    }
}
