//! The endpoint of the daemon: Streamable HTTP, in whose MCP sessions sandboxes are made and with which they end.
//!
//! Who may call it, and by which `Host` and `Origin`, is the daemon's to say, before anything gets here.

use std::convert::Infallible;
use std::fmt::{self, Display};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body::Body;
use http_body_util::combinators::BoxBody;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::model::ProtocolVersion;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use sandkasten_api::session::CreateSessionRequest;
use sandkasten_client::Client;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::bounded_sessions::BoundedSessions;
use crate::own_sessions::{OwnSession, OwnSessions, labels};
use crate::server::{MOST_CALLS, SandboxServer, Way};

/// The body of an answer.
pub type ResponseBody = BoxBody<Bytes, Infallible>;

/// How long the sandboxes of the MCP sessions may take to end with the daemon.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// What is allowed.
#[derive(Debug, Clone, Copy)]
pub struct HttpOptions {
    /// The most MCP sessions at once.
    pub most_sessions: usize,
    /// After how much silence an MCP session ends: longer than the longest call takes.
    pub idle: Duration,
    /// The most bytes of a request.
    pub most_body_bytes: usize,
}

/// The endpoint. Clones are the same one.
#[derive(Clone)]
pub struct HttpEndpoint {
    service: StreamableHttpService<SandboxServer, BoundedSessions>,
    sessions: Arc<BoundedSessions>,
    ending: CancellationToken,
    tracker: TaskTracker,
}

/// What belongs to one MCP session over HTTP; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct OwnedByHttp {
    sessions: Arc<OwnSessions>,
    tracker: TaskTracker,
    /// The daemon waits for it before it ends.
    _token: TaskTrackerToken,
}

impl Drop for OwnedByHttp {
    fn drop(&mut self) {
        let sessions = Arc::clone(&self.sessions);
        // Each request of a client without an MCP session has one of these, and most of them have nothing to end.
        if sessions.is_used()
            && let Ok(runtime) = Handle::try_current()
        {
            self.tracker.spawn_on(async move { sessions.end().await }, &runtime);
        }
    }
}

impl HttpEndpoint {
    /// Makes the endpoint of the daemon that this client speaks to.
    #[must_use]
    pub fn new(client: Client, options: HttpOptions) -> Self {
        let (ending, tracker) = (CancellationToken::new(), TaskTracker::new());
        let sessions = Arc::new(BoundedSessions::new(options.most_sessions, options.idle));
        let mut config = StreamableHttpServerConfig::default();
        // The daemon has looked at both headers, by its own configuration.
        config.allowed_hosts.clear();
        config.cancellation_token = ending.clone();
        config.max_request_body_bytes = options.most_body_bytes;
        let tools = Arc::new(SandboxServer::tools_for(None));
        let make = {
            let (ending, tracker) = (ending.clone(), tracker.clone());
            move || Ok(serve_one(&client, &tools, &ending, &tracker))
        };
        let service = StreamableHttpService::new(make, Arc::clone(&sessions), config);
        Self { service, sessions, ending, tracker }
    }

    /// Whether a request asks for an MCP session while there are as many as there may be.
    pub async fn has_no_room_for(&self, method: &Method, headers: &HeaderMap) -> bool {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let stands_alone = header("mcp-protocol-version")
            .is_some_and(|version| version >= ProtocolVersion::V_2026_07_28.as_str());
        let asks = method == Method::POST && header("mcp-session-id").is_none() && !stands_alone;
        asks && self.sessions.is_full().await
    }

    /// Answers a request.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<ResponseBody>
    where
        B: Body + Send + 'static,
        B::Error: Display,
    {
        self.service.handle(request).await
    }

    /// Ends all MCP sessions, and every answer that is under way.
    pub fn end(&self) {
        self.ending.cancel();
        self.tracker.close();
    }

    /// Waits until the sandboxes of the MCP sessions are gone, or for as long as that may take.
    pub async fn ended(&self) {
        if tokio::time::timeout(END_TIMEOUT, self.tracker.wait()).await.is_err() {
            tracing::warn!("sandboxes of MCP sessions stay until they expire");
        }
    }
}

impl fmt::Debug for HttpEndpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HttpEndpoint").field("sessions", &self.sessions).finish_non_exhaustive()
    }
}

/// The server of one MCP session, or of one request that stands for itself.
fn serve_one(
    client: &Client,
    tools: &Arc<ToolRouter<SandboxServer>>,
    ending: &CancellationToken,
    tracker: &TaskTracker,
) -> SandboxServer {
    let request = CreateSessionRequest { labels: Some(labels("http")), ..CreateSessionRequest::default() };
    let sessions = OwnSessions::new(client.clone(), OwnSession::New(Box::new(request)));
    let owned =
        OwnedByHttp { sessions: Arc::clone(&sessions), tracker: tracker.clone(), _token: tracker.token() };
    SandboxServer {
        client: client.clone(),
        sessions,
        host: None,
        way: Way::Http { _owned: owned },
        tools: Arc::clone(tools),
        ending: ending.clone(),
        places: Semaphore::new(MOST_CALLS),
    }
}

#[cfg(test)]
mod tests;
