//! What can keep a step of a build from running.

use sandkasten_isolation::host::cgroup::{CgroupError, DetectError};
use sandkasten_isolation::host::{LaunchError, LeaseError, PathError, ProcessError, RunnerImageError};

use crate::places::PlacesError;
use crate::recovery::RecoveryError;

/// Sandboxes for a build could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum OpenBuildError {
    /// A directory cannot be used.
    #[error(transparent)]
    Places(#[from] PlacesError),
    /// The host's cgroups do not suffice.
    #[error("steps cannot be limited on this host")]
    Cgroups {
        /// What is missing.
        source: DetectError,
    },
    /// What an earlier build left could not be cleared away.
    #[error("failed to clear away what an interrupted command left")]
    Abandoned {
        /// Why.
        source: RecoveryError,
    },
    /// The cgroups of the build could not be made.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The uid ranges cannot be used.
    #[error("failed to open the uid ranges")]
    UidLeases {
        /// Why.
        source: LeaseError,
    },
    /// The runner could not be prepared.
    #[error("failed to prepare the runner")]
    Runner {
        /// Why.
        source: RunnerImageError,
    },
}

/// A step did not run, or its end is not known. Nothing of its sandbox is left, unless it is said.
#[derive(Debug, thiserror::Error)]
pub enum BuildStepError {
    /// There is no range of uids for it.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// It could not be limited.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// A file of the host could not be used.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The runner's socket could not be bound.
    #[error("failed to bind the runner's socket")]
    Bind {
        /// The kernel's reason.
        source: std::io::Error,
    },
    /// The space on the disk could not be asked for.
    #[error("failed to look how much space the disk has")]
    Space {
        /// The kernel's reason.
        source: std::io::Error,
    },
    /// The sandbox could not be started.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// A sandbox could not be named.
    #[error("failed to draw a random number")]
    Random {
        /// The kernel's reason.
        source: std::io::Error,
    },
    /// The runner could not be talked to; it has ended, or been made to.
    #[error("failed to hear from the sandbox: {reason}")]
    Link {
        /// Why, down to the kernel's reason.
        reason: String,
    },
    /// The sandbox could not be ended.
    #[error("failed to end the sandbox")]
    End {
        /// Why.
        source: ProcessError,
    },
    /// A step failed, and what it had could not be cleared away either.
    #[error("{error}; besides, what it had is still there: {undo}")]
    Undo {
        /// Why it failed.
        error: Box<BuildStepError>,
        /// Why something of it is left.
        undo: Box<BuildStepError>,
    },
    /// A task ended early.
    #[error("a task of the build ended early")]
    Task {
        /// Why.
        source: tokio::task::JoinError,
    },
}
