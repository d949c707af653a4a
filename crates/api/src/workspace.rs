//! Workspaces: directories that outlive sessions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::WorkspaceId;

/// The label that every workspace carries, with its id.
pub const ID_LABEL: &str = "sandkasten.workspace_id";

/// A workspace as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Workspace {
    /// Its name.
    pub id: WorkspaceId,
    /// When it was made.
    pub created_at: Timestamp,
    /// [`ID_LABEL`] with the id.
    pub labels: BTreeMap<String, String>,
    /// What it takes of the disk, in bytes.
    #[serde(default)]
    pub size_bytes: u64,
    /// How many files it holds, everything but directories.
    #[serde(default)]
    pub files: u64,
    /// Whether there is more than was counted: too many files, or directories too deep in one another.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// The answer of `GET /v1/workspaces`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkspaceList {
    /// All of them, by name.
    pub workspaces: Vec<Workspace>,
}

/// The body of `POST /v1/workspaces`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateWorkspaceRequest {
    /// Its name.
    #[schema(value_type = WorkspaceId)]
    pub id: String,
}

/// The body of `POST /v1/workspaces/{id}/rename` and of `…/copy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceTarget {
    /// The new name, which no workspace has yet.
    #[schema(value_type = WorkspaceId)]
    pub to: String,
}
