//! Commands in a session that has run some.

use std::time::Instant;

use sandkasten_api::exec::ExecRequest;
use sandkasten_api::id::SessionId;
use sandkasten_client::ExecEvent;
use sandkasten_isolation::error_chain;

use super::{Bench, Measured, milliseconds};
use crate::samples::Samples;
use crate::subject::Subject;

/// Writes at once, and goes on: what arrives while it runs was not held back for its end.
const STREAMED: &str = "echo x; sleep 0.02";

pub(super) async fn exec(bench: &Bench<'_>) -> Measured {
    bench.say("exec");
    let subjects = [Subject::ExecBuiltin, Subject::ExecProgram, Subject::StreamFirstByte];
    let id = match bench.create().await {
        Ok((session, _)) => session.id,
        Err(reason) => return subjects.map(|subject| (subject, Samples::failed(&reason))).to_vec(),
    };
    let mut measured = Vec::new();
    for (subject, command) in [(Subject::ExecBuiltin, ":"), (Subject::ExecProgram, "/bin/true")] {
        let mut samples = Samples::default();
        for round in 0..bench.warm_up() + bench.settings.samples {
            let outcome = bench.run(&id, command).await;
            if round >= bench.warm_up() || outcome.is_err() {
                samples.record(outcome);
            }
        }
        measured.push((subject, samples));
    }
    let mut streams = Samples::default();
    for _ in 0..bench.settings.samples.div_ceil(4) {
        streams.record(first_byte(bench, &id).await);
    }
    measured.push((Subject::StreamFirstByte, streams));
    bench.destroy_all(vec![id]).await;
    measured
}

/// Says how many milliseconds pass from the request to the first byte, which the command has written in between.
async fn first_byte(bench: &Bench<'_>, id: &SessionId) -> Result<f64, String> {
    let request = ExecRequest { cmd: Some(STREAMED.to_owned()), ..ExecRequest::default() };
    let started = Instant::now();
    let stream = bench.client.exec_stream(id, &request).await;
    let mut stream = stream.map_err(|error| error_chain(&error))?;
    let mut first = None;
    loop {
        match stream.next().await {
            Some(Ok(ExecEvent::Chunk(_))) => {
                first.get_or_insert_with(|| milliseconds(started.elapsed()));
            }
            Some(Ok(ExecEvent::Done(done))) if done.exit_code == 0 => {
                return first.ok_or_else(|| "the stream had no output".to_owned());
            }
            Some(Ok(event)) => return Err(format!("{STREAMED}: {event:?}")),
            Some(Err(error)) => return Err(error_chain(&error)),
            None => return Err("the stream ended before the command".to_owned()),
        }
    }
}
