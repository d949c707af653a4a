//! What the event streams of sessions say.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::SessionId;
use crate::session::SessionStatus;

/// The data of an event `state`: a session is in this state from `at` on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StateEvent {
    /// Which session.
    pub session_id: SessionId,
    /// Its state.
    pub status: SessionStatus,
    /// Why, where there is more to say than the status does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when.
    pub at: Timestamp,
}

/// The data of an event `lagged`, the last of a stream whose client read too slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Lagged {
    /// How many events were dropped.
    pub missed: u64,
}
