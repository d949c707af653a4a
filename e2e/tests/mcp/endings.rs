//! What is left of an agent's sandboxes: nothing, however it ends.

use std::process::Stdio;

use rustix::process::Signal;
use sandkasten_e2e::{TestDaemon, until, with_daemon};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::http_agent::HttpAgent;
use crate::stdio_agent::StdioAgent;

async fn sessions(daemon: &TestDaemon) -> usize {
    daemon.client().list_sessions().await.expect("a list").len()
}

/// An agent with two sandboxes and one that is to stay, and a command under way.
async fn busy_agent(daemon: &TestDaemon) -> StdioAgent {
    let mut agent = StdioAgent::start(daemon, &[]).await;
    agent.tool("exec", json!({"cmd": "sleep 3210 &"})).await;
    agent.tool("create_session", json!({})).await;
    agent.tool("create_session", json!({"keep": true, "name": "kept"})).await;
    let call = json!({"name": "exec", "arguments": {"cmd": "echo x > /workspace/begun; sleep 3210"}});
    agent.send("tools/call", call).await;
    // The file is seen from beside the shell.
    let begun = json!({"cmd": "until [ -s /workspace/begun ]; do sleep 0.01; done", "shell": "none"});
    agent.tool("exec", begun).await;
    assert_eq!(sessions(daemon).await, 3);
    agent
}

async fn only_the_kept_one_is_left(daemon: &TestDaemon) {
    let left = daemon.client().list_sessions().await.expect("a list");
    let names: Vec<_> = left.iter().map(|session| session.name.as_ref().map(ToString::to_string)).collect();
    assert_eq!(names, [Some("kept".to_owned())]);
}

#[test]
fn an_agent_that_closes_our_input_leaves_nothing() {
    with_daemon(async |daemon| {
        let agent = busy_agent(daemon).await;
        assert!(agent.close().await.success());
        only_the_kept_one_is_left(daemon).await;
    });
}

#[test]
fn a_server_that_is_asked_to_end_leaves_nothing() {
    with_daemon(async |daemon| {
        for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
            let agent = busy_agent(daemon).await;
            assert!(agent.signal(signal).await.success());
            only_the_kept_one_is_left(daemon).await;
            let kept = daemon.client().list_sessions().await.expect("a list").remove(0);
            daemon.client().destroy_session(&kept.id).await.expect("destroyed");
        }
    });
}

#[test]
fn an_agent_that_does_not_read_holds_up_no_end() {
    with_daemon(async |daemon| {
        let mut agent = StdioAgent::start(daemon, &[]).await;
        let large = json!({"cmd": "seq 1 200000", "max_output_bytes": 1 << 20, "shell": "none"});
        for _ in 0..4 {
            agent.send("tools/call", json!({"name": "exec", "arguments": large})).await;
        }
        // The agent lives and keeps its end of our output open, and an answer waits in the middle of it.
        until("our output is full", async || agent.unread() >= 60_000).await;
        let mut agent = agent.close_input();
        until("the sandbox is gone", async || sessions(daemon).await == 0).await;
        agent.wait().await;
    });
}

#[test]
fn an_agent_that_is_killed_leaves_nothing() {
    with_daemon(async |daemon| {
        // `cat` is the agent whose end the server sees; what it says is given to it from here.
        let mut agent = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("cat starts");
        let pipe: Stdio = agent.stdout.take().expect("piped").try_into().expect("a pipe");
        let mut server = Command::from(daemon.command(&["mcp"]));
        let mut server = server.stdin(pipe).stdout(Stdio::null()).spawn().expect("the server starts");
        let hello = json!({
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "cat", "version": "1"},
        });
        let call = json!({"name": "exec", "arguments": {"cmd": "sleep 3210"}});
        let said = format!(
            "{}\n{}\n{}\n",
            json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}),
            json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
            json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call}),
        );
        let input = agent.stdin.as_mut().expect("piped");
        input.write_all(said.as_bytes()).await.expect("written");
        until("the sandbox is made", async || sessions(daemon).await == 1).await;
        agent.kill().await.expect("killed");
        assert!(server.wait().await.expect("it ends").success());
        assert_eq!(sessions(daemon).await, 0);
    });
}

#[test]
fn an_agent_over_http_that_ends_its_session_leaves_nothing() {
    with_daemon(async |daemon| {
        let mut agent = HttpAgent::start(daemon).await;
        agent.tool("exec", json!({"cmd": "sleep 3210 &"})).await;
        agent.tool("create_session", json!({})).await;
        assert_eq!(sessions(daemon).await, 2);
        agent.end().await;
        until("the sandboxes are gone", async || sessions(daemon).await == 0).await;
    });
}

#[test]
fn a_daemon_that_ends_ends_the_sandboxes_of_its_agents() {
    with_daemon(async |daemon| {
        let mut agent = HttpAgent::start(daemon).await;
        agent.tool("exec", json!({"cmd": "sleep 3210 &"})).await;
        let other = daemon.session().await;
        let (_, under_way) = agent.begin("exec", json!({"cmd": "sleep 3210"})).await;
        daemon.terminate();
        drop(under_way);
        daemon.start_again();
        let left = daemon.client().list_sessions().await.expect("a list");
        assert_eq!(left.iter().map(|session| &session.id).collect::<Vec<_>>(), [&other.id]);
    });
}
