//! Files in and out: small ones in one request, large ones as streams.

use std::time::Instant;

use futures_util::stream;
use sandkasten_api::file_tree::RawUploadQuery;
use sandkasten_api::id::SessionId;
use sandkasten_isolation::error_chain;

use super::{Bench, Measured, timed};
use crate::samples::Samples;
use crate::subject::Subject;

const SMALL: &str = "bench-small";
const SMALL_BYTES: usize = 64 << 10;
const LARGE: &str = "bench-large";
/// What is sent at a time of the large file, and how often.
const PIECE_BYTES: usize = 1 << 20;
const PIECES: usize = 32;

pub(super) async fn files(bench: &Bench<'_>) -> Measured {
    bench.say("files");
    let subjects = [Subject::FileWrite, Subject::FileRead, Subject::StreamIn, Subject::StreamOut];
    let id = match bench.create().await {
        Ok((session, _)) => session.id,
        Err(reason) => return subjects.map(|subject| (subject, Samples::failed(&reason))).to_vec(),
    };
    let [mut writes, mut reads, mut ins, mut outs] = [(); 4].map(|()| Samples::default());
    let content = content(SMALL_BYTES);
    for round in 0..bench.warm_up() + bench.settings.samples {
        let written = timed(bench.client.write_file(&id, SMALL, &content)).await.map(|((), took)| took);
        let read = read_small(bench, &id, &content).await;
        if round >= bench.warm_up() || written.is_err() || read.is_err() {
            writes.record(written);
            reads.record(read);
        }
    }
    for round in 0..=bench.few() {
        let (written, read) = (stream_in(bench, &id).await, stream_out(bench, &id).await);
        if round > 0 || written.is_err() || read.is_err() {
            ins.record(written);
            outs.record(read);
        }
    }
    bench.destroy_all(vec![id]).await;
    subjects.into_iter().zip([writes, reads, ins, outs]).collect()
}

async fn read_small(bench: &Bench<'_>, id: &SessionId, content: &[u8]) -> Result<f64, String> {
    let (read, took) = timed(bench.client.read_file(id, SMALL, Some(SMALL_BYTES as u64))).await?;
    if read == (content.to_vec(), false) { Ok(took) } else { Err("another content was read".to_owned()) }
}

async fn stream_in(bench: &Bench<'_>, id: &SessionId) -> Result<f64, String> {
    let piece = content(PIECE_BYTES);
    let pieces: Vec<_> = (0..PIECES).map(|_| Ok(piece.clone())).collect();
    let query = RawUploadQuery { path: LARGE.to_owned(), mode: None };
    let files = bench.client.session_files(id);
    let (_, took) = timed(files.write(&query, stream::iter(pieces))).await?;
    Ok(rate(took))
}

async fn stream_out(bench: &Bench<'_>, id: &SessionId) -> Result<f64, String> {
    let started = Instant::now();
    let files = bench.client.session_files(id);
    let mut content = files.read(LARGE).await.map_err(|error| error_chain(&error))?;
    let mut bytes = 0;
    while let Some(piece) = content.next().await.map_err(|error| error_chain(&error))? {
        bytes += piece.len();
    }
    let took = super::milliseconds(started.elapsed());
    if bytes == PIECES * PIECE_BYTES { Ok(rate(took)) } else { Err(format!("{bytes} bytes were read")) }
}

/// Millions of bytes a second.
fn rate(milliseconds: f64) -> f64 {
    let bytes = u32::try_from(PIECES * PIECE_BYTES).map_or(f64::MAX, f64::from);
    bytes / 1000.0 / milliseconds
}

/// Bytes that no transport makes shorter by accident.
fn content(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        // Knuth's linear congruence, MMIX.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..bytes).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use super::rate;

    #[test]
    fn a_second_for_all_of_it_is_its_size_in_millions() {
        assert!((rate(1000.0) - 33.55).abs() < 0.01);
    }
}
