//! What every refusal has in common, and the id of every request.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use reqwest::Method;
use sandkasten_e2e::{API_KEY, Answer, with_daemon};

#[test]
fn unknown_routes_and_methods_are_refused_as_json() {
    with_daemon(async |daemon| {
        let raw = daemon.raw();
        for path in [
            "/",
            "/v1",
            "/v2/sessions",
            "/v1/sessions/",
            "/v1/sessions/0123abcd-ef01/nothing",
            "/v1//sessions",
        ] {
            let message = raw.get(path).await.message(404, "INVALID_REQUEST");
            assert!(message.contains(path), "{message}");
        }
        for (method, path) in [
            (Method::PUT, "/v1/sessions"),
            (Method::DELETE, "/v1/sessions"),
            (Method::POST, "/v1/sessions/0123abcd-ef01"),
            (Method::GET, "/v1/sessions/0123abcd-ef01/exec"),
            (Method::GET, "/v1/sessions/0123abcd-ef01/exec/stream"),
            (Method::POST, "/v1/sessions/0123abcd-ef01/stats"),
            (Method::POST, "/v1/sessions/0123abcd-ef01/fs/read"),
            (Method::GET, "/v1/sessions/0123abcd-ef01/fs/write"),
            (Method::PATCH, "/healthz"),
        ] {
            let answer = Answer::to(raw.request(method.clone(), path)).await;
            let message = answer.message(405, "INVALID_REQUEST");
            assert!(message.contains(method.as_str()) && message.contains(path), "{message}");
        }
    });
}

#[test]
fn a_request_id_is_echoed_or_made_up() {
    with_daemon(async |daemon| {
        let send = async |path: &str, id: Option<&str>| {
            let request = daemon.raw().request(Method::GET, path);
            let request = id.into_iter().fold(request, |request, id| request.header("X-Request-ID", id));
            let answer = Answer::to(request).await;
            answer.headers["x-request-id"].to_str().expect("text").to_owned()
        };
        for path in ["/healthz", "/v1/sessions", "/v1/sessions/0123abcd-ef01", "/nowhere"] {
            assert_eq!(send(path, Some("agent-7.step_12")).await, "agent-7.step_12");
            let made = [send(path, None).await, send(path, None).await];
            assert!(made[0] != made[1] && made.iter().all(|id| id.len() >= 8), "{made:?}");
        }
        let unauthorized = daemon.raw().with_key(None).request(Method::GET, "/v1/sessions");
        let answer = Answer::to(unauthorized.header("X-Request-ID", "refused-1")).await;
        assert_eq!(answer.headers["x-request-id"], "refused-1");
        let long = "x".repeat(10_000);
        assert!(send("/healthz", Some(&long)).await.len() < 1_000);
        assert!(!send("/healthz", Some("")).await.is_empty());
    });
}

#[test]
fn nothing_that_is_sent_is_a_fault_of_the_server() {
    with_daemon(async |daemon| {
        let address = daemon.url().trim_start_matches("http://").to_owned();
        let head = format!("Host: {address}\r\nAuthorization: Bearer {API_KEY}\r\n");
        for request in [
            "GARBAGE\r\n\r\n".to_owned(),
            format!("GET /v1/sessions HTTP/1.1\r\nAuthorization: Bearer {API_KEY}\r\n\r\n"),
            format!("GET /v1/sessions/%00 HTTP/1.1\r\n{head}\r\n"),
            format!("GET /v1/sessions/%ff%fe HTTP/1.1\r\n{head}\r\n"),
            format!("GET /v1/sessions/../../etc/passwd HTTP/1.1\r\n{head}\r\n"),
            format!("GET /v1/sessions/{} HTTP/1.1\r\n{head}\r\n", "a".repeat(9_000)),
            format!("GET /v1/sessions/0123abcd-ef01/fs/read?path=%ff&path=%zz HTTP/1.1\r\n{head}\r\n"),
            format!("POST /v1/sessions HTTP/1.1\r\n{head}Content-Length: x\r\n\r\n{{}}"),
            format!("POST /v1/sessions HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
            format!("GET /v1/sessions HTTP/1.1\r\n{head}X-Long: {}\r\n\r\n", "y".repeat(200_000)),
        ] {
            let answer = exchange(&address, &request);
            let status = answer.split(' ').nth(1).unwrap_or_default();
            // A connection that is closed without an answer is a refusal as well.
            assert!(answer.is_empty() || status.starts_with('4'), "{request:.80}: {answer:.200}");
        }
        assert_eq!(daemon.raw().get("/healthz").await.status, 200);
    });
}

/// Sends bytes and returns the beginning of what comes back.
fn exchange(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the daemon listens");
    stream.set_read_timeout(Some(Duration::from_secs(15))).expect("a timeout can be set");
    // The daemon may hang up before it has read everything.
    stream.write_all(request.as_bytes()).ok();
    let mut answer = vec![0; 2_000];
    let count = stream.read(&mut answer).unwrap_or_default();
    String::from_utf8_lossy(&answer[..count]).into_owned()
}
