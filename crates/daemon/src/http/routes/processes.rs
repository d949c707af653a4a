//! `…/processes`: what runs beside the shell, and every exec.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use rustix::process::Signal;
use sandkasten_api::error::ErrorCode;
use sandkasten_api::exec::{StreamName, TerminalSize};
use sandkasten_api::health::Acknowledged;
use sandkasten_api::id::{ExecId, SessionId};
use sandkasten_api::limits::MAX_TIMEOUT_MS;
use sandkasten_api::process::{
    LogChunk, LogFailed, Process, ProcessList, ProcessLogs, ProcessRequest, SignalRequest, StdinRequest,
};
use sandkasten_api::schema::{Offset, PatienceMs};
use sandkasten_protocol::Stream;
use serde::Deserialize;
use tokio::sync::mpsc;
use utoipa::IntoParams;

use crate::http::api_error::ApiError;
use crate::http::event_stream::{self, PIECES_IN_FLIGHT, event};
use crate::http::exec_request::{process_options, terminal};
use crate::http::file_request::bytes_of;
use crate::http::json_body::JsonBody;
use crate::http::openapi::LogEvents;
use crate::http::openapi::codes::{PROCESS, SESSION, join};
use crate::http::path_id::{PathId, PathIds};
use crate::http::query::CheckedQuery;
use crate::http::router::ApiState;
use crate::session::{Job, Listening, LiveSession, LogEvent, OutputText, parse_signal};

/// Finds an exec or process of a live session.
pub(super) async fn find(
    state: &ApiState,
    id: &SessionId,
    process: ExecId,
) -> Result<(Arc<LiveSession>, Arc<Job>), ApiError> {
    let session = state.sessions.find(id).await?;
    let job = session.job(process)?;
    Ok((session, job))
}

/// Starts a process.
#[utoipa::path(
    post,
    path = "/v1/sessions/{id}/processes",
    operation_id = "start_process",
    tag = "processes",
    params(PathId),
    request_body = ProcessRequest,
    responses(
        (status = 201, description = "It runs, or has ended already", body = Process)
    ),
    extensions(("x-error-codes" = json!(join(&[SESSION, &[ErrorCode::LimitExceeded]])))),
)]
pub(in crate::http) async fn start(
    State(state): State<ApiState>,
    PathId(id): PathId,
    JsonBody(request): JsonBody<ProcessRequest>,
) -> Result<(StatusCode, Json<Process>), ApiError> {
    let options = process_options(request)?;
    let session = state.sessions.find(&id).await?;
    let job = state.sessions.start_process(session, options).await?;
    Ok((StatusCode::CREATED, Json(job.describe())))
}

/// Lists execs and processes.
#[utoipa::path(
    get,
    path = "/v1/sessions/{id}/processes",
    operation_id = "list_processes",
    tag = "processes",
    params(PathId),
    responses(
        (status = 200, description = "Processes and execs", body = ProcessList)
    ),
    extensions(("x-error-codes" = json!(SESSION))),
)]
pub(in crate::http) async fn list(
    State(state): State<ApiState>,
    PathId(id): PathId,
) -> Result<Json<ProcessList>, ApiError> {
    let session = state.sessions.find(&id).await?;
    let processes = session.jobs.all().iter().map(|job| job.describe()).collect();
    Ok(Json(ProcessList { processes }))
}

/// Describes one.
#[utoipa::path(
    get,
    path = "/v1/sessions/{id}/processes/{exec_id}",
    operation_id = "show_process",
    tag = "processes",
    params(PathIds),
    responses(
        (status = 200, description = "The process", body = Process)
    ),
    extensions(("x-error-codes" = json!(join(&[SESSION, PROCESS])))),
)]
pub(in crate::http) async fn show(
    State(state): State<ApiState>,
    PathIds(id, process): PathIds,
) -> Result<Json<Process>, ApiError> {
    let (_, job) = find(&state, &id, process).await?;
    Ok(Json(job.describe()))
}

/// Ends one, with everything that it has started.
#[utoipa::path(
    delete,
    path = "/v1/sessions/{id}/processes/{exec_id}",
    operation_id = "end_process",
    tag = "processes",
    params(PathIds),
    responses(
        (status = 200, description = "It has ended", body = Process)
    ),
    extensions(("x-error-codes" = json!(join(&[SESSION, PROCESS, &[ErrorCode::ProcessNotRunning]])))),
)]
pub(in crate::http) async fn end(
    State(state): State<ApiState>,
    PathIds(id, process): PathIds,
) -> Result<Json<Process>, ApiError> {
    let (session, job) = find(&state, &id, process).await?;
    state.sessions.cancel(&session, &job).await?;
    Ok(Json(job.describe()))
}

/// Sends a signal to everything that one has started.
#[utoipa::path(
    post,
    path = "/v1/sessions/{id}/processes/{exec_id}/signal",
    operation_id = "signal_process",
    tag = "processes",
    params(PathIds),
    request_body = SignalRequest,
    responses(
        (status = 200, description = "Done", body = Acknowledged)
    ),
    extensions(("x-error-codes" = json!(join(&[SESSION, PROCESS, &[ErrorCode::ProcessNotRunning]])))),
)]
pub(in crate::http) async fn signal(
    State(state): State<ApiState>,
    PathIds(id, process): PathIds,
    JsonBody(request): JsonBody<SignalRequest>,
) -> Result<Json<Acknowledged>, ApiError> {
    let signal = parse_signal(&request.signal).and_then(Signal::from_named_raw).ok_or_else(|| {
        ApiError::invalid(format!("signal is {:.80?}; give a name such as TERM, or a number", request.signal))
    })?;
    let (session, job) = find(&state, &id, process).await?;
    state.sessions.signal(&session, &job, signal).await?;
    Ok(Json(Acknowledged { ok: true }))
}

/// Gives bytes to the standard input of one.
#[utoipa::path(
    post,
    path = "/v1/sessions/{id}/processes/{exec_id}/stdin",
    operation_id = "write_stdin",
    tag = "processes",
    params(PathIds),
    request_body = StdinRequest,
    responses(
        (status = 200, description = "Done", body = Acknowledged)
    ),
    extensions(("x-error-codes" = json!(join(&[
        SESSION,
        PROCESS,
        &[
            ErrorCode::ProcessNotRunning,
            ErrorCode::LimitExceeded,
        ],
    ])))),
)]
pub(in crate::http) async fn stdin(
    State(state): State<ApiState>,
    PathIds(id, process): PathIds,
    JsonBody(request): JsonBody<StdinRequest>,
) -> Result<Json<Acknowledged>, ApiError> {
    let bytes = bytes_of(request.content_base64, request.text)?;
    if bytes.is_none() && !request.close {
        return Err(ApiError::invalid("there is no input: give text, content_base64 or close"));
    }
    let (session, job) = find(&state, &id, process).await?;
    state.sessions.give_input(&session, &job, bytes.unwrap_or_default(), request.close).await?;
    Ok(Json(Acknowledged { ok: true }))
}

/// Tells the terminal of one its size.
#[utoipa::path(
    post,
    path = "/v1/sessions/{id}/processes/{exec_id}/resize",
    operation_id = "resize_terminal",
    tag = "processes",
    params(PathIds),
    request_body = TerminalSize,
    responses(
        (status = 200, description = "Done", body = Acknowledged)
    ),
    extensions(("x-error-codes" = json!(join(&[SESSION, PROCESS, &[ErrorCode::ProcessNotRunning]])))),
)]
pub(in crate::http) async fn resize(
    State(state): State<ApiState>,
    PathIds(id, process): PathIds,
    JsonBody(size): JsonBody<TerminalSize>,
) -> Result<Json<Acknowledged>, ApiError> {
    let size = terminal(size)?;
    let (session, job) = find(&state, &id, process).await?;
    state.sessions.resize(&session, &job, size).await?;
    Ok(Json(Acknowledged { ok: true }))
}

/// How long a client waits for an end.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct WaitQuery {
    /// How many milliseconds the end is waited for; absent: ten minutes.
    #[param(value_type = Option<PatienceMs>)]
    timeout_ms: Option<u64>,
}

/// Answers when one has ended, or the time is up: `status` says which.
#[utoipa::path(
    get,
    path = "/v1/sessions/{id}/processes/{exec_id}/wait",
    operation_id = "wait_for_process",
    tag = "processes",
    params(PathIds, WaitQuery),
    responses(
        (status = 200, description = "It has ended, or the time is up", body = Process)
    ),
    extensions(("x-error-codes" = json!(join(&[SESSION, PROCESS])))),
)]
pub(in crate::http) async fn wait(
    State(state): State<ApiState>,
    PathIds(id, process): PathIds,
    CheckedQuery(query): CheckedQuery<WaitQuery>,
) -> Result<Json<Process>, ApiError> {
    let (_, job) = find(&state, &id, process).await?;
    let patience = query.timeout_ms.unwrap_or(MAX_TIMEOUT_MS).min(MAX_TIMEOUT_MS);
    // Time that has run out is no failure: the answer says where the process is.
    tokio::time::timeout(Duration::from_millis(patience), job.ended()).await.ok();
    Ok(Json(job.describe()))
}

/// Which part of a log is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct LogsQuery {
    /// The place in the output to begin at, in bytes.
    #[serde(default)]
    #[param(value_type = Offset)]
    since: u64,
    /// Whether what comes is told as it comes, as Server-Sent Events.
    #[serde(default)]
    follow: bool,
    /// Which stream, where the process keeps two apart; `stdout` where absent.
    stream: Option<StreamName>,
}

/// Answers with what is kept of the output of one, or follows it as Server-Sent Events.
#[utoipa::path(
    get,
    path = "/v1/sessions/{id}/processes/{exec_id}/logs",
    operation_id = "read_logs",
    tag = "processes",
    params(PathIds, LogsQuery),
    responses(
        (status = 200, description = "What is kept of its output, or with `follow` a stream", content(
            (ProcessLogs = "application/json"),
            (LogEvents = "text/event-stream")
        ))
    ),
    extensions(("x-error-codes" = json!(join(&[SESSION, PROCESS, &[ErrorCode::LimitExceeded]])))),
)]
pub(in crate::http) async fn logs(
    State(state): State<ApiState>,
    PathIds(id, process): PathIds,
    CheckedQuery(query): CheckedQuery<LogsQuery>,
) -> Result<Response, ApiError> {
    let (session, job) = find(&state, &id, process).await?;
    let stream = match query.stream {
        None | Some(StreamName::Stdout) => Stream::Output,
        Some(StreamName::Stderr) => Stream::Error,
    };
    if query.follow {
        let following = state.sessions.follow_output(&session, &job, query.since, Listening::Free).await?;
        let (pieces, receiver) = mpsc::channel(PIECES_IN_FLIGHT);
        tokio::spawn(forward(following.events, pieces, job, query.since, stream));
        return Ok(event_stream::relay(receiver));
    }
    // Asked first: what it says of the status holds for what is read after it.
    let status = job.describe().status;
    let log = state.sessions.log(&session, &job, query.since, stream).await?;
    let (offset, next_offset) = (log.offset, log.next_offset());
    let output = String::from_utf8_lossy(&log.bytes).into_owned();
    Ok(Json(ProcessLogs { output, offset, next_offset, status }).into_response())
}

async fn forward(
    mut events: mpsc::Receiver<LogEvent>,
    pieces: mpsc::Sender<Bytes>,
    job: Arc<Job>,
    since: u64,
    stream: Stream,
) {
    let mut text = OutputText::new(true);
    let mut next_offset = since;
    while let Some(incoming) = event_stream::next(&mut events, &pieces).await {
        let (piece, last) = match incoming {
            LogEvent::Output(piece) if piece.stream == stream => {
                next_offset = piece.offset.saturating_add(piece.bytes.len() as u64);
                let chunk = text.push(&piece.bytes);
                (event(None, "chunk", &LogChunk { chunk, offset: piece.offset, next_offset }), false)
            }
            LogEvent::Output(_) => continue,
            LogEvent::End => {
                // The verdict follows the runner's word by a moment.
                job.ended().await;
                let chunk = text.finish();
                let rest = if chunk.is_empty() {
                    String::new()
                } else {
                    event(None, "chunk", &LogChunk { chunk, offset: next_offset, next_offset })
                };
                (rest + &event(None, "done", &job.describe()), true)
            }
            LogEvent::Failure(error) => {
                let error = ApiError::from(error);
                let failed = LogFailed { error: error.message().to_owned(), error_code: error.code() };
                (event(None, "error", &failed), true)
            }
        };
        if pieces.send(piece.into()).await.is_err() || last {
            return;
        }
    }
}
