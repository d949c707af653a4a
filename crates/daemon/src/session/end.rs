//! The end of a session: everything it had is gone when these return.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use std::{fs, io};

use sandkasten_api::id::SessionId;
use sandkasten_api::session::SessionStatus;
use sandkasten_isolation::host::PathError;
use sandkasten_isolation::host::cgroup::SessionCgroup;

use super::{LiveSession, SessionError, Sessions, now};

/// How many sandboxes are torn down at once. Each takes a thread that waits for the kernel, and requests for files need one as well:
/// with as many as there are threads, others wait for the better part of a second while a thousand sessions end, and those end no sooner.
pub(super) const TEARDOWNS: usize = 32;

impl Sessions {
    /// Ends a session on a client's behalf. When this returns its processes are gone and its files unreachable.
    ///
    /// # Errors
    /// [`SessionError::NotFound`] where it is not live any more.
    pub(crate) async fn destroy(&self, id: &SessionId) -> Result<(), SessionError> {
        match self.live(id) {
            Some(session) if session.mark_ended(SessionStatus::Destroyed, None) => {
                self.end(&session, SessionStatus::Destroyed).await
            }
            _ => Err(SessionError::NotFound { id: id.clone() }),
        }
    }

    /// Ends a session whose time has run out.
    ///
    /// # Errors
    /// The kernel's or the store's.
    pub(crate) async fn expire(&self, session: &Arc<LiveSession>) -> Result<(), SessionError> {
        if session.mark_ended(SessionStatus::Expired, None) {
            self.end(session, SessionStatus::Expired).await
        } else {
            Ok(())
        }
    }

    /// Clears away what is left of a sandbox that died under its session.
    pub(super) async fn note_crash(&self, session: &Arc<LiveSession>) {
        // What we end ends as well, and that needs no reason.
        if session.end_status().is_some() {
            return;
        }
        let (sessions, crashed) = (self.clone(), Arc::clone(session));
        let reason = tokio::task::spawn_blocking(move || sessions.crash_reason(&crashed)).await;
        let reason = reason.unwrap_or_else(|_| "PID 1 ended".to_owned());
        if session.end_status().is_none() {
            tracing::warn!(session = %session.id, reason, "the sandbox ended by itself");
        }
        if let Err(error) = self.give_up(session, reason).await {
            let error: &dyn std::error::Error = &error;
            tracing::error!(session = %session.id, error, "a crashed sandbox could not be cleared away");
        }
    }

    /// Ends a session that is of no use any more, unless it is ending already.
    ///
    /// # Errors
    /// The kernel's or the store's.
    pub(crate) async fn give_up(
        &self,
        session: &Arc<LiveSession>,
        reason: String,
    ) -> Result<(), SessionError> {
        if session.mark_ended(SessionStatus::Crashed, Some(reason)) {
            self.end(session, SessionStatus::Crashed).await
        } else {
            Ok(())
        }
    }

    async fn end(&self, session: &Arc<LiveSession>, status: SessionStatus) -> Result<(), SessionError> {
        let torn_down = self.tear_down(session).await;
        let event = session.state_event(status, now());
        // Before it is no longer known here: in between, its row would say that it runs.
        let noted = self.inner.store.set_ended(&session.id, status, event.reason.as_deref(), event.at).await;
        if self.change_live(|live| live.remove(&session.id)).is_some() {
            self.inner.admission.session_left();
        }
        // There may be room for another one now.
        self.inner.pool_changed.notify_one();
        self.inner.events.publish(event);
        self.inner.metrics.session_ended(status.as_str());
        torn_down?;
        Ok(noted?)
    }

    /// Kills the sandbox and removes its cgroup and socket.
    pub(super) async fn tear_down(&self, session: &Arc<LiveSession>) -> Result<(), SessionError> {
        let began = Instant::now();
        // Never closed; and whoever could not wait would have to tear down all the same.
        let _turn = self.inner.teardowns.acquire().await;
        let session = Arc::clone(session);
        let torn_down = tokio::task::spawn_blocking(move || {
            session.process.kill_and_wait()?;
            Ok(clear_away(&session.cgroup, &session.socket)?)
        });
        let torn_down = torn_down.await.map_err(|source| SessionError::Task { source })?;
        self.inner.metrics.torn_down(began.elapsed());
        torn_down
    }
}

/// Removes the cgroup and the runner's socket of a sandbox that has ended, or never stood. Blocking.
pub(crate) fn clear_away(cgroup: &SessionCgroup, socket: &Path) -> Result<(), PathError> {
    cgroup.remove()?;
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(PathError::of("remove", socket)(error)),
        _ => Ok(()),
    }
}
