//! Changing a part of a file of a session.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::schema::{FilePath, Sha256};

/// The body of `POST …/fs/edit`: exactly one of `edits` and `patch` is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditFileRequest {
    /// Absolute below `/workspace`, or relative to it.
    #[schema(value_type = FilePath)]
    pub path: String,
    /// Strings to replace, one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 100)]
    pub edits: Option<Vec<StringEdit>>,
    /// A unified diff of this one file. Names in it are ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
    /// The SHA-256 that the file must have, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Sha256>)]
    pub expect_sha256: Option<String>,
}

/// One string for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StringEdit {
    /// What is there: in one place only, unless all are replaced.
    #[schema(min_length = 1)]
    pub old: String,
    /// What takes its place.
    pub new: String,
    /// Whether every occurrence is replaced.
    #[serde(default)]
    pub replace_all: bool,
}

/// The answer of `POST …/fs/edit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EditFileResponse {
    /// Always `true`.
    pub ok: bool,
    /// The file, absolute.
    pub path: String,
    /// The SHA-256 of its new content, in lowercase hexadecimal.
    #[schema(value_type = Sha256)]
    pub sha256: String,
    /// The size of its new content.
    pub bytes: u64,
    /// How many strings were replaced, or hunks applied.
    pub changes: usize,
    /// Where each hunk was applied; only with `patch`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hunks: Vec<EditedHunk>,
}

/// Where a hunk was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EditedHunk {
    /// The line of the old content, from 1 on.
    pub line: usize,
    /// How far that is from where the patch has it.
    pub offset: isize,
}
