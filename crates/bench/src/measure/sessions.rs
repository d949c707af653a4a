//! Sessions, one at a time.

use std::time::Duration;

use super::{Bench, Measured, blocking, resident};
use crate::samples::Samples;
use crate::subject::Subject;

/// After this time nothing of a destroyed session may be left.
const GONE: Duration = Duration::from_secs(1);

pub(super) async fn sessions(bench: &Bench<'_>) -> Measured {
    bench.say("create, exec and destroy");
    let [mut creates, mut execs, mut destroys, mut cycles] = [(); 4].map(|()| Samples::default());
    for _ in 0..bench.warm_up() {
        if let Err(reason) = bench.cycle().await {
            cycles.fail(&reason);
        }
    }
    let mut ended = Vec::new();
    for _ in 0..bench.settings.samples {
        let session = match bench.create().await {
            Ok((session, took)) => {
                creates.record(Ok(took));
                session
            }
            Err(reason) => {
                creates.fail(&reason);
                continue;
            }
        };
        execs.record(bench.run(&session.id, ":").await);
        destroys.record(bench.destroy(&session.id).await);
        ended.push(session.id);
    }
    for _ in 0..bench.settings.samples {
        cycles.record(bench.cycle().await);
    }
    tokio::time::sleep(GONE).await;
    let left = blocking(move || {
        let of_sessions = resident::processes(&ended, None).map_err(|error| error.to_string())?;
        Ok(of_sessions.into_iter().filter(|(_, processes)| !processes.is_empty()).collect::<Vec<_>>())
    });
    match left.await {
        Ok(left) => left.iter().for_each(|(id, processes)| {
            destroys.fail(&format!("processes {processes:?} of session {id} are left 1 s later"));
        }),
        Err(reason) => destroys.fail(&reason),
    }
    vec![
        (Subject::ColdCreate, creates),
        (Subject::FirstExec, execs),
        (Subject::Destroy, destroys),
        (Subject::Cycle, cycles),
    ]
}
