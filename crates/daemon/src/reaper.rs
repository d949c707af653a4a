//! Ends sessions whose time has run out, at that time: it sleeps until the next expiry and never looks in between.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::session::{LiveSession, Sessions};

/// How long ended sessions are remembered.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24);
/// How often what is older is forgotten; also the longest sleep.
const HOUSEKEEPING: Duration = Duration::from_secs(3_600);
/// A session that is in use has no expiry; it is looked at again after this.
const IN_USE: Duration = Duration::from_secs(1);

/// Runs as long as the daemon.
pub(crate) async fn reap(sessions: Sessions) {
    let mut tidied = None::<Timestamp>;
    loop {
        let now = Timestamp::now();
        for session in sessions.all() {
            if is_due(&session, now)
                && let Err(error) = sessions.expire(&session).await
            {
                let error: &dyn std::error::Error = &error;
                tracing::error!(session = %session.id, error, "an expired session could not be ended");
            }
        }
        if tidied.is_none_or(|at| now.duration_since(at).unsigned_abs() >= HOUSEKEEPING) {
            tidied = Some(now);
            if let Err(error) = sessions.store().forget_ended(now - REMEMBERED).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "ended sessions are not forgotten");
            }
            if let Err(error) = sessions.store().forget_answers().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "kept answers are not forgotten");
            }
        }
        let next = next_look(&sessions.all(), Timestamp::now());
        tokio::select! {
            () = tokio::time::sleep(next) => {}
            () = sessions.expiry_changed().notified() => {}
        }
    }
}

fn is_due(session: &Arc<LiveSession>, now: Timestamp) -> bool {
    session.expires_at().is_some_and(|at| at <= now)
}

/// How long until a session can expire. Uses only ever move an expiry back, so waking early is the worst; who moves one
/// forward gives notice.
fn next_look(sessions: &[Arc<LiveSession>], now: Timestamp) -> Duration {
    let until = |session: &Arc<LiveSession>| {
        session.expires_at().map_or(IN_USE, |at| {
            Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO) + Duration::from_millis(1)
        })
    };
    sessions.iter().map(until).min().unwrap_or(HOUSEKEEPING).min(HOUSEKEEPING)
}
