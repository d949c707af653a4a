//! `GET /metrics`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;

use crate::http::api_error::ApiError;
use crate::http::router::ApiState;

/// The version of the format that the library writes.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Shows figures of the daemon for Prometheus and others that read its format, OpenMetrics: counts and durations of requests, creates,
/// execs and teardowns, and what there is now of sessions and of the pool.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "show_metrics",
    tag = "daemon",
    responses((
        status = 200,
        description = "The figures",
        body = String,
        content_type = "application/openmetrics-text"
    ))
)]
pub(in crate::http) async fn show(State(state): State<ApiState>) -> Result<Response, ApiError> {
    let now = state.sessions.standing();
    let text = state.sessions.metrics().render(&now).map_err(|error| ApiError::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}
