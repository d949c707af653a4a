//! Output without end costs the daemon neither memory nor its other work.

use std::fs;

use sandkasten_api::exec::ExecRequest;
use sandkasten_client::ExecEvent;
use sandkasten_e2e::{TestDaemon, patience_ms, with_config, with_daemon};

const MIB: u64 = 1 << 20;
/// The most memory that the daemon may have taken at any time.
const MEMORY_BOUND: u64 = 150 * MIB;

/// A configuration in which a command may take as long as this machine needs for a flood.
fn time_enough() -> String {
    format!("defaults:\n  max_exec_timeout_ms: {}", patience_ms(120_000))
}

/// The most memory of its own that the daemon has had.
fn peak_memory(daemon: &TestDaemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line of the status");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

#[test]
fn two_hundred_megabytes_of_output_are_cut_at_one_and_the_daemon_stays_small() {
    with_config(&time_enough(), async |daemon| {
        let (session, other) = (daemon.session().await, daemon.session().await);
        let flooder = session.clone();
        let running =
            tokio::spawn(
                async move { flooder.exec("head -c 200M /dev/zero | tr '\\0' x; echo; (exit 5)").await },
            );
        for _ in 0..5 {
            assert_eq!(other.output("echo unharmed").await, "unharmed");
        }
        let result = running.await.expect("no panic");
        assert_eq!((result.exit_code, result.truncated, result.output.len()), (5, true, 1 << 20));
        let control = session.exec("printf '\\377%.0s' $(seq 300000); head -c 2M /dev/urandom").await;
        assert!(control.truncated);
        assert_eq!(session.output("echo next").await, "next");
        let peak = peak_memory(daemon);
        assert!(peak < MEMORY_BOUND, "{} MiB", peak / MIB);
    });
}

#[test]
fn a_stream_passes_everything_on_without_keeping_it() {
    with_config(&time_enough(), async |daemon| {
        let session = daemon.session().await;
        let cmd = "head -c 50M /dev/zero | tr '\\0' x; (exit 5)".to_owned();
        let request = ExecRequest { cmd: Some(cmd), ..ExecRequest::default() };
        let mut stream = session.client.exec_stream(&session.id, &request).await.expect("a stream");
        let mut length = 0;
        loop {
            match stream.next().await.expect("an end").expect("no failure") {
                ExecEvent::Chunk(chunk) => length += chunk.chunk.len(),
                ExecEvent::Done(done) => {
                    assert_eq!(done.exit_code, 5);
                    break;
                }
                ExecEvent::Failed(failed) => panic!("{}", failed.error),
            }
        }
        assert_eq!(length, 50 << 20);
        let peak = peak_memory(daemon);
        assert!(peak < MEMORY_BOUND, "{} MiB", peak / MIB);
    });
}

#[test]
fn a_hundred_thousand_tiny_writes_all_arrive_in_order() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let output =
            session.python("import os\nfor n in range(100000): os.write(1 + n % 2, b'%d' % (n % 10))").await;
        assert_eq!(output, "0123456789".repeat(10_000));
    });
}

#[test]
fn floods_of_background_jobs_do_not_hold_the_session_up() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        for _ in 0..5 {
            session.exec("yes & yes >&2 &").await;
        }
        for _ in 0..20 {
            assert_eq!(session.output("echo mine").await, "mine");
        }
        session.output("kill $(jobs -p); wait 2>/dev/null; true").await;
        let peak = peak_memory(daemon);
        assert!(peak < MEMORY_BOUND, "{} MiB", peak / MIB);
    });
}
