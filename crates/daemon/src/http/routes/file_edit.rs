//! `…/fs/edit`: a part of a file.

use axum::Json;
use axum::extract::State;
use sandkasten_api::error::ErrorCode;
use sandkasten_api::file_edit::{EditFileRequest, EditFileResponse, EditedHunk, StringEdit};
use sandkasten_api::limits::MAX_EDITS;

use crate::http::api_error::ApiError;
use crate::http::file_place::FilePlace;
use crate::http::json_body::JsonBody;
use crate::http::openapi::codes::{CHANGE, FILE, SESSION, join};
use crate::http::path_id::PathId;
use crate::http::router::ApiState;
use crate::session::{Change, EditError, Occurrences, Replacement, UnifiedDiff};

/// Changes a file.
#[utoipa::path(
    post,
    path = "/v1/sessions/{id}/fs/edit",
    operation_id = "edit_file",
    tag = "files",
    params(PathId),
    request_body = EditFileRequest,
    responses(
        (status = 200, description = "The file as it is now", body = EditFileResponse)
    ),
    extensions(("x-error-codes" = json!(join(&[SESSION, FILE, CHANGE, &[ErrorCode::EditMismatch]])))),
)]
pub(in crate::http) async fn edit<P: FilePlace>(
    State(state): State<ApiState>,
    place: P,
    JsonBody(request): JsonBody<EditFileRequest>,
) -> Result<Json<EditFileResponse>, ApiError> {
    let path = P::parse(&request.path)?;
    let change = match (request.edits, request.patch) {
        (Some(edits), None) if (1..=MAX_EDITS).contains(&edits.len()) => {
            Change::Replacements(edits.into_iter().map(parse_edit).collect::<Result<_, _>>()?)
        }
        (Some(edits), None) => {
            return Err(ApiError::invalid(format!(
                "edits has {} members; allowed are 1 to {MAX_EDITS}",
                edits.len()
            )));
        }
        (None, Some(patch)) => Change::Patch(
            UnifiedDiff::parse(&patch)
                .map_err(|error| ApiError::invalid(format!("patch is no unified diff: {error}")))?,
        ),
        (None, None) => return Err(ApiError::invalid("neither edits nor patch is given; give one")),
        (Some(_), Some(_)) => return Err(ApiError::invalid("both edits and patch are given; give one")),
    };
    let is_hash = |text: &String| text.len() == 64 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    if let Some(expected) = request.expect_sha256.as_ref().filter(|expected| !is_hash(expected)) {
        return Err(ApiError::invalid(format!(
            "expect_sha256 is {expected:?}; expected 64 hexadecimal digits"
        )));
    }
    let files = place.open(&state).await?;
    let edited = files.space().edit(path.clone(), change, request.expect_sha256).await.map_err(refuse)?;
    let hunks = edited.hunks.into_iter().map(|hunk| EditedHunk { line: hunk.line, offset: hunk.offset });
    Ok(Json(EditFileResponse {
        ok: true,
        path: path.as_str().to_owned(),
        sha256: edited.sha256,
        bytes: edited.bytes,
        changes: edited.changes,
        hunks: hunks.collect(),
    }))
}

fn parse_edit(edit: StringEdit) -> Result<Replacement, ApiError> {
    if edit.old.is_empty() {
        return Err(ApiError::invalid(
            "old is empty; give the string to replace, or write the file with fs/write",
        ));
    }
    let which = if edit.replace_all { Occurrences::All } else { Occurrences::Single };
    Ok(Replacement { old: edit.old.into_bytes(), new: edit.new.into_bytes(), which })
}

fn refuse(error: EditError) -> ApiError {
    let message = error.to_string();
    match error {
        EditError::Session(error) => ApiError::of_file(error),
        EditError::Unexpected { .. } => ApiError::new(ErrorCode::FileChanged, message),
        EditError::TooLarge => ApiError::new(ErrorCode::FileTooLarge, message),
        EditError::Absent { .. } | EditError::Ambiguous { .. } | EditError::Patch(_) => {
            ApiError::new(ErrorCode::EditMismatch, message)
        }
    }
}
