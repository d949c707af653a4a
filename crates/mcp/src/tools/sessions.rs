//! `create_session`, `list_sessions` and `destroy_session`.

use rmcp::handler::server::tool::schema_for_output;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::service::RequestContext;
use rmcp::{RoleServer, tool, tool_router};
use sandkasten_api::session::{CreateSessionRequest, Session};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answer::Answer;
use crate::own_sessions::labels;
use crate::server::{SandboxServer, Way};
use crate::tool_error::ToolError;

/// The most sandboxes that are listed.
const MAX_LISTED: usize = 100;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateSessionInput {
    /// The image to start from; absent: the server's default.
    image: Option<String>,
    /// A workspace to mount at /workspace: a directory that outlives the sandbox; made where there is none.
    workspace: Option<String>,
    /// A name that no other live sandbox has, to use as `session`.
    name: Option<String>,
    /// Seconds of idleness until it ends by itself, at most 86400; absent: the server's default.
    ttl_seconds: Option<u64>,
    /// Whether it outlives this MCP session; absent: it ends with it.
    #[serde(default)]
    keep: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListSessionsInput {}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DestroySessionInput {
    /// The id or name of the sandbox to destroy.
    session: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SessionOutput {
    /// Names the sandbox; give it as `session`.
    session: String,
    /// Its other name, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The image that it started from.
    image: String,
    /// running or paused.
    status: String,
    /// The workspace at its /workspace, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace: Option<String>,
    /// When it ends unless it is used before.
    expires_at: String,
    /// Whether it belongs to this MCP session and ends with it, or is the one that calls without `session` use.
    is_own: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ListSessionsOutput {
    /// The live sandboxes of this server, whoever made them.
    sessions: Vec<SessionOutput>,
    /// Whether there are more.
    truncated: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DestroySessionOutput {
    /// The sandbox that is gone.
    session: String,
}

#[tool_router(router = session_tools, vis = "pub(crate)")]
impl SandboxServer {
    /// Makes one more sandbox, for another image or for work that must not meet. The own one needs no call: it is made when it is
    /// first used.
    #[tool(
        title = "Create a sandbox",
        output_schema = schema_for_output::<SessionOutput>(),
        annotations(read_only_hint = false, destructive_hint = false, idempotent_hint = false, open_world_hint = false)
    )]
    pub(crate) async fn create_session(
        &self,
        Parameters(input): Parameters<CreateSessionInput>,
        context: RequestContext<RoleServer>,
    ) -> Result<Answer<SessionOutput>, ToolError> {
        let name = input.name.map(|name| name.parse()).transpose();
        let name = name.map_err(|error| ToolError::Argument(format!("name: {error}")))?;
        let way = if matches!(self.way, Way::Stdio) { "stdio" } else { "http" };
        let request = CreateSessionRequest {
            image: input.image,
            ttl_seconds: input.ttl_seconds,
            workspace_id: input.workspace,
            name,
            labels: Some(labels(way)),
        };
        let owned = !input.keep && self.has_mcp_session(&context);
        let session = if owned {
            self.sessions.make_other(request).await?
        } else {
            self.client.create_session(&request).await?
        };
        let value = describe(session, owned);
        let text = format!("sandbox {} of image {}; give it as `session`", value.session, value.image);
        Ok(Answer::new(text, value))
    }

    /// Lists the live sandboxes of this server, at most 100.
    #[tool(
        title = "List sandboxes",
        output_schema = schema_for_output::<ListSessionsOutput>(),
        annotations(read_only_hint = true, open_world_hint = false)
    )]
    pub(crate) async fn list_sessions(
        &self,
        Parameters(_input): Parameters<ListSessionsInput>,
    ) -> Result<Answer<ListSessionsOutput>, ToolError> {
        let all = self.client.list_sessions().await?;
        let truncated = all.len() > MAX_LISTED;
        let mut sessions = Vec::new();
        for session in all.into_iter().take(MAX_LISTED) {
            let is_own = self.sessions.owns(&session.id).await;
            sessions.push(describe(session, is_own));
        }
        let mut text: String = sessions.iter().map(line).collect();
        if sessions.is_empty() {
            text.push_str("[no sandbox is live]\n");
        }
        if truncated {
            text.push_str("[there are more]\n");
        }
        Ok(Answer::new(text, ListSessionsOutput { sessions, truncated }))
    }

    /// Destroys a sandbox with its processes and files; a workspace stays. Where it is the own one, the next call gets a fresh one.
    #[tool(
        title = "Destroy a sandbox",
        output_schema = schema_for_output::<DestroySessionOutput>(),
        annotations(read_only_hint = false, destructive_hint = true, idempotent_hint = true, open_world_hint = false)
    )]
    pub(crate) async fn destroy_session(
        &self,
        Parameters(input): Parameters<DestroySessionInput>,
        context: RequestContext<RoleServer>,
    ) -> Result<Answer<DestroySessionOutput>, ToolError> {
        let target = self.target(Some(&input.session), &context).await?;
        let destroyed = self.client.destroy_session(&target.id).await;
        destroyed.map_err(ToolError::from)?;
        self.sessions.forget(&target.id).await;
        let session = target.id.to_string();
        Ok(Answer::new(format!("sandbox {session} is gone"), DestroySessionOutput { session }))
    }
}

fn describe(session: Session, is_own: bool) -> SessionOutput {
    SessionOutput {
        session: session.id.to_string(),
        name: session.name.map(|name| name.to_string()),
        image: session.image,
        status: session.status.as_str().to_owned(),
        workspace: session.workspace_id.map(|id| id.to_string()),
        expires_at: session.expires_at.to_string(),
        is_own,
    }
}

fn line(session: &SessionOutput) -> String {
    let name = session.name.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
    let own = if session.is_own { ", own" } else { "" };
    format!("{}{name}: {}, {}{own}\n", session.session, session.image, session.status)
}
