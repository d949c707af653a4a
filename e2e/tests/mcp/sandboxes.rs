//! Which sandbox a call works in.

use sandkasten_e2e::{with_config, with_daemon};
use serde_json::{Value, json};

use crate::stdio_agent::{StdioAgent, text};

#[test]
fn one_sandbox_is_made_at_the_first_call_and_others_are_named() {
    with_daemon(async |daemon| {
        let mut agent = StdioAgent::start(daemon, &[]).await;
        agent.request("tools/list", json!({})).await;
        assert!(daemon.client().list_sessions().await.expect("a list").is_empty());
        let mut calls = Vec::new();
        for _ in 0..5 {
            let call =
                json!({"name": "exec", "arguments": {"cmd": "echo x >> /workspace/own", "shell": "none"}});
            calls.push(agent.send("tools/call", call).await);
        }
        for id in calls {
            let answered = agent.told.iter().position(|told| told["id"] == id);
            let answer = match answered {
                Some(at) => agent.told.remove(at),
                None => agent.answer(id).await,
            };
            assert_eq!(answer["result"]["structuredContent"]["exit_code"], 0, "{answer}");
        }
        assert_eq!(daemon.client().list_sessions().await.expect("a list").len(), 1, "all calls share one");

        let other = agent.tool("create_session", json!({"name": "other"})).await;
        assert_eq!(other["is_own"], true);
        let seen = agent.tool("exec", json!({"cmd": "ls /workspace", "session": "other"})).await;
        assert_eq!(seen["output"], "", "the other one has files of its own");
        let seen = agent.tool("exec", json!({"cmd": "ls /workspace", "session": other["session"]})).await;
        assert_eq!(seen["session"], other["session"]);
        let listed = agent.tool("list_sessions", json!({})).await;
        assert_eq!(listed["sessions"].as_array().expect("sessions").len(), 2, "{listed}");
        agent.tool("destroy_session", json!({"session": "other"})).await;
        assert_eq!(daemon.client().list_sessions().await.expect("a list").len(), 1);
        assert!(agent.close().await.success());
    });
}

#[test]
fn a_sandbox_that_has_gone_is_said_once_and_then_replaced() {
    with_daemon(async |daemon| {
        let mut agent = StdioAgent::start(daemon, &[]).await;
        let first = agent.tool("exec", json!({"cmd": "touch /workspace/f"})).await;
        let id = first["session"].as_str().expect("an id").parse().expect("an id");
        daemon.client().destroy_session(&id).await.expect("destroyed");
        let lost = agent.call("exec", json!({"cmd": "true"})).await;
        assert_eq!(lost["isError"], true);
        assert!(text(&lost).contains("the next call without `session` gets a fresh one"), "{lost}");
        let fresh = agent.tool("exec", json!({"cmd": "ls /workspace"})).await;
        assert_eq!(fresh["output"], "");
        assert_ne!(fresh["session"], first["session"]);
        assert!(agent.close().await.success());
    });
}

#[test]
fn a_session_of_somebody_else_is_used_and_stays() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let mut agent = StdioAgent::start(daemon, &["--session", session.id.as_str()]).await;
        let done = agent.tool("exec", json!({"cmd": "touch /workspace/left"})).await;
        assert_eq!(done["session"], session.id.as_str());
        assert!(agent.close().await.success());
        assert_eq!(session.exec("ls /workspace").await.output, "left\n");
    });
}

#[test]
fn the_options_are_about_the_sandbox_that_is_made() {
    with_config("workspace:\n  enabled: true\n  min_free_mb: 16", async |daemon| {
        let options = ["--workspace", "notes", "--ttl", "77", "--image", "host"];
        let mut agent = StdioAgent::start(daemon, &options).await;
        agent.tool("write_file", json!({"path": "kept", "text": "k"})).await;
        let sessions = daemon.client().list_sessions().await.expect("a list");
        assert_eq!((sessions.len(), sessions[0].ttl_seconds), (1, 77));
        assert_eq!(sessions[0].labels.get("mcp"), Some("stdio"));
        assert!(agent.close().await.success());
        let mut next = StdioAgent::start(daemon, &["--workspace", "notes"]).await;
        assert_eq!(next.tool("read_file", json!({"path": "kept"})).await["text"], "k");
        assert!(next.close().await.success());

        let mut wrong = StdioAgent::start(daemon, &["--image", "no-such-image"]).await;
        let refused: Value = wrong.call("exec", json!({"cmd": "true"})).await;
        assert!(text(&refused).contains("no sandbox of image \"no-such-image\""), "{refused}");
        assert!(wrong.close().await.success());
    });
}

#[test]
fn the_version_without_mcp_sessions_has_one_over_standard_input_all_the_same() {
    with_daemon(async |daemon| {
        let mut agent = StdioAgent::silent(daemon.command(&["mcp"]).into());
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let found = agent.request("server/discover", json!({"_meta": meta})).await;
        let versions = found["result"]["supportedVersions"].as_array().expect("versions");
        assert!(versions.contains(&json!("2026-07-28")), "{found}");
        for (command, expected) in [("cd /tmp; echo in", "in\n"), ("pwd", "/tmp\n")] {
            let call = json!({"name": "exec", "arguments": {"cmd": command}, "_meta": meta});
            let done = agent.request("tools/call", call).await;
            assert_eq!(done["result"]["structuredContent"]["output"], expected, "{done}");
        }
        assert!(agent.close().await.success());
        assert!(daemon.client().list_sessions().await.expect("a list").is_empty());
    });
}
