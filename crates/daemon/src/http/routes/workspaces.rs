//! `/v1/workspaces`: make, list, rename, copy and remove.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use sandkasten_api::error::ErrorCode;
use sandkasten_api::health::Acknowledged;
use sandkasten_api::id::WorkspaceId;
use sandkasten_api::workspace::{CreateWorkspaceRequest, Workspace, WorkspaceList, WorkspaceTarget};

use crate::http::api_error::ApiError;
use crate::http::json_body::JsonBody;
use crate::http::openapi::codes::{WORKSPACE, WORKSPACES, join};
use crate::http::path_id::{WorkspacePathId, WorkspacesEnabled};
use crate::http::router::ApiState;

/// Lists all workspaces, by name.
#[utoipa::path(
    get,
    path = "/v1/workspaces",
    operation_id = "list_workspaces",
    tag = "workspaces",
    responses(
        (status = 200, description = "All workspaces", body = WorkspaceList)
    ),
    extensions(("x-error-codes" = json!(WORKSPACES))),
)]
pub(in crate::http) async fn list(
    State(state): State<ApiState>,
    _: WorkspacesEnabled,
) -> Result<Json<WorkspaceList>, ApiError> {
    let workspaces = state.sessions.workspaces().run(|all| all.list()).await?;
    Ok(Json(WorkspaceList { workspaces }))
}

/// Removes a workspace that nobody uses.
#[utoipa::path(
    delete,
    path = "/v1/workspaces/{id}",
    operation_id = "remove_workspace",
    tag = "workspaces",
    params(WorkspacePathId),
    responses(
        (status = 200, description = "Done", body = Acknowledged)
    ),
    extensions(("x-error-codes" = json!(join(&[WORKSPACES, WORKSPACE])))),
)]
pub(in crate::http) async fn remove(
    State(state): State<ApiState>,
    WorkspacePathId(id): WorkspacePathId,
) -> Result<Json<Acknowledged>, ApiError> {
    state.sessions.remove_workspace(id).await?;
    Ok(Json(Acknowledged { ok: true }))
}

/// Makes an empty workspace.
#[utoipa::path(
    post,
    path = "/v1/workspaces",
    operation_id = "create_workspace",
    tag = "workspaces",
    request_body = CreateWorkspaceRequest,
    responses(
        (status = 201, description = "The workspace, which is empty", body = Workspace)
    ),
    extensions(("x-error-codes" = json!(join(&[
        WORKSPACES,
        &[
            ErrorCode::WorkspaceExists,
            ErrorCode::WorkspaceInUse,
            ErrorCode::LimitExceeded,
        ],
    ])))),
)]
pub(in crate::http) async fn create(
    State(state): State<ApiState>,
    _: WorkspacesEnabled,
    JsonBody(request): JsonBody<CreateWorkspaceRequest>,
) -> Result<(StatusCode, Json<Workspace>), ApiError> {
    let id: WorkspaceId = request.id.parse()?;
    let workspace = state.sessions.workspaces().run(move |all| all.create(&id)).await?;
    Ok((StatusCode::CREATED, Json(workspace)))
}

/// Gives a workspace that nobody uses another name.
#[utoipa::path(
    post,
    path = "/v1/workspaces/{id}/rename",
    operation_id = "rename_workspace",
    tag = "workspaces",
    params(WorkspacePathId),
    request_body = WorkspaceTarget,
    responses(
        (status = 200, description = "Done", body = Acknowledged)
    ),
    extensions(("x-error-codes" = json!(join(&[WORKSPACES, WORKSPACE, &[ErrorCode::WorkspaceExists]])))),
)]
pub(in crate::http) async fn rename(
    State(state): State<ApiState>,
    WorkspacePathId(id): WorkspacePathId,
    JsonBody(request): JsonBody<WorkspaceTarget>,
) -> Result<Json<Acknowledged>, ApiError> {
    let to: WorkspaceId = request.to.parse()?;
    state.sessions.rename_workspace(id, to).await?;
    Ok(Json(Acknowledged { ok: true }))
}

/// Makes a workspace with the files of another.
#[utoipa::path(
    post,
    path = "/v1/workspaces/{id}/copy",
    operation_id = "copy_workspace",
    tag = "workspaces",
    params(WorkspacePathId),
    request_body = WorkspaceTarget,
    responses(
        (status = 201, description = "The copy", body = Workspace)
    ),
    extensions(("x-error-codes" = json!(join(&[
        WORKSPACES,
        WORKSPACE,
        &[
            ErrorCode::WorkspaceExists,
            ErrorCode::LimitExceeded,
        ],
    ])))),
)]
pub(in crate::http) async fn copy(
    State(state): State<ApiState>,
    WorkspacePathId(id): WorkspacePathId,
    JsonBody(request): JsonBody<WorkspaceTarget>,
) -> Result<(StatusCode, Json<Workspace>), ApiError> {
    let to: WorkspaceId = request.to.parse()?;
    let workspace = state.sessions.workspaces().run(move |all| all.copy(&id, &to)).await?;
    Ok((StatusCode::CREATED, Json(workspace)))
}
