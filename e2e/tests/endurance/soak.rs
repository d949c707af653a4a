//! Thousands of sessions, one after another and several at a time, leave a daemon as it was after the first few.
//!
//! `SANDKASTEN_E2E_SOAK=N` makes N sessions.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sandkasten_api::session::CreateSessionRequest;
use sandkasten_client::Client;
use sandkasten_e2e::{Footprint, TestDaemon, TestSession, asked, surplus, until, with_daemon};

use crate::alone;

const CYCLES: u64 = 300;
const CLIENTS: u64 = 8;
/// The part of the sessions after which the daemon has all the memory that it is to have.
const WARM_UP: u64 = 10;
/// How many times it is looked at.
const SAMPLES: u64 = 20;
/// What an allocator and the pages of a database may still take after that.
const MEMORY_SLACK_KIB: u64 = 8 * 1_024;
/// Connections of idle clients, and blocking threads.
const SLACK: usize = 8;

#[test]
fn a_daemon_of_thousands_of_sessions_is_as_small_as_one_of_a_few() {
    let _alone = alone();
    with_daemon(async |daemon| {
        let cycles = asked("SANDKASTEN_E2E_SOAK").unwrap_or(CYCLES).max(SAMPLES);
        run(daemon, (cycles / WARM_UP).max(1)).await;
        let before = at_rest(daemon).await;
        println!("after the first {} sessions: {before:?}", cycles / WARM_UP);
        let started = Instant::now();
        for part in 1..=SAMPLES {
            run(daemon, cycles / SAMPLES).await;
            let per_second = (part * (cycles / SAMPLES)) as f64 / started.elapsed().as_secs_f64();
            println!(
                "{} sessions, {per_second:.1} a second: {:?}",
                part * (cycles / SAMPLES),
                Footprint::of(daemon.pid())
            );
        }
        let after = at_rest(daemon).await;
        println!("at the end: {after:?}, database {} bytes", database(daemon));
        assert!(after.descriptors <= before.descriptors + SLACK, "{before:?}, then {after:?}");
        assert!(after.threads <= before.threads + SLACK, "{before:?}, then {after:?}");
        assert!(after.memory_kib <= before.memory_kib + MEMORY_SLACK_KIB, "{before:?}, then {after:?}");
        // One is for the next sandbox.
        assert_eq!((after.leases, after.namespaces), (1, 0), "{after:?}");
    });
}

/// So many sessions, by all clients together.
async fn run(daemon: &TestDaemon, cycles: u64) {
    let counter = std::sync::Arc::new(AtomicU64::new(0));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        let (client, counter) = (daemon.client(), std::sync::Arc::clone(&counter));
        clients.spawn(async move {
            loop {
                let number = counter.fetch_add(1, Ordering::Relaxed);
                if number >= cycles {
                    return;
                }
                one_life(&client, number).await;
            }
        });
    }
    clients.join_all().await;
}

async fn one_life(client: &Client, number: u64) {
    let session = client.create_session(&CreateSessionRequest::default()).await.expect("a session");
    let session = TestSession { id: session.id, client: client.clone() };
    assert_eq!(session.output(&format!("echo {number}")).await, number.to_string());
    session.destroy().await;
}

/// Waits until nothing of the sessions is left, and looks.
async fn at_rest(daemon: &TestDaemon) -> Footprint {
    until("nothing is left of the sessions", async || {
        surplus(&daemon.data_dir(), daemon.pid(), &[]).is_empty()
    })
    .await;
    // Connections of clients that are gone are closed a moment later.
    let mut last = Footprint::of(daemon.pid());
    until("descriptors are steady", async || {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = Footprint::of(daemon.pid());
        let steady = now.descriptors == last.descriptors;
        last = now;
        steady
    })
    .await;
    last
}

fn database(daemon: &TestDaemon) -> u64 {
    let files = std::fs::read_dir(daemon.data_dir()).into_iter().flatten().flatten();
    let of_database = files.filter(|file| file.file_name().to_string_lossy().starts_with("sandkasten.db"));
    of_database.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
}
