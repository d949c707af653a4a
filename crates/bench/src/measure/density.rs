//! How create, exec and memory change with the number of live sessions.

use std::time::Instant;

use futures_util::{StreamExt, stream};
use sandkasten_api::id::SessionId;

use super::resident::{processes, proportional_bytes, proportional_bytes_of};
use super::{Bench, blocking, milliseconds};
use crate::budget::{Circumstances, judge_density};
use crate::report::DensityStep;
use crate::samples::Samples;
use crate::statistics::{Better, Statistics};

/// Of how many creates and execs the figures of a step are.
const SAMPLES: usize = 20;

/// How many destroys are under way at once: more than the daemon can have, and few enough for the connections that they take.
const DESTROYED_AT_ONCE: usize = 500;

/// Gives the steps, and how long the end of all sessions of the last one took.
pub(super) async fn density(bench: &Bench<'_>, circumstances: &Circumstances) -> (Vec<DensityStep>, Samples) {
    let mut ids = Vec::new();
    let mut steps = Vec::new();
    for sessions in numbers(bench.settings.sessions) {
        bench.say(&format!("{sessions} live sessions"));
        let step = step(bench, sessions, &mut ids, circumstances).await;
        let is_full = ids.len() < sessions;
        steps.push(step);
        if is_full {
            break;
        }
    }
    bench.say(&format!("the end of {} sessions", ids.len()));
    let teardown = teardown(bench, ids).await;
    (steps, teardown)
}

/// Destroys all at once. Each counts from the first moment, so that the worst is the time until all are gone.
async fn teardown(bench: &Bench<'_>, ids: Vec<SessionId>) -> Samples {
    let mut samples = Samples::default();
    let started = Instant::now();
    let mut ends = stream::iter(&ids)
        .map(async |id| bench.destroy(id).await.map(|_| milliseconds(started.elapsed())))
        .buffer_unordered(DESTROYED_AT_ONCE);
    while let Some(end) = ends.next().await {
        samples.record(end);
    }
    drop(ends);
    bench.look_for_left(ids, &mut samples).await;
    samples
}

/// 1, 2, 5, 10, and so on, and the last one whatever it is.
fn numbers(last: usize) -> Vec<usize> {
    let round = (0..).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_usize.pow(power)));
    round.take_while(|number| *number < last).chain([last]).collect()
}

async fn step(
    bench: &Bench<'_>,
    sessions: usize,
    ids: &mut Vec<SessionId>,
    circumstances: &Circumstances,
) -> DensityStep {
    let (mut creates, mut execs) = (Samples::default(), Samples::default());
    while ids.len() < sessions {
        match bench.create().await {
            Ok((session, _)) => ids.push(session.id),
            Err(reason) => {
                creates.fail(&reason);
                break;
            }
        }
    }
    for _ in 0..SAMPLES {
        // One more, which goes at once, so that each of them has as many beside it.
        match bench.create().await {
            Ok((session, took)) => {
                creates.record(Ok(took));
                bench.destroy_all(vec![session.id]).await;
            }
            Err(reason) => creates.fail(&reason),
        }
    }
    for number in 0..SAMPLES {
        // All over those that there are.
        let Some(id) = ids.get(number * ids.len() / SAMPLES) else { break };
        execs.record(bench.run(id, ":").await);
    }
    let memory = memory(bench, ids).await;
    if let Err(reason) = &memory {
        creates.fail(reason);
    }
    let (session_bytes, daemon_bytes) = memory.unwrap_or_default();
    let create_ms = Statistics::of(creates.values(), Better::Lower);
    let exec_ms = Statistics::of(execs.values(), Better::Lower);
    DensityStep {
        sessions: ids.len(),
        create_ms,
        exec_ms,
        budgets: judge_density(ids.len(), create_ms.as_ref(), exec_ms.as_ref(), circumstances),
        session_bytes,
        daemon_bytes,
        failures: creates.failures() + execs.failures(),
        reason: creates.reason().or(execs.reason()).map(str::to_owned),
    }
}

/// Says how much a session takes, and the daemon, in bytes.
async fn memory(bench: &Bench<'_>, ids: &[SessionId]) -> Result<(f64, f64), String> {
    let (pid, ids) = (bench.daemon_pid, ids.to_vec());
    blocking(move || {
        let found = processes(&ids, Some(pid)).map_err(|error| error.to_string())?;
        let all: f64 =
            found.iter().map(|(_, processes)| proportional_bytes_of(processes)).sum::<Result<_, _>>()?;
        let sessions = u32::try_from(found.len().max(1)).map_or(f64::MAX, f64::from);
        Ok((all / sessions, proportional_bytes(pid)?))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn steps_are_round_and_end_where_they_are_to() {
        assert_eq!(numbers(1), [1]);
        assert_eq!(numbers(7), [1, 2, 5, 7]);
        assert_eq!(numbers(1000), [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]);
    }
}
