//! The pool of a daemon, as it is seen from outside.

use std::collections::BTreeSet;

use sandkasten_api::session::{AcquireSource, CreateSessionRequest, Session};

use crate::leaks::watched;
use crate::test_daemon::TestDaemon;
use crate::wait::until_some;

impl TestDaemon {
    /// The sandboxes that stand and are no session.
    ///
    /// # Panics
    /// Where the daemon lists no sessions.
    pub async fn idle_sandboxes(&self) -> BTreeSet<String> {
        // In this order: one that is handed out in between is a session and not idle.
        let mut found = watched(self.pid(), &self.data_dir().join("run"));
        for session in self.client().list_sessions().await.expect("a list") {
            found.remove(session.id.as_str());
        }
        found
    }

    /// Waits until so many sandboxes are idle, and returns them.
    ///
    /// # Panics
    /// Where it does not come to that in time.
    pub async fn idle_until(&self, count: usize) -> BTreeSet<String> {
        let what = format!("{count} sandboxes are idle");
        until_some(&what, async || Some(self.idle_sandboxes().await).filter(|idle| idle.len() == count)).await
    }

    /// Makes a session whose sandbox came to be in this way; others are destroyed.
    ///
    /// # Panics
    /// Where the daemon refuses, or makes none in time.
    pub async fn session_by(&self, source: AcquireSource, request: &CreateSessionRequest) -> Session {
        let client = self.client();
        until_some(&format!("a session is {source:?}"), async || {
            let session = client.create_session(request).await.expect("a session");
            if session.acquire_source == source {
                return Some(session);
            }
            client.destroy_session(&session.id).await.expect("destroyed");
            None
        })
        .await
    }
}
