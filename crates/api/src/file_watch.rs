//! Changes of files as a stream of events.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::schema::FilePath;

/// The query of `GET …/fs/watch`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WatchFilesQuery {
    /// The directory; absent: `/workspace`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<FilePath>)]
    pub path: Option<String>,
    /// Whether what is below its directories is watched as well.
    #[serde(default)]
    pub recursive: bool,
}

/// The data of `event: ready`, the first one: what changes from now on is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WatchReady {
    /// The directory, absolute.
    pub path: String,
    /// How many directories are watched.
    pub directories: usize,
}

/// How a file has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileChangeKind {
    /// It is new, or has been replaced whole, as the calls on files do it.
    Created,
    /// Its content is another.
    Modified,
    /// It has gone, or has been moved out of what is watched.
    Removed,
    /// It had another name.
    Renamed,
    /// Its mode, owner or times are others.
    Attributes,
}

/// The data of `event: change`. Bytes of a name that are no UTF-8 appear as U+FFFD.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileChange {
    /// Where, absolute.
    pub path: String,
    /// How.
    pub kind: FileChangeKind,
    /// The old path of what was renamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// The data of `event: overflow`, the last one: changes were lost, or there is more than can be watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WatchOverflow {
    /// Why, in words.
    pub reason: String,
}

/// Why a watch has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum WatchEndReason {
    /// The directory itself was removed or moved.
    Removed,
    /// The session has ended.
    Session,
}

/// The data of `event: end`, the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WatchEnd {
    /// Why.
    pub reason: WatchEndReason,
}
