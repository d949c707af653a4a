//! Sessions, one at a time.

use super::{Bench, Measured};
use crate::samples::Samples;
use crate::subject::Subject;

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
    bench.look_for_left(ended, &mut destroys).await;
    vec![
        (Subject::ColdCreate, creates),
        (Subject::FirstExec, execs),
        (Subject::Destroy, destroys),
        (Subject::Cycle, cycles),
    ]
}
