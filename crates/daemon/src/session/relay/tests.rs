//! Jobs under a runner that does not keep to what it was told.

use std::time::{Duration, Instant};

use sandkasten_protocol::{Finished, Reply, Stream, encode_output, encode_reply};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::{Notify, mpsc};

use super::{Interruption, Relayed, relay};
use crate::session::exec::ExecEvent;
use crate::session::link::{Link, LinkError};

const SHORT: Duration = Duration::from_millis(300);
/// A bound on hangs; nothing is measured with it.
const LONG: Duration = Duration::from_secs(20);

fn finished() -> Vec<u8> {
    encode_reply(&Reply::Finished(Finished::default())).expect("it fits")
}

fn output(offset: u64, bytes: &[u8]) -> Vec<u8> {
    encode_output(Stream::Output, offset, bytes).expect("it fits")
}

/// Writes pieces of output one behind the other, as many as are read.
async fn flood(mut theirs: UnixStream, piece: Vec<u8>) {
    let mut offset = 0;
    while theirs.write_all(&output(offset, &piece)).await.is_ok() {
        offset += piece.len() as u64;
    }
}

/// Reads everything that a client is given, and counts it.
fn client(mut receiver: mpsc::Receiver<ExecEvent>) -> tokio::task::JoinHandle<usize> {
    tokio::spawn(async move {
        let mut bytes = 0;
        while let Some(ExecEvent::Output(piece)) = receiver.recv().await {
            bytes += piece.bytes.len();
        }
        bytes
    })
}

/// Relays what a runner writes, who then says nothing more and does not hang up.
async fn relay_bytes(bytes: Vec<u8>) -> (Result<Relayed, LinkError>, usize) {
    let (ours, mut theirs) = UnixStream::pair().expect("a pair");
    let runner = tokio::spawn(async move {
        theirs.write_all(&bytes).await.ok();
        std::future::pending::<()>().await;
    });
    let (events, receiver) = mpsc::channel(16);
    let client = client(receiver);
    let mut link = Link::over(ours);
    let cancelled = Notify::new();
    let relaying = relay(&mut link, Some(&events), &cancelled, Some(Instant::now() + LONG));
    let relayed = relaying.await;
    drop((link, events));
    runner.abort();
    (relayed, client.await.expect("the client ends"))
}

#[tokio::test]
async fn a_runner_that_floods_or_is_silent_does_not_outlast_the_timeout() {
    for piece in [None, Some(vec![b'x'; 60_000]), Some(Vec::new())] {
        for listened in [true, false] {
            let (ours, theirs) = UnixStream::pair().expect("a pair");
            let runner = match piece.clone() {
                Some(piece) => tokio::spawn(flood(theirs, piece)),
                None => tokio::spawn(async move {
                    let _kept = theirs;
                    std::future::pending().await
                }),
            };
            let (events, receiver) = mpsc::channel(16);
            let client = client(receiver);
            let (mut link, cancelled, started) = (Link::over(ours), Notify::new(), Instant::now());
            let heard = listened.then_some(&events);
            let relayed = relay(&mut link, heard, &cancelled, Some(started + SHORT)).await;
            assert!(matches!(relayed, Ok(Relayed::Interrupted(Interruption::Deadline))), "{relayed:?}");
            assert!(started.elapsed() < SHORT * 10, "{:?}", started.elapsed());
            drop((link, events));
            runner.abort();
            client.await.expect("the client ends");
        }
    }
}

#[tokio::test]
async fn a_flood_ends_with_its_client_or_by_a_cancel() {
    for by_client in [true, false] {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let runner = tokio::spawn(flood(theirs, vec![b'x'; 60_000]));
        let (events, receiver) = mpsc::channel(16);
        let cancelled = std::sync::Arc::new(Notify::new());
        let cancel = std::sync::Arc::clone(&cancelled);
        tokio::spawn(async move {
            tokio::time::sleep(SHORT).await;
            if by_client {
                drop(receiver);
            } else {
                cancel.notify_one();
                client(receiver).await.ok();
            }
        });
        let mut link = Link::over(ours);
        let relayed = tokio::time::timeout(LONG, relay(&mut link, Some(&events), &cancelled, None)).await;
        assert!(matches!(relayed, Ok(Ok(Relayed::Interrupted(Interruption::Cancelled)))), "{relayed:?}");
        drop(link);
        runner.await.expect("the runner ends");
    }
}

#[tokio::test]
async fn output_that_comes_twice_or_beyond_the_end_of_numbers_is_refused() {
    let sound = [output(0, b"abc"), output(7, b"xyz"), finished()].concat();
    let (relayed, bytes) = relay_bytes(sound).await;
    assert!(matches!(relayed, Ok(Relayed::Finished(_))));
    assert_eq!(bytes, 6);
    for second in [output(2, b"c"), output(0, b"abc"), output(u64::MAX, b"xx")] {
        let (relayed, _) = relay_bytes([output(0, b"abc"), second].concat()).await;
        assert!(matches!(relayed, Err(LinkError::Unexpected)), "{relayed:?}");
    }
}

#[tokio::test]
async fn the_first_end_counts_and_what_follows_it_is_not_read() {
    let after = [finished(), output(0, b"more"), vec![0xff; 100]].concat();
    let (relayed, bytes) = relay_bytes(after).await;
    assert!(matches!(relayed, Ok(Relayed::Finished(_))));
    assert_eq!(bytes, 0);
}

#[tokio::test]
async fn answers_to_other_questions_end_the_command() {
    for reply in [Reply::Done, Reply::NoSuchJob, Reply::Full, Reply::Shell { generation: 1 }] {
        let (relayed, _) = relay_bytes(encode_reply(&reply).expect("it fits")).await;
        assert!(matches!(relayed, Err(LinkError::Unexpected)), "{reply:?}");
    }
    let (relayed, _) = relay_bytes(encode_reply(&Reply::Busy).expect("it fits")).await;
    assert!(matches!(relayed, Err(LinkError::Busy)));
    let failed = Reply::Failed { reason: "failed".to_owned() };
    let (relayed, _) = relay_bytes(encode_reply(&failed).expect("it fits")).await;
    assert!(matches!(relayed, Err(LinkError::Refused { .. })));
}
