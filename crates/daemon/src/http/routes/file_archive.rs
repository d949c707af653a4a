//! `…/fs/archive`: directories as tar archives, streamed both ways.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use futures_util::stream::unfold;
use http::header;
use sandkasten_api::error::ErrorCode;
use sandkasten_api::file_tree::{ArchiveFormat as NamedFormat, ArchiveQuery, UnpackResponse};
use sandkasten_api::schema::Binary;

use super::file_raw::{broken_off, drain};
use crate::http::api_error::ApiError;
use crate::http::file_place::FilePlace;
use crate::http::openapi::codes::{CHANGE, FILE, SESSION, join};
use crate::http::path_id::PathId;
use crate::http::query::CheckedQuery;
use crate::http::router::ApiState;
use crate::session::{ArchiveFormat, SessionError, UnpackArchiveError};

/// Sends a directory. What fails after the beginning ends the connection.
#[utoipa::path(
    get,
    path = "/v1/sessions/{id}/fs/archive",
    operation_id = "download_archive",
    tag = "files",
    params(PathId, ArchiveQuery),
    responses(
        (status = 200, description = "The archive", content(
            (Binary = "application/x-tar"),
            (Binary = "application/zstd")
        ), headers(("Content-Disposition" = String, description = "`attachment`")))
    ),
    extensions(("x-error-codes" = json!(join(&[SESSION, FILE])))),
)]
pub(in crate::http) async fn download<P: FilePlace>(
    State(state): State<ApiState>,
    place: P,
    CheckedQuery(query): CheckedQuery<ArchiveQuery>,
) -> Result<Response, ApiError> {
    let path = P::parse(&query.path)?;
    let files = place.open(&state).await?;
    let space = files.space().clone();
    let pieces = space.pack(path, format(query.format), move || files.check_live().is_ok()).await;
    let body = Body::from_stream(unfold(pieces.map_err(ApiError::of_file)?, async |mut pieces| {
        pieces.recv().await.map(|piece| (piece.map(Bytes::from), pieces))
    }));
    let kind = match query.format {
        NamedFormat::Tar => "application/x-tar",
        NamedFormat::TarZstd => "application/zstd",
    };
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_DISPOSITION, "attachment"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, body).into_response())
}

/// Takes a directory.
#[utoipa::path(
    put,
    path = "/v1/sessions/{id}/fs/archive",
    operation_id = "upload_archive",
    tag = "files",
    params(PathId, ArchiveQuery),
    request_body(content(
        (Binary = "application/x-tar"),
        (Binary = "application/zstd")
    )),
    responses(
        (status = 200, description = "All of it is there", body = UnpackResponse)
    ),
    extensions(("x-error-codes" = json!(join(&[SESSION, FILE, CHANGE])))),
)]
pub(in crate::http) async fn upload<P: FilePlace>(
    State(state): State<ApiState>,
    place: P,
    CheckedQuery(query): CheckedQuery<ArchiveQuery>,
    request: Request,
) -> Result<Json<UnpackResponse>, ApiError> {
    let path = P::parse(&query.path)?;
    let files = place.open_or_make(&state).await?;
    let mut body = request.into_body().into_data_stream();
    let (pieces, outcome) =
        files.space().unpack(path, format(query.format)).await.map_err(ApiError::of_file)?;
    let mut broken = None;
    while let Some(next) = body.next().await {
        let piece = match next {
            Ok(piece) => Ok(piece.to_vec()),
            Err(error) => {
                broken = Some(broken_off(&error));
                Err(std::io::ErrorKind::UnexpectedEof.into())
            }
        };
        files.check_live()?;
        // Where nobody reads any more, the outcome says why.
        if pieces.send(piece).await.is_err() || broken.is_some() {
            break;
        }
    }
    drop(pieces);
    let outcome = outcome.await.map_err(|_| ApiError::panicked("the thread of an archive ended early"))?;
    if let Some(broken) = broken {
        return Err(broken);
    }
    match outcome {
        Ok(unpacked) => {
            files.keep();
            Ok(Json(UnpackResponse { ok: true, entries: unpacked.entries, bytes: unpacked.bytes }))
        }
        Err(error) => {
            drain(&mut body).await;
            Err(refuse(error))
        }
    }
}

fn format(named: NamedFormat) -> ArchiveFormat {
    match named {
        NamedFormat::Tar => ArchiveFormat::Tar,
        NamedFormat::TarZstd => ArchiveFormat::TarZstd,
    }
}

fn refuse(error: UnpackArchiveError) -> ApiError {
    let message = error.to_string();
    match error {
        UnpackArchiveError::File(error) => ApiError::of_file(SessionError::File(error)),
        UnpackArchiveError::TooLarge { .. } => ApiError::new(ErrorCode::FileTooLarge, message),
        UnpackArchiveError::Read { .. } | UnpackArchiveError::Empty | UnpackArchiveError::Refused { .. } => {
            ApiError::invalid(message)
        }
    }
}
