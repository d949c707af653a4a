//! `…/tty`: terminals over WebSockets.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::response::Response;
use sandkasten_api::error::ErrorCode;
use sandkasten_api::terminal::TerminalQuery;
use sandkasten_protocol::TerminalSize;

use crate::http::api_error::ApiError;
use crate::http::exec_request::{terminal, terminal_name, terminal_options};
use crate::http::openapi::codes::{PROCESS, SESSION, join};
use crate::http::path_id::PathId;
use crate::http::query::CheckedQuery;
use crate::http::router::ApiState;
use crate::http::server::ConnectionPlace;
use crate::http::terminal_socket::TerminalSocket;
use crate::session::{InUse, Job, Listening, LiveSession};

/// The most bytes of one frame of a client.
const MAX_FRAME_BYTES: usize = 64 << 10;
/// A terminal whose client does not say how large its window is.
const USUAL_SIZE: TerminalSize = TerminalSize { rows: 24, columns: 80 };

/// Connects a client to a terminal of the session, which is started where there is none, or to one of its processes.
///
/// A WebSocket: binary frames are what is typed and what is written; text frames are JSON with a `type`. From the client:
/// `resize` with `rows` and `cols`, `close_input`. From the daemon: `attached`, `stream`, `offset`, `exit`, `error`.
#[utoipa::path(
    get,
    path = "/v1/sessions/{id}/tty",
    operation_id = "attach_terminal",
    tag = "processes",
    params(PathId, TerminalQuery),
    responses(
        (status = 101, description = "The connection is a WebSocket from now on")
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
pub(in crate::http) async fn attach(
    State(state): State<ApiState>,
    PathId(id): PathId,
    CheckedQuery(query): CheckedQuery<TerminalQuery>,
    place: Option<Extension<ConnectionPlace>>,
    socket: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let socket = socket.map_err(|error| {
        ApiError::invalid(format!(
            "this endpoint speaks WebSocket, and this is no handshake: {}",
            error.body_text()
        ))
    })?;
    let size = size(&query)?;
    let session = state.sessions.find(&id).await?;
    let job = find_or_start(&state, &session, &query, size).await?;
    let (view, since) = (query.view, query.since);
    if let Some(size) = size.filter(|_| !view && job.describe().tty) {
        state.sessions.resize(&session, &job, size).await?;
    }
    let listening = if view { Listening::Free } else { Listening::Paced };
    let following = state.sessions.follow_output(&session, &job, since, listening).await?;
    let client = TerminalSocket { sessions: state.sessions.clone(), session, job, view };
    let socket = socket.max_frame_size(MAX_FRAME_BYTES).max_message_size(MAX_FRAME_BYTES);
    Ok(socket.on_upgrade(async move |socket| {
        // Who sits at a terminal uses the session, whether anything is typed or not.
        let in_use = (!view).then(|| InUse::new(&client.session));
        let (sessions, session) = (client.sessions.clone(), Arc::clone(&client.session));
        client.serve(socket, following, since).await;
        if in_use.is_some() {
            drop(in_use);
            sessions.note_use(&session, None);
        }
        drop(place);
    }))
}

async fn find_or_start(
    state: &ApiState,
    session: &Arc<LiveSession>,
    query: &TerminalQuery,
    size: Option<TerminalSize>,
) -> Result<Arc<Job>, ApiError> {
    match (query.process, &query.name) {
        (Some(_), Some(_)) => Err(ApiError::invalid("name and process are both there; give one of them")),
        (Some(process), None) => Ok(session.job(process)?),
        (None, name) => {
            let options = terminal_options(terminal_name(name.clone())?, size.unwrap_or(USUAL_SIZE));
            Ok(state.sessions.terminal(session, options).await?)
        }
    }
}

fn size(query: &TerminalQuery) -> Result<Option<TerminalSize>, ApiError> {
    match (query.rows, query.cols) {
        (Some(rows), Some(cols)) => terminal(sandkasten_api::exec::TerminalSize { rows, cols }).map(Some),
        (None, None) => Ok(None),
        _ => Err(ApiError::invalid("rows and cols belong together; give both, or neither")),
    }
}
