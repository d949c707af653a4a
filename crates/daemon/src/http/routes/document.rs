//! `GET /openapi.json`.

use axum::response::{IntoResponse, Response};
use http::header;

use crate::http::openapi;

/// Shows this very document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "show_document",
    tag = "daemon",
    responses((status = 200, description = "The document, OpenAPI 3.1", body = Object))
)]
pub(in crate::http) async fn show() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi::openapi()).into_response()
}
