//! `/v1/workspaces/{id}/fs…`: files of a workspace, with or without a session.

use axum::Json;
use axum::extract::{Request, State};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sandkasten_api::file::{
    DirectoryEntry, DirectoryListing, ListDirectoryQuery, ReadFileQuery, ReadFileResponse, UploadRequest,
    UploadResponse, WriteFileRequest,
};
use sandkasten_api::health::Acknowledged;
use sandkasten_isolation::host::EntryKind;

use crate::http::api_error::ApiError;
use crate::http::file_request::{NewContent, UploadForm, read_limit};
use crate::http::json_body::JsonBody;
use crate::http::openapi::codes::{OLD_FILE, WORKSPACE, WORKSPACES, join};
use crate::http::path_id::WorkspacePathId;
use crate::http::query::CheckedQuery;
use crate::http::router::ApiState;
use crate::session::FilePath;
use crate::workspace::NewFile;

/// Lists a directory.
#[utoipa::path(
    get,
    path = "/v1/workspaces/{id}/fs",
    operation_id = "list_workspace_files",
    tag = "workspaces",
    params(WorkspacePathId, ListDirectoryQuery),
    responses(
        (status = 200, description = "What is in the directory", body = DirectoryListing)
    ),
    extensions(("x-error-codes" = json!(join(&[WORKSPACES, WORKSPACE, OLD_FILE])))),
)]
pub(in crate::http) async fn list(
    State(state): State<ApiState>,
    WorkspacePathId(id): WorkspacePathId,
    CheckedQuery(query): CheckedQuery<ListDirectoryQuery>,
) -> Result<Json<DirectoryListing>, ApiError> {
    let path = FilePath::in_workspace(query.path.as_deref().unwrap_or("/"))?;
    let listing = state.sessions.workspaces().run(move |all| all.list_directory(&id, path.as_str())).await?;
    let entries = listing.entries.into_iter().map(|entry| DirectoryEntry {
        name: String::from_utf8_lossy(&entry.path).into_owned(),
        is_dir: entry.kind == EntryKind::Directory,
    });
    Ok(Json(DirectoryListing { entries: entries.collect(), truncated: listing.truncated }))
}

/// Writes a file whole or not at all; makes the workspace where there is none.
#[utoipa::path(
    post,
    path = "/v1/workspaces/{id}/fs/write",
    operation_id = "write_workspace_file",
    tag = "workspaces",
    params(WorkspacePathId),
    request_body = WriteFileRequest,
    responses(
        (status = 200, description = "Done", body = Acknowledged)
    ),
    extensions(("x-error-codes" = json!(join(&[WORKSPACES, WORKSPACE, OLD_FILE])))),
)]
pub(in crate::http) async fn write(
    State(state): State<ApiState>,
    WorkspacePathId(id): WorkspacePathId,
    JsonBody(request): JsonBody<WriteFileRequest>,
) -> Result<Json<Acknowledged>, ApiError> {
    let path = FilePath::in_workspace(&request.path)?.as_str().to_owned();
    let NewContent { bytes: content, mode } = NewContent::of(request)?;
    let file = NewFile { path, content, mode };
    state.sessions.workspaces().run(move |all| all.write_files(&id, &[file])).await?;
    Ok(Json(Acknowledged { ok: true }))
}

/// Reads a file, up to a limit.
#[utoipa::path(
    get,
    path = "/v1/workspaces/{id}/fs/read",
    operation_id = "read_workspace_file",
    tag = "workspaces",
    params(WorkspacePathId, ReadFileQuery),
    responses(
        (status = 200, description = "Its content", body = ReadFileResponse)
    ),
    extensions(("x-error-codes" = json!(join(&[WORKSPACES, WORKSPACE, OLD_FILE])))),
)]
pub(in crate::http) async fn read(
    State(state): State<ApiState>,
    WorkspacePathId(id): WorkspacePathId,
    CheckedQuery(query): CheckedQuery<ReadFileQuery>,
) -> Result<Json<ReadFileResponse>, ApiError> {
    let path = FilePath::in_workspace(&query.path)?.as_str().to_owned();
    let limit = read_limit(query.max_bytes)?;
    let shown = path.clone();
    let (content, truncated) =
        state.sessions.workspaces().run(move |all| all.read_file(&id, &path, limit)).await?;
    Ok(Json(ReadFileResponse { path: shown, content_base64: BASE64_STANDARD.encode(content), truncated }))
}

/// Writes the files of a multipart form into a directory; makes the workspace where there is none.
#[utoipa::path(
    post,
    path = "/v1/workspaces/{id}/fs/upload",
    operation_id = "upload_workspace_files",
    tag = "workspaces",
    params(WorkspacePathId),
    request_body(content = UploadRequest, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "Where the files went", body = UploadResponse)
    ),
    extensions(("x-error-codes" = json!(join(&[WORKSPACES, WORKSPACE, OLD_FILE])))),
)]
pub(in crate::http) async fn upload(
    State(state): State<ApiState>,
    WorkspacePathId(id): WorkspacePathId,
    request: Request,
) -> Result<Json<UploadResponse>, ApiError> {
    let upload = UploadForm::open(request, &state).await?.read().await?;
    let directory = FilePath::in_workspace(upload.directory.as_deref().unwrap_or("/"))?;
    let files: Vec<NewFile> = directory
        .join_all(upload.files)?
        .into_iter()
        .map(|(path, content)| NewFile {
            path: path.as_str().to_owned(),
            content: content.to_vec(),
            mode: None,
        })
        .collect();
    let paths = files.iter().map(|file| file.path.clone()).collect();
    state.sessions.workspaces().run(move |all| all.write_files(&id, &files)).await?;
    Ok(Json(UploadResponse { ok: true, paths }))
}
