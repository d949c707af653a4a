//! Names of sessions: no two live ones share one.

use std::sync::{Arc, PoisonError};

use sandkasten_api::id::SessionId;
use sandkasten_api::name::SessionName;

use super::{Inner, SessionError, Sessions};

/// A name that is about to become a session's. Nobody else gets it while this lives.
#[derive(Debug)]
pub(super) struct NameReservation {
    inner: Arc<Inner>,
    name: SessionName,
}

impl Sessions {
    /// Reserves a name for a session that is being made, or is already there and gets another one.
    ///
    /// # Errors
    /// [`SessionError::Exists`] where another live session has it, or is about to.
    pub(super) fn reserve_name(
        &self,
        name: Option<&SessionName>,
        owner: Option<&SessionId>,
    ) -> Result<Option<NameReservation>, SessionError> {
        let Some(name) = name else { return Ok(None) };
        let mut reserved = self.inner.reserved_names.lock().unwrap_or_else(PoisonError::into_inner);
        let others = self.all().into_iter().filter(|session| Some(&session.id) != owner);
        let holder = others.filter(|session| session.end_status().is_none()).find_map(|session| {
            let is_called_so = session.activity().name.as_ref() == Some(name);
            is_called_so.then(|| session.id.clone())
        });
        if holder.is_some() || !reserved.insert(name.clone()) {
            return Err(SessionError::Exists { name: name.clone(), holder });
        }
        Ok(Some(NameReservation { inner: Arc::clone(&self.inner), name: name.clone() }))
    }
}

impl Drop for NameReservation {
    fn drop(&mut self) {
        self.inner.reserved_names.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}
