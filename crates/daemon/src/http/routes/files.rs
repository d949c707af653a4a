//! `/v1/sessions/{id}/fs/write`, `…/fs/read` and `…/fs/upload`: files below `/workspace`.

use axum::Json;
use axum::extract::{Request, State};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sandkasten_api::file::{
    ReadFileQuery, ReadFileResponse, UploadRequest, UploadResponse, WriteFileRequest,
};
use sandkasten_api::health::Acknowledged;

use crate::http::api_error::ApiError;
use crate::http::file_request::{NewContent, UploadForm, read_limit};
use crate::http::json_body::JsonBody;
use crate::http::openapi::codes::{OLD_FILE, SESSION, join};
use crate::http::path_id::PathId;
use crate::http::query::CheckedQuery;
use crate::http::router::ApiState;
use crate::session::FilePath;

/// Writes a file whole or not at all.
#[utoipa::path(
    post,
    path = "/v1/sessions/{id}/fs/write",
    operation_id = "write_file",
    tag = "files",
    params(PathId),
    request_body = WriteFileRequest,
    responses(
        (status = 200, description = "Done", body = Acknowledged)
    ),
    extensions(("x-error-codes" = json!(join(&[SESSION, OLD_FILE])))),
)]
pub(in crate::http) async fn write(
    State(state): State<ApiState>,
    PathId(id): PathId,
    JsonBody(request): JsonBody<WriteFileRequest>,
) -> Result<Json<Acknowledged>, ApiError> {
    let path = FilePath::parse(&request.path)?;
    let content = NewContent::of(request)?;
    let session = state.sessions.find(&id).await?;
    state.sessions.write_file(&session, path, content.bytes, content.mode).await?;
    Ok(Json(Acknowledged { ok: true }))
}

/// Reads a file, up to a limit.
#[utoipa::path(
    get,
    path = "/v1/sessions/{id}/fs/read",
    operation_id = "read_file",
    tag = "files",
    params(PathId, ReadFileQuery),
    responses(
        (status = 200, description = "Its content", body = ReadFileResponse)
    ),
    extensions(("x-error-codes" = json!(join(&[SESSION, OLD_FILE])))),
)]
pub(in crate::http) async fn read(
    State(state): State<ApiState>,
    PathId(id): PathId,
    CheckedQuery(query): CheckedQuery<ReadFileQuery>,
) -> Result<Json<ReadFileResponse>, ApiError> {
    let path = FilePath::parse(&query.path)?;
    let limit = read_limit(query.max_bytes)?;
    let session = state.sessions.find(&id).await?;
    let shown = path.as_str().to_owned();
    let (content, truncated) = state.sessions.read_file(&session, path, limit).await?;
    Ok(Json(ReadFileResponse { path: shown, content_base64: BASE64_STANDARD.encode(content), truncated }))
}

/// Writes the files of a multipart form into a directory.
#[utoipa::path(
    post,
    path = "/v1/sessions/{id}/fs/upload",
    operation_id = "upload_files",
    tag = "files",
    params(PathId),
    request_body(content = UploadRequest, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "Where the files went", body = UploadResponse)
    ),
    extensions(("x-error-codes" = json!(join(&[SESSION, OLD_FILE])))),
)]
pub(in crate::http) async fn upload(
    State(state): State<ApiState>,
    PathId(id): PathId,
    request: Request,
) -> Result<Json<UploadResponse>, ApiError> {
    let form = UploadForm::open(request, &state).await?;
    let session = state.sessions.find(&id).await?;
    let upload = form.read().await?;
    let directory = FilePath::parse(upload.directory.as_deref().unwrap_or("/workspace"))?;
    let files = directory.join_all(upload.files)?;
    let mut paths = Vec::new();
    for (path, content) in files {
        paths.push(path.as_str().to_owned());
        state.sessions.write_file(&session, path, content.to_vec(), None).await?;
    }
    Ok(Json(UploadResponse { ok: true, paths }))
}
