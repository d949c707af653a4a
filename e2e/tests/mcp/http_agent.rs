//! An agent that speaks to `/mcp` of a daemon.

use reqwest::{RequestBuilder, Response};
use sandkasten_e2e::{API_KEY, TestDaemon};
use serde_json::{Value, json};

/// An agent in an MCP session.
pub(crate) struct HttpAgent {
    http: reqwest::Client,
    url: String,
    session: String,
    asked: u64,
}

/// A request to the endpoint, with everything that the protocol wants but a body.
pub(crate) fn post(http: &reqwest::Client, url: &str) -> RequestBuilder {
    http.post(format!("{url}/mcp"))
        .bearer_auth(API_KEY)
        .header("accept", "application/json, text/event-stream")
        .header("content-type", "application/json")
}

/// The first request of an agent.
pub(crate) fn hello() -> Value {
    let params = json!({
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"},
    });
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})
}

/// The messages of an answer that is a stream of events.
pub(crate) async fn messages(response: Response) -> Vec<Value> {
    let text = response.text().await.expect("a body");
    let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
    data.filter_map(|data| serde_json::from_str(data.trim()).ok()).collect()
}

impl HttpAgent {
    /// Begins an MCP session.
    pub(crate) async fn start(daemon: &TestDaemon) -> Self {
        let (http, url) = (reqwest::Client::new(), daemon.url());
        let response = post(&http, &url).body(hello().to_string()).send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        let session = response.headers()["mcp-session-id"].to_str().expect("text").to_owned();
        let mut agent = Self { http, url, session, asked: 0 };
        assert_eq!(messages(response).await[0]["result"]["protocolVersion"], "2025-06-18");
        agent.notify("notifications/initialized", json!({})).await;
        agent
    }

    /// Sends a message in the session.
    pub(crate) async fn send(&self, message: &Value) -> Response {
        let request = post(&self.http, &self.url).header("mcp-session-id", &self.session);
        request.body(message.to_string()).send().await.expect("an answer")
    }

    /// Tells something.
    pub(crate) async fn notify(&mut self, method: &str, params: Value) {
        let response = self.send(&json!({"jsonrpc": "2.0", "method": method, "params": params})).await;
        assert_eq!(response.status(), 202);
    }

    /// Begins a call, and returns its id with the answer as it comes.
    pub(crate) async fn begin(&mut self, tool: &str, arguments: Value) -> (u64, Response) {
        self.asked += 1;
        let params = json!({"name": tool, "arguments": arguments});
        let message = json!({"jsonrpc": "2.0", "id": self.asked, "method": "tools/call", "params": params});
        (self.asked, self.send(&message).await)
    }

    /// Calls a tool and returns its result, be it an error.
    pub(crate) async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let (id, response) = self.begin(tool, arguments).await;
        assert_eq!(response.status(), 200);
        let messages = messages(response).await;
        let answer = messages.iter().find(|message| message["id"] == id);
        answer.unwrap_or_else(|| panic!("no answer: {messages:?}"))["result"].clone()
    }

    /// Calls a tool that works, and returns its structured content.
    pub(crate) async fn tool(&mut self, tool: &str, arguments: Value) -> Value {
        let result = self.call(tool, arguments).await;
        assert_eq!(result["isError"], false, "{tool}: {result}");
        result["structuredContent"].clone()
    }

    /// Ends the session.
    pub(crate) async fn end(self) {
        let request = self.http.delete(format!("{}/mcp", self.url)).bearer_auth(API_KEY);
        let response = request.header("mcp-session-id", &self.session).send().await.expect("an answer");
        assert!(response.status().is_success(), "{}", response.status());
    }
}
