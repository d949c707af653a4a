//! `…/fs/write`, `…/fs/read` and `…/fs/upload`: files below `/workspace`.

use axum::Json;
use axum::extract::multipart::{Multipart, MultipartError};
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequest, Query, Request, State};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::StatusCode;
use sandkasten_api::file::{ReadFileQuery, ReadFileResponse, UploadResponse, WriteFileRequest};
use sandkasten_api::health::Acknowledged;
use sandkasten_api::limits::{DEFAULT_READ_BYTES, MAX_READ_BYTES, MAX_UPLOAD_FILES};

use crate::http::api_error::ApiError;
use crate::http::body_limit;
use crate::http::json_body::{JsonBody, came_too_slowly};
use crate::http::path_id::PathId;
use crate::http::router::ApiState;
use crate::session::FilePath;

/// Writes a file whole or not at all.
pub(in crate::http) async fn write(
    State(state): State<ApiState>,
    PathId(id): PathId,
    JsonBody(request): JsonBody<WriteFileRequest>,
) -> Result<Json<Acknowledged>, ApiError> {
    let path = FilePath::parse(&request.path)?;
    let content = match (request.content_base64, request.text) {
        (Some(encoded), None) => BASE64_STANDARD
            .decode(encoded)
            .map_err(|error| ApiError::invalid(format!("content_base64 is no standard base64: {error}")))?,
        (None, Some(text)) => text.into_bytes(),
        (None, None) => return Err(ApiError::invalid("neither content_base64 nor text is given; give one")),
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid("both content_base64 and text are given; give one"));
        }
    };
    let mode = request.mode.as_deref().map(parse_mode).transpose()?;
    let session = state.sessions.find(&id).await?;
    state.sessions.write_file(&session, path, content, mode).await?;
    Ok(Json(Acknowledged { ok: true }))
}

/// Reads a file, up to a limit.
pub(in crate::http) async fn read(
    State(state): State<ApiState>,
    PathId(id): PathId,
    query: Result<Query<ReadFileQuery>, QueryRejection>,
) -> Result<Json<ReadFileResponse>, ApiError> {
    let Query(query) = query.map_err(|error| ApiError::invalid(error.body_text()))?;
    let path = FilePath::parse(&query.path)?;
    let limit = match query.max_bytes {
        None => DEFAULT_READ_BYTES,
        Some(bytes) if bytes <= MAX_READ_BYTES => bytes,
        Some(bytes) => {
            return Err(ApiError::invalid(format!(
                "max_bytes is {bytes}; allowed are 0 to {MAX_READ_BYTES}"
            )));
        }
    };
    let session = state.sessions.find(&id).await?;
    let shown = path.as_str().to_owned();
    let (content, truncated) = state.sessions.read_file(&session, path, limit).await?;
    Ok(Json(ReadFileResponse { path: shown, content_base64: BASE64_STANDARD.encode(content), truncated }))
}

/// Writes the files of a multipart form into a directory.
pub(in crate::http) async fn upload(
    State(state): State<ApiState>,
    PathId(id): PathId,
    request: Request,
) -> Result<Json<UploadResponse>, ApiError> {
    if body_limit::is_far_exceeded(&request) {
        return Err(too_large());
    }
    let mut form = Multipart::from_request(request, &state).await.map_err(|error| {
        ApiError::invalid(format!("the body is no multipart form: {}", error.body_text()))
    })?;
    let session = state.sessions.find(&id).await?;
    let mut directory = FilePath::parse("/workspace")?;
    let mut files = Vec::new();
    while let Some(field) = form.next_field().await.map_err(|error| refused(&error))? {
        let name = field.name().unwrap_or_default().to_owned();
        match name.as_str() {
            "path" => directory = FilePath::parse(&field.text().await.map_err(|error| refused(&error))?)?,
            "file" | "files" => {
                let file_name = field
                    .file_name()
                    .ok_or_else(|| ApiError::invalid(format!("the field {name:?} has no filename")))?
                    .to_owned();
                if files.len() == MAX_UPLOAD_FILES {
                    return Err(ApiError::invalid(format!(
                        "more than {MAX_UPLOAD_FILES} files in one upload"
                    )));
                }
                files.push((file_name, field.bytes().await.map_err(|error| refused(&error))?));
            }
            other => {
                return Err(ApiError::invalid(format!(
                    "the form has a field {other:?}; known are file, files and path"
                )));
            }
        }
    }
    if files.is_empty() {
        return Err(ApiError::invalid("the form holds no file; send one as the field `file` or `files`"));
    }
    let named: Result<Vec<_>, _> =
        files.into_iter().map(|(name, content)| Ok((directory.join(&name)?, content))).collect();
    let mut paths = Vec::new();
    for (path, content) in named.map_err(|error: crate::session::InvalidPath| ApiError::from(error))? {
        paths.push(path.as_str().to_owned());
        state.sessions.write_file(&session, path, content.to_vec(), None).await?;
    }
    Ok(Json(UploadResponse { ok: true, paths }))
}

/// Reads permission bits; setuid, setgid and sticky bits are not for clients to set.
fn parse_mode(mode: &str) -> Result<u32, ApiError> {
    let octal = matches!(mode.len(), 3 | 4) && mode.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
    match u32::from_str_radix(mode, 8) {
        Ok(bits) if octal && bits <= 0o777 => Ok(bits),
        _ => Err(ApiError::invalid(format!(
            "mode is {mode:?}; expected permission bits in octal, 000 to 0777, as in \"0755\""
        ))),
    }
}

fn refused(error: &MultipartError) -> ApiError {
    if came_too_slowly(error) {
        return ApiError::invalid("the upload came too slowly").with_status(StatusCode::REQUEST_TIMEOUT);
    }
    let status = error.status();
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        return too_large();
    }
    ApiError::invalid(format!("the form could not be read: {}", error.body_text())).with_status(status)
}

fn too_large() -> ApiError {
    ApiError::invalid("the upload is larger than 10 MiB; send fewer files at once")
        .with_status(StatusCode::PAYLOAD_TOO_LARGE)
}
