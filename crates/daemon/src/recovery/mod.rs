//! At start: compares what the store says with what the kernel has, adopts what lives and cleans what does not.
//!
//! After it has run, every sandbox of this daemon is a session of its or in its pool, and nothing else of an earlier daemon is left:
//! no process, cgroup or socket.

pub(crate) mod abandoned;
mod orphans;

use sandkasten_api::session::SessionStatus;
use sandkasten_isolation::host::cgroup::GroupError;
use sandkasten_isolation::host::{PathError, ProcessError};

use crate::places::PlacesError;
use crate::session::{SessionError, Sessions};
use crate::store::StoreError;

/// Why recovery failed.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file or cgroup of an earlier daemon could not be handled.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A directory of an earlier daemon could not be handled.
    #[error(transparent)]
    Places(#[from] PlacesError),
    /// A process of an earlier daemon could not be ended.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The processes of a cgroup could not be ended.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// A task of the daemon ended early.
    #[error("a task of the daemon ended early")]
    Task {
        /// Why.
        source: tokio::task::JoinError,
    },
}

/// Puts in order what earlier daemons left.
///
/// # Errors
/// [`RecoveryError`], where something could neither be adopted nor cleaned.
pub(crate) async fn recover(sessions: &Sessions) -> Result<(), RecoveryError> {
    let mut adopted = 0_usize;
    let rows = sessions.store().running().await?;
    let written_down = rows.len();
    for row in rows {
        let id = row.id.clone();
        match sessions.reopen(row).await {
            Ok((session, jobs)) => {
                sessions.resume(&session, jobs).await;
                sessions.adopt(session);
                adopted += 1;
            }
            Err(error) => {
                log_lost(&id, &error);
                let (reason, at) = (lost_reason(&error), jiff::Timestamp::now());
                sessions.store().set_ended(&id, SessionStatus::Crashed, Some(reason), at).await?;
            }
        }
    }
    sessions.adopt_pool().await?;
    let service = sessions.clone();
    tokio::task::spawn_blocking(move || {
        orphans::clean(&service)?;
        abandoned::clean(&service.config().run_dir(), service.layout())
    })
    .await
    .map_err(|source| RecoveryError::Task { source })??;
    clean_workspaces(sessions);
    if written_down > 0 {
        tracing::info!(adopted, lost = written_down - adopted, "sessions of an earlier daemon");
    }
    Ok(())
}

/// Removes what is left of workspaces that were deleted, which nobody waits for.
fn clean_workspaces(sessions: &Sessions) {
    if !sessions.config().workspace.enabled {
        return;
    }
    let workspaces = sessions.workspaces().clone();
    tokio::task::spawn_blocking(move || {
        if let Err(error) = workspaces.clean() {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "what is left of deleted workspaces stays until the next start");
        }
    });
}

/// Says why a session did not survive, without a word about the host.
const fn lost_reason(error: &SessionError) -> &'static str {
    match error {
        SessionError::Process(ProcessError::Ended) => "PID 1 ended while no daemon ran",
        _ => "its runner does not answer",
    }
}

fn log_lost(id: &sandkasten_api::id::SessionId, error: &SessionError) {
    tracing::warn!(session = %id, error = error as &dyn std::error::Error, "a session did not survive");
}
