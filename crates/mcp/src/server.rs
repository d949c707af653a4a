//! The server of one MCP session: what it says of itself, and how calls get to tools.

use std::sync::Arc;

use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::tool::{IntoCallToolResult, ToolCallContext};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, ErrorCode, Implementation, ListResourceTemplatesResult,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, ProtocolVersion, ReadResourceRequestParams,
    ReadResourceResponse, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use sandkasten_api::id::SessionId;
use sandkasten_client::{Client, SessionReference};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::host_directory::HostDirectory;
use crate::http_endpoint::OwnedByHttp;
use crate::own_sessions::OwnSessions;
use crate::resources;
use crate::tool_error::ToolError;

/// What agents read before anything else.
const INSTRUCTIONS: &str = "Runs shell commands and keeps files in an isolated Linux sandbox without network. The sandbox is \
    made at the first call and destroyed when this MCP session ends; files are below /workspace. `exec` runs in a persistent \
    shell: directory, variables and functions stay. Use `start_process` for servers and other things that run on. A command that \
    fails is a result with its exit code and, where there is one, a hint. All of these tools take `session` to work in another \
    sandbox than the own one.";

/// The most calls of one MCP session that are under way. Over HTTP a client may ask and go away, and its calls go on.
pub(crate) const MOST_CALLS: usize = 64;

/// How requests reach the server.
#[derive(Debug)]
pub(crate) enum Way {
    /// Over standard input and output, for one client from beginning to end.
    Stdio,
    /// Over HTTP.
    Http {
        /// What belongs to the MCP session ends when this is dropped.
        _owned: OwnedByHttp,
    },
}

/// The server of one MCP session.
#[derive(Debug)]
pub(crate) struct SandboxServer {
    pub(crate) client: Client,
    pub(crate) sessions: Arc<OwnSessions>,
    pub(crate) host: Option<HostDirectory>,
    pub(crate) way: Way,
    pub(crate) tools: Arc<ToolRouter<Self>>,
    /// Ends calls that are under way.
    pub(crate) ending: CancellationToken,
    /// A place for each call that may be under way.
    pub(crate) places: Semaphore,
}

/// The sandbox that a call is about.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) id: SessionId,
    is_named: bool,
}

impl SandboxServer {
    /// Finds the sandbox that a call names, or its own.
    pub(crate) async fn target(
        &self,
        named: Option<&str>,
        context: &RequestContext<RoleServer>,
    ) -> Result<Target, ToolError> {
        if let Some(text) = named {
            let reference = text.parse::<SessionReference>().map_err(|error| {
                ToolError::Argument(format!("session {text:?} is neither an id nor a name: {error}"))
            })?;
            return Ok(Target { id: reference.resolve(&self.client).await?, is_named: true });
        }
        if !self.has_mcp_session(context) {
            return Err(ToolError::NoSandbox);
        }
        Ok(Target { id: self.sessions.own().await?, is_named: false })
    }

    /// Whether there is an MCP session that a sandbox can belong to: not where each request over HTTP stands for itself.
    pub(crate) fn has_mcp_session(&self, context: &RequestContext<RoleServer>) -> bool {
        match &self.way {
            Way::Stdio => true,
            Way::Http { .. } => {
                let parts = context.extensions.get::<http::request::Parts>();
                let has_id = parts.is_some_and(|parts| parts.headers.contains_key("mcp-session-id"));
                let version = context.protocol_version();
                has_id && version.is_none_or(|version| version < ProtocolVersion::V_2026_07_28)
            }
        }
    }

    /// Adds to an error of a call on a sandbox what its caller cannot know.
    pub(crate) async fn explain(&self, target: &Target, error: impl Into<ToolError>) -> ToolError {
        self.sessions.explain(&target.id, target.is_named, error.into()).await
    }

    async fn call(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if !self.tools.has_route(&request.name) {
            return Err(ErrorData::invalid_params(format!("there is no tool {:?}", request.name), None));
        }
        let Ok(_place) = self.places.try_acquire() else {
            return ToolError::TooManyCalls { most: MOST_CALLS }.into_call_tool_result();
        };
        match self.tools.call(ToolCallContext::new(self, request, context)).await {
            // A language model that got the arguments wrong can only mend what it is shown.
            Err(error) if error.code == ErrorCode::INVALID_PARAMS => {
                ToolError::Argument(error.message.into_owned()).into_call_tool_result()
            }
            result => result,
        }
    }
}

impl ServerHandler for SandboxServer {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_resources().build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("sandkasten", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let cancelled = context.ct.clone();
        // A dropped call is a client of the engine that goes away, and that stops its command.
        tokio::select! {
            () = cancelled.cancelled() => ToolError::Cancelled.into_call_tool_result(),
            () = self.ending.cancelled() => ToolError::Over.into_call_tool_result(),
            result = self.call(request, context) => result,
        }
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools.list_all()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.tools.get(name).cloned()
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        resources::list(self).await
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(resources::templates())
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        tokio::select! {
            () = context.ct.cancelled() => Err(ErrorData::internal_error("cancelled", None)),
            result = resources::read(self, &request.uri) => result.map(Into::into),
        }
    }
}
