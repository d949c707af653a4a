//! Files of a session or a workspace: writing, reading, uploading and listing.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::schema::{Base64, Binary, FileMode, FilePath, ReadBytes};

/// The body of `POST …/fs/write`: exactly one of the two contents is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteFileRequest {
    /// Absolute below `/workspace`, or relative to it.
    #[schema(value_type = FilePath)]
    pub path: String,
    /// The content in standard base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Base64>)]
    pub content_base64: Option<String>,
    /// The content as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The permission bits, in octal, at most `0777`; absent: those that the file has, or `0644` for a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<FileMode>)]
    pub mode: Option<String>,
}

/// The query of `GET …/fs/read`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReadFileQuery {
    /// Absolute below `/workspace`, or relative to it.
    #[param(value_type = FilePath)]
    pub path: String,
    /// The most bytes to return; see [`limits`](crate::limits) for the default and the cap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<ReadBytes>)]
    pub max_bytes: Option<u64>,
}

/// The answer of `GET …/fs/read`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReadFileResponse {
    /// The path that was read, absolute.
    pub path: String,
    /// The content in standard base64.
    #[schema(value_type = Base64)]
    pub content_base64: String,
    /// Whether the file goes on behind what was returned.
    pub truncated: bool,
}

/// The query of `GET …/fs` of a workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListDirectoryQuery {
    /// Relative to the workspace; absent: the workspace itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<FilePath>)]
    pub path: Option<String>,
}

/// The answer of `GET …/fs` of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DirectoryListing {
    /// What is in the directory, by name.
    pub entries: Vec<DirectoryEntry>,
    /// Whether there is more in it than was listed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DirectoryEntry {
    /// The name; what of it is no UTF-8 is replaced.
    pub name: String,
    /// Whether it is a directory; a link to one is none.
    pub is_dir: bool,
}

/// The form of `POST …/fs/upload`; one file at least, each with its file name.
#[derive(Debug, ToSchema)]
#[schema(min_properties = 1)]
pub struct UploadRequest {
    /// The directory that the files go to; absent: `/workspace`.
    #[schema(required = false, value_type = FilePath)]
    pub path: Option<String>,
    /// A file; the last part of its file name is the name that it gets.
    #[schema(required = false, value_type = Binary)]
    pub file: Option<Vec<u8>>,
    /// Files; 100 of both fields at most.
    #[schema(required = false, value_type = Vec<Binary>, max_items = 100)]
    pub files: Vec<Vec<u8>>,
}

/// The answer of `POST …/fs/upload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UploadResponse {
    /// Always `true`.
    pub ok: bool,
    /// Where each file went, absolute, in the order of the request.
    pub paths: Vec<String>,
}
