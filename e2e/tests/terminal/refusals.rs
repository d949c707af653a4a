//! What is refused before there is a connection.

use reqwest::Method;
use sandkasten_e2e::{API_KEY, TestDaemon, with_daemon, with_open_daemon};

/// A handshake as a browser makes it, with one more header.
async fn handshake(
    daemon: &TestDaemon,
    key: Option<&str>,
    path: &str,
    header: (&str, &str),
) -> sandkasten_e2e::Answer {
    let request = daemon
        .raw()
        .with_key(key)
        .request(Method::GET, path)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header(header.0, header.1);
    sandkasten_e2e::Answer::to(request).await
}

#[test]
fn a_web_page_of_somebody_else_gets_no_terminal() {
    with_open_daemon(async |daemon| {
        let created = daemon.raw().with_key(None).post("/v1/sessions", &serde_json::json!({})).await.ok(201);
        let id = created["id"].as_str().expect("an id");
        let path = format!("/v1/sessions/{id}/tty");
        handshake(daemon, None, &path, ("Origin", "http://evil.example"))
            .await
            .refused(400, "INVALID_REQUEST");
        handshake(daemon, None, &path, ("Origin", "null")).await.refused(400, "INVALID_REQUEST");
        let listed = daemon.raw().with_key(None).get(&format!("/v1/sessions/{id}/processes")).await.ok(200);
        assert_eq!(listed["processes"].as_array().map(Vec::len), Some(0), "nothing was started");
    });
}

#[test]
fn a_terminal_is_refused_with_the_reason() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let path = format!("/v1/sessions/{}/tty", session.id);
        handshake(daemon, None, &path, ("X-A", "b")).await.refused(401, "UNAUTHORIZED");
        handshake(daemon, Some("wrong"), &path, ("X-A", "b")).await.refused(401, "UNAUTHORIZED");
        let message = daemon.raw().get(&path).await.message(400, "INVALID_REQUEST");
        assert!(message.contains("WebSocket"), "{message}");
        let key = Some(API_KEY);
        for (query, part) in [
            ("rows=24", "rows and cols belong together"),
            ("rows=0&cols=80", "0 rows"),
            ("rows=24&cols=1001", "1001 cols"),
            ("name=Not+a+name", "name is"),
            ("name=", "name is"),
            ("name=a&process=0123456789abcdef", "give one of them"),
            ("process=short", "short"),
            ("since=-1", "since"),
            ("colour=blue", "colour"),
        ] {
            let answer = handshake(daemon, key, &format!("{path}?{query}"), ("X-A", "b")).await;
            let message = answer.message(400, "INVALID_REQUEST");
            assert!(message.contains(part), "{query}: {message}");
        }
        let unknown = format!("{path}?process=0123456789abcdef");
        handshake(daemon, key, &unknown, ("X-A", "b")).await.refused(404, "PROCESS_NOT_FOUND");
        let missing = "/v1/sessions/0123abcd-ef01/tty";
        handshake(daemon, key, missing, ("X-A", "b")).await.refused(404, "SESSION_NOT_FOUND");
    });
}
