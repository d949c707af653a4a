//! A session whose sandbox stands.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use sandkasten_api::id::{SessionId, WorkspaceId};
use sandkasten_api::session::{AcquireSource, Session, SessionStatus};
use sandkasten_isolation::host::cgroup::SessionCgroup;
use sandkasten_isolation::host::{RootDirectory, SandboxProcess};
use sandkasten_isolation::plan::UidRange;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

use super::link::{Description, describe};
use super::shell_slot::ShellSlot;
use super::{FileSpace, SessionError, expiry};
use crate::store::SessionRow;

/// One live session. What never changes is public; what does is behind its locks.
#[derive(Debug)]
pub(crate) struct LiveSession {
    pub(crate) id: SessionId,
    pub(crate) image: String,
    pub(crate) created_at: Timestamp,
    pub(crate) ttl_seconds: u64,
    pub(crate) landlock_abi: u32,
    pub(crate) cgroup: SessionCgroup,
    /// PID 1 of the sandbox.
    pub(crate) process: SandboxProcess,
    /// Where its runner listens.
    pub(crate) socket: PathBuf,
    /// Its host ids.
    pub(crate) range: UidRange,
    /// The workspace at its `/workspace`, if it outlives it; the runner holds the lock on it.
    pub(crate) workspace: Option<WorkspaceId>,
    /// Its files.
    pub(crate) files: FileSpace,
    /// The shell; whoever holds the lock runs a command, and waiters are served in order.
    pub(super) shell: Arc<tokio::sync::Mutex<ShellSlot>>,
    pub(super) activity: Mutex<Activity>,
}

/// What use of the session changes.
#[derive(Debug)]
pub(super) struct Activity {
    pub(super) cwd: String,
    pub(super) last_activity: Timestamp,
    pub(super) expires_at: Timestamp,
    /// Commands that run or wait; a session in use does not expire.
    pub(super) in_use: usize,
    /// How the session ended, once it has.
    pub(super) ended: Option<SessionStatus>,
}

impl LiveSession {
    /// Takes over a session whose sandbox an earlier daemon started; see [`Sessions::end_orphan`](super::Sessions::end_orphan) for a command that it
    /// left running. Blocking.
    ///
    /// # Errors
    /// [`SessionError`] where the runner does not answer.
    pub(crate) fn adopted(
        row: SessionRow,
        range: UidRange,
        process: SandboxProcess,
        socket: PathBuf,
        cgroup: SessionCgroup,
    ) -> Result<Self, SessionError> {
        let Description { generation, cwd, root, shell } = describe(&socket)?;
        let shell = ShellSlot::adopted(&process, shell, generation, &cgroup)?;
        Ok(Self {
            id: row.id,
            image: row.image,
            created_at: row.created_at,
            ttl_seconds: row.ttl_seconds,
            landlock_abi: row.landlock_abi,
            cgroup,
            process,
            socket,
            range,
            workspace: row.workspace_id,
            files: FileSpace::new(RootDirectory::new(root, range.sandbox_user())),
            shell: Arc::new(tokio::sync::Mutex::new(shell)),
            activity: Mutex::new(Activity {
                cwd,
                last_activity: row.last_activity,
                expires_at: row.expires_at,
                in_use: 0,
                ended: None,
            }),
        })
    }

    /// Describes the session as the API shows it.
    pub(crate) fn describe(&self) -> Session {
        let activity = self.activity();
        Session {
            id: self.id.clone(),
            image: self.image.clone(),
            status: activity.ended.unwrap_or(SessionStatus::Running),
            cwd: activity.cwd.clone(),
            workspace_id: self.workspace.clone(),
            created_at: self.created_at,
            expires_at: activity.expires_at,
            acquire_source: AcquireSource::Cold,
            last_activity: None,
            isolation: None,
        }
    }

    pub(crate) fn last_activity(&self) -> Timestamp {
        self.activity().last_activity
    }

    /// When the session ends unless it is used; none while it is in use.
    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        let activity = self.activity();
        (activity.in_use == 0).then_some(activity.expires_at)
    }

    /// How the session ended, once it has.
    pub(crate) fn end_status(&self) -> Option<SessionStatus> {
        self.activity().ended
    }

    /// Marks the session as ended, unless it is already, and says whether this call did.
    pub(super) fn mark_ended(&self, status: SessionStatus) -> bool {
        let mut activity = self.activity();
        let first = activity.ended.is_none();
        activity.ended.get_or_insert(status);
        drop(activity);
        self.files.close();
        first
    }

    /// Notes a use at `now`, with the shell's directory where it is known, and returns the directory and the new expiry.
    pub(super) fn touch(&self, now: Timestamp, cwd: Option<&str>) -> (String, Timestamp) {
        let mut activity = self.activity();
        activity.last_activity = now;
        activity.expires_at = expiry(now, self.ttl_seconds);
        if let Some(cwd) = cwd {
            cwd.clone_into(&mut activity.cwd);
        }
        (activity.cwd.clone(), activity.expires_at)
    }

    /// Returns when the sandbox has ended, for whatever reason: an idle connection to its runner ends with it.
    pub(crate) async fn ended(&self) {
        match UnixStream::connect(&self.socket).await {
            Ok(mut idle) => {
                // The runner never speaks first, so this returns at the end, whatever it returns.
                idle.read_u8().await.ok();
            }
            Err(error) if self.process.is_alive() => {
                tracing::error!(session = %self.id, %error, "a sandbox cannot be watched; its crash will go unseen");
                std::future::pending::<()>().await;
            }
            Err(_) => {}
        }
    }

    pub(super) fn activity(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a session from expiring for as long as it lives.
#[derive(Debug)]
pub(super) struct InUse(Arc<LiveSession>);

impl InUse {
    pub(super) fn new(session: &Arc<LiveSession>) -> Self {
        session.activity().in_use += 1;
        Self(Arc::clone(session))
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let mut activity = self.0.activity();
        activity.in_use = activity.in_use.saturating_sub(1);
    }
}
