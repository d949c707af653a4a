//! How bodies are read, the same on every route.

use reqwest::{Body, Method};
use sandkasten_e2e::{Answer, with_daemon};
use serde_json::json;

#[test]
fn malformed_json_is_the_clients_fault_on_every_route() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let base = format!("/v1/sessions/{}", session.id);
        let nested = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        let bodies: [&[u8]; 15] = [
            b"{",
            b"}",
            b"nul",
            b"[]",
            b"[{}]",
            b"\"text\"",
            b"7",
            b"{\"cmd\":",
            b"{\"cmd\":\"id\",}",
            b"{'cmd':'id'}",
            b"{\"cmd\":\"\xff\xfe\"}",
            b"{\"cmd\":\"\\ud800\"}",
            b"{} {}",
            b"\0\0\0\0",
            nested.as_bytes(),
        ];
        for path in ["/v1/sessions", "/exec", "/exec/stream", "/fs/write"] {
            let path = if path.starts_with("/v1") { path.to_owned() } else { format!("{base}{path}") };
            for body in bodies {
                let answer = daemon.raw().post_as_curl(&path, body).await;
                let message = answer.message(400, "INVALID_REQUEST");
                assert!(message.len() < 500, "{path} {:?}: {message:.600}", String::from_utf8_lossy(body));
            }
        }
        assert_eq!(daemon.client().list_sessions().await.expect("a list").len(), 1);
    });
}

#[test]
fn unknown_and_mistyped_fields_are_refused_by_name() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let base = format!("/v1/sessions/{}", session.id);
        for (path, body, name) in [
            ("", json!({"imagee": "host"}), "imagee"),
            ("", json!({"ttl_seconds": "60"}), "ttl_seconds"),
            ("", json!({"ttl_seconds": -1}), "ttl_seconds"),
            ("", json!({"ttl_seconds": 1.5}), "ttl_seconds"),
            ("", json!({"image": 5}), "image"),
            ("/exec", json!({"cmd": "true", "timeout": 5}), "timeout"),
            ("/exec", json!({"command": "true"}), "command"),
            ("/exec", json!({}), "cmd"),
            ("/exec", json!({"cmd": ["ls"]}), "cmd"),
            ("/exec", json!({"cmd": "true", "timeout_ms": "5"}), "timeout_ms"),
            ("/exec", json!({"cmd": "true", "timeout_ms": -1}), "timeout_ms"),
            ("/exec", json!({"cmd": "true", "raw_output": "yes"}), "raw_output"),
            ("/exec/stream", json!({"cmd": "true", "stream": true}), "stream"),
            ("/fs/write", json!({"path": "a", "content": "x"}), "content"),
            ("/fs/write", json!({"text": "x"}), "path"),
            ("/fs/write", json!({"path": 7, "text": "x"}), "path"),
        ] {
            let path = if path.is_empty() { "/v1/sessions".to_owned() } else { format!("{base}{path}") };
            let message = daemon.raw().post(&path, &body).await.message(400, "INVALID_REQUEST");
            assert!(message.contains(name), "{path} {body}: the message does not name {name}: {message}");
        }
    });
}

#[test]
fn a_body_is_json_whatever_it_is_called() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let path = format!("/v1/sessions/{}/exec", session.id);
        for kind in ["text/plain", "application/x-www-form-urlencoded", "application/json", "nonsense", ""] {
            let request = daemon.raw().request(Method::POST, &path).header("content-type", kind);
            let answer = Answer::to(request.body(r#"{"cmd":"echo here"}"#)).await;
            assert_eq!(answer.ok(200)["output"], "here\n", "{kind}");
        }
        let bare = daemon.raw().request(Method::POST, &path).body(r#"{"cmd":"echo here"}"#);
        assert_eq!(Answer::to(bare).await.status, 200);
        let chunked = Body::wrap_stream(futures_util::stream::iter(
            [r#"{"cmd":"ec"#, r#"ho in pieces"}"#].map(Ok::<_, std::io::Error>),
        ));
        let answer = Answer::to(daemon.raw().request(Method::POST, &path).body(chunked)).await;
        assert_eq!(answer.ok(200)["output"], "in pieces\n");
    });
}

#[test]
fn bodies_that_are_too_large_are_refused_and_the_daemon_goes_on() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        for (path, megabytes) in [("", 1), ("/exec", 8), ("/exec/stream", 8), ("/fs/write", 80)] {
            let path = if path.is_empty() {
                "/v1/sessions".to_owned()
            } else {
                format!("/v1/sessions/{}{path}", session.id)
            };
            for length_is_told in [true, false] {
                let spaces = vec![b' '; 1 << 20];
                let body = if length_is_told {
                    Body::from(vec![b' '; megabytes << 20])
                } else {
                    let pieces = std::iter::repeat_n(spaces, megabytes).map(Ok::<_, std::io::Error>);
                    Body::wrap_stream(futures_util::stream::iter(pieces))
                };
                // Whoever refuses early may hang up while the rest is still on its way.
                let Ok(response) = daemon.raw().request(Method::POST, &path).body(body).send().await else {
                    continue;
                };
                assert!(matches!(response.status().as_u16(), 400 | 413), "{path}: {}", response.status());
            }
        }
        let body = vec![b' '; 1 << 20];
        let answer = daemon.raw().post_as_curl("/v1/sessions", body).await;
        assert!(answer.message(413, "INVALID_REQUEST").contains("too large"));
        assert_eq!(session.output("echo alive").await, "alive");
    });
}
