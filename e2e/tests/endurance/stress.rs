//! A session that strains the machine as hard as it may holds up neither the daemon nor other sessions.
//!
//! `SANDKASTEN_E2E_STRESS=N` strains it N seconds each way, and asks for what a host with nothing else to do has to give.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sandkasten_e2e::{RawApi, TestDaemon, TestSession, asked, patience, with_daemon};
use tokio::task::JoinHandle;

use crate::alone;

/// What stress-ng does. Memory is asked for beyond the limit.
const STRAINS: &[(&str, &str)] = &[
    ("memory", "--vm 2 --vm-bytes 900m"),
    ("fork", "--fork 8"),
    ("files", "--hdd 2 --hdd-bytes 64m --iomix 2 --iomix-bytes 32m --temp-path /workspace"),
    ("processors", "--cpu 8"),
    ("all at once", "--vm 1 --vm-bytes 600m --fork 4 --hdd 1 --hdd-bytes 64m --cpu 4 --temp-path /workspace"),
];
const SECONDS: u64 = 2;
/// Ninety-nine of a hundred answers come within this; the first is a bound on hangs for hosts that test other things as well.
const USUAL: Duration = Duration::from_millis(500);
const STRICT: Duration = Duration::from_millis(50);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);
/// How much of the host's memory other programs may take meanwhile.
const OTHERS: u64 = 1 << 30;

#[test]
fn a_session_under_stress_holds_up_neither_the_daemon_nor_another_session() {
    if !["/usr/bin/stress-ng", "/bin/stress-ng"].iter().any(|path| fs::exists(path).unwrap_or(false)) {
        println!("SKIP: this host has no stress-ng");
        return;
    }
    let _alone = alone();
    with_daemon(async |daemon| {
        let more = asked("SANDKASTEN_E2E_STRESS");
        let bound = if more.is_some() { STRICT } else { patience(USUAL) };
        let seconds = more.unwrap_or(SECONDS);
        let (stressed, other) = (daemon.session().await, daemon.session().await);
        stressed.exec("kept=yes").await;
        let mut slow = Vec::new();
        for (name, strain) in STRAINS {
            if let Some(reason) = strain_by(daemon, &stressed, &other, name, strain, seconds, bound).await {
                slow.push(reason);
            }
        }
        assert!(slow.is_empty(), "{slow:#?}");
    });
}

/// Strains a session one way, and says what was too slow.
async fn strain_by(
    daemon: &TestDaemon,
    stressed: &TestSession,
    other: &TestSession,
    name: &str,
    strain: &str,
    seconds: u64,
    bound: Duration,
) -> Option<String> {
    let free = available_memory();
    let over = Arc::new(AtomicBool::new(false));
    let health = watch_health(daemon.raw(), &over);
    let neighbour = watch_neighbour(other.clone(), &over);
    let command = format!("/usr/bin/stress-ng {strain} --timeout {seconds}s --quiet 2>&1 | tail -5");
    let result = stressed.try_exec(&command, Some(60_000 + seconds * 2_000)).await;
    over.store(true, Ordering::Relaxed);
    let (mut health, least) = health.await.expect("the daemon is healthy");
    let mut neighbour = neighbour.await.expect("the neighbour is answered");
    let result = result.unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(stressed.output("(echo $kept)").await, "yes", "{name}: {result:?}");
    let stats = daemon.client().session_stats(&stressed.id).await.expect("stats");
    assert!(stats.memory_peak_bytes <= stats.memory_limit, "{name}: {stats:?}");
    let taken = free.saturating_sub(least);
    assert!(taken <= stats.memory_limit + OTHERS, "{name}: {taken} bytes of the host's memory were taken");
    let of_health = percentile(&mut health);
    println!(
        "{name}: exit {}, /healthz p99 {of_health:?} of {} (most {:?}), exec in another session p99 {:?} of {}, \
         host's memory taken {} MiB, peak of the session {} MiB, {} killed for memory",
        result.exit_code,
        health.len(),
        health.last().copied().unwrap_or_default(),
        percentile(&mut neighbour),
        neighbour.len(),
        taken >> 20,
        stats.memory_peak_bytes >> 20,
        stats.oom_kills,
    );
    assert!(!health.is_empty() && !neighbour.is_empty(), "{name}: nothing was measured");
    (of_health > bound)
        .then(|| format!("{name}: 99 of 100 /healthz took up to {of_health:?}, more than {bound:?}"))
}

/// Asks for the daemon's health again and again; returns how long each took, and the least memory that the host had.
fn watch_health(api: RawApi, over: &Arc<AtomicBool>) -> JoinHandle<(Vec<Duration>, u64)> {
    let over = Arc::clone(over);
    tokio::spawn(async move {
        let (mut took, mut least) = (Vec::new(), u64::MAX);
        while !over.load(Ordering::Relaxed) {
            let asked = Instant::now();
            assert_eq!(api.get("/healthz").await.status, 200);
            took.push(asked.elapsed());
            least = least.min(available_memory());
            tokio::time::sleep(PAUSE).await;
        }
        (took, least)
    })
}

/// Runs commands in another session; returns how long each took.
fn watch_neighbour(session: TestSession, over: &Arc<AtomicBool>) -> JoinHandle<Vec<Duration>> {
    let over = Arc::clone(over);
    tokio::spawn(async move {
        let mut took = Vec::new();
        while !over.load(Ordering::Relaxed) {
            let asked = Instant::now();
            assert_eq!(session.output("echo unharmed").await, "unharmed");
            took.push(asked.elapsed());
            tokio::time::sleep(PAUSE).await;
        }
        took
    })
}

/// What ninety-nine of a hundred are not above.
fn percentile(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get((times.len() * 99 / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

fn available_memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().map_or(0, |kib| kib << 10)
}
