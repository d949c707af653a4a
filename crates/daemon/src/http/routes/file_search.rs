//! `…/fs/search`: a text in the files of a tree.

use axum::Json;
use axum::extract::State;
use sandkasten_api::file_search::{SearchMatch, SearchRequest, SearchResponse};
use sandkasten_api::limits::{DEFAULT_MATCHES, MAX_CONTEXT_LINES, MAX_MATCHES};

use crate::http::api_error::ApiError;
use crate::http::file_place::FilePlace;
use crate::http::json_body::JsonBody;
use crate::http::openapi::codes::{FILE, SESSION, join};
use crate::http::path_id::PathId;
use crate::http::router::ApiState;
use crate::session::{Glob, Pattern, Search};

/// Searches.
#[utoipa::path(
    post,
    path = "/v1/sessions/{id}/fs/search",
    operation_id = "search_files",
    tag = "files",
    params(PathId),
    request_body = SearchRequest,
    responses(
        (status = 200, description = "Lines with a match", body = SearchResponse)
    ),
    extensions(("x-error-codes" = json!(join(&[SESSION, FILE])))),
)]
pub(in crate::http) async fn search<P: FilePlace>(
    State(state): State<ApiState>,
    place: P,
    JsonBody(request): JsonBody<SearchRequest>,
) -> Result<Json<SearchResponse>, ApiError> {
    let path = P::parse(request.path.as_deref().unwrap_or("."))?;
    let pattern = match (request.literal.as_deref(), request.regex.as_deref()) {
        (Some(literal), None) => Pattern::Literal(literal),
        (None, Some(regex)) => Pattern::Regex(regex),
        (None, None) => return Err(ApiError::invalid("neither literal nor regex is given; give one")),
        (Some(_), Some(_)) => return Err(ApiError::invalid("both literal and regex are given; give one")),
    };
    let most = request.max_matches.unwrap_or(DEFAULT_MATCHES);
    if !(1..=MAX_MATCHES).contains(&most) {
        return Err(ApiError::invalid(format!("max_matches is {most}; allowed are 1 to {MAX_MATCHES}")));
    }
    let context = request.context.unwrap_or(0);
    if context > MAX_CONTEXT_LINES {
        return Err(ApiError::invalid(format!("context is {context}; allowed are 0 to {MAX_CONTEXT_LINES}")));
    }
    let glob = request.glob.as_deref().map(Glob::parse).transpose()?;
    let search = Search::new(pattern, request.ignore_case, glob, most, context)
        .map_err(|error| ApiError::invalid(error.to_string()))?;
    let files = place.open(&state).await?;
    let found = files.space().search(path.clone(), search).await.map_err(ApiError::of_file)?;
    let matches = found.matches.into_iter().map(|found| SearchMatch {
        path: path.show_below(&found.path),
        line: found.line,
        column: found.column,
        text: found.text,
        before: found.before,
        after: found.after,
    });
    Ok(Json(SearchResponse {
        matches: matches.collect(),
        files_searched: found.files,
        files_skipped: found.skipped,
        truncated: found.truncated,
    }))
}
