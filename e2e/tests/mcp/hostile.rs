//! Clients of `/mcp` that mean no good.

use sandkasten_e2e::{API_KEY, until, with_daemon, with_open_daemon};
use serde_json::json;

use crate::http_agent::{HttpAgent, hello, post};

#[test]
fn the_guard_of_the_api_stands_in_front() {
    with_daemon(async |daemon| {
        let http = reqwest::Client::new();
        let url = format!("{}/mcp", daemon.url());
        for method in [reqwest::Method::POST, reqwest::Method::GET, reqwest::Method::DELETE] {
            let bare = http.request(method.clone(), &url).body(hello().to_string()).send().await;
            assert_eq!(bare.expect("an answer").status(), 401, "{method}");
            let wrong = http.request(method.clone(), &url).bearer_auth("sk-wrong").send().await;
            assert_eq!(wrong.expect("an answer").status(), 401, "{method}");
        }
        for (header, value) in
            [("origin", "http://evil.example"), ("origin", "null"), ("host", "evil.example")]
        {
            let request = post(&http, &daemon.url()).header(header, value).body(hello().to_string());
            let status = request.send().await.expect("an answer").status();
            assert_eq!(status, 400, "{header}: {value}");
        }
        let own = post(&http, &daemon.url()).header("origin", daemon.url()).body(hello().to_string());
        assert_eq!(own.send().await.expect("an answer").status(), 200);
    });
}

#[test]
fn an_open_daemon_takes_nothing_that_a_web_page_could_send() {
    with_open_daemon(async |daemon| {
        let http = reqwest::Client::new();
        let url = format!("{}/mcp", daemon.url());
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
            let request = http.post(&url).header("accept", "application/json, text/event-stream");
            let request = request.header("content-type", kind).body(hello().to_string());
            assert_eq!(request.send().await.expect("an answer").status(), 415, "{kind}");
        }
        let foreign = post(&http, &daemon.url()).header("origin", "http://evil.example").body("{}");
        assert_eq!(foreign.send().await.expect("an answer").status(), 400);
        let agent = HttpAgent::start(daemon).await;
        agent.end().await;
    });
}

#[test]
fn garbage_and_what_is_too_large_is_refused_and_the_daemon_goes_on() {
    with_daemon(async |daemon| {
        let http = reqwest::Client::new();
        for body in ["", "{", "[]", "null", "{\"jsonrpc\":\"2.0\"}", "\u{0}", &"[".repeat(100_000)] {
            let answer = post(&http, &daemon.url()).body(body.to_owned()).send().await.expect("an answer");
            assert!(answer.status().is_client_error(), "{:.20}: {}", body, answer.status());
        }
        let call =
            json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "list_sessions"}});
        let homeless = post(&http, &daemon.url()).body(call.to_string()).send().await.expect("an answer");
        assert!(homeless.status().is_client_error(), "{}", homeless.status());
        let unknown = post(&http, &daemon.url()).header("mcp-session-id", "0123abcd").body(call.to_string());
        assert_eq!(unknown.send().await.expect("an answer").status(), 404);

        let large = json!({"text": "x".repeat(25 << 20)});
        // Where the connection is cut while it still sends, the client may not hear the answer.
        if let Ok(answer) = post(&http, &daemon.url()).body(large.to_string()).send().await {
            assert_eq!(answer.status(), 413);
        }
        let mut agent = HttpAgent::start(daemon).await;
        assert_eq!(agent.tool("exec", json!({"cmd": "echo on"})).await["output"], "on\n");
        agent.end().await;
    });
}

#[test]
fn one_mcp_session_too_many_is_refused_and_others_go_on() {
    with_daemon(async |daemon| {
        let http = reqwest::Client::new();
        let mut first = HttpAgent::start(daemon).await;
        first.tool("exec", json!({"cmd": "true"})).await;
        let mut refused = None;
        for _ in 0..1_100 {
            let answer =
                post(&http, &daemon.url()).body(hello().to_string()).send().await.expect("an answer");
            if answer.status() != 200 {
                refused = Some(answer);
                break;
            }
            answer.bytes().await.expect("a body");
        }
        let refused = refused.expect("there is a bound");
        assert_eq!(refused.status(), 429);
        let body = refused.text().await.expect("a body");
        assert!(body.contains("LIMIT_EXCEEDED") && body.contains("1000"), "{body}");
        assert_eq!(first.tool("exec", json!({"cmd": "echo on"})).await["output"], "on\n");
        // None of them has made a sandbox.
        assert_eq!(daemon.client().list_sessions().await.expect("a list").len(), 1);
        first.end().await;
        let mut next = HttpAgent::start(daemon).await;
        assert_eq!(next.tool("exec", json!({"cmd": "echo in"})).await["output"], "in\n");
        next.end().await;
    });
}

#[test]
fn calls_that_nobody_waits_for_are_bounded() {
    with_daemon(async |daemon| {
        let mut agent = HttpAgent::start(daemon).await;
        agent.tool("exec", json!({"cmd": "true"})).await;
        // Each client goes away as soon as its call has begun.
        for _ in 0..64 {
            drop(agent.begin("exec", json!({"cmd": "sleep 3210"})).await);
        }
        let refused = agent.call("exec", json!({"cmd": "true", "shell": "none"})).await;
        assert_eq!(refused["isError"], true);
        let text = refused["content"][0]["text"].as_str().expect("text");
        assert!(text.contains("64 calls of this MCP session are under way"), "{text}");
        let mut other = HttpAgent::start(daemon).await;
        assert_eq!(other.tool("exec", json!({"cmd": "echo on"})).await["output"], "on\n");
        agent.end().await;
        other.end().await;
        until("the sandboxes are gone", async || {
            daemon.client().list_sessions().await.expect("a list").is_empty()
        })
        .await;
    });
}

#[test]
fn what_agents_send_is_in_no_log() {
    with_daemon(async |daemon| {
        let mut agent = HttpAgent::start(daemon).await;
        agent.call("exec", json!({"cmd": "echo sekret-word", "nonsense": "sekret-word"})).await;
        agent.tool("exec", json!({"cmd": "echo sekret-word"})).await;
        let (_, answer) = agent.begin("no-such-sekret-word", json!({})).await;
        answer.bytes().await.expect("a body");
        agent.end().await;
        assert!(!daemon.log().contains("sekret-word") && !daemon.log().contains(API_KEY), "{}", daemon.log());
    });
}
