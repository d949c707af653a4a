//! `/v1/workspaces`: list and remove.

use axum::Json;
use axum::extract::State;
use sandkasten_api::health::Acknowledged;
use sandkasten_api::workspace::WorkspaceList;

use crate::http::api_error::ApiError;
use crate::http::path_id::{WorkspacePathId, WorkspacesEnabled};
use crate::http::router::ApiState;

/// Lists all workspaces, by name.
pub(in crate::http) async fn list(
    State(state): State<ApiState>,
    _: WorkspacesEnabled,
) -> Result<Json<WorkspaceList>, ApiError> {
    let workspaces = state.sessions.workspaces().run(|all| all.list()).await?;
    Ok(Json(WorkspaceList { workspaces }))
}

/// Removes a workspace that nobody uses.
pub(in crate::http) async fn remove(
    State(state): State<ApiState>,
    WorkspacePathId(id): WorkspacePathId,
) -> Result<Json<Acknowledged>, ApiError> {
    state.sessions.workspaces().run(move |all| all.remove(&id)).await?;
    Ok(Json(Acknowledged { ok: true }))
}
