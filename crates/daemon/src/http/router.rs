//! The whole API as one table.

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, delete, get, post, put};
use axum::{Extension, Router};
use http::StatusCode;
use sandkasten_api::limits::{MAX_COMMAND_BYTES, MAX_ENVIRONMENT_BYTES, MAX_STDIN_BYTES, MAX_UPLOAD_BYTES};
use sandkasten_client::BuildClientError;
use sandkasten_mcp::HttpEndpoint;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::__dev::{SchemaReferences, Tags};
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::Paths;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use super::answer_count;
use super::api_error::{ApiError, quoted};
use super::body_limit::BodyLimit;
use super::body_pace;
use super::drained_body;
use super::file_place::FilePlace;
use super::guard::{self, Guard};
use super::openapi;
use super::path_id::{PathId, WorkspacePathId};
use super::reference;
use super::request_id;
use super::routes::{
    document, events, exec, file_archive, file_edit, file_raw, file_search, file_tree, file_watch, files,
    health, image_pull, images, mcp, metrics, processes, sessions, tty, workspace_files, workspaces,
};
use super::swerex;
use crate::config::Config;
use crate::images::Images;
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

/// A line of the table: handlers of one path, and what they say of themselves.
type Described = UtoipaMethodRouter<ApiState>;

/// What every handler can reach.
#[derive(Debug, Clone)]
pub(super) struct ApiState {
    pub(super) sessions: Sessions,
    pub(super) images: Images,
    guard: Arc<Guard>,
}

impl AsRef<Arc<Guard>> for ApiState {
    fn as_ref(&self) -> &Arc<Guard> {
        &self.guard
    }
}

/// The service.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) router: Router,
    /// The part of it that has clients of its own to end.
    pub(super) mcp: HttpEndpoint,
}

/// Makes the service.
///
/// # Errors
/// [`BuildClientError`]: MCP needs a client of the rest.
pub(super) fn build(
    config: &Config,
    sessions: Sessions,
    images: Images,
) -> Result<Service, BuildClientError> {
    let (guard, counted) = (Arc::new(Guard::new(config)), sessions.clone());
    let routes = table()
        .split_for_parts()
        .0
        .merge(reference::pages())
        .merge(swerex::routes())
        .fallback(no_such_endpoint)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(SMALL_BODY))
        .layer(Extension(BodyLimit(SMALL_BODY)))
        .with_state(ApiState { sessions, images, guard: Arc::clone(&guard) });
    let engine = routes.clone().layer(CatchPanicLayer::custom(panicked)).layer(from_fn(request_id::attach));
    let mcp = mcp::endpoint(config, engine)?;
    let router = routes
        .merge(mcp::route(mcp.clone()))
        .layer(from_fn(body_pace::bound))
        .layer(from_fn_with_state(guard, guard::admit))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(request_id::attach))
        .layer(from_fn_with_state(counted, answer_count::count));
    Ok(Service { router, mcp })
}

/// Describes the service.
pub(super) fn describe() -> OpenApi {
    let mut document = table().into_openapi();
    openapi::complete(&mut document);
    document
}

/// The routes, one a line. A handler says by `#[utoipa::path]` which method and path it is for, with its parameters, its body,
/// its successes, and under `x-error-codes` the error codes of its own; the comment above it is the text about it. Handlers of one line
/// have one path. `OpenApiRouter::route` would add what is not described, and a test refuses it.
fn table() -> OpenApiRouter<ApiState> {
    let table = OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(health::show))
        .routes(routes!(document::show))
        .routes(routes!(metrics::show))
        .routes(routes!(sessions::list, sessions::create))
        .routes(routes!(sessions::show, sessions::update, sessions::destroy))
        .routes(routes!(events::of_session))
        .routes(routes!(events::of_all))
        .routes(routes!(sessions::stats))
        .routes(limited(routes!(exec::run), COMMAND_BODY))
        .routes(limited(routes!(exec::stream), COMMAND_BODY))
        .routes(routes!(exec::result))
        .routes(limited(routes!(processes::list, processes::start), COMMAND_BODY))
        .routes(routes!(processes::show, processes::end))
        .routes(routes!(processes::signal))
        .routes(limited(routes!(processes::stdin), STDIN_BODY))
        .routes(routes!(processes::resize))
        .routes(routes!(processes::wait))
        .routes(routes!(processes::logs))
        .routes(routes!(tty::attach))
        .routes(limited(routes!(files::write), FILE_BODY))
        .routes(routes!(files::read))
        .routes(limited(routes!(files::upload), UPLOAD_BODY))
        .routes(routes!(images::list))
        .routes(routes!(images::show, images::remove))
        .routes(routes!(image_pull::pull))
        .routes(routes!(workspaces::list, workspaces::create))
        .routes(routes!(workspaces::remove))
        .routes(routes!(workspaces::rename))
        .routes(routes!(workspaces::copy))
        .routes(routes!(workspace_files::list))
        .routes(limited(routes!(workspace_files::write), FILE_BODY))
        .routes(routes!(workspace_files::read))
        .routes(limited(routes!(workspace_files::upload), UPLOAD_BODY));
    file_calls::<WorkspacePathId>(file_calls::<PathId>(table))
}

/// The calls on files that a session and a workspace have alike, one a line. `D` is the description that `#[utoipa::path]` makes of
/// the handler; `routes!` cannot name a handler that is generic.
fn file_calls<P: FilePlace>(table: OpenApiRouter<ApiState>) -> OpenApiRouter<ApiState> {
    table
        .routes(file_call::<P, file_tree::__path_list>(get(file_tree::list::<P>)))
        .routes(file_call::<P, file_tree::__path_stat>(get(file_tree::stat::<P>)))
        .routes(file_call::<P, file_tree::__path_make_directory>(post(file_tree::make_directory::<P>)))
        .routes(file_call::<P, file_tree::__path_rename>(post(file_tree::rename::<P>)))
        .routes(file_call::<P, file_tree::__path_copy>(post(file_tree::copy::<P>)))
        .routes(file_call::<P, file_tree::__path_remove>(delete(file_tree::remove::<P>)))
        .routes(file_call::<P, file_tree::__path_change_mode>(post(file_tree::change_mode::<P>)))
        .routes(file_call::<P, file_raw::__path_download>(get(file_raw::download::<P>)))
        .routes(unlimited(file_call::<P, file_raw::__path_upload>(put(file_raw::upload::<P>))))
        .routes(limited(file_call::<P, file_edit::__path_edit>(post(file_edit::edit::<P>)), FILE_BODY))
        .routes(file_call::<P, file_watch::__path_watch>(get(file_watch::watch::<P>)))
        .routes(file_call::<P, file_search::__path_search>(post(file_search::search::<P>)))
        .routes(file_call::<P, file_archive::__path_download>(get(file_archive::download::<P>)))
        .routes(unlimited(file_call::<P, file_archive::__path_upload>(put(file_archive::upload::<P>))))
}

fn file_call<P: FilePlace, D: utoipa::Path + SchemaReferences + Tags<'static>>(
    route: MethodRouter<ApiState>,
) -> Described {
    let (mut schemas, mut paths, mut operation) = (Vec::new(), Paths::new(), D::operation());
    D::schemas(&mut schemas);
    operation.tags = Some(D::tags().into_iter().map(str::to_owned).collect());
    let path = P::describe(&D::path(), &mut operation);
    paths.add_path_operation(path, D::methods(), operation);
    (schemas, paths, route)
}

/// Gives a route a limit of its own for its bodies.
fn limited((schemas, paths, route): Described, bytes: usize) -> Described {
    let limited: MethodRouter<ApiState> = route.layer(DefaultBodyLimit::max(bytes));
    (schemas, paths, limited.layer(Extension(BodyLimit(bytes))))
}

/// Takes the limit off a route that streams its bodies to where only as much fits as fits. What does not is read behind the
/// answer.
fn unlimited((schemas, paths, route): Described) -> Described {
    (schemas, paths, route.layer(DefaultBodyLimit::disable()).layer(from_fn(drained_body::read_on)))
}

async fn no_such_endpoint(uri: http::Uri) -> ApiError {
    ApiError::invalid(format!("no endpoint {}", quoted(uri.path(), 200))).with_status(StatusCode::NOT_FOUND)
}

async fn no_such_method(method: http::Method, uri: http::Uri) -> ApiError {
    let path = quoted(uri.path(), 200);
    ApiError::invalid(format!("the endpoint {path} does not take {method}"))
        .with_status(StatusCode::METHOD_NOT_ALLOWED)
}

fn panicked(payload: Box<dyn std::any::Any + Send>) -> axum::response::Response {
    use axum::response::IntoResponse;
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
    ApiError::panicked(&text).into_response()
}
