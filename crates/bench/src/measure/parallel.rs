//! Several clients, and many creates at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures_util::future::join_all;

use super::{Bench, Measured};
use crate::samples::Samples;
use crate::subject::Subject;

const CLIENTS: usize = 8;
const BURST: usize = 100;
/// Of how many cycles a rate is taken.
const CYCLES_A_RATE: usize = 200;

pub(super) async fn parallel(bench: &Bench<'_>) -> Measured {
    bench.say("cycles of 8 clients");
    let mut rates = Samples::default();
    // All connections are there before anything counts; only failures do.
    let first = join_all((0..CLIENTS).map(|_| bench.cycle())).await;
    first.into_iter().filter_map(Result::err).for_each(|reason| rates.fail(&reason));
    let mut left = bench.settings.cycles.max(CLIENTS);
    while left > 0 {
        let cycles = left.min(CYCLES_A_RATE);
        round(bench, cycles, &mut rates).await;
        left -= cycles;
    }
    bench.say("100 creates at once");
    vec![(Subject::ParallelCycles, rates), (Subject::Burst, burst(bench).await)]
}

/// Lets all clients make cycles until there have been so many, and records how many a second succeeded.
async fn round(bench: &Bench<'_>, cycles: usize, rates: &mut Samples) {
    let begun = AtomicUsize::new(0);
    let started = Instant::now();
    let clients = (0..CLIENTS).map(|_| async {
        let mut outcomes = Vec::new();
        while begun.fetch_add(1, Ordering::Relaxed) < cycles {
            outcomes.push(bench.cycle().await);
        }
        outcomes
    });
    let outcomes = join_all(clients).await.into_iter().flatten();
    let (succeeded, failed): (Vec<_>, Vec<_>) = outcomes.partition(Result::is_ok);
    failed.into_iter().filter_map(Result::err).for_each(|reason| rates.fail(&reason));
    if !succeeded.is_empty() {
        let succeeded = u32::try_from(succeeded.len()).map_or(f64::MAX, f64::from);
        rates.record(Ok(succeeded / started.elapsed().as_secs_f64()));
    }
}

/// Creates sessions all at once, and records how long each took, which is from the same moment on.
async fn burst(bench: &Bench<'_>) -> Samples {
    let creates = (0..BURST).map(|_| bench.create());
    let mut samples = Samples::default();
    let mut ids = Vec::new();
    // The time until the last one is that of the slowest: all were sent at once.
    for outcome in join_all(creates).await {
        samples.record(outcome.map(|(session, took)| {
            ids.push(session.id);
            took
        }));
    }
    bench.destroy_all(ids).await;
    samples
}
