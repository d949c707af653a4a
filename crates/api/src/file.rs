//! Files of a session or a workspace: writing, reading, uploading and listing.

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

/// The query of `GET …/fs` of a workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListDirectoryQuery {
    /// Relative to the workspace; absent: the workspace itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// The answer of `GET …/fs` of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryListing {
    /// What is in the directory, by name.
    pub entries: Vec<DirectoryEntry>,
    /// Whether there is more in it than was listed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryEntry {
    /// The name; what of it is no UTF-8 is replaced.
    pub name: String,
    /// Whether it is a directory; a link to one is none.
    pub is_dir: bool,
}

/// The answer of `POST …/fs/upload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadResponse {
    /// Always `true`.
    pub ok: bool,
    /// Where each file went, absolute, in the order of the request.
    pub paths: Vec<String>,
}
