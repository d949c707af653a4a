//! Looking for a text in the files of a session.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::schema::{ContextLines, FilePath, Glob, MatchCount, SearchText};

/// The body of `POST …/fs/search`: exactly one of `literal` and `regex` is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchRequest {
    /// A directory, or one file; absent: `/workspace`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<FilePath>)]
    pub path: Option<String>,
    /// Which files, as `fs/list` has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Glob>)]
    pub glob: Option<String>,
    /// A text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<SearchText>)]
    pub literal: Option<String>,
    /// A regular expression, in the syntax of Rust's `regex` crate: no look-around, no back-references.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<SearchText>)]
    pub regex: Option<String>,
    /// Whether upper and lower case are the same.
    #[serde(default)]
    pub ignore_case: bool,
    /// The most matches; absent: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MatchCount>)]
    pub max_matches: Option<usize>,
    /// How many lines before and after each match; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ContextLines>)]
    pub context: Option<usize>,
}

/// The answer of `POST …/fs/search`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SearchResponse {
    /// Lines with a match, by path and line; the first match of each.
    pub matches: Vec<SearchMatch>,
    /// How many files were searched.
    pub files_searched: u64,
    /// How many were not: binary ones, too large ones, and those that cannot be read.
    pub files_skipped: u64,
    /// Whether a limit ended the search: of matches, of text, of bytes read, of files, or of time.
    pub truncated: bool,
}

/// One line with a match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SearchMatch {
    /// The file, absolute.
    pub path: String,
    /// The line, from 1 on.
    pub line: u64,
    /// The character of the line that the match begins with, from 1 on.
    pub column: usize,
    /// The line; of one with more than 1,000 bytes, what is around the match.
    pub text: String,
    /// Lines before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
    /// Lines after it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
}
