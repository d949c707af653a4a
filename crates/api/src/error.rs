//! The error body every refused request carries, and the closed set of its codes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::ExecId;
use crate::verdict::{OptionalVerdict, Verdict};

/// Says what went wrong, in a form a program can branch on. The set is closed: a client may match on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorCode {
    /// Malformed JSON, a missing or out-of-range field, a path outside `/workspace`, a body that is too large.
    InvalidRequest,
    /// An image name that is malformed, not allowed by the configuration, or not present.
    InvalidImage,
    /// A workspace id that is malformed, or workspaces are disabled.
    InvalidWorkspace,
    /// The API key is missing or wrong.
    Unauthorized,
    /// No session has this id.
    SessionNotFound,
    /// No workspace has this id.
    WorkspaceNotFound,
    /// No image has this name.
    ImageNotFound,
    /// No file is at this path.
    FileNotFound,
    /// A file operation met a directory where it takes none.
    IsDirectory,
    /// A file operation needs a directory, or a part of the path is none.
    NotDirectory,
    /// A file operation met a FIFO, socket or device, or a file of the kernel's own.
    NotRegularFile,
    /// Something has the name already, and was not to be replaced.
    FileExists,
    /// A directory that holds something was to be removed or replaced.
    DirectoryNotEmpty,
    /// The file changed while the operation was under way, or is not the one that the request expects.
    FileChanged,
    /// An edit does not fit the file: what it replaces is not there, or not in one place.
    EditMismatch,
    /// The sandbox user has no permission, or the filesystem is read-only.
    PermissionDenied,
    /// A file or tree is larger, deeper or slower than the operation takes.
    FileTooLarge,
    /// The filesystem is full.
    NoSpace,
    /// The session existed and its time to live ran out.
    SessionExpired,
    /// The session was destroyed, crashed or is paused.
    SessionNotRunning,
    /// A live session has this name already.
    SessionExists,
    /// A session or a request uses the workspace.
    WorkspaceInUse,
    /// A workspace has this id already.
    WorkspaceExists,
    /// Sessions run on the image, or it is built in.
    ImageInUse,
    /// The session has no exec or process of this id.
    ProcessNotFound,
    /// The exec or process has ended, or cannot do this.
    ProcessNotRunning,
    /// The `Idempotency-Key` was used with another request before.
    IdempotencyKeyReused,
    /// An exec ran past its timeout: its processes are gone, the session goes on.
    CommandTimeout,
    /// A quota or rate limit was reached.
    LimitExceeded,
    /// A fault of the daemon's own.
    InternalError,
    /// A registry refused, has no such image, sent something that is none, or could not be reached.
    ImagePullFailed,
}

impl ErrorCode {
    /// Every code, in the order of the contract.
    pub const ALL: [Self; 31] = [
        Self::InvalidRequest,
        Self::InvalidImage,
        Self::InvalidWorkspace,
        Self::Unauthorized,
        Self::SessionNotFound,
        Self::WorkspaceNotFound,
        Self::ImageNotFound,
        Self::FileNotFound,
        Self::IsDirectory,
        Self::NotDirectory,
        Self::NotRegularFile,
        Self::FileExists,
        Self::DirectoryNotEmpty,
        Self::FileChanged,
        Self::EditMismatch,
        Self::PermissionDenied,
        Self::FileTooLarge,
        Self::NoSpace,
        Self::SessionExpired,
        Self::SessionNotRunning,
        Self::SessionExists,
        Self::WorkspaceInUse,
        Self::WorkspaceExists,
        Self::ImageInUse,
        Self::ProcessNotFound,
        Self::ProcessNotRunning,
        Self::IdempotencyKeyReused,
        Self::CommandTimeout,
        Self::LimitExceeded,
        Self::InternalError,
        Self::ImagePullFailed,
    ];

    /// Returns the HTTP status that belongs to this code.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidRequest | Self::InvalidImage | Self::InvalidWorkspace => 400,
            Self::Unauthorized => 401,
            Self::SessionNotFound
            | Self::WorkspaceNotFound
            | Self::ImageNotFound
            | Self::FileNotFound
            | Self::ProcessNotFound => 404,
            Self::PermissionDenied => 403,
            Self::SessionNotRunning
            | Self::SessionExists
            | Self::IsDirectory
            | Self::NotDirectory
            | Self::NotRegularFile
            | Self::FileExists
            | Self::DirectoryNotEmpty
            | Self::FileChanged
            | Self::EditMismatch
            | Self::WorkspaceInUse
            | Self::WorkspaceExists
            | Self::ImageInUse
            | Self::ProcessNotRunning => 409,
            Self::SessionExpired => 410,
            Self::FileTooLarge => 413,
            Self::IdempotencyKeyReused => 422,
            Self::LimitExceeded => 429,
            Self::InternalError => 500,
            Self::ImagePullFailed => 502,
            Self::CommandTimeout => 504,
            Self::NoSpace => 507,
        }
    }
}

/// The JSON body of every answer that is not a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// The machine-readable code.
    pub error_code: ErrorCode,
    /// What was wrong, with the value, and what to do.
    pub message: String,
    /// More facts, where the code has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Box<ErrorDetails>>,
}

/// Facts beside the message. Only the fields that belong to the code are present.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorDetails {
    /// With `COMMAND_TIMEOUT`: what the command had printed until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// With `COMMAND_TIMEOUT`: whether `output` was cut at the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncated: Option<bool>,
    /// With `COMMAND_TIMEOUT`: the timeout that was in force, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// With `COMMAND_TIMEOUT`: `true` where the shell could not be saved and a fresh one took its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell_restarted: Option<bool>,
    /// Of an exec: names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec_id: Option<ExecId>,
    /// Of an exec: why it ended, and what it used.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = OptionalVerdict)]
    pub verdict: Option<Verdict>,
}

#[cfg(test)]
mod tests {
    use super::ErrorCode;

    #[test]
    fn codes_are_spelled_as_in_the_contract() {
        let spelled: Vec<String> =
            ErrorCode::ALL.iter().map(|code| serde_json::to_string(code).expect("a unit variant")).collect();
        assert_eq!(
            spelled.join(" "),
            "\"INVALID_REQUEST\" \"INVALID_IMAGE\" \"INVALID_WORKSPACE\" \"UNAUTHORIZED\" \"SESSION_NOT_FOUND\" \
             \"WORKSPACE_NOT_FOUND\" \"IMAGE_NOT_FOUND\" \"FILE_NOT_FOUND\" \"IS_DIRECTORY\" \"NOT_DIRECTORY\" \"NOT_REGULAR_FILE\" \
             \"FILE_EXISTS\" \"DIRECTORY_NOT_EMPTY\" \"FILE_CHANGED\" \"EDIT_MISMATCH\" \"PERMISSION_DENIED\" \
             \"FILE_TOO_LARGE\" \"NO_SPACE\" \"SESSION_EXPIRED\" \"SESSION_NOT_RUNNING\" \"SESSION_EXISTS\" \
             \"WORKSPACE_IN_USE\" \"WORKSPACE_EXISTS\" \"IMAGE_IN_USE\" \"PROCESS_NOT_FOUND\" \"PROCESS_NOT_RUNNING\" \
             \"IDEMPOTENCY_KEY_REUSED\" \"COMMAND_TIMEOUT\" \"LIMIT_EXCEEDED\" \"INTERNAL_ERROR\" \
             \"IMAGE_PULL_FAILED\""
        );
    }

    #[test]
    fn every_code_has_an_error_status() {
        assert!(ErrorCode::ALL.iter().all(|code| (400..600).contains(&code.status())));
    }
}
