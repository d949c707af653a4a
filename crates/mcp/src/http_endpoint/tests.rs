//! The endpoint on top of an engine that only makes and destroys sandboxes.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use sandkasten_client::{Answer, Body, Client, InProcess};
use serde_json::{Value, json};

use super::{HttpEndpoint, HttpOptions, ResponseBody};

/// Keeps the ids of the sandboxes that are there.
#[derive(Debug, Default)]
struct Engine {
    made: AtomicU16,
    live: Mutex<Vec<String>>,
}

impl InProcess for Engine {
    fn answer(&self, request: http::Request<Body>) -> Answer {
        let mut live = self.live.lock().expect("not poisoned");
        let path = request.uri().path();
        let (status, body) = match (request.method(), path.strip_prefix("/v1/sessions")) {
            (&Method::POST, Some("")) => {
                let id = format!("0123abcd-{:04x}", self.made.fetch_add(1, Ordering::Relaxed));
                live.push(id.clone());
                (201, session(&id))
            }
            (&Method::DELETE, Some(id)) => {
                live.retain(|live| live != id.trim_start_matches('/'));
                (200, json!({"ok": true}))
            }
            (&Method::GET, Some("")) => (200, live.iter().map(|id| session(id)).collect()),
            _ => (404, json!({"error_code": "FILE_NOT_FOUND", "message": "there are no files"})),
        };
        let mut response = http::Response::new(Body::from(body.to_string()));
        *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
        Box::pin(async move { response })
    }
}

fn session(id: &str) -> Value {
    json!({
        "id": id, "image": "host", "status": "running", "cwd": "/workspace", "acquire_source": "cold",
        "created_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-01T01:00:00Z",
    })
}

/// An endpoint of so many sessions, each of which may be silent for so long.
fn endpoint(most_sessions: usize, idle: Duration) -> (HttpEndpoint, Arc<Engine>) {
    let engine = Arc::new(Engine::default());
    let client = Client::in_process(engine.clone()).expect("a client");
    let options = HttpOptions { most_sessions, idle, most_body_bytes: 1 << 20 };
    (HttpEndpoint::new(client, options), engine)
}

fn request(method: Method, session: Option<&str>, body: &Value) -> Request<Full<Bytes>> {
    let mut request = Request::builder()
        .method(method)
        .uri("/mcp")
        .header("host", "anything")
        .header("accept", "application/json, text/event-stream")
        .header("content-type", "application/json");
    if let Some(session) = session {
        request = request.header("mcp-session-id", session);
    }
    request.body(Full::from(body.to_string())).expect("a request")
}

fn hello() -> Value {
    let params = json!({
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"},
    });
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})
}

async fn text(response: Response<ResponseBody>) -> String {
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Begins an MCP session and has it make a sandbox.
async fn busy_session(endpoint: &HttpEndpoint) -> String {
    let response = endpoint.answer(request(Method::POST, None, &hello())).await;
    assert_eq!(response.status(), 200);
    let id = response.headers()["mcp-session-id"].to_str().expect("text").to_owned();
    text(response).await;
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    endpoint.answer(request(Method::POST, Some(&id), &initialized)).await;
    let params = json!({"name": "read_file", "arguments": {"path": "x"}});
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let answer = text(endpoint.answer(request(Method::POST, Some(&id), &call)).await).await;
    assert!(answer.contains("FILE_NOT_FOUND: there are no files"), "{answer}");
    id
}

/// Waits until there are so many sandboxes.
async fn until_live(engine: &Engine, count: usize) {
    let waiting = async {
        while engine.live.lock().expect("not poisoned").len() != count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("in time");
}

#[tokio::test]
async fn a_silent_session_ends_and_its_sandbox_with_it() {
    let (endpoint, engine) = endpoint(10, Duration::from_millis(50));
    let id = busy_session(&endpoint).await;
    until_live(&engine, 0).await;
    let ping = json!({"jsonrpc": "2.0", "id": 2, "method": "ping"});
    assert_eq!(endpoint.answer(request(Method::POST, Some(&id), &ping)).await.status(), 404);
}

#[tokio::test]
async fn a_session_that_is_deleted_ends_with_its_sandbox_and_no_other() {
    let (endpoint, engine) = endpoint(10, Duration::from_secs(600));
    let (first, _second) = (busy_session(&endpoint).await, busy_session(&endpoint).await);
    until_live(&engine, 2).await;
    endpoint.answer(request(Method::DELETE, Some(&first), &Value::Null)).await;
    until_live(&engine, 1).await;
}

#[tokio::test]
async fn the_end_of_the_endpoint_waits_for_the_sandboxes() {
    let (endpoint, engine) = endpoint(10, Duration::from_secs(600));
    busy_session(&endpoint).await;
    busy_session(&endpoint).await;
    endpoint.end();
    endpoint.ended().await;
    assert!(engine.live.lock().expect("not poisoned").is_empty());
}

#[tokio::test]
async fn as_many_sessions_are_open_as_may_and_an_end_makes_room() {
    let (endpoint, engine) = endpoint(2, Duration::from_secs(600));
    let first = busy_session(&endpoint).await;
    assert!(!endpoint.has_no_room_for(&Method::POST, request(Method::POST, None, &hello()).headers()).await);
    busy_session(&endpoint).await;
    let asks = request(Method::POST, None, &hello());
    assert!(endpoint.has_no_room_for(&Method::POST, asks.headers()).await);
    // Whoever is in a session is not kept out, nor who needs none.
    let inside = request(Method::POST, Some(&first), &Value::Null);
    assert!(!endpoint.has_no_room_for(&Method::POST, inside.headers()).await);
    let mut alone = request(Method::POST, None, &Value::Null);
    alone.headers_mut().insert("mcp-protocol-version", "2026-07-28".parse().expect("a value"));
    assert!(!endpoint.has_no_room_for(&Method::POST, alone.headers()).await);
    assert_eq!(endpoint.answer(asks).await.status(), 500, "whoever came between is refused all the same");
    endpoint.answer(request(Method::DELETE, Some(&first), &Value::Null)).await;
    until_live(&engine, 1).await;
    busy_session(&endpoint).await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let (endpoint, _) = endpoint(2, Duration::from_secs(600));
    let large = json!({"text": "x".repeat(2 << 20)});
    assert_eq!(endpoint.answer(request(Method::POST, None, &large)).await.status(), 413);
}
