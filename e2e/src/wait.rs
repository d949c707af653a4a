//! Waiting for what must happen, with a bound on how long.

use std::time::{Duration, Instant};

use crate::patience::patience;

/// A bound on hangs; nothing is measured with it.
const PATIENCE: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(10);

/// Waits until something is true.
///
/// # Panics
/// Where it does not become true in time.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    until_some(what, async || holds().await.then_some(())).await;
}

/// Waits until there is something, and returns it.
///
/// # Panics
/// Where there is nothing in time.
pub async fn until_some<T>(what: &str, mut find: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience(PATIENCE);
    loop {
        if let Some(found) = find().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(STEP).await;
    }
}
