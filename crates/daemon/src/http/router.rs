//! The whole API as one table.

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, delete, get, post, put};
use axum::{Extension, Router};
use http::StatusCode;
use sandkasten_api::limits::{MAX_COMMAND_BYTES, MAX_ENVIRONMENT_BYTES, MAX_STDIN_BYTES, MAX_UPLOAD_BYTES};
use tower_http::catch_panic::CatchPanicLayer;

use super::api_error::ApiError;
use super::body_limit::BodyLimit;
use super::body_pace;
use super::file_place::FilePlace;
use super::guard::{self, Guard};
use super::path_id::{PathId, WorkspacePathId};
use super::request_id;
use super::routes::{
    events, exec, file_archive, file_edit, file_raw, file_search, file_tree, file_watch, files, health,
    processes, sessions, workspace_files, workspaces,
};
use crate::config::Config;
use crate::session::Sessions;

/// A body that names things and holds nothing.
const SMALL_BODY: usize = 64 << 10;
/// A command with its input and its variables, in which every byte is escaped as six.
const COMMAND_BODY: usize = 6 * (MAX_COMMAND_BYTES + MAX_STDIN_BYTES + MAX_ENVIRONMENT_BYTES) + SMALL_BODY;
/// As much as waits for a process that does not read, in which every byte is escaped as six.
const STDIN_BODY: usize = 6 * MAX_STDIN_BYTES + SMALL_BODY;
/// A file in base64.
const FILE_BODY: usize = 64 << 20;
/// An upload with the headers of its parts.
const UPLOAD_BODY: usize = MAX_UPLOAD_BYTES + SMALL_BODY;

/// What every handler can reach.
#[derive(Debug, Clone)]
pub(super) struct ApiState {
    pub(super) sessions: Sessions,
    guard: Arc<Guard>,
}

impl AsRef<Arc<Guard>> for ApiState {
    fn as_ref(&self) -> &Arc<Guard> {
        &self.guard
    }
}

pub(super) fn build(config: &Config, sessions: Sessions) -> Router {
    let guard = Arc::new(Guard::new(config));
    Router::new()
        .route("/healthz", get(health::show))
        .route("/v1/sessions", get(sessions::list).post(sessions::create))
        .route("/v1/sessions/{id}", get(sessions::show).patch(sessions::update).delete(sessions::destroy))
        .route("/v1/sessions/{id}/events", get(events::of_session))
        .route("/v1/events", get(events::of_all))
        .route("/v1/sessions/{id}/stats", get(sessions::stats))
        .route("/v1/sessions/{id}/exec", limited(post(exec::run), COMMAND_BODY))
        .route("/v1/sessions/{id}/exec/stream", limited(post(exec::stream), COMMAND_BODY))
        .route("/v1/sessions/{id}/exec/{exec_id}", get(exec::result))
        .route(
            "/v1/sessions/{id}/processes",
            limited(get(processes::list).post(processes::start), COMMAND_BODY),
        )
        .route("/v1/sessions/{id}/processes/{exec_id}", get(processes::show).delete(processes::end))
        .route("/v1/sessions/{id}/processes/{exec_id}/signal", post(processes::signal))
        .route("/v1/sessions/{id}/processes/{exec_id}/stdin", limited(post(processes::stdin), STDIN_BODY))
        .route("/v1/sessions/{id}/processes/{exec_id}/resize", post(processes::resize))
        .route("/v1/sessions/{id}/processes/{exec_id}/wait", get(processes::wait))
        .route("/v1/sessions/{id}/processes/{exec_id}/logs", get(processes::logs))
        .route("/v1/sessions/{id}/fs/write", limited(post(files::write), FILE_BODY))
        .route("/v1/sessions/{id}/fs/read", get(files::read))
        .route("/v1/sessions/{id}/fs/upload", limited(post(files::upload), UPLOAD_BODY))
        .route("/v1/workspaces", get(workspaces::list).post(workspaces::create))
        .route("/v1/workspaces/{id}", delete(workspaces::remove))
        .route("/v1/workspaces/{id}/rename", post(workspaces::rename))
        .route("/v1/workspaces/{id}/copy", post(workspaces::copy))
        .route("/v1/workspaces/{id}/fs", get(workspace_files::list))
        .route("/v1/workspaces/{id}/fs/write", limited(post(workspace_files::write), FILE_BODY))
        .route("/v1/workspaces/{id}/fs/read", get(workspace_files::read))
        .route("/v1/workspaces/{id}/fs/upload", limited(post(workspace_files::upload), UPLOAD_BODY))
        .merge(file_calls::<PathId>("/v1/sessions/{id}"))
        .merge(file_calls::<WorkspacePathId>("/v1/workspaces/{id}"))
        .fallback(no_such_endpoint)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(SMALL_BODY))
        .layer(Extension(BodyLimit(SMALL_BODY)))
        .layer(from_fn(body_pace::bound))
        .layer(from_fn_with_state(Arc::clone(&guard), guard::admit))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(request_id::attach))
        .with_state(ApiState { sessions, guard })
}

/// The calls on files that a session and a workspace have alike.
fn file_calls<P: FilePlace>(of: &str) -> Router<ApiState> {
    let call = |name: &str| format!("{of}/fs/{name}");
    Router::new()
        .route(&call("list"), get(file_tree::list::<P>))
        .route(&call("stat"), get(file_tree::stat::<P>))
        .route(&call("mkdir"), post(file_tree::make_directory::<P>))
        .route(&call("move"), post(file_tree::rename::<P>))
        .route(&call("copy"), post(file_tree::copy::<P>))
        .route(&call("remove"), delete(file_tree::remove::<P>))
        .route(&call("chmod"), post(file_tree::change_mode::<P>))
        .route(&call("raw"), get(file_raw::download::<P>).merge(unlimited(put(file_raw::upload::<P>))))
        .route(&call("edit"), limited(post(file_edit::edit::<P>), FILE_BODY))
        .route(&call("watch"), get(file_watch::watch::<P>))
        .route(&call("search"), post(file_search::search::<P>))
        .route(
            &call("archive"),
            get(file_archive::download::<P>).merge(unlimited(put(file_archive::upload::<P>))),
        )
}

/// Gives a route a limit of its own for its bodies.
fn limited(route: MethodRouter<ApiState>, bytes: usize) -> MethodRouter<ApiState> {
    let limited: MethodRouter<ApiState> = route.layer(DefaultBodyLimit::max(bytes));
    limited.layer(Extension(BodyLimit(bytes)))
}

/// Takes the limit off a route that streams its bodies to where only as much fits as fits.
fn unlimited(route: MethodRouter<ApiState>) -> MethodRouter<ApiState> {
    route.layer(DefaultBodyLimit::disable())
}

async fn no_such_endpoint(uri: http::Uri) -> ApiError {
    let path: String = uri.path().chars().take(200).collect();
    ApiError::invalid(format!("no endpoint {path:?}")).with_status(StatusCode::NOT_FOUND)
}

async fn no_such_method(method: http::Method, uri: http::Uri) -> ApiError {
    let path: String = uri.path().chars().take(200).collect();
    ApiError::invalid(format!("the endpoint {path:?} does not take {method}"))
        .with_status(StatusCode::METHOD_NOT_ALLOWED)
}

fn panicked(payload: Box<dyn std::any::Any + Send>) -> axum::response::Response {
    use axum::response::IntoResponse;
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
    ApiError::panicked(&text).into_response()
}
