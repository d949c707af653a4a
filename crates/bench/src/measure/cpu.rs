//! How fast programs run inside, beside the same programs outside.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use sandkasten_api::id::SessionId;
use sandkasten_isolation::error_chain;

use super::{Bench, Measured, blocking, milliseconds, write_program};
use crate::program;
use crate::samples::Samples;
use crate::subject::Subject;

/// How long a program is to take: so long that its start hardly counts. That is not taken off: on a busy machine the difference of
/// two times may be anything.
const TARGET_MS: f64 = 500.0;
const QUICK_TARGET_MS: f64 = 150.0;
/// Fewer samples than this are a quick look.
const QUICK_SAMPLES: usize = 50;
/// What a program is tried with first, to find out how much of it takes how long.
const FIRST_COUNT: u64 = 50_000_000;
const FIRST_CALLS: u64 = 50_000;

/// A program by how much it has to do.
type Build = fn(u64) -> Vec<u8>;

pub(super) async fn cpu(bench: &Bench<'_>) -> Measured {
    bench.say("programs inside and outside");
    let work: [(Subject, Build, u64); 2] = [
        (Subject::CpuBound, program::count_down, FIRST_COUNT),
        (Subject::SystemCalls, program::system_calls, FIRST_CALLS),
    ];
    let id = match bench.create().await {
        Ok((session, _)) => session.id,
        Err(reason) => return work.map(|(subject, ..)| (subject, Samples::failed(&reason))).to_vec(),
    };
    let mut measured = Vec::new();
    for (subject, build, first) in work {
        let samples = match compare(bench, &id, subject, build, first).await {
            Ok(samples) => samples,
            Err(reason) => Samples::failed(&reason),
        };
        measured.push((subject, samples));
    }
    bench.destroy_all(vec![id]).await;
    measured
}

/// Runs a program inside and outside by turns.
async fn compare(
    bench: &Bench<'_>,
    id: &SessionId,
    subject: Subject,
    build: Build,
    first: u64,
) -> Result<Samples, String> {
    let outside = bench.scratch.join(subject.name());
    let target = if bench.settings.samples < QUICK_SAMPLES { QUICK_TARGET_MS } else { TARGET_MS };
    let path = outside.clone();
    let program = blocking(move || {
        let tried = install(&path, &build(first)).and_then(|()| run_outside(&path))?;
        let program = build(scale(first, target / tried));
        install(&path, &program)?;
        Ok(program)
    });
    let program = program.await?;
    let inside = format!("bench-{}", subject.name());
    bench.client.write_program(id, &inside, &program).await.map_err(|error| error_chain(&error))?;
    let command = format!("/workspace/{inside}");
    bench.run(id, &command).await?;
    let mut samples = Samples::default();
    for _ in 0..bench.few().min(10) {
        let path = outside.clone();
        let outside = blocking(move || run_outside(&path)).await?;
        samples.record(run_inside(bench, id, &command).await.map(|inside| outside / inside));
    }
    Ok(samples)
}

/// Runs a program inside, and returns how long it took as its answer says. The request's own way is none of its speed: processors
/// that had nothing to do for so long are slow to pass the answer on.
async fn run_inside(bench: &Bench<'_>, id: &SessionId, command: &str) -> Result<f64, String> {
    #[expect(clippy::cast_precision_loss, reason = "a fraction of a second in milliseconds")]
    bench.exec(id, command).await.map(|(result, _)| result.duration_ms as f64)
}

fn install(path: &Path, program: &[u8]) -> Result<(), String> {
    write_program(path, program).map_err(|error| format!("{}: {error}", path.display()))
}

fn run_outside(path: &Path) -> Result<f64, String> {
    let started = Instant::now();
    let status = Command::new(path).stdin(Stdio::null()).status();
    let status = status.map_err(|error| format!("{}: {error}", path.display()))?;
    let took = milliseconds(started.elapsed());
    if status.success() { Ok(took) } else { Err(format!("{}: {status}", path.display())) }
}

/// Multiplies a number of steps, to at least one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a number of steps need not be exact, and casts of floats saturate"
)]
fn scale(steps: u64, by: f64) -> u64 {
    ((steps as f64 * by) as u64).max(1)
}
