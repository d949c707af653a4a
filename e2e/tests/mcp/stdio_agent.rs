//! An agent that speaks to `sandkasten mcp` over its standard input and output.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sandkasten_e2e::{TestDaemon, patience};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// A bound on hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// An agent, and the server that it has started.
pub(crate) struct StdioAgent {
    child: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    asked: u64,
    /// What the server told unasked.
    pub(crate) told: Vec<Value>,
}

impl StdioAgent {
    /// Starts `sandkasten mcp` with these options on a daemon, and agrees on a protocol.
    pub(crate) async fn start(daemon: &TestDaemon, options: &[&str]) -> Self {
        let arguments: Vec<&str> = std::iter::once("mcp").chain(options.iter().copied()).collect();
        Self::of(daemon.command(&arguments).into()).await
    }

    /// Starts a server by a command, and agrees on a protocol.
    pub(crate) async fn of(command: Command) -> Self {
        let mut agent = Self::silent(command);
        let hello = json!({
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"},
        });
        let answer = agent.request("initialize", hello).await;
        assert_eq!(answer["result"]["serverInfo"]["name"], "sandkasten", "{answer}");
        agent.notify("notifications/initialized", json!({})).await;
        agent
    }

    /// Starts a server by a command, and says nothing.
    pub(crate) fn silent(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the server starts");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, input, output, asked: 0, told: Vec::new() }
    }

    /// Asks, and returns the whole answer.
    pub(crate) async fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params).await;
        self.answer(id).await
    }

    /// Asks without waiting for the answer, and returns the id of the request.
    pub(crate) async fn send(&mut self, method: &str, params: Value) -> u64 {
        self.asked += 1;
        self.write(&json!({"jsonrpc": "2.0", "id": self.asked, "method": method, "params": params})).await;
        self.asked
    }

    /// Waits for the answer to a request. Whatever else is on standard output has to be of the protocol as well.
    pub(crate) async fn answer(&mut self, id: u64) -> Value {
        loop {
            let line = tokio::time::timeout(patience(PATIENCE), self.output.next_line());
            let line = line.await.expect("in time").expect("standard output is text").expect("an answer");
            let message: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no message: {line}"));
            assert_eq!(message["jsonrpc"], "2.0", "{message}");
            if message["id"] == id {
                return message;
            }
            self.told.push(message);
        }
    }

    /// Tells something.
    pub(crate) async fn notify(&mut self, method: &str, params: Value) {
        self.write(&json!({"jsonrpc": "2.0", "method": method, "params": params})).await;
    }

    /// Calls a tool and returns its result, be it an error.
    pub(crate) async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let answer = self.request("tools/call", json!({"name": tool, "arguments": arguments})).await;
        assert!(answer.get("result").is_some(), "{tool}: {answer}");
        answer["result"].clone()
    }

    /// Calls a tool that works, and returns its structured content.
    pub(crate) async fn tool(&mut self, tool: &str, arguments: Value) -> Value {
        let result = self.call(tool, arguments).await;
        assert_eq!(result["isError"], false, "{tool}: {result}");
        result["structuredContent"].clone()
    }

    /// Closes the server's input and waits for its end.
    pub(crate) async fn close(self) -> ExitStatus {
        self.close_input().wait().await
    }

    /// Closes the server's input.
    pub(crate) fn close_input(mut self) -> Self {
        drop(self.input.take());
        self
    }

    /// Sends the server a signal and waits for its end.
    pub(crate) async fn signal(mut self, signal: Signal) -> ExitStatus {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        kill_process(pid.expect("it runs"), signal).expect("sent");
        self.wait().await
    }

    /// How many bytes the server has written that nobody has read.
    pub(crate) fn unread(&mut self) -> u64 {
        rustix::io::ioctl_fionread(&*self.output.get_mut().get_mut()).expect("a pipe")
    }

    /// Waits for the server's end.
    pub(crate) async fn wait(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(patience(PATIENCE), self.child.wait());
        ended.await.expect("it ends in time").expect("it can be waited for")
    }

    async fn write(&mut self, message: &Value) {
        let input = self.input.as_mut().expect("open");
        input.write_all(format!("{message}\n").as_bytes()).await.expect("written");
    }
}

/// The text of a result.
pub(crate) fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {result}"))
}
