//! `…/exec` and `…/exec/stream`: one command in the session's shell.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderValue, header};
use jiff::Timestamp;
use sandkasten_api::exec::{ExecChunk, ExecDone, ExecFailed, ExecRequest, ExecResult};
use sandkasten_api::id::SessionId;
use sandkasten_api::limits::{MAX_COMMAND_BYTES, MAX_OUTPUT_BYTES, MAX_TIMEOUT_MS, STREAM_HEARTBEAT_SECONDS};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::http::api_error::ApiError;
use crate::http::json_body::JsonBody;
use crate::http::path_id::PathId;
use crate::http::request_id::RequestId;
use crate::http::router::ApiState;
use crate::session::{ExecEvent, ExecFailure, ExecOptions, LiveSession, OutputText};

/// Pieces of a stream that wait for a slow client; then the command is not read any further.
const PIECES_IN_FLIGHT: usize = 16;

/// Runs a command and answers with its whole output.
pub(in crate::http) async fn run(
    State(state): State<ApiState>,
    PathId(id): PathId,
    JsonBody(request): JsonBody<ExecRequest>,
) -> Result<Json<ExecResult>, ApiError> {
    let (session, options, mut text) = accept(&state, id, request, Some(MAX_OUTPUT_BYTES as u64)).await?;
    let mut output = String::new();
    let mut bytes = 0;
    let mut events = state.sessions.exec(session, options).await;
    while let Some(event) = events.recv().await {
        match event {
            ExecEvent::Output(piece) => {
                bytes += piece.len();
                output.push_str(&text.push(&piece));
            }
            ExecEvent::End(end) => {
                output.push_str(&text.finish());
                return Ok(Json(ExecResult {
                    exit_code: end.exit_code,
                    cwd: end.cwd,
                    output,
                    truncated: end.truncated,
                    duration_ms: milliseconds(end.duration),
                }));
            }
            ExecEvent::Failure(failure) => {
                output.push_str(&text.finish());
                return Err(ApiError::from(failure).with_output(output, bytes >= MAX_OUTPUT_BYTES));
            }
        }
    }
    Err(ApiError::panicked("a command's task ended without a result"))
}

/// Runs a command and streams its output as Server-Sent Events.
pub(in crate::http) async fn stream(
    State(state): State<ApiState>,
    PathId(id): PathId,
    Extension(request_id): Extension<RequestId>,
    JsonBody(request): JsonBody<ExecRequest>,
) -> Result<Response, ApiError> {
    let (session, options, text) = accept(&state, id, request, None).await?;
    let (pieces, receiver) = mpsc::channel(PIECES_IN_FLIGHT);
    let events = state.sessions.exec(session, options).await;
    tokio::spawn(forward(events, pieces, text, request_id));
    Ok(event_stream(receiver))
}

/// Answers with a stream of events that are sent to it.
pub(super) fn event_stream(receiver: mpsc::Receiver<Bytes>) -> Response {
    let body = Body::from_stream(futures_util::stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|piece: Bytes| (Ok::<_, Infallible>(piece), receiver))
    }));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        // Proxies would otherwise hold the pieces back.
        (header::HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, body).into_response()
}

/// Checks a request and finds its session.
async fn accept(
    state: &ApiState,
    id: SessionId,
    request: ExecRequest,
    output_limit: Option<u64>,
) -> Result<(Arc<LiveSession>, ExecOptions, OutputText), ApiError> {
    let bytes = request.cmd.len();
    if bytes == 0 {
        return Err(ApiError::invalid("cmd is empty; give 1 byte to 1 MiB of shell"));
    }
    if bytes > MAX_COMMAND_BYTES {
        return Err(ApiError::invalid(format!(
            "cmd has {bytes} bytes, at most {MAX_COMMAND_BYTES} are taken; write the script with /fs/write and run it"
        )));
    }
    if request.cmd.contains('\0') {
        return Err(ApiError::invalid("cmd holds a NUL byte, which no shell takes"));
    }
    let most = state.sessions.config().defaults.max_exec_timeout_ms;
    let timeout_ms = match request.timeout_ms {
        None | Some(0) => most,
        Some(timeout) if timeout <= MAX_TIMEOUT_MS => timeout.min(most),
        Some(timeout) => {
            return Err(ApiError::invalid(format!(
                "timeout_ms is {timeout}; allowed are 0 to {MAX_TIMEOUT_MS}"
            )));
        }
    };
    let session = state.sessions.find(&id).await?;
    let options =
        ExecOptions { command: request.cmd, timeout: Duration::from_millis(timeout_ms), output_limit };
    Ok((session, options, OutputText::new(request.raw_output)))
}

/// Turns events of a command into events of a stream, until the client or the command ends.
async fn forward(
    mut events: mpsc::Receiver<ExecEvent>,
    pieces: mpsc::Sender<Bytes>,
    mut text: OutputText,
    RequestId(request_id): RequestId,
) {
    let heartbeat = Duration::from_secs(STREAM_HEARTBEAT_SECONDS);
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = pieces.closed() => return,
            () = tokio::time::sleep(heartbeat) => {
                if pieces.send(Bytes::from_static(b": still running\n\n")).await.is_err() {
                    return;
                }
                continue;
            }
        };
        let (piece, last) = match event {
            Some(ExecEvent::Output(bytes)) => (chunk(text.push(&bytes)), false),
            Some(ExecEvent::End(end)) => {
                let mut piece = chunk(text.finish());
                let done = ExecDone {
                    exit_code: end.exit_code,
                    cwd: end.cwd,
                    duration_ms: milliseconds(end.duration),
                };
                piece.push_str(&sse("done", &done));
                (piece, true)
            }
            Some(ExecEvent::Failure(failure)) => {
                let failed = describe_failure(failure, &request_id);
                (chunk(text.finish()) + &sse("error", &failed), true)
            }
            None => return,
        };
        if (!piece.is_empty() && pieces.send(piece.into()).await.is_err()) || last {
            return;
        }
    }
}

/// Describes a failure in a stream that has begun; an internal one is logged here, as no answer can carry it any more.
fn describe_failure(failure: ExecFailure, request_id: &str) -> ExecFailed {
    let error = ApiError::from(failure);
    let message = match error.internal_reason() {
        None => error.message().to_owned(),
        Some(reason) => {
            tracing::error!(request_id, reason, "a streamed command failed");
            format!("the daemon failed; its log has the reason under request id {request_id}")
        }
    };
    ExecFailed { error: message, error_code: error.code() }
}

fn chunk(text: String) -> String {
    if text.is_empty() {
        return String::new();
    }
    sse("chunk", &ExecChunk { chunk: text, timestamp: Timestamp::now().as_millisecond() })
}

/// Renders one event. JSON has no line breaks of its own; three more characters count as line breaks for some readers
/// and are escaped as well.
pub(super) fn sse(event: &str, data: &impl Serialize) -> String {
    let json = serde_json::to_string(data).unwrap_or_else(|_| "{}".to_owned());
    let json =
        json.replace('\u{85}', "\\u0085").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    format!("event: {event}\ndata: {json}\n\n")
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::chunk;

    #[test]
    fn characters_that_some_readers_break_lines_at_are_escaped() {
        let event = chunk("a\u{2028}b\u{2029}c\u{85}d\re\nf\u{b}g".to_owned());
        assert_eq!(event.lines().count(), 3, "{event:?}");
        assert!(!event.contains(['\u{2028}', '\u{2029}', '\u{85}', '\r', '\u{b}']));
        assert!(
            event.starts_with("event: chunk\ndata: {\"chunk\":\"a\\u2028b\\u2029c\\u0085d\\re\\nf\\u000bg\"")
        );
    }
}
