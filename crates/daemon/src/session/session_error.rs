//! Why a session could not be made, found or used.

use sandkasten_api::id::SessionId;
use sandkasten_api::label::InvalidLabels;
use sandkasten_api::name::SessionName;
use sandkasten_api::session::SessionStatus;
use sandkasten_isolation::host::cgroup::{CgroupError, GroupError};
use sandkasten_isolation::host::{FileError, LaunchError, LeaseError, PathError, ProcessError};

use super::link::LinkError;
use super::shell_slot::RenewError;
use crate::admission::AdmissionError;
use crate::store::StoreError;
use crate::workspace::WorkspaceError;

/// The failures of the session service. Those in the upper half are the client's to mend.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    /// No session has this id.
    #[error("no session {id}")]
    NotFound {
        /// Which id.
        id: SessionId,
    },
    /// The session's time to live ran out.
    #[error("session {id} has expired; create a new one")]
    Expired {
        /// Which session.
        id: SessionId,
    },
    /// The session has ended.
    #[error("session {id} is {}; create a new one", .status.as_str())]
    NotRunning {
        /// Which session.
        id: SessionId,
        /// How it ended.
        status: SessionStatus,
    },
    /// Another live session has the name, or is about to.
    #[error(
        "{} is called {name}; choose another name, or destroy it",
        holder.as_ref().map_or("a session that is being made".to_owned(), |id| format!("session {id}"))
    )]
    Exists {
        /// The name.
        name: SessionName,
        /// Whose it is.
        holder: Option<SessionId>,
    },
    /// The labels would not be fit.
    #[error("labels: {source}")]
    Labels {
        /// Why.
        source: InvalidLabels,
    },
    /// The image cannot be used.
    #[error("{reason}")]
    Image {
        /// Why, with the name and what to do.
        reason: String,
    },
    /// It may not be made now.
    #[error(transparent)]
    Admission(#[from] AdmissionError),
    /// A file operation was refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// The workspace cannot be used.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),

    /// The session's uid range could not be leased.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The session's cgroup could not be made.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// The sandbox could not be started.
    #[error("failed to start the sandbox")]
    Launch(#[from] LaunchError),
    /// The socket of the runner could not be made.
    #[error("failed to bind the runner's socket")]
    Bind {
        /// The kernel's reason.
        source: std::io::Error,
    },
    /// A random id could not be drawn.
    #[error("failed to draw a session id")]
    Random {
        /// The kernel's reason.
        source: std::io::Error,
    },
    /// A session's id is none for a workspace.
    #[error("failed to name a workspace after the session")]
    WorkspaceName {
        /// Why.
        source: sandkasten_api::id::ParseIdError,
    },
    /// A process of the sandbox could not be handled.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A file of the host could not be used.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The processes of a command could not be handled.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// The shell that took another's place could not be found out.
    #[error(transparent)]
    Renew(#[from] RenewError),
    /// The runner could not be talked to.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The image could not be read, for a reason that is not the request's.
    #[error("failed to read the image {name}")]
    ReadImage {
        /// Which image.
        name: String,
        /// The image crate's reason.
        source: sandkasten_image::ResolveImageError,
    },
    /// A task of the daemon ended early.
    #[error("a task of the daemon ended early")]
    Task {
        /// Why.
        source: tokio::task::JoinError,
    },
    /// The runner of a sandbox cannot be watched.
    #[error("failed to connect to the runner, to know of its end")]
    Watch {
        /// The kernel's reason.
        source: std::io::Error,
    },
    /// A thread could not be had.
    #[error("failed to start a thread")]
    Thread {
        /// The kernel's reason.
        source: std::io::Error,
    },
    /// A failed step could not be undone either.
    #[error("{error}; cleaning up failed too: {undo}")]
    Undo {
        /// The first failure.
        error: Box<SessionError>,
        /// The failure of the clean-up.
        undo: Box<SessionError>,
    },
}

impl SessionError {
    /// Why a session is not there that has ended so.
    pub(super) fn of_ended(id: &SessionId, status: SessionStatus) -> Self {
        match status {
            SessionStatus::Expired => Self::Expired { id: id.clone() },
            status => Self::NotRunning { id: id.clone(), status },
        }
    }
}
