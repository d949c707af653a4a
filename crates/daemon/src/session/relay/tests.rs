//! Commands under a runner that does not keep to what it was told.

use std::time::{Duration, Instant};

use sandkasten_protocol::{Finished, Reply, encode_output, encode_reply};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::{Interruption, Relayed, relay};
use crate::session::exec::ExecEvent;
use crate::session::link::{Link, LinkError};

const LIMIT: u64 = 1 << 20;
const SHORT: Duration = Duration::from_millis(300);
/// A bound on hangs; nothing is measured with it.
const LONG: Duration = Duration::from_secs(20);

fn finished() -> Vec<u8> {
    let finished = Finished { status: 0, cwd: "/".to_owned(), truncated: false, generation: 1 };
    encode_reply(&Reply::Finished(finished)).expect("it fits")
}

/// What became of a command, and how many bytes of its output were passed on.
struct Outcome {
    relayed: Result<Relayed, LinkError>,
    bytes: usize,
    took: Duration,
}

/// Relays what a runner writes: `start`, then `again` until nobody reads any more.
async fn run(start: Vec<u8>, again: Vec<u8>, time: Duration, limit: Option<u64>) -> Outcome {
    let (ours, mut theirs) = UnixStream::pair().expect("a pair");
    let runner = tokio::spawn(async move {
        theirs.write_all(&start).await.ok();
        if again.is_empty() {
            // Says nothing more, and does not hang up.
            return std::future::pending().await;
        }
        while theirs.write_all(&again).await.is_ok() {}
    });
    let (events, mut receiver) = mpsc::channel(16);
    let client = tokio::spawn(async move {
        let mut bytes = 0;
        while let Some(ExecEvent::Output(piece)) = receiver.recv().await {
            bytes += piece.len();
        }
        bytes
    });
    let started = Instant::now();
    let mut link = Link::over(ours);
    let relaying = relay(&mut link, &events, started + time, limit);
    let relayed = tokio::time::timeout(LONG, relaying).await.expect("it is bounded");
    let took = started.elapsed();
    drop((link, events));
    runner.abort();
    Outcome { relayed, bytes: client.await.expect("the client ends"), took }
}

#[tokio::test]
async fn output_beyond_the_limit_is_dropped_whatever_the_runner_says() {
    let mut sent = encode_output(&[b'x'; 60_000]).expect("it fits").repeat(100);
    sent.extend(finished());
    let outcome = run(sent.clone(), Vec::new(), LONG, Some(LIMIT)).await;
    assert!(matches!(outcome.relayed, Ok(Relayed::Finished(Finished { truncated: true, .. }))));
    assert_eq!(outcome.bytes as u64, LIMIT);
    let outcome = run(sent, Vec::new(), LONG, None).await;
    assert!(matches!(outcome.relayed, Ok(Relayed::Finished(Finished { truncated: false, .. }))));
    assert_eq!(outcome.bytes, 6_000_000);
}

#[tokio::test]
async fn a_runner_that_floods_or_is_silent_does_not_outlast_the_timeout() {
    let large = encode_output(&[b'x'; 60_000]).expect("it fits");
    let empty = encode_output(b"").expect("it fits").repeat(1_000);
    for again in [Vec::new(), large, empty] {
        for limit in [Some(LIMIT), Some(0), None] {
            let outcome = run(Vec::new(), again.clone(), SHORT, limit).await;
            let interrupted = matches!(outcome.relayed, Ok(Relayed::Interrupted(Interruption::Deadline)));
            assert!(interrupted, "{:?}", outcome.relayed);
            assert!(outcome.took < SHORT * 10, "{:?}", outcome.took);
            assert!(limit.is_none_or(|limit| outcome.bytes as u64 <= limit), "{}", outcome.bytes);
        }
    }
}

#[tokio::test]
async fn a_flood_that_is_dropped_ends_with_its_client() {
    let (ours, mut theirs) = UnixStream::pair().expect("a pair");
    let again = encode_output(&[b'x'; 60_000]).expect("it fits");
    let runner = tokio::spawn(async move { while theirs.write_all(&again).await.is_ok() {} });
    let (events, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        tokio::time::sleep(SHORT).await;
        drop(receiver);
    });
    let mut link = Link::over(ours);
    let relayed = relay(&mut link, &events, Instant::now() + LONG, Some(0)).await;
    assert!(matches!(relayed, Ok(Relayed::Interrupted(Interruption::Cancelled))), "{relayed:?}");
    drop(link);
    runner.await.expect("the runner ends");
}

#[tokio::test]
async fn the_first_end_counts_and_what_follows_it_is_not_read() {
    let after = [finished(), encode_output(b"more").expect("it fits"), vec![0xff; 100]].concat();
    let outcome = run(after, Vec::new(), LONG, None).await;
    assert!(matches!(outcome.relayed, Ok(Relayed::Finished(_))));
    assert_eq!(outcome.bytes, 0);
}

#[tokio::test]
async fn answers_to_other_questions_end_the_command() {
    for reply in [
        Reply::Busy,
        Reply::NothingRuns,
        Reply::Description { version: 1, generation: 1, cwd: "/".to_owned() },
    ] {
        let outcome = run(encode_reply(&reply).expect("it fits"), Vec::new(), LONG, None).await;
        assert!(matches!(outcome.relayed, Err(LinkError::Unexpected)), "{reply:?}");
    }
    let failed = encode_reply(&Reply::Failed { reason: "failed".to_owned() }).expect("it fits");
    let outcome = run(failed, Vec::new(), LONG, None).await;
    assert!(matches!(outcome.relayed, Err(LinkError::Refused { .. })));
}
