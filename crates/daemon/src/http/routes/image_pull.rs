//! `/v1/images/pull`: an image out of a registry, as Server-Sent Events.

use std::pin::pin;
use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use sandkasten_api::error::ErrorCode;
use sandkasten_api::image::{PullDone, PullFailed, PullImageRequest, PullProgress};
use sandkasten_api::limits::STREAM_HEARTBEAT_SECONDS;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::http::api_error::ApiError;
use crate::http::event_stream::{self, HEARTBEAT, PIECES_IN_FLIGHT, event};
use crate::http::json_body::JsonBody;
use crate::http::openapi::PullEvents;
use crate::http::request_id::RequestId;
use crate::http::router::ApiState;
use crate::images::{Pull, PullError};

/// Between two events that tell how far a pull is: as often as somebody who looks on can read.
const PROGRESS_PAUSE: Duration = Duration::from_millis(200);

/// Pulls an image from one of the registries that the configuration allows. A client that leaves ends the pull.
#[utoipa::path(
    post,
    path = "/v1/images/pull",
    operation_id = "pull_image",
    tag = "images",
    request_body = PullImageRequest,
    responses(
        (
            status = 200,
            description = "How far it is, and the image or what went wrong",
            body = PullEvents, content_type = "text/event-stream"
        )
    ),
    extensions(("x-error-codes" = json!(&[ErrorCode::InvalidImage, ErrorCode::LimitExceeded]))),
)]
pub(in crate::http) async fn pull(
    State(state): State<ApiState>,
    Extension(request_id): Extension<RequestId>,
    JsonBody(request): JsonBody<PullImageRequest>,
) -> Result<Response, ApiError> {
    let pull = state.images.begin_pull(request)?;
    let (pieces, receiver) = mpsc::channel(PIECES_IN_FLIGHT);
    tokio::spawn(forward(pull, pieces, request_id));
    Ok(event_stream::relay(receiver))
}

async fn forward(pull: Pull, pieces: mpsc::Sender<Bytes>, request_id: RequestId) {
    let reference = pull.reference().to_string();
    let Some(result) = follow(pull, &pieces).await else {
        tracing::info!(request_id = request_id.0, reference, "a pull was given up: its client has gone");
        return;
    };
    let last = match result {
        Ok(done) => {
            let (name, digest) = (&done.image.name, &done.digest);
            tracing::info!(request_id = request_id.0, reference, name, digest, "an image was pulled");
            event(None, "done", &done)
        }
        Err(error) => {
            let error = ApiError::from(error);
            let message = error.told_in_stream(&request_id, "a pull failed");
            event(None, "error", &PullFailed { error: message, error_code: error.code() })
        }
    };
    // By now it has no place any more, so a client may take its time.
    pieces.send(last.into()).await.ok();
}

/// Pulls and tells how far it is. None where the client has gone.
async fn follow(pull: Pull, pieces: &mpsc::Sender<Bytes>) -> Option<Result<PullDone, PullError>> {
    let (progress, mut seen) = watch::channel(PullProgress::default());
    seen.mark_changed();
    let mut work = pin!(pull.run(progress));
    let mut not_before = Instant::now();
    loop {
        tokio::select! {
            biased;
            () = pieces.closed() => return None,
            result = &mut work => {
                if result.is_ok() {
                    pieces.try_send(show(&mut seen)).ok();
                }
                return Some(result);
            }
            piece = next_piece(&mut seen, not_before) => {
                // One that is not taken is old by the time that it could be.
                pieces.try_send(piece).ok();
                not_before = Instant::now() + PROGRESS_PAUSE;
            }
        }
    }
}

async fn next_piece(progress: &mut watch::Receiver<PullProgress>, not_before: Instant) -> Bytes {
    tokio::time::sleep_until(not_before).await;
    let heartbeat = Duration::from_secs(STREAM_HEARTBEAT_SECONDS);
    match tokio::time::timeout(heartbeat, progress.changed()).await {
        Ok(Ok(())) => show(progress),
        // Nobody tells any more: the result is on its way.
        Ok(Err(_)) => std::future::pending().await,
        Err(_) => HEARTBEAT,
    }
}

fn show(progress: &mut watch::Receiver<PullProgress>) -> Bytes {
    event(None, "progress", &*progress.borrow_and_update()).into()
}
