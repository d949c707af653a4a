//! Creates out of the pool, on a daemon of their own: a pool beside other measurements would take part in them.

use std::process::Command;
use std::time::Duration;

use sandkasten_api::session::AcquireSource;
use sandkasten_client::Client;
use sandkasten_isolation::error_chain;

use super::{Bench, timed};
use crate::daemon_process::DaemonProcess;
use crate::samples::Samples;

/// How many sandboxes are ready when creates begin.
pub(super) const READY: usize = 32;
/// How many are then taken, one after the other.
const TAKEN: usize = 25;
/// How long the pool may take until they are ready again: several times what it needs.
const REFILL: Duration = Duration::from_millis(1_000);
/// How many requests go before the first create, as a processor that has done nothing for that long is slow to begin.
const WARM_UP: usize = 20;
/// How often none was ready after that until it is given up.
const PATIENCE: usize = 20;

/// Measures creates that are answered out of the pool; others do not count.
pub(super) async fn creates(bench: &Bench<'_>, command: Command) -> Result<Samples, String> {
    bench.say("create out of the pool");
    let daemon = DaemonProcess::start(command)
        .await
        .map_err(|error| format!("the daemon with a pool did not start: {}", error_chain(&error)))?;
    let mut samples = Samples::default();
    let mut misses = 0;
    loop {
        let tried = samples.values().len() + samples.failures();
        let missing = bench.settings.samples.saturating_sub(tried);
        if missing == 0 {
            break;
        }
        tokio::time::sleep(REFILL).await;
        let taken = take(bench, daemon.client(), missing.min(TAKEN), &mut samples).await;
        misses = if taken { 0 } else { misses + 1 };
        if misses > PATIENCE {
            samples.fail("no sandbox of the pool was ready in time");
            break;
        }
    }
    // What was measured counts, whatever becomes of it.
    if let Err(error) = daemon.stop().await {
        samples.fail(&error_chain(&error));
    }
    Ok(samples)
}

/// Takes a few sessions, destroys them, and says whether the first came out of the pool.
async fn take(bench: &Bench<'_>, client: &Client, count: usize, samples: &mut Samples) -> bool {
    let (mut made, mut first) = (Vec::new(), false);
    for _ in 0..WARM_UP {
        if let Err(error) = client.healthz().await {
            samples.fail(&error_chain(&error));
        }
    }
    for number in 0..count {
        match timed(client.create_session(&bench.create_request())).await {
            Ok((session, took)) => {
                let pooled = session.acquire_source == AcquireSource::Pool;
                made.push(session.id);
                if !pooled {
                    break;
                }
                first |= number == 0;
                samples.record(Ok(took));
            }
            Err(reason) => samples.fail(&reason),
        }
    }
    for id in made {
        if let Err(error) = client.destroy_session(&id).await {
            samples.fail(&error_chain(&error));
        }
    }
    first
}
