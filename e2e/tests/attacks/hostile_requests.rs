//! Requests that are too large, wrongly framed or no requests at all: refused as the client's fault, within bounds, and
//! never taken for another request.

use std::fs;
use std::time::{Duration, Instant};

use reqwest::Method;
use sandkasten_e2e::{API_KEY, Answer, RawConnection, TestDaemon, TestSession, status, with_daemon};

/// A bound on hangs.
const PATIENCE: Duration = Duration::from_secs(40);
/// What is refused without reading it is refused at once.
const AT_ONCE: Duration = Duration::from_secs(3);

/// The most memory that the daemon has had so far.
fn peak_kilobytes(daemon: &TestDaemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("the daemon lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// The endpoints that take bodies.
fn endpoints(session: &TestSession) -> Vec<String> {
    let mut endpoints = vec!["/v1/sessions".to_owned()];
    for name in ["exec", "exec/stream", "fs/write", "fs/upload"] {
        endpoints.push(format!("/v1/sessions/{}/{name}", session.id));
    }
    endpoints
}

/// Sends bytes and returns what comes back until the daemon hangs up. That nothing more is sent is said only behind the
/// first answer: to a client that has gone none is owed.
async fn exchange(daemon: &TestDaemon, bytes: impl AsRef<[u8]>) -> String {
    let mut connection = RawConnection::open(daemon).await;
    connection.send(bytes).await;
    let head = connection.until("\r\n\r\n", AT_ONCE).await.unwrap_or_default();
    connection.finish_sending().await;
    head + &connection.rest(PATIENCE).await.expect("an answer or an end")
}

#[test]
fn large_bodies_headers_and_nestings_are_refused_within_bounds_of_memory() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let before = peak_kilobytes(daemon);
        let nested = format!("{{\"path\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
        for path in endpoints(&session) {
            let is_form = path.ends_with("upload");
            let kind = if is_form { "multipart/form-data; boundary=b" } else { "application/json" };
            let spaces = vec![b' '; 64 << 20];
            for body in [&spaces[..], nested.as_bytes()] {
                let request = daemon.raw().request(Method::POST, &path).header("content-type", kind);
                // Whoever refuses early may hang up while the rest is still on its way.
                if let Ok(response) = request.body(body.to_vec()).send().await {
                    assert!(response.status().is_client_error(), "{path}: {}", response.status());
                }
            }
            // The same without a length, so that only counting helps.
            let mut connection = RawConnection::open(daemon).await;
            let headers = RawConnection::headers(daemon);
            connection
                .send(format!(
                    "POST {path} HTTP/1.1\r\n{headers}Content-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
                ))
                .await;
            for _ in 0..72 {
                let chunk = [b"100000\r\n", &spaces[..1 << 20], b"\r\n"].concat();
                if !connection.send(chunk).await {
                    break;
                }
            }
            let answer = connection.rest(PATIENCE).await.expect("an answer or an end");
            assert!(matches!(status(&answer), 0 | 400 | 413), "{path}: {answer}");
        }
        let grown = peak_kilobytes(daemon).saturating_sub(before) / 1024;
        assert!(grown < 160, "the daemon grew by {grown} MiB");
        assert_eq!(session.output("echo alive").await, "alive");
    });
}

#[test]
fn a_length_beyond_the_limit_is_refused_before_anything_is_sent() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let headers = RawConnection::headers(daemon);
        for path in endpoints(&session) {
            let kind =
                if path.ends_with("upload") { "multipart/form-data; boundary=b" } else { "application/json" };
            for length in ["1099511627776", "9223372036854775807", "200000000"] {
                let started = Instant::now();
                let mut connection = RawConnection::open(daemon).await;
                let head = format!(
                    "POST {path} HTTP/1.1\r\n{headers}Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
                );
                assert!(connection.send(head).await);
                let answer = connection.until("INVALID_REQUEST", AT_ONCE).await;
                let answer = answer.unwrap_or_else(|| panic!("no answer to {length} bytes for {path}"));
                assert_eq!(status(&answer), 413, "{path}: {answer}");
                assert!(started.elapsed() < AT_ONCE);
            }
        }
    });
}

#[test]
fn headers_beyond_their_bounds_are_refused() {
    with_daemon(async |daemon| {
        let headers = RawConnection::headers(daemon);
        let many: String = (0..5_000).map(|number| format!("X-{number}: x\r\n")).collect();
        for more in [
            format!("X-Long: {}\r\n", "x".repeat(1 << 20)),
            format!("{}: x\r\n", "X".repeat(1 << 20)),
            format!("Authorization: Bearer {}\r\n", "x".repeat(1 << 20)),
            many,
        ] {
            let answer = exchange(daemon, format!("GET /v1/sessions HTTP/1.1\r\n{headers}{more}\r\n")).await;
            assert!((400..500).contains(&status(&answer)), "{more:.30}: {answer}");
        }
        let long = format!("GET /{} HTTP/1.1\r\n{headers}\r\n", "x".repeat(1 << 20));
        assert!((400..500).contains(&status(&exchange(daemon, long).await)));
        assert_eq!(daemon.raw().get("/healthz").await.status, 200);
    });
}

#[test]
fn framing_that_two_readers_could_understand_differently_is_refused() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let headers = RawConnection::headers(daemon);
        // Would be a request of its own for whoever takes the body before it to have ended.
        let hidden = format!("DELETE /v1/sessions/{} HTTP/1.1\r\n{headers}\r\n", session.id);
        let path = format!("/v1/sessions/{}/exec", session.id);
        for framing in [
            format!("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
            format!("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{hidden}"),
            format!("Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!{hidden}"),
            format!("Content-Length: 5, 6\r\n\r\nhello!{hidden}"),
            format!("Content-Length: +5\r\n\r\nhello{hidden}"),
            format!("Content-Length: -5\r\n\r\nhello{hidden}"),
            format!("Content-Length: 0x5\r\n\r\nhello{hidden}"),
            format!("Content-Length: 5 5\r\n\r\nhello{hidden}"),
            format!("Content-Length: 99999999999999999999999999\r\n\r\nhello{hidden}"),
            format!("Content-Length : 5\r\n\r\nhello{hidden}"),
            format!("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{hidden}"),
            format!("Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}"),
            format!("Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello{hidden}"),
            format!("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n{hidden}"),
            format!("Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n{hidden}"),
            format!("Transfer-Encoding: chunked\r\n\r\n-1\r\n{hidden}"),
            format!("Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{hidden}"),
            format!("Transfer-Encoding: chunked\r\n\r\n5;\r\nhello0\r\n\r\n{hidden}"),
            format!("X-Folded: a\r\n b\r\nContent-Length: 5\r\n\r\nhello{hidden}"),
            format!("X-Null: a\0b\r\nContent-Length: 5\r\n\r\nhello{hidden}"),
            format!("No-Colon\r\nContent-Length: 5\r\n\r\nhello{hidden}"),
        ] {
            let answer = exchange(daemon, format!("POST {path} HTTP/1.1\r\n{headers}{framing}")).await;
            let shown = framing.split("DELETE").next().unwrap_or_default();
            assert!((400..500).contains(&status(&answer)), "{shown:?}: {answer}");
            assert!(!answer.contains("\"ok\":true"), "{shown:?} hid a request: {answer}");
            assert_eq!(daemon.client().list_sessions().await.expect("a list").len(), 1, "{shown:?}");
        }
    });
}

#[test]
fn what_is_no_request_of_http_1_is_refused() {
    with_daemon(async |daemon| {
        let headers = RawConnection::headers(daemon);
        for bytes in [
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_owned(),
            "\x16\x03\x01\x02\0\x01\0\x01\x7c\x03\x03".to_owned(),
            "GET /v1/sessions\r\n".to_owned(),
            format!("GET /v1/sessions HTTP/3.0\r\n{headers}\r\n"),
            format!("GET  /v1/sessions HTTP/1.1\r\n{headers}\r\n"),
            format!("GET /v1/sessions x HTTP/1.1\r\n{headers}\r\n"),
            format!("G\0T /v1/sessions HTTP/1.1\r\n{headers}\r\n"),
            format!("GET /v1/\0sessions HTTP/1.1\r\n{headers}\r\n"),
            format!("GET /v1/sessions HTTP/1.1\r\nHost: evil.example\r\n{headers}\r\n"),
            format!("GET /v1/sessions HTTP/1.1\r\nAuthorization: Bearer {API_KEY}\r\n\r\n"),
            format!("CONNECT 127.0.0.1:22 HTTP/1.1\r\n{headers}\r\n"),
            format!("TRACE /v1/sessions HTTP/1.1\r\n{headers}\r\n"),
        ] {
            let answer = exchange(daemon, &bytes).await;
            assert!(matches!(status(&answer), 0 | 400..500), "{bytes:?}: {answer}");
            assert!(!answer.contains("\r\n\r\n[]"), "{bytes:?} was served: {answer}");
        }
    });
}

#[test]
fn pipelined_requests_are_answered_one_by_one_and_a_refused_body_is_no_request() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let headers = RawConnection::headers(daemon);
        let one = format!("GET /healthz HTTP/1.1\r\n{headers}\r\n");
        let last = format!("GET /v1/sessions HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
        let mut connection = RawConnection::open(daemon).await;
        assert!(connection.send(one.repeat(200) + &last).await);
        let answer = connection.rest(PATIENCE).await.expect("an end");
        assert_eq!(answer.matches("HTTP/1.1 200").count(), 201);
        assert!(answer.ends_with(']'), "the last is answered last");
        let hidden = format!("DELETE /v1/sessions/{} HTTP/1.1\r\n{headers}\r\n", session.id);
        for route in ["exec", "fs/write", "fs/upload", "no-such-thing"] {
            let length = hidden.len();
            let request = format!(
                "POST /v1/sessions/{}/{route} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{hidden}",
                session.id
            );
            let answer = exchange(daemon, request).await;
            assert_eq!(status(&answer), 401, "{answer}");
            assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
        }
        assert_eq!(session.output("echo alive").await, "alive");
    });
}

#[test]
fn names_that_are_no_text_are_refused_as_json() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let base = format!("/v1/sessions/{}", session.id);
        for path in [
            "/v1/sessions/%ff".to_owned(),
            "/v1/sessions/%00".to_owned(),
            "/v1/sessions/%ff/stats".to_owned(),
            "/v1/workspaces/%ff".to_owned(),
            format!("{base}/fs/read?path=%ff"),
            format!("{base}/fs/read?path=a&path=b"),
            format!("{base}/fs/read?path=a&max_bytes=99999999999999999999"),
        ] {
            let answer = daemon.raw().get(&path).await;
            assert!((400..500).contains(&answer.status), "{path}: {}", answer.text);
            assert!(answer.json()["error_code"].is_string(), "{path}: {}", answer.text);
        }
        for path in ["/v1/sessions/%ff/exec", "/v1/sessions/%ff/fs/upload", "/v1/sessions/%ff/fs/write"] {
            let answer = Answer::to(daemon.raw().request(Method::POST, path).body("{}")).await;
            assert!(!answer.message(400, "INVALID_REQUEST").is_empty(), "{path}");
        }
    });
}

#[test]
fn random_and_damaged_requests_never_cost_the_daemon_an_error_of_its_own() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let headers = RawConnection::headers(daemon);
        let body = "{\"cmd\":\"true\",\"timeout_ms\":1000}";
        let sound = format!(
            "POST /v1/sessions/{}/exec HTTP/1.1\r\n{headers}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            session.id,
            body.len()
        );
        let mut random = fastrand::Rng::with_seed(9);
        for round in 0..600 {
            let mut bytes = sound.clone().into_bytes();
            match random.u8(..4) {
                0 => bytes = (0..random.usize(1..600)).map(|_| random.u8(..)).collect(),
                1 => bytes.truncate(random.usize(1..bytes.len())),
                2 => {
                    for _ in 0..random.usize(1..6) {
                        let at = random.usize(..bytes.len());
                        bytes[at] = random.u8(..);
                    }
                }
                _ => {
                    let (from, to) = (random.usize(..bytes.len()), random.usize(..bytes.len()));
                    let piece = bytes[from.min(to)..from.max(to)].to_vec();
                    bytes.splice(from..from, piece);
                }
            }
            let mut connection = RawConnection::open(daemon).await;
            connection.send(&bytes).await;
            if random.bool() {
                connection.finish_sending().await;
            }
            let answer = connection.until("\r\n\r\n", Duration::from_millis(200)).await.unwrap_or_default();
            let shown = String::from_utf8_lossy(&bytes).into_owned();
            assert!(status(&answer) < 500, "round {round}: {shown:?}: {answer}");
        }
        assert!(!daemon.log().contains("panic"), "{}", daemon.log());
        assert_eq!(session.output("echo alive").await, "alive");
    });
}
