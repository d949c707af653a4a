//! `/v1/sessions`: make, list, show, measure and destroy.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use sandkasten_api::health::Acknowledged;
use sandkasten_api::id::WorkspaceId;
use sandkasten_api::limits::MAX_TTL_SECONDS;
use sandkasten_api::session::{CreateSessionRequest, Session, SessionStats};

use crate::http::api_error::ApiError;
use crate::http::json_body::JsonBody;
use crate::http::path_id::{self, PathId};
use crate::http::router::ApiState;

/// Makes a session. When it answers, the shell takes commands.
pub(in crate::http) async fn create(
    State(state): State<ApiState>,
    JsonBody(request): JsonBody<CreateSessionRequest>,
) -> Result<(StatusCode, Json<Session>), ApiError> {
    let config = state.sessions.config();
    let ttl_seconds = match request.ttl_seconds {
        None | Some(0) => config.session_ttl_seconds,
        Some(ttl) if ttl <= MAX_TTL_SECONDS => ttl,
        Some(ttl) => {
            return Err(ApiError::invalid(format!(
                "ttl_seconds is {ttl}; allowed are 1 to {MAX_TTL_SECONDS}, or 0 for the configured {}",
                config.session_ttl_seconds
            )));
        }
    };
    let workspace = match &request.workspace_id {
        Some(_) if !config.workspace.enabled => return Err(path_id::workspaces_disabled()),
        id => id.as_deref().map(str::parse::<WorkspaceId>).transpose()?,
    };
    let session = state.sessions.create(request.image.as_deref(), ttl_seconds, workspace).await?;
    Ok((StatusCode::CREATED, Json(session.describe())))
}

/// Lists the live sessions, oldest first.
pub(in crate::http) async fn list(State(state): State<ApiState>) -> Json<Vec<Session>> {
    Json(state.sessions.all().iter().map(|session| session.describe()).collect())
}

/// Shows one session, ended ones of the last day included.
pub(in crate::http) async fn show(
    State(state): State<ApiState>,
    PathId(id): PathId,
) -> Result<Json<Session>, ApiError> {
    Ok(Json(state.sessions.describe(&id).await?))
}

/// Ends a session. When it answers, its processes are gone.
pub(in crate::http) async fn destroy(
    State(state): State<ApiState>,
    PathId(id): PathId,
) -> Result<Json<Acknowledged>, ApiError> {
    state.sessions.destroy(&id).await?;
    Ok(Json(Acknowledged { ok: true }))
}

/// Shows what a session uses.
pub(in crate::http) async fn stats(
    State(state): State<ApiState>,
    PathId(id): PathId,
) -> Result<Json<SessionStats>, ApiError> {
    Ok(Json(state.sessions.stats(&id).await?))
}
