//! `/mcp` of the daemon.

use sandkasten_e2e::{until, with_daemon};
use serde_json::{Value, json};

use crate::http_agent::{HttpAgent, messages, post};

#[test]
fn each_mcp_session_has_a_sandbox_of_its_own() {
    with_daemon(async |daemon| {
        let (mut one, mut two) = (HttpAgent::start(daemon).await, HttpAgent::start(daemon).await);
        one.tool("exec", json!({"cmd": "cd /tmp; echo one > /workspace/f"})).await;
        let seen = two.tool("exec", json!({"cmd": "ls /workspace; pwd"})).await;
        assert_eq!(seen["output"], "/workspace\n");
        assert_eq!(one.tool("exec", json!({"cmd": "pwd"})).await["output"], "/tmp\n");
        let sessions = daemon.client().list_sessions().await.expect("a list");
        assert_eq!(sessions.len(), 2);
        assert!(sessions.iter().all(|session| session.labels.get("mcp") == Some("http")));
        // There is one key, and it opens everything: a session is no boundary between those who have it.
        let named = json!({"path": "f", "session": sessions[0].id.as_str()});
        let other = json!({"path": "f", "session": sessions[1].id.as_str()});
        let read = [two.call("read_file", named).await, two.call("read_file", other).await];
        assert_eq!(read.iter().filter(|result| result["isError"] == false).count(), 1);
        one.end().await;
        two.end().await;
        until("the sandboxes are gone", async || {
            daemon.client().list_sessions().await.expect("a list").is_empty()
        })
        .await;
    });
}

#[test]
fn nothing_of_the_daemons_host_is_touched() {
    with_daemon(async |daemon| {
        let mut agent = HttpAgent::start(daemon).await;
        let config = daemon.config().display().to_string();
        for (tool, arguments) in [
            ("upload", json!({"local_path": config, "path": "x"})),
            ("download", json!({"path": "x", "local_path": config})),
            ("read_file", json!({"path": config})),
            ("read_file", json!({"path": format!("../..{config}")})),
        ] {
            let result = agent.call(tool, arguments).await;
            assert_eq!(result["isError"], true, "{tool}: {result}");
        }
        agent.tool("upload", json!({"path": "x", "content_base64": "AAEC/w=="})).await;
        let down = agent.call("download", json!({"path": "x"})).await;
        assert_eq!(down["content"][0]["resource"]["blob"], "AAEC/w==");
        agent.end().await;
    });
}

#[test]
fn a_call_is_cancelled_by_a_notification() {
    with_daemon(async |daemon| {
        let mut agent = HttpAgent::start(daemon).await;
        let begun = "echo x > /workspace/begun; sleep 3210";
        let (id, answer) = agent.begin("exec", json!({"cmd": begun})).await;
        let wait = json!({"cmd": "until [ -s /workspace/begun ]; do sleep 0.01; done", "shell": "none"});
        agent.tool("exec", wait).await;
        agent.notify("notifications/cancelled", json!({"requestId": id})).await;
        let left = json!({"cmd": "pgrep -f 'sleep 321[0]' || echo none"});
        assert_eq!(agent.tool("exec", left).await["output"], "none\n");
        drop(answer);
        agent.end().await;
    });
}

#[test]
fn a_request_that_stands_for_itself_names_its_sandbox() {
    with_daemon(async |daemon| {
        let http = reqwest::Client::new();
        let call = async |tool: &str, arguments: Value| -> Value {
            let meta = json!({
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": {},
            });
            let params = json!({"name": tool, "arguments": arguments, "_meta": meta});
            let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
            let request = post(&http, &daemon.url())
                .header("mcp-protocol-version", "2026-07-28")
                .header("mcp-method", "tools/call")
                .header("mcp-name", tool);
            let response = request.body(message.to_string()).send().await.expect("an answer");
            assert_eq!(response.status(), 200);
            messages(response).await.pop().expect("a message")["result"].clone()
        };
        let none = call("exec", json!({"cmd": "true"})).await;
        assert_eq!(none["isError"], true);
        assert!(none["content"][0]["text"].as_str().expect("text").contains("create_session"), "{none}");
        assert!(daemon.client().list_sessions().await.expect("a list").is_empty());
        let made = call("create_session", json!({})).await["structuredContent"].clone();
        assert_eq!(made["is_own"], false);
        let session = &made["session"];
        let done = call("exec", json!({"cmd": "cd /tmp; pwd", "session": session})).await;
        assert_eq!(done["structuredContent"]["output"], "/tmp\n");
        // It outlives the requests that made and used it, until it is destroyed.
        let done = call("exec", json!({"cmd": "pwd", "session": session})).await;
        assert_eq!(done["structuredContent"]["output"], "/tmp\n");
        call("destroy_session", json!({"session": session})).await;
        assert!(daemon.client().list_sessions().await.expect("a list").is_empty());
    });
}
