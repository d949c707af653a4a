//! `…/exec` and `…/exec/stream`: one command, with its result or as a stream; `…/exec/{exec_id}`: the result once more.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use sandkasten_api::error::{ErrorCode, ErrorDetails};
use sandkasten_api::exec::{ExecChunk, ExecDone, ExecFailed, ExecRequest, ExecResult, StreamName};
use sandkasten_api::id::{ExecId, SessionId};
use sandkasten_api::limits::MAX_TIMEOUT_MS;
use sandkasten_api::process::Process;
use sandkasten_api::schema::PatienceMs;
use sandkasten_api::verdict::{Reason, Verdict};
use sandkasten_isolation::plan::WORKSPACE_DIRECTORY;
use sandkasten_protocol::{Capture, Captured, Stream};
use serde::Deserialize;
use tokio::sync::mpsc;
use utoipa::IntoParams;

use crate::http::api_error::ApiError;
use crate::http::event_stream::{self, PIECES_IN_FLIGHT, event};
use crate::http::exec_request::exec_options;
use crate::http::idempotency_key::{Given, IdempotencyKey, mark};
use crate::http::json_body::JsonBody;
use crate::http::openapi::ExecEvents;
use crate::http::openapi::codes::{PROCESS, SESSION, join};
use crate::http::output_document::OutputDocument;
use crate::http::path_id::{PathId, PathIds};
use crate::http::query::CheckedQuery;
use crate::http::request_id::RequestId;
use crate::http::router::ApiState;
use crate::http::routes::processes::find;
use crate::idempotency::fingerprint;
use crate::session::{
    Audience, Begun, ExecEvent, ExecFailure, ExecOptions, Job, JobEnd, LiveSession, OutputText, ProcessError,
    RequestKey, milliseconds,
};

/// Names the exec also where the body has not come to its end.
const EXEC_ID: HeaderName = HeaderName::from_static("x-exec-id");

/// Runs a command and answers with its whole output. With a key it goes on where its client goes away, who may ask again.
#[utoipa::path(
    post,
    path = "/v1/sessions/{id}/exec",
    operation_id = "run_command",
    tag = "exec",
    params(PathId, IdempotencyKey),
    request_body = ExecRequest,
    responses(
        (
            status = 200,
            description = "The command has ended",
            body = ExecResult,
            headers(
                ("X-Exec-ID" = ExecId, description = "Names the exec"),
                ("Idempotency-Replayed" = String, description = "`true` where the command was not run again")
            )
        )
    ),
    extensions(("x-error-codes" = json!(join(&[
        SESSION,
        &[
            ErrorCode::IdempotencyKeyReused,
            ErrorCode::ProcessNotRunning,
            ErrorCode::LimitExceeded,
            ErrorCode::CommandTimeout,
        ],
    ])))),
)]
pub(in crate::http) async fn run(
    State(state): State<ApiState>,
    PathId(id): PathId,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(request): JsonBody<ExecRequest>,
) -> Result<Response, ApiError> {
    let key = key.map(|key| RequestKey { key, fingerprint: fingerprint(&request) });
    let (session, mut options) = accept(&state, id, request, false).await?;
    if key.is_some() {
        options.key = key;
        options.audience = Audience::Nobody;
        return run_once(&state, session, options).await;
    }
    let (job, end, captured) = run_to_end(&state, session, options).await?;
    respond(&job, &end, captured)
}

/// Runs a command without a key to its end. A client that goes away ends it.
pub(in crate::http) async fn run_to_end(
    state: &ApiState,
    session: Arc<LiveSession>,
    options: ExecOptions,
) -> Result<(Arc<Job>, Arc<JobEnd>, [Captured; 2]), ApiError> {
    let capture = options.capture;
    let (job, begun) = state.sessions.exec(session, options).await?;
    let Begun::Now(events) = begun else {
        return Err(ApiError::panicked("a command without a key was known"));
    };
    let (end, captured) = collect(&job, capture, events).await?;
    Ok((job, end, captured))
}

/// Runs a command unless its key is known, and answers with the result of the one that has it.
async fn run_once(
    state: &ApiState,
    session: Arc<LiveSession>,
    options: ExecOptions,
) -> Result<Response, ApiError> {
    let (job, begun) = state.sessions.exec(Arc::clone(&session), options).await?;
    let (end, given) = match begun {
        Begun::Before => (job.ended().await, Given::Again),
        Begun::Now(mut events) => match events.recv().await {
            Some(ExecEvent::Failure(failure)) => return Err(describe(failure, &job)),
            _ => (job.ended().await, Given::First),
        },
    };
    let end = end.ok_or_else(|| ApiError::from(ProcessError::NotRunning { id: job.id }))?;
    let captured = state.sessions.output(&session, &job).await?;
    let mut response = respond(&job, &end, captured).unwrap_or_else(IntoResponse::into_response);
    mark(&mut response, given);
    Ok(response)
}

/// Collects what a command writes until it has ended.
async fn collect(
    job: &Job,
    capture: Capture,
    mut events: mpsc::Receiver<ExecEvent>,
) -> Result<(Arc<JobEnd>, [Captured; 2]), ApiError> {
    let mut captured = [Captured::new(capture), Captured::new(capture)];
    while let Some(event) = events.recv().await {
        match event {
            ExecEvent::Output(piece) => {
                // In order, or the session would have refused them.
                captured[piece.stream.index()].push_at(piece.offset, &piece.bytes);
            }
            ExecEvent::End(end) => {
                for (captured, written) in captured.iter_mut().zip(end.written) {
                    captured.end_at(written);
                }
                return Ok((end, captured));
            }
            ExecEvent::Failure(failure) => return Err(describe(failure, job)),
        }
    }
    Err(ApiError::panicked("a command's task ended without a result"))
}

/// How long a client waits for a result.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ResultQuery {
    /// How many milliseconds the end is waited for; absent: not at all.
    #[param(value_type = Option<PatienceMs>)]
    wait_ms: Option<u64>,
}

/// Answers with the result of an exec that has ended, or says where it is in its life.
#[utoipa::path(
    get,
    path = "/v1/sessions/{id}/exec/{exec_id}",
    operation_id = "show_result",
    tag = "exec",
    params(PathIds, ResultQuery),
    responses(
        (
            status = 200,
            description = "The command has ended",
            body = ExecResult,
            headers(("X-Exec-ID" = ExecId, description = "Names the exec"))
        ),
        (status = 202, description = "It has not ended yet", body = Process)
    ),
    extensions(("x-error-codes" = json!(join(&[SESSION, PROCESS, &[ErrorCode::CommandTimeout]])))),
)]
pub(in crate::http) async fn result(
    State(state): State<ApiState>,
    PathIds(id, exec): PathIds,
    CheckedQuery(query): CheckedQuery<ResultQuery>,
) -> Result<Response, ApiError> {
    let (session, job) = find(&state, &id, exec).await?;
    let patience = Duration::from_millis(query.wait_ms.unwrap_or_default().min(MAX_TIMEOUT_MS));
    match tokio::time::timeout(patience, job.ended()).await {
        Ok(Some(end)) => {
            let captured = state.sessions.output(&session, &job).await?;
            respond(&job, &end, captured)
        }
        _ => Ok((StatusCode::ACCEPTED, Json(job.describe())).into_response()),
    }
}

/// Runs a command and streams its output as Server-Sent Events.
#[utoipa::path(
    post,
    path = "/v1/sessions/{id}/exec/stream",
    operation_id = "stream_command",
    tag = "exec",
    params(PathId),
    request_body = ExecRequest,
    responses(
        (
            status = 200,
            description = "What the command writes, and its end",
            body = ExecEvents, content_type = "text/event-stream",
            headers(("X-Exec-ID" = ExecId, description = "Names the exec"))
        )
    ),
    extensions(("x-error-codes" = json!(join(&[SESSION, &[ErrorCode::LimitExceeded]])))),
)]
pub(in crate::http) async fn stream(
    State(state): State<ApiState>,
    PathId(id): PathId,
    Extension(request_id): Extension<RequestId>,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(request): JsonBody<ExecRequest>,
) -> Result<Response, ApiError> {
    if key.is_some() {
        return Err(ApiError::invalid(
            "a stream cannot be given again, so it takes no Idempotency-Key; use …/exec, or …/processes and its logs",
        ));
    }
    let (session, options) = accept(&state, id, request, true).await?;
    let (raw, separate) = (options.raw_output, options.separate);
    let (job, begun) = state.sessions.exec(session, options).await?;
    let Begun::Now(events) = begun else {
        return Err(ApiError::panicked("a command without a key was known"));
    };
    let (pieces, receiver) = mpsc::channel(PIECES_IN_FLIGHT);
    let header = exec_header(job.id);
    let texts = [OutputText::new(raw), OutputText::new(raw)];
    tokio::spawn(forward(events, pieces, EventText { job, texts, separate, request_id }));
    Ok(([header], event_stream::relay(receiver)).into_response())
}

/// Checks a request and finds its session.
async fn accept(
    state: &ApiState,
    id: SessionId,
    request: ExecRequest,
    streamed: bool,
) -> Result<(Arc<LiveSession>, ExecOptions), ApiError> {
    let session = state.sessions.find(&id).await?;
    let options = exec_options(request, session.defaults.max_exec_timeout_ms, streamed)?;
    Ok((session, options))
}

fn exec_header(id: ExecId) -> (HeaderName, HeaderValue) {
    let value = HeaderValue::from_str(&id.to_string()).unwrap_or(HeaderValue::from_static(""));
    (EXEC_ID, value)
}

/// The answer for something that has ended: a result, or an error where it ran past its timeout.
fn respond(job: &Job, end: &JobEnd, mut captured: [Captured; 2]) -> Result<Response, ApiError> {
    for (captured, written) in captured.iter_mut().zip(end.written) {
        captured.end_at(written);
    }
    let (raw, separate, timeout_ms) = {
        let note = job.note();
        (note.raw_output, note.separate, note.timeout_ms)
    };
    let [output, error] = captured.map(|captured| OutputDocument::render(captured, raw));
    let omitted_bytes = output.omitted_bytes.saturating_add(error.omitted_bytes);
    if end.verdict.reason == Reason::Timeout {
        return Err(timed_out(job, end, timeout_ms).with_output(output.text + &error.text, omitted_bytes > 0));
    }
    let result = ExecResult {
        exec_id: Some(job.id),
        exit_code: end.exit_code,
        cwd: directory(end),
        stdout: separate.then(|| output.text.clone()),
        stderr: separate.then_some(error.text),
        output: output.text,
        truncated: omitted_bytes > 0,
        omitted_bytes,
        duration_ms: milliseconds(end.duration),
        verdict: Some(end.verdict.clone()),
    };
    Ok(([exec_header(job.id)], Json(result)).into_response())
}

fn directory(end: &JobEnd) -> String {
    end.cwd.clone().unwrap_or_else(|| WORKSPACE_DIRECTORY.to_owned())
}

fn timed_out(job: &Job, end: &JobEnd, timeout_ms: Option<u64>) -> ApiError {
    let limit = timeout_ms.unwrap_or_default();
    let message = format!("the command ran past its timeout of {limit} ms and was killed");
    ApiError::new(ErrorCode::CommandTimeout, message).with_details(ErrorDetails {
        timeout_ms,
        shell_restarted: Some(end.shell_restarted),
        exec_id: Some(job.id),
        verdict: Some(end.verdict.clone()),
        ..ErrorDetails::default()
    })
}

/// A failure, with what a program can branch on where the sandbox has gone.
fn describe(failure: ExecFailure, job: &Job) -> ApiError {
    let error = ApiError::from(failure);
    if error.code() != ErrorCode::SessionNotRunning {
        return error;
    }
    error.with_details(ErrorDetails {
        exec_id: Some(job.id),
        verdict: Some(Verdict::sandbox_lost()),
        ..ErrorDetails::default()
    })
}

/// What turns events of a command into text.
struct EventText {
    job: Arc<Job>,
    texts: [OutputText; 2],
    separate: bool,
    request_id: RequestId,
}

impl EventText {
    fn chunk(&self, stream: Stream, text: String) -> String {
        if text.is_empty() {
            return String::new();
        }
        let name = if stream == Stream::Error { StreamName::Stderr } else { StreamName::Stdout };
        let stream = self.separate.then_some(name);
        event(None, "chunk", &ExecChunk { chunk: text, timestamp: Timestamp::now().as_millisecond(), stream })
    }

    /// What was held back of characters that never came to their end.
    fn rest(&mut self) -> String {
        let mut rest = String::new();
        for stream in [Stream::Output, Stream::Error] {
            let text = self.texts[stream.index()].finish();
            rest.push_str(&self.chunk(stream, text));
        }
        rest
    }

    fn done(&self, end: &JobEnd) -> String {
        if end.verdict.reason == Reason::Timeout {
            let error = timed_out(&self.job, end, self.job.note().timeout_ms);
            return self.failed(error, Some(end.verdict.clone()));
        }
        let done = ExecDone {
            exec_id: Some(self.job.id),
            exit_code: end.exit_code,
            cwd: directory(end),
            duration_ms: milliseconds(end.duration),
            verdict: Some(end.verdict.clone()),
        };
        event(None, "done", &done)
    }

    /// Describes a failure in a stream that has begun.
    fn failed(&self, error: ApiError, verdict: Option<Verdict>) -> String {
        let message = error.told_in_stream(&self.request_id, "a streamed command failed");
        let failed =
            ExecFailed { error: message, error_code: error.code(), exec_id: Some(self.job.id), verdict };
        event(None, "error", &failed)
    }
}

/// Turns events of a command into events of a stream, until the client or the command ends.
async fn forward(mut events: mpsc::Receiver<ExecEvent>, pieces: mpsc::Sender<Bytes>, mut text: EventText) {
    while let Some(event) = event_stream::next(&mut events, &pieces).await {
        let (piece, last) = match event {
            ExecEvent::Output(piece) => {
                let shown = text.texts[piece.stream.index()].push(&piece.bytes);
                (text.chunk(piece.stream, shown), false)
            }
            ExecEvent::End(end) => (text.rest() + &text.done(&end), true),
            ExecEvent::Failure(failure) => {
                let error = describe(failure, &text.job);
                let lost = error.code() == ErrorCode::SessionNotRunning;
                (text.rest() + &text.failed(error, lost.then(Verdict::sandbox_lost)), true)
            }
        };
        if (!piece.is_empty() && pieces.send(piece.into()).await.is_err()) || last {
            return;
        }
    }
}
