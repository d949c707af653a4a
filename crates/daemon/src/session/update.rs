//! What a client may change of a live session: name, labels and time to live.

use std::sync::Arc;

use sandkasten_api::id::SessionId;
use sandkasten_api::label::{LabelChanges, Labels};
use sandkasten_api::name::SessionName;

use super::{LiveSession, SessionError, Sessions, expiry, now};
use crate::store::SessionChange;

/// Changes; what is none stays as it is.
#[derive(Debug, Default)]
pub(crate) struct Update {
    pub(crate) ttl_seconds: Option<u64>,
    /// None inside removes all labels.
    pub(crate) labels: Option<Option<LabelChanges>>,
    /// None inside removes the name.
    pub(crate) name: Option<Option<SessionName>>,
}

impl Sessions {
    /// Changes a session. When this returns the change is written down. A new time to live begins now, as by a use.
    ///
    /// # Errors
    /// Those of [`Sessions::find`], [`SessionError::Exists`], [`SessionError::Labels`], or the store's.
    pub(crate) async fn update(
        &self,
        id: &SessionId,
        update: Update,
    ) -> Result<Arc<LiveSession>, SessionError> {
        let session = self.find(id).await?;
        // One after the other, so that no change is made to what another has changed meanwhile.
        let _turn = session.changing.lock().await;
        session.check_live()?;
        let (mut change, old_name) = {
            let activity = session.activity();
            let change = SessionChange {
                name: activity.name.clone(),
                labels: activity.labels.clone(),
                ttl_seconds: update.ttl_seconds.unwrap_or(activity.ttl_seconds),
                restarted_at: update.ttl_seconds.map(|_| now()),
            };
            (change, activity.name.clone())
        };
        match update.labels {
            None => {}
            Some(None) => change.labels = Labels::default(),
            Some(Some(changes)) => {
                change.labels =
                    change.labels.with(changes).map_err(|source| SessionError::Labels { source })?;
            }
        }
        if let Some(name) = update.name {
            change.name = name;
        }
        let renamed = change.name.as_ref().filter(|_| change.name != old_name);
        let _reserved = self.reserve_name(renamed, Some(id))?;
        if !self.inner.store.change(id, &change).await? {
            // It has ended meanwhile; how is in the store by now.
            self.find(id).await?;
            return Err(SessionError::NotFound { id: id.clone() });
        }
        session.apply(change);
        self.inner.expiry_changed.notify_one();
        Ok(Arc::clone(&session))
    }
}

impl LiveSession {
    fn apply(&self, change: SessionChange) {
        let mut activity = self.activity();
        activity.name = change.name;
        activity.labels = change.labels;
        activity.ttl_seconds = change.ttl_seconds;
        if let Some(at) = change.restarted_at {
            activity.last_activity = activity.last_activity.max(at);
        }
        activity.expires_at = expiry(activity.last_activity, change.ttl_seconds);
    }
}
