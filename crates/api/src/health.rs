//! Liveness, and the acknowledgement of requests that have nothing else to say.

use serde::{Deserialize, Serialize};

/// The answer of `GET /healthz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `ok` as long as the daemon answers.
    pub status: String,
}

/// `{"ok":true}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// Always `true`.
    pub ok: bool,
}
