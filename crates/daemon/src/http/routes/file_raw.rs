//! `…/fs/raw`: contents of any size as plain bytes, streamed both ways.

use std::io;
use std::ops::Range;

use axum::Json;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use futures_util::stream::unfold;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use sandkasten_api::error::ErrorBody;
use sandkasten_api::file_tree::{FilePathQuery, RawUploadQuery, RawUploadResponse};
use sandkasten_api::schema::Binary;
use sandkasten_isolation::host::FileVersion;

use crate::http::api_error::ApiError;
use crate::http::byte_range::{self, Wanted};
use crate::http::file_place::{FilePlace, OpenFiles};
use crate::http::file_request::parse_mode;
use crate::http::json_body::came_too_slowly;
use crate::http::openapi::codes::{CHANGE, FILE, SESSION, join};
use crate::http::path_id::PathId;
use crate::http::query::CheckedQuery;
use crate::http::router::ApiState;
use crate::session::{OpenFile, PIECE_BYTES, Upload};

/// Sends a file, or the part that `Range` names.
#[utoipa::path(
    get,
    path = "/v1/sessions/{id}/fs/raw",
    operation_id = "download_file",
    tag = "files",
    params(
        PathId,
        FilePathQuery,
        (
            "Range" = Option<String>,
            Header,
            description = "One range of bytes, as RFC 9110 has it; what is no such range is ignored"
        ),
        (
            "If-Range" = Option<String>,
            Header,
            description = "The ETag that the file must have for `Range` to count"
        )
    ),
    responses(
        (status = 200, description = "The whole file", body = Binary, content_type = "application/octet-stream", headers(
            ("ETag" = String, description = "Another one after each change of the file"),
            ("Last-Modified" = String, description = "When its content last changed"),
            ("Accept-Ranges" = String, description = "`bytes`"),
            ("Content-Disposition" = String, description = "`attachment`")
        )),
        (status = 206, description = "The range of it", body = Binary, content_type = "application/octet-stream", headers(
            ("ETag" = String, description = "Another one after each change of the file"),
            ("Last-Modified" = String, description = "When its content last changed"),
            ("Accept-Ranges" = String, description = "`bytes`"),
            ("Content-Disposition" = String, description = "`attachment`"),
            ("Content-Range" = String, description = "Which bytes of how many these are")
        )),
        (
            status = 416,
            description = "The range begins behind the file, or is empty",
            body = ErrorBody,
            headers(("Content-Range" = String, description = "How many bytes there are"))
        )
    ),
    extensions(("x-error-codes" = json!(join(&[SESSION, FILE])))),
)]
pub(in crate::http) async fn download<P: FilePlace>(
    State(state): State<ApiState>,
    place: P,
    CheckedQuery(query): CheckedQuery<FilePathQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let path = P::parse(&query.path)?;
    let files = place.open(&state).await?;
    let file = files.space().open(path).await.map_err(ApiError::of_file)?;
    let size = file.version.size;
    let tag = entity_tag(&file.version);
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let same = text(header::IF_RANGE).is_none_or(|expected| expected == tag);
    let (status, range) = match byte_range::parse(text(header::RANGE).filter(|_| same), size) {
        Wanted::Whole => (StatusCode::OK, 0..size),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Nothing => {
            let message = format!("the file has {size} bytes; the range begins behind them, or is empty");
            let refused = ApiError::invalid(message).with_status(StatusCode::RANGE_NOT_SATISFIABLE);
            return Ok(([(header::CONTENT_RANGE, format!("bytes */{size}"))], refused).into_response());
        }
    };
    let mut response = Response::builder()
        .status(status)
        .header(header::CONTENT_LENGTH, range.end - range.start)
        .header(header::CONTENT_TYPE, "application/octet-stream")
        // Nothing that a sandbox wrote is a page of this origin.
        .header(header::CONTENT_DISPOSITION, "attachment")
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::ETAG, tag);
    if let Ok(modified) = Timestamp::new(file.version.modified.0, 0) {
        let modified = modified.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        response = response.header(header::LAST_MODIFIED, modified);
    }
    if status == StatusCode::PARTIAL_CONTENT {
        let shown = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        response = response.header(header::CONTENT_RANGE, shown);
    }
    response.body(pieces(file, files, range)).map_err(|error| ApiError::panicked(&error.to_string()))
}

/// The bytes of a range. A file that shrinks meanwhile, or a session that ends, ends the connection: the client cannot take
/// what came for the whole.
fn pieces(file: OpenFile, files: OpenFiles, range: Range<u64>) -> Body {
    Body::from_stream(unfold((file, files, range), async |(file, files, mut range)| {
        if range.is_empty() {
            return None;
        }
        let most = usize::try_from(range.end - range.start).unwrap_or(PIECE_BYTES);
        let piece = match files.check_live() {
            Ok(()) => file.read(range.start, most).await,
            Err(ended) => Err(io::Error::other(ended)),
        };
        let piece = piece.and_then(|piece| {
            if piece.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(Bytes::from(piece)) }
        });
        range.start = piece.as_ref().map_or(range.end, |piece| range.start + piece.len() as u64);
        Some((piece, (file, files, range)))
    }))
}

/// Takes a file, whole or not at all.
#[utoipa::path(
    put,
    path = "/v1/sessions/{id}/fs/raw",
    operation_id = "upload_file",
    tag = "files",
    params(PathId, RawUploadQuery),
    request_body(content = Binary, content_type = "application/octet-stream"),
    responses(
        (status = 200, description = "It is there", body = RawUploadResponse)
    ),
    extensions(("x-error-codes" = json!(join(&[SESSION, FILE, CHANGE])))),
)]
pub(in crate::http) async fn upload<P: FilePlace>(
    State(state): State<ApiState>,
    place: P,
    CheckedQuery(query): CheckedQuery<RawUploadQuery>,
    request: Request,
) -> Result<Json<RawUploadResponse>, ApiError> {
    let path = P::parse(&query.path)?;
    let mode = query.mode.as_deref().map(parse_mode).transpose()?;
    let files = place.open_or_make(&state).await?;
    let body = request.into_body().into_data_stream();
    let upload = files.space().upload(path.clone(), mode).await.map_err(ApiError::of_file)?;
    let bytes = receive(body, upload, &files).await?;
    files.keep();
    Ok(Json(RawUploadResponse { ok: true, path: path.as_str().to_owned(), bytes }))
}

/// Writes a body into a file, and returns how many bytes it had.
async fn receive(mut body: BodyDataStream, mut upload: Upload, files: &OpenFiles) -> Result<u64, ApiError> {
    let mut bytes = 0;
    let mut piece = Vec::new();
    loop {
        let next = body.next().await.transpose().map_err(|error| broken_off(&error))?;
        let is_end = next.is_none();
        if let Some(next) = next {
            bytes += next.len() as u64;
            piece.extend_from_slice(&next);
        }
        if piece.len() >= PIECE_BYTES || (is_end && !piece.is_empty()) {
            files.check_live()?;
            piece = upload.append(std::mem::take(&mut piece)).await.map_err(ApiError::of_file)?;
        }
        if is_end {
            upload.finish().await.map_err(ApiError::of_file)?;
            return Ok(bytes);
        }
    }
}

/// A body that did not come to its end.
pub(super) fn broken_off(error: &axum::Error) -> ApiError {
    if came_too_slowly(error) {
        return ApiError::invalid("the body came too slowly").with_status(StatusCode::REQUEST_TIMEOUT);
    }
    ApiError::invalid("the body broke off before its end")
}

fn entity_tag(version: &FileVersion) -> String {
    let (seconds, nanoseconds) = version.changed;
    format!("\"{:x}-{:x}-{seconds:x}.{nanoseconds:x}\"", version.inode, version.size)
}
