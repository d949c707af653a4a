//! What sessions take that do nothing.

use super::resident::{processes, proportional_bytes, proportional_bytes_of};
use super::{Bench, Measured, blocking};
use crate::samples::Samples;
use crate::subject::Subject;

pub(super) async fn memory(bench: &Bench<'_>) -> Measured {
    bench.say("memory");
    let (mut sessions, mut daemon) = (Samples::default(), Samples::default());
    let mut ids = Vec::new();
    for _ in 0..bench.memory_sessions() {
        match bench.create().await {
            Ok((session, _)) => {
                // A shell that has run something has more pages of its own.
                if let Err(reason) = bench.run(&session.id, ":").await {
                    sessions.fail(&reason);
                }
                ids.push(session.id);
            }
            Err(reason) => sessions.fail(&reason),
        }
    }
    let (pid, live) = (bench.daemon_pid, ids.clone());
    let looked = blocking(move || {
        let found = processes(&live, Some(pid)).map_err(|error| error.to_string())?;
        let each: Vec<_> = found.iter().map(|(_, processes)| proportional_bytes_of(processes)).collect();
        Ok((each, proportional_bytes(pid)))
    });
    match looked.await {
        Ok((each, of_daemon)) => {
            each.into_iter().for_each(|bytes| sessions.record(bytes));
            daemon.record(of_daemon);
        }
        Err(reason) => {
            sessions.fail(&reason);
            daemon.fail(&reason);
        }
    }
    bench.destroy_all(ids).await;
    vec![(Subject::SessionMemory, sessions), (Subject::DaemonMemory, daemon)]
}
