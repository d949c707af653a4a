//! What a sandbox needs and no request has a say in: an id, host ids, a cgroup, a socket. One is made ahead of time, so that a create
//! finds it.

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sandkasten_api::id::SessionId;
use sandkasten_isolation::host::cgroup::SessionCgroup;
use sandkasten_isolation::host::{Fittings, UidLease};

use super::create::draw_id;
use super::end::clear_away;
use super::{Inner, SessionError, Sessions};

/// A place for one sandbox, in which nothing has run.
#[derive(Debug)]
pub(super) struct Berth {
    pub(super) id: SessionId,
    pub(super) lease: UidLease,
    /// Made, and without limits.
    pub(super) cgroup: SessionCgroup,
    pub(super) fittings: Fittings,
    pub(super) listener: UnixListener,
    /// Where that listens.
    pub(super) socket: PathBuf,
}

impl Berth {
    /// Removes it, after a failure.
    pub(super) fn undo(self, error: SessionError) -> SessionError {
        undo(error, &self.cgroup, &self.socket)
    }
}

fn undo(error: SessionError, cgroup: &SessionCgroup, socket: &Path) -> SessionError {
    match clear_away(cgroup, socket) {
        Ok(()) => error,
        Err(undo) => SessionError::Undo { error: Box::new(error), undo: Box::new(undo.into()) },
    }
}

/// The berth for the next sandbox.
#[derive(Debug, Default)]
pub(super) struct NextBerth {
    state: Mutex<Next>,
    /// Held while one is made.
    making: Mutex<()>,
}

#[derive(Debug, Default)]
enum Next {
    /// None is made ahead.
    #[default]
    Never,
    /// None is there, or it is being made.
    Missing,
    Ready(Box<Berth>),
}

impl NextBerth {
    fn state(&self) -> MutexGuard<'_, Next> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self) -> MutexGuard<'_, ()> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_missing(&self) -> bool {
        matches!(*self.state(), Next::Missing)
    }

    fn take(&self) -> Option<Berth> {
        let mut state = self.state();
        if matches!(*state, Next::Never) {
            return None;
        }
        match std::mem::replace(&mut *state, Next::Missing) {
            Next::Ready(berth) => Some(*berth),
            Next::Never | Next::Missing => None,
        }
    }

    /// Puts a berth in the place of a missing one, or returns it.
    fn put(&self, berth: Berth) -> Option<Berth> {
        let mut state = self.state();
        if !matches!(*state, Next::Missing) {
            return Some(berth);
        }
        *state = Next::Ready(Box::new(berth));
        None
    }
}

impl Inner {
    /// Takes the berth that was made ahead, or makes one. Blocking.
    pub(super) fn berth(&self) -> Result<Berth, SessionError> {
        self.next_berth.take().map_or_else(|| self.make_berth(), Ok)
    }

    /// Makes one. Blocking.
    ///
    /// # Errors
    /// What could not be made; nothing of it is left then.
    pub(super) fn make_berth(&self) -> Result<Berth, SessionError> {
        let id = draw_id()?;
        let lease = self.leases.take()?;
        let cgroup = SessionCgroup::new(&self.layout, &self.places.instance, id.as_str(), lease.range());
        cgroup.make()?;
        let socket = self.places.socket(id.as_str());
        let fitted = UnixListener::bind(&socket)
            .map_err(|source| SessionError::Bind { source })
            .and_then(|listener| Ok((listener, Fittings::new(self.config.controls, &cgroup)?)));
        match fitted {
            Ok((listener, fittings)) => Ok(Berth { id, lease, cgroup, fittings, listener, socket }),
            Err(error) => Err(undo(error, &cgroup, &socket)),
        }
    }

    fn make_next_berth(&self) {
        let _making = self.next_berth.wait();
        if !self.next_berth.is_missing() {
            return;
        }
        match self.make_berth() {
            Ok(berth) => {
                // The daemon may have begun to end.
                if let Some(berth) = self.next_berth.put(berth) {
                    discard(&berth);
                }
            }
            // The next create tries again, and tells its client.
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "no place was made for the next sandbox"
                );
            }
        }
    }
}

impl Sessions {
    /// From now on, has a berth for the next sandbox made ahead of time.
    pub(crate) fn make_berths_ahead(&self) {
        *self.inner.next_berth.state() = Next::Missing;
        self.make_next_berth();
    }

    /// Makes the next berth in the background, where it is missing.
    pub(super) fn make_next_berth(&self) {
        if !self.inner.next_berth.is_missing() {
            return;
        }
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || inner.make_next_berth());
    }

    /// Removes the one that is left, also where it is being made. For the daemon's end; blocks for a few milliseconds.
    pub(crate) fn clear_next_berth(&self) {
        let left = std::mem::take(&mut *self.inner.next_berth.state());
        if let Next::Ready(berth) = left {
            discard(&berth);
        }
        drop(self.inner.next_berth.wait());
    }
}

fn discard(berth: &Berth) {
    if let Err(error) = clear_away(&berth.cgroup, &berth.socket) {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(session = %berth.id, error, "what was made for a sandbox stays until the daemon starts again");
    }
}
