//! Files of a session: writing, reading and uploading below `/workspace`.

use serde::{Deserialize, Serialize};

/// The body of `POST …/fs/write`: exactly one of the two contents is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WriteFileRequest {
    /// Absolute below `/workspace`, or relative to it.
    pub path: String,
    /// The content in standard base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_base64: Option<String>,
    /// The content as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The permission bits, in octal, at most `0777`; absent: those that the file has, or `0644` for a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
}

/// The query of `GET …/fs/read`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadFileQuery {
    /// Absolute below `/workspace`, or relative to it.
    pub path: String,
    /// The most bytes to return; see [`limits`](crate::limits) for the default and the cap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
}

/// The answer of `GET …/fs/read`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadFileResponse {
    /// The path that was read, absolute.
    pub path: String,
    /// The content in standard base64.
    pub content_base64: String,
    /// Whether the file goes on behind what was returned.
    pub truncated: bool,
}

/// The answer of `POST …/fs/upload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadResponse {
    /// Always `true`.
    pub ok: bool,
    /// Where each file went, absolute, in the order of the request.
    pub paths: Vec<String>,
}
