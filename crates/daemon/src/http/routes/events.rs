//! `/v1/events` and `…/events`: states of sessions as they change.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderName};
use sandkasten_api::error::ErrorCode;
use sandkasten_api::event::Lagged;
use sandkasten_api::limits::STREAM_HEARTBEAT_SECONDS;

use crate::http::api_error::ApiError;
use crate::http::event_stream::{self, HEARTBEAT};
use crate::http::openapi::SessionEvents;
use crate::http::path_id::PathId;
use crate::http::router::ApiState;
use crate::session::{EventId, Notice, Watch};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Streams the states of one session, to its end.
#[utoipa::path(
    get,
    path = "/v1/sessions/{id}/events",
    operation_id = "watch_session",
    tag = "sessions",
    params(PathId),
    responses(
        (
            status = 200,
            description = "Its states, from the present one to its last",
            body = SessionEvents, content_type = "text/event-stream"
        )
    ),
    extensions(("x-error-codes" = json!(&[ErrorCode::SessionNotFound]))),
)]
pub(in crate::http) async fn of_session(
    State(state): State<ApiState>,
    PathId(id): PathId,
) -> Result<Response, ApiError> {
    Ok(stream(state.sessions.watch(&id).await?))
}

/// Streams the states of all sessions, from where a client that comes back has left off.
#[utoipa::path(
    get,
    path = "/v1/events",
    operation_id = "watch_sessions",
    tag = "sessions",
    params((
        "Last-Event-ID" = Option<String>,
        Header,
        description = "The id of the last event that the client has seen; what is no such id is ignored"
    )),
    responses(
        (
            status = 200,
            description = "States of sessions, without an end",
            body = SessionEvents, content_type = "text/event-stream"
        )
    ),
)]
pub(in crate::http) async fn of_all(State(state): State<ApiState>, headers: HeaderMap) -> Response {
    let seen = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()?.parse::<EventId>().ok());
    stream(state.sessions.watch_all(seen))
}

fn stream(watch: Watch) -> Response {
    let heartbeat = Duration::from_secs(STREAM_HEARTBEAT_SECONDS);
    event_stream::answer(futures_util::stream::unfold(watch, move |mut watch| async move {
        let piece = match tokio::time::timeout(heartbeat, watch.next()).await {
            Err(_) => HEARTBEAT,
            Ok(None) => return None,
            Ok(Some(Notice::State(id, event))) => {
                event_stream::event(id.map(|id| id.to_string()).as_deref(), "state", &*event).into()
            }
            Ok(Some(Notice::Lagged(missed))) => {
                event_stream::event(None, "lagged", &Lagged { missed }).into()
            }
        };
        Some((piece, watch))
    }))
}
