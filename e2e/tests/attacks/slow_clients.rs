//! Clients that connect and then take their time: each costs a place for a while, and nobody else anything.

use std::fs;
use std::time::{Duration, Instant};

use sandkasten_e2e::{RawApi, RawConnection, TestDaemon, status, with_config, with_daemon};

/// Within this the daemon hangs up on whoever sends half a request.
const CUT: Duration = Duration::from_secs(40);
/// What everybody else may have to wait meanwhile.
const AT_ONCE: Duration = Duration::from_secs(2);

/// The sockets that the daemon has open.
fn sockets(daemon: &TestDaemon) -> usize {
    let files = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("the daemon lives");
    let targets = files.flatten().filter_map(|file| fs::read_link(file.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}

async fn assert_healthy(daemon: &TestDaemon, within: Duration) {
    let started = Instant::now();
    let answer = RawApi::new(daemon.url(), None).get("/healthz").await;
    assert_eq!(answer.status, 200);
    assert!(started.elapsed() < within, "health took {:?}", started.elapsed());
}

/// The beginning of a request for each way of not going on.
fn beginnings(daemon: &TestDaemon, session: &str) -> Vec<String> {
    let headers = RawConnection::headers(daemon);
    let post =
        |path: &str, more: &str| format!("POST /v1/sessions/{session}/{path} HTTP/1.1\r\n{headers}{more}");
    vec![
        String::new(),
        "G".to_owned(),
        "GET /v1/sessions HTT".to_owned(),
        format!("GET /v1/sessions HTTP/1.1\r\n{headers}"),
        format!("GET /v1/sessions HTTP/1.1\r\n{headers}X-Slow: "),
        post("exec", "Content-Length: 100\r\n\r\n"),
        post("exec", "Content-Length: 100\r\n\r\n{\"cmd\":\"echo"),
        post("fs/write", "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"pat"),
        post(
            "fs/upload",
            "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 999\r\n\r\n--b\r\nContent-Disp",
        ),
    ]
}

#[test]
fn four_hundred_hanging_connections_hold_nobody_up_and_are_cut() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        assert_healthy(daemon, AT_ONCE).await;
        let before = sockets(daemon);
        let beginnings = beginnings(daemon, session.id.as_str());
        let mut hanging = Vec::new();
        for beginning in beginnings.iter().cycle().take(400) {
            let mut connection = RawConnection::open(daemon).await;
            assert!(connection.send(beginning).await);
            hanging.push(connection);
        }
        for _ in 0..5 {
            assert_healthy(daemon, AT_ONCE).await;
            assert_eq!(session.output("echo alive").await, "alive");
        }
        let started = Instant::now();
        for (number, connection) in hanging.iter_mut().enumerate() {
            let left = CUT.saturating_sub(started.elapsed());
            let beginning = &beginnings[number % beginnings.len()];
            let answer = connection.rest(left).await;
            let answer = answer.unwrap_or_else(|| panic!("still open after {CUT:?}: {beginning:?}"));
            assert!(matches!(status(&answer), 0 | 400 | 408), "{beginning:?}: {answer}");
        }
        drop(hanging);
        sandkasten_e2e::until("their sockets are closed", async || sockets(daemon) <= before + 1).await;
        assert_healthy(daemon, AT_ONCE).await;
    });
}

#[test]
fn headers_and_bodies_that_come_byte_by_byte_are_cut() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let beginnings = beginnings(daemon, session.id.as_str());
        let drips = beginnings.iter().map(|beginning| async move {
            let mut connection = RawConnection::open(daemon).await;
            let started = Instant::now();
            let mut open = connection.send(beginning).await;
            while open && started.elapsed() < CUT {
                tokio::time::sleep(Duration::from_millis(250)).await;
                // A space is welcome in most places, and ends nothing.
                open = connection.send(" ").await;
            }
            assert!(started.elapsed() < CUT, "still open after {CUT:?}: {beginning:?}");
        });
        futures_util::future::join_all(drips).await;
        assert_eq!(session.output("echo alive").await, "alive");
    });
}

#[test]
fn a_connection_that_rests_between_requests_is_closed() {
    with_daemon(async |daemon| {
        let mut connection = RawConnection::open(daemon).await;
        let request = format!("GET /healthz HTTP/1.1\r\n{}\r\n", RawConnection::headers(daemon));
        for _ in 0..2 {
            assert!(connection.send(&request).await);
            let answer = connection.until("{\"status\":\"ok\"}", AT_ONCE).await.expect("an answer");
            assert_eq!(status(&answer), 200);
        }
        assert_eq!(connection.rest(Duration::from_secs(20)).await.as_deref(), Some(""));
    });
}

#[test]
fn more_connections_than_there_are_places_wait_for_those_that_are_cut() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    // This process needs one socket for each; the daemon takes 4,096 at once, or half of its own limit.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
        .expect("the soft limit can be raised");
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let room = limit.maximum.map_or(4_300, |most| usize::try_from(most / 2).unwrap_or(usize::MAX));
        let mut hanging = Vec::new();
        for _ in 0..4_300.min(room) {
            hanging.push(RawConnection::open(daemon).await);
        }
        // Whoever comes now waits in the listener's queue until the first are cut.
        assert_healthy(daemon, Duration::from_secs(30)).await;
        assert_eq!(session.output("echo alive").await, "alive");
        drop(hanging);
        sandkasten_e2e::until("their sockets are closed", async || sockets(daemon) < 50).await;
    });
}

#[test]
fn an_answer_that_nobody_reads_is_given_up_some_time_after_its_command() {
    with_config("defaults:\n  max_exec_timeout_ms: 1000", async |daemon| {
        let session = daemon.session().await;
        let before = sockets(daemon);
        let body = "{\"cmd\":\"yes\"}";
        let mut connection = RawConnection::open(daemon).await;
        let request = format!(
            "POST /v1/sessions/{}/exec/stream HTTP/1.1\r\n{}Content-Length: {}\r\n\r\n{body}",
            session.id,
            RawConnection::headers(daemon),
            body.len()
        );
        assert!(connection.send(request).await);
        // The shell is free again as soon as the command has been ended, whatever its reader does.
        assert_eq!(session.output("echo alive").await, "alive");
        let started = Instant::now();
        while sockets(daemon) > before {
            assert!(started.elapsed() < CUT + Duration::from_secs(20), "the connection stays open");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        drop(connection);
    });
}
