//! A session whose sandbox stands.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use sandkasten_api::id::{SessionId, WorkspaceId};
use sandkasten_api::label::Labels;
use sandkasten_api::name::SessionName;
use sandkasten_api::session::{AcquireSource, Session, SessionStatus};
use sandkasten_isolation::host::cgroup::SessionCgroup;
use sandkasten_isolation::host::{RootDirectory, SandboxProcess};
use sandkasten_isolation::plan::UidRange;
use sandkasten_protocol::JobState;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Semaphore;

use super::jobs::Jobs;
use super::link::{Description, describe};
use super::process_groups::ProcessGroups;
use super::shell_slot::ShellSlot;
use super::{FileSpace, SessionError, expiry};
use crate::config::DefaultsConfig;
use crate::store::SessionRow;

/// How many clients follow the output of a session's processes at once: each takes a descriptor of the runner.
pub(super) const MAX_FOLLOWERS: usize = 64;

/// One live session. What never changes is public; what does is behind its locks.
#[derive(Debug)]
pub(crate) struct LiveSession {
    pub(crate) id: SessionId,
    pub(crate) image: String,
    /// What is configured for sessions of its image.
    pub(crate) defaults: DefaultsConfig,
    pub(crate) created_at: Timestamp,
    pub(crate) acquire_source: AcquireSource,
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
    /// Its process groups.
    pub(crate) groups: ProcessGroups,
    /// Its execs and processes.
    pub(crate) jobs: Jobs,
    /// Who may follow what those write.
    pub(super) followers: Arc<Semaphore>,
    /// Its persistent shells by name; whoever holds the lock of one runs a command in it, and waiters are served in order.
    pub(super) shells: Mutex<HashMap<String, Arc<tokio::sync::Mutex<ShellSlot>>>>,
    /// The most memory it used before the measurement began anew, in bytes.
    pub(super) memory_peak: AtomicU64,
    pub(super) activity: Mutex<Activity>,
    /// Held by who looks for a terminal, and starts it where there is none.
    pub(super) terminals: tokio::sync::Mutex<()>,
    /// Held by who changes what a client may change.
    pub(super) changing: tokio::sync::Mutex<()>,
}

/// What use of the session and its client change.
#[derive(Debug)]
pub(super) struct Activity {
    pub(super) cwd: String,
    pub(super) name: Option<SessionName>,
    pub(super) labels: Labels,
    pub(super) ttl_seconds: u64,
    pub(super) last_activity: Timestamp,
    pub(super) use_note: UseNote,
    pub(super) expires_at: Timestamp,
    /// Commands that run or wait; a session in use does not expire.
    pub(super) in_use: usize,
    /// How the session ended, once it has.
    pub(super) ended: Option<SessionStatus>,
    /// Why, where there is more to say than the status does.
    pub(super) reason: Option<String>,
}

/// Whether the last use is in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum UseNote {
    #[default]
    Written,
    /// Somebody is about to write it.
    Pending,
}

impl LiveSession {
    /// Takes over a session whose sandbox an earlier daemon started, and returns its jobs as the runner has them: see
    /// [`Sessions::resume`](super::Sessions::resume). Blocking.
    ///
    /// # Errors
    /// [`SessionError`] where the runner does not answer.
    pub(crate) fn adopted(
        row: SessionRow,
        defaults: DefaultsConfig,
        range: UidRange,
        process: SandboxProcess,
        socket: PathBuf,
        cgroup: SessionCgroup,
    ) -> Result<(Self, Vec<JobState>), SessionError> {
        let Description { cwd, root, jobs } = describe(&socket)?;
        let groups = ProcessGroups::adopted(&cgroup)?;
        let session = Self {
            id: row.id,
            image: row.image,
            defaults,
            created_at: row.created_at,
            acquire_source: row.acquire_source,
            landlock_abi: row.landlock_abi,
            cgroup,
            process,
            socket,
            range,
            workspace: row.workspace_id,
            files: FileSpace::new(RootDirectory::new(root, range.sandbox_user())),
            groups,
            jobs: Jobs::default(),
            followers: Arc::new(Semaphore::new(MAX_FOLLOWERS)),
            shells: Mutex::default(),
            memory_peak: AtomicU64::new(0),
            activity: Mutex::new(Activity {
                cwd,
                name: row.name,
                labels: row.labels,
                ttl_seconds: row.ttl_seconds,
                last_activity: row.last_activity,
                use_note: UseNote::Written,
                expires_at: row.expires_at,
                in_use: 0,
                ended: None,
                reason: None,
            }),
            terminals: tokio::sync::Mutex::default(),
            changing: tokio::sync::Mutex::default(),
        };
        Ok((session, jobs))
    }

    /// Returns a persistent shell by its name; one that is not there is started with its first command.
    pub(super) fn shell(&self, name: &str) -> Arc<tokio::sync::Mutex<ShellSlot>> {
        let mut shells = self.shells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shell) = shells.get(name) {
            return Arc::clone(shell);
        }
        let shell = Arc::new(tokio::sync::Mutex::new(ShellSlot::absent(name)));
        shells.insert(name.to_owned(), Arc::clone(&shell));
        shell
    }

    /// Whether a shell of this name has been used since this daemon knows of the session.
    pub(crate) fn has_shell(&self, name: &str) -> bool {
        self.shells.lock().unwrap_or_else(PoisonError::into_inner).contains_key(name)
    }

    /// The names of the shells that have been used since this daemon knows of the session.
    pub(crate) fn shell_names(&self) -> Vec<String> {
        self.shells.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Forgets a shell that has ended. Whoever waits for it still gets its turn, in a fresh one.
    pub(crate) fn forget_shell(&self, name: &str) {
        self.shells.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Notes how much memory was used at most before the kernel's count begins anew.
    pub(super) fn note_memory_peak(&self, bytes: u64) {
        self.memory_peak.fetch_max(bytes, Ordering::Relaxed);
    }

    /// Describes the session as the API shows it.
    pub(crate) fn describe(&self) -> Session {
        let activity = self.activity();
        Session {
            id: self.id.clone(),
            image: self.image.clone(),
            name: activity.name.clone(),
            labels: activity.labels.clone(),
            status: activity.ended.unwrap_or(SessionStatus::Running),
            reason: activity.reason.clone(),
            cwd: activity.cwd.clone(),
            workspace_id: self.workspace.clone(),
            created_at: self.created_at,
            ttl_seconds: activity.ttl_seconds,
            expires_at: activity.expires_at,
            acquire_source: self.acquire_source,
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

    /// Says how the session ended, once it has: one that is being cleared away is live no more.
    ///
    /// # Errors
    /// [`SessionError::Expired`] or [`SessionError::NotRunning`].
    pub(super) fn check_live(&self) -> Result<(), SessionError> {
        self.end_status().map_or(Ok(()), |status| Err(SessionError::of_ended(&self.id, status)))
    }

    /// Marks the session as ended, unless it is already, and says whether this call did.
    pub(super) fn mark_ended(&self, status: SessionStatus, reason: Option<String>) -> bool {
        let mut activity = self.activity();
        let first = activity.ended.is_none();
        if first {
            activity.ended = Some(status);
            activity.reason = reason;
        }
        drop(activity);
        self.files.close();
        first
    }

    /// Notes a use at `now`, with the shell's directory where it is known, and says whether an earlier one is still to be written down.
    pub(super) fn touch(&self, now: Timestamp, cwd: Option<&str>) -> UseNote {
        let mut activity = self.activity();
        activity.last_activity = now;
        activity.expires_at = expiry(now, activity.ttl_seconds);
        if let Some(cwd) = cwd {
            cwd.clone_into(&mut activity.cwd);
        }
        std::mem::replace(&mut activity.use_note, UseNote::Pending)
    }

    /// Returns the shell's directory and the last use, unless they are written down.
    pub(super) fn take_use_note(&self) -> Option<(String, Timestamp)> {
        let mut activity = self.activity();
        let note = std::mem::replace(&mut activity.use_note, UseNote::Written);
        (note == UseNote::Pending).then(|| (activity.cwd.clone(), activity.last_activity))
    }

    /// Returns when the sandbox has ended, for whatever reason.
    pub(crate) async fn ended(&self) {
        match EndWatch::of(&self.process) {
            Ok(watch) => watch.ended().await,
            Err(error) => {
                tracing::error!(session = %self.id, %error, "a sandbox cannot be watched; its crash will go unseen");
                std::future::pending().await
            }
        }
    }

    pub(super) fn activity(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the end of a sandbox: that of its PID 1, upon which its process descriptor becomes readable (pidfd_open(2), since
/// Linux 5.3).
#[derive(Debug)]
pub(super) struct EndWatch(AsyncFd<OwnedFd>);

impl EndWatch {
    /// Begins to watch.
    ///
    /// # Errors
    /// The kernel's, where there is no descriptor left.
    pub(super) fn of(process: &SandboxProcess) -> io::Result<Self> {
        let descriptor = process.as_fd().try_clone_to_owned()?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe, for descriptors that are not owned; this one is"
        )]
        let watched = AsyncFd::with_interest(descriptor, Interest::READABLE)?;
        Ok(Self(watched))
    }

    /// Returns when it has ended.
    pub(super) async fn ended(&self) {
        if self.0.readable().await.is_err() {
            // The daemon is ending.
            std::future::pending::<()>().await;
        }
    }
}

/// Keeps a session from expiring for as long as it lives.
#[derive(Debug)]
pub(crate) struct InUse(Arc<LiveSession>);

impl InUse {
    pub(crate) fn new(session: &Arc<LiveSession>) -> Self {
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
