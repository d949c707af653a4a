//! `/mcp`: the Model Context Protocol over Streamable HTTP.
//!
//! What speaks it is a client of the API, and the API is this very process: its requests are calls of the same routes, behind the
//! guard that has let the MCP request in. The protocol describes itself, so it is no part of the OpenAPI document.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use sandkasten_api::error::ErrorCode;
use sandkasten_client::{Answer, BuildClientError, Client, InProcess};
use sandkasten_mcp::{HttpEndpoint, HttpOptions};
use tower::ServiceExt;

use crate::config::Config;
use crate::http::api_error::ApiError;

/// The most MCP sessions at once. Each is a task and a few channels; sandboxes have a limit of their own.
const MOST_SESSIONS: usize = 1_000;
/// The most bytes of a request: a file of 16 MiB in base64, and what is around it.
const MOST_BODY_BYTES: usize = 24 << 20;
/// How much longer than the longest command a client may be silent.
const IDLE_MARGIN: Duration = Duration::from_secs(60);

/// Makes the endpoint, whose calls are answered by `engine`.
pub(in crate::http) fn endpoint(config: &Config, engine: Router) -> Result<HttpEndpoint, BuildClientError> {
    let client = Client::in_process(Arc::new(Engine(engine)))?;
    // A client that is silent for as long has lost its sandbox already.
    let idle = Duration::from_secs(config.session_ttl_seconds)
        .max(Duration::from_millis(config.longest_exec_ms()).saturating_add(IDLE_MARGIN));
    let options = HttpOptions { most_sessions: MOST_SESSIONS, idle, most_body_bytes: MOST_BODY_BYTES };
    Ok(HttpEndpoint::new(client, options))
}

/// The route to it.
pub(in crate::http) fn route(endpoint: HttpEndpoint) -> Router {
    Router::new().route("/mcp", any(serve)).with_state(endpoint)
}

async fn serve(State(endpoint): State<HttpEndpoint>, request: Request) -> Response {
    if endpoint.has_no_room_for(request.method(), request.headers()).await {
        let message = format!(
            "there are {MOST_SESSIONS} MCP sessions, as many as there may be; end one, or try again when one was idle for long enough"
        );
        return ApiError::new(ErrorCode::LimitExceeded, message).into_response();
    }
    endpoint.answer(request).await.into_response()
}

/// The routes of the API as a daemon that a client of this process calls.
struct Engine(Router);

impl InProcess for Engine {
    fn answer(&self, request: http::Request<sandkasten_client::Body>) -> Answer {
        let answered = self.0.clone().oneshot(request.map(Body::new));
        Box::pin(async move {
            let Ok(response) = answered.await;
            response.map(|body| sandkasten_client::Body::wrap_stream(body.into_data_stream()))
        })
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Engine")
    }
}
