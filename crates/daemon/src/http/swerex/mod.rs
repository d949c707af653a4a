//! `/compat/swerex/{id}`: a session as SWE-ReX's `RemoteRuntime` speaks to a server of its own. A protocol of others, kept apart: nothing
//! else of the API knows of it, and the OpenAPI document does not describe it.
//!
//! Its key comes as `X-API-Key`. Its failures come as status 511 with the name of a Python exception, which its client raises; what is
//! no matter of a command, such as a session that is gone, is answered as everywhere else.

mod command;
mod exception;
mod file;
mod message;
mod shell;
mod upload;

use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use http::HeaderName;
use sandkasten_api::limits::{MAX_COMMAND_BYTES, MAX_UPLOAD_BYTES};
use serde_json::{Value, json};

use super::api_error::ApiError;
use super::body_limit::BodyLimit;
use super::path_id::PathId;
use super::router::ApiState;
use crate::session::SessionError;
use exception::Exception;

const PREFIX: &str = "/compat/swerex/";
/// Where its clients have the key.
pub(super) const KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");

/// A command or a file in JSON, in which every byte is escaped as six, with what is around it.
const MESSAGE_BYTES: usize = 6 * MAX_COMMAND_BYTES + (64 << 10);
/// A text file in JSON, or the form of an upload, with what is around it.
const FILE_BYTES: usize = 2 * MAX_UPLOAD_BYTES + (64 << 10);

/// Why a request is not answered with what it asked for.
enum Refusal {
    /// Its client raises this.
    Exception(Exception),
    /// As everywhere else.
    Api(ApiError),
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<SessionError> for Refusal {
    fn from(error: SessionError) -> Self {
        Self::Api(error.into())
    }
}

impl From<Exception> for Refusal {
    fn from(exception: Exception) -> Self {
        Self::Exception(exception)
    }
}

/// Makes the routes.
pub(super) fn routes() -> Router<ApiState> {
    let calls = Router::new()
        .route("/create_session", post(shell::create))
        .route("/run_in_session", post(shell::run))
        .route("/close_session", post(shell::close))
        .route("/execute", post(command::execute))
        .route("/close", post(shell::close_all))
        .layer(DefaultBodyLimit::max(MESSAGE_BYTES))
        .layer(Extension(BodyLimit(MESSAGE_BYTES)));
    let files = Router::new()
        .route("/read_file", post(file::read))
        .route("/write_file", post(file::write))
        .route("/upload", post(upload::take))
        .layer(DefaultBodyLimit::max(FILE_BYTES))
        .layer(Extension(BodyLimit(FILE_BYTES)));
    let alive = Router::new().route("/is_alive", get(is_alive));
    Router::new().nest("/compat/swerex/{id}", calls.merge(files).merge(alive))
}

/// Whether a path is one of these.
pub(super) fn is_call(path: &str) -> bool {
    path.starts_with(PREFIX)
}

async fn is_alive(State(state): State<ApiState>, PathId(id): PathId) -> Result<Json<Value>, ApiError> {
    state.sessions.find(&id).await?;
    Ok(Json(json!({ "is_alive": true, "message": "" })))
}
