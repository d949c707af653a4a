//! `…/fs/watch`: what changes in a directory, as Server-Sent Events.

use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use sandkasten_api::error::ErrorCode;
use sandkasten_api::file_watch::{
    FileChange, FileChangeKind, WatchEnd, WatchEndReason, WatchFilesQuery, WatchOverflow, WatchReady,
};
use sandkasten_api::limits::STREAM_HEARTBEAT_SECONDS;
use sandkasten_isolation::host::{ChangeKind, FileChange as Changed, WatchDepth, WatchEvent};
use tokio::sync::mpsc;

use crate::http::api_error::ApiError;
use crate::http::event_stream::{self, event};
use crate::http::file_place::FilePlace;
use crate::http::openapi::WatchEvents;
use crate::http::openapi::codes::{FILE, SESSION, join};
use crate::http::path_id::PathId;
use crate::http::query::CheckedQuery;
use crate::http::request_id::RequestId;
use crate::http::router::ApiState;
use crate::session::{Awaited, FilePath, FileWatch};

/// Pieces that wait for a slow client; then nothing is read any further, and what is too much for the kernel is lost.
const PIECES_IN_FLIGHT: usize = 2;

/// Watches until the client leaves, the session ends, or something is lost.
#[utoipa::path(
    get,
    path = "/v1/sessions/{id}/fs/watch",
    operation_id = "watch_files",
    tag = "files",
    params(PathId, WatchFilesQuery),
    responses(
        (
            status = 200,
            description = "Changes, until the session or the directory ends",
            body = WatchEvents, content_type = "text/event-stream"
        )
    ),
    extensions(("x-error-codes" = json!(join(&[SESSION, FILE, &[ErrorCode::LimitExceeded]])))),
)]
pub(in crate::http) async fn watch<P: FilePlace>(
    State(state): State<ApiState>,
    place: P,
    Extension(request_id): Extension<RequestId>,
    CheckedQuery(query): CheckedQuery<WatchFilesQuery>,
) -> Result<Response, ApiError> {
    let path = P::parse(query.path.as_deref().unwrap_or("."))?;
    let depth = if query.recursive { WatchDepth::Tree } else { WatchDepth::Single };
    let watch = place.watch(&state, path.clone(), depth).await.map_err(ApiError::of_file)?;
    // One place more, which is kept for the end.
    let (pieces, receiver) = mpsc::channel(PIECES_IN_FLIGHT + 1);
    tokio::spawn(forward(watch, path, pieces, P::WATCH_END, request_id));
    Ok(event_stream::relay(receiver))
}

async fn forward(
    mut watch: FileWatch,
    path: FilePath,
    pieces: mpsc::Sender<Bytes>,
    reason: WatchEndReason,
    RequestId(request_id): RequestId,
) {
    // The end waits for no client.
    let Ok(last) = pieces.clone().reserve_owned().await else { return };
    let ready = WatchReady { path: path.as_str().to_owned(), directories: watch.directories() };
    let mut piece = event(None, "ready", &ready);
    let mut is_last = false;
    let heartbeat = Duration::from_secs(STREAM_HEARTBEAT_SECONDS);
    loop {
        if !piece.is_empty() {
            let sent = tokio::select! {
                biased;
                sent = pieces.send(std::mem::take(&mut piece).into()) => sent.is_ok(),
                // A client that does not read holds nothing of a session that has ended.
                () = watch.wait_for_end() => {
                    last.send(end(reason));
                    return;
                }
            };
            if !sent || is_last {
                return;
            }
        }
        let awaited = tokio::select! {
            () = pieces.closed() => return,
            awaited = watch.wait() => awaited,
            () = tokio::time::sleep(heartbeat) => {
                piece = ": still watching\n\n".to_owned();
                continue;
            }
        };
        if awaited == Awaited::End {
            last.send(end(reason));
            return;
        }
        match watch.read().await {
            Ok(events) => {
                for event in events {
                    is_last |= !matches!(event, WatchEvent::Change(_));
                    piece.push_str(&describe(&path, event));
                }
            }
            Err(error) => {
                tracing::error!(request_id, error = &error as &dyn std::error::Error, "a watch failed");
                return;
            }
        }
    }
}

fn end(reason: WatchEndReason) -> Bytes {
    event(None, "end", &WatchEnd { reason }).into()
}

fn describe(path: &FilePath, change: WatchEvent) -> String {
    match change {
        WatchEvent::Change(Changed { path: inside, kind, is_directory }) => {
            let (kind, from) = match kind {
                ChangeKind::Created => (FileChangeKind::Created, None),
                ChangeKind::Modified => (FileChangeKind::Modified, None),
                ChangeKind::Removed => (FileChangeKind::Removed, None),
                ChangeKind::Renamed { from } => (FileChangeKind::Renamed, Some(path.show_below(&from))),
                ChangeKind::Attributes => (FileChangeKind::Attributes, None),
            };
            event(
                None,
                "change",
                &FileChange { path: path.show_below(&inside), kind, from, is_dir: is_directory },
            )
        }
        WatchEvent::Overflow { reason } => event(None, "overflow", &WatchOverflow { reason }),
        WatchEvent::Gone => event(None, "end", &WatchEnd { reason: WatchEndReason::Removed }),
    }
}
