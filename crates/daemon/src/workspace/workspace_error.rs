//! Why a workspace could not be made, found or used.

use sandkasten_api::id::WorkspaceId;
use sandkasten_isolation::host::{FileError, PathError};

/// The failures of workspaces. Those in the upper half are the client's to mend.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkspaceError {
    /// No workspace has this id.
    #[error("no workspace {id}")]
    NotFound {
        /// Which id.
        id: WorkspaceId,
    },
    /// There is one of this id already.
    #[error("workspace {id} exists already; choose another id, or delete it first")]
    Exists {
        /// Which id.
        id: WorkspaceId,
    },
    /// A copy would not be whole.
    #[error("workspace {id} cannot be copied: its directories are too deep in one another")]
    TooDeep {
        /// Which workspace.
        id: WorkspaceId,
    },
    /// Something keeps others from it.
    #[error("workspace {id} is in use; destroy the sessions that use it first, or try again where none does")]
    InUse {
        /// Which workspace.
        id: WorkspaceId,
    },
    /// The disk is too full for anything more.
    #[error(
        "the disk has {free_mb} MiB free, and workspace.min_free_mb keeps {floor_mb}; delete workspaces or images"
    )]
    NoRoom {
        /// What there is.
        free_mb: u64,
        /// What is kept.
        floor_mb: u64,
    },
    /// The disk holds too many files for anything more.
    #[error("the disk has room for {free} more files only; delete workspaces or images")]
    NoInodes {
        /// How many it has room for.
        free: u64,
    },
    /// A file operation was refused.
    #[error(transparent)]
    File(#[from] FileError),

    /// Its directory belongs to somebody else than all workspaces do.
    #[error("the directory of workspace {id} belongs to uid {owner}, which no daemon has given it to")]
    Owner {
        /// Which workspace.
        id: WorkspaceId,
        /// Who it belongs to.
        owner: u32,
    },
    /// A workspace could not be copied.
    #[error("failed to copy workspace {id}")]
    Copy {
        /// Which workspace.
        id: WorkspaceId,
        /// The kernel's reason.
        source: std::io::Error,
    },
    /// A file of the host could not be used.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A task of the daemon ended early.
    #[error("a task of the daemon ended early")]
    Task {
        /// Why.
        source: tokio::task::JoinError,
    },
}
