//! Whether the daemon does its work: what a service manager's watchdog wants to know.

use tokio::sync::{mpsc, oneshot};

use crate::store::{Store, StoreError};

/// A question to the loop that accepts connections, which it answers in between.
pub(crate) type Ping = oneshot::Sender<()>;

/// Asks a daemon that serves whether it still does.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    pings: mpsc::Sender<Ping>,
    store: Store,
}

/// What of the daemon does not work.
#[derive(Debug, thiserror::Error)]
pub enum HeartbeatError {
    /// Nobody accepts connections any more.
    #[error("the loop that accepts connections has ended")]
    Server,
    /// Nothing can be written down.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Heartbeat {
    pub(crate) fn new(pings: mpsc::Sender<Ping>, store: Store) -> Self {
        Self { pings, store }
    }

    /// Waits for a turn of the loop that accepts connections, and for the database to begin a transaction that writes; nothing is
    /// written. No connection is made: clients that hold all of them must not look like a daemon that hangs. Takes as long as
    /// both take, and is the caller's to bound. Cancel-safe.
    ///
    /// # Errors
    /// [`HeartbeatError`].
    pub async fn check(&self) -> Result<(), HeartbeatError> {
        let (ping, answer) = oneshot::channel();
        self.pings.send(ping).await.map_err(|_| HeartbeatError::Server)?;
        answer.await.map_err(|_| HeartbeatError::Server)?;
        Ok(self.store.begin_nothing().await?)
    }
}
