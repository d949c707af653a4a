//! `…/fs/list`, `stat`, `mkdir`, `move`, `copy`, `remove` and `chmod`: files without their content.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use sandkasten_api::file_tree::{
    ChangeModeRequest, CopyFileResponse, FileEntry, FilePathQuery, FileType, ListFilesQuery,
    ListFilesResponse, MakeDirectoryRequest, MoveFileRequest, RemoveFileQuery,
};
use sandkasten_api::health::Acknowledged;
use sandkasten_api::limits::MAX_TREE_DEPTH;
use sandkasten_isolation::host::{Entry, EntryKind, Existing, Parents};

use crate::http::api_error::ApiError;
use crate::http::file_place::FilePlace;
use crate::http::file_request::parse_mode;
use crate::http::json_body::JsonBody;
use crate::http::openapi::codes::{CHANGE, FILE, SESSION, join};
use crate::http::path_id::PathId;
use crate::http::query::CheckedQuery;
use crate::http::router::ApiState;
use crate::session::{FilePath, Glob};

/// Lists a directory.
#[utoipa::path(
    get,
    path = "/v1/sessions/{id}/fs/list",
    operation_id = "list_files",
    tag = "files",
    params(PathId, ListFilesQuery),
    responses(
        (status = 200, description = "What is in the directory", body = ListFilesResponse)
    ),
    extensions(("x-error-codes" = json!(join(&[SESSION, FILE])))),
)]
pub(in crate::http) async fn list<P: FilePlace>(
    State(state): State<ApiState>,
    place: P,
    CheckedQuery(query): CheckedQuery<ListFilesQuery>,
) -> Result<Json<ListFilesResponse>, ApiError> {
    let path = P::parse(query.path.as_deref().unwrap_or("."))?;
    let glob = query.glob.as_deref().map(Glob::parse).transpose()?;
    let levels = match query.depth {
        None if glob.is_some() => MAX_TREE_DEPTH,
        None => 1,
        Some(depth) if (1..=MAX_TREE_DEPTH).contains(&depth) => depth,
        Some(depth) => {
            return Err(ApiError::invalid(format!("depth is {depth}; allowed are 1 to {MAX_TREE_DEPTH}")));
        }
    };
    let files = place.open(&state).await?;
    let listing = files.space().list(path.clone(), levels, glob).await.map_err(ApiError::of_file)?;
    let entries = listing.entries.into_iter().map(|entry| describe(&path, entry)).collect();
    Ok(Json(ListFilesResponse { path: path.as_str().to_owned(), entries, truncated: listing.truncated }))
}

/// Looks at one file.
#[utoipa::path(
    get,
    path = "/v1/sessions/{id}/fs/stat",
    operation_id = "stat_file",
    tag = "files",
    params(PathId, FilePathQuery),
    responses(
        (status = 200, description = "The file itself, a link not followed", body = FileEntry)
    ),
    extensions(("x-error-codes" = json!(join(&[SESSION, FILE])))),
)]
pub(in crate::http) async fn stat<P: FilePlace>(
    State(state): State<ApiState>,
    place: P,
    CheckedQuery(query): CheckedQuery<FilePathQuery>,
) -> Result<Json<FileEntry>, ApiError> {
    let path = P::parse(&query.path)?;
    let files = place.open(&state).await?;
    let entry = files.space().look_at(path.clone()).await.map_err(ApiError::of_file)?;
    Ok(Json(describe(&path, entry)))
}

/// Makes a directory.
#[utoipa::path(
    post,
    path = "/v1/sessions/{id}/fs/mkdir",
    operation_id = "make_directory",
    tag = "files",
    params(PathId),
    request_body = MakeDirectoryRequest,
    responses(
        (status = 200, description = "Done", body = Acknowledged)
    ),
    extensions(("x-error-codes" = json!(join(&[SESSION, FILE, CHANGE])))),
)]
pub(in crate::http) async fn make_directory<P: FilePlace>(
    State(state): State<ApiState>,
    place: P,
    JsonBody(request): JsonBody<MakeDirectoryRequest>,
) -> Result<Json<Acknowledged>, ApiError> {
    let path = P::parse(&request.path)?;
    let mode = request.mode.as_deref().map_or(Ok(0o755), parse_mode)?;
    let parents = if request.parents { Parents::Made } else { Parents::Required };
    let files = place.open_or_make(&state).await?;
    files.space().make_directory(path, mode, parents).await.map_err(ApiError::of_file)?;
    files.keep();
    Ok(Json(Acknowledged { ok: true }))
}

/// Moves a file or directory.
#[utoipa::path(
    post,
    path = "/v1/sessions/{id}/fs/move",
    operation_id = "move_file",
    tag = "files",
    params(PathId),
    request_body = MoveFileRequest,
    responses(
        (status = 200, description = "Done", body = Acknowledged)
    ),
    extensions(("x-error-codes" = json!(join(&[SESSION, FILE, CHANGE])))),
)]
pub(in crate::http) async fn rename<P: FilePlace>(
    State(state): State<ApiState>,
    place: P,
    JsonBody(request): JsonBody<MoveFileRequest>,
) -> Result<Json<Acknowledged>, ApiError> {
    let (from, to, existing) = parse_move::<P>(&request)?;
    let files = place.open(&state).await?;
    files.space().rename(from, to, existing).await.map_err(ApiError::of_file)?;
    Ok(Json(Acknowledged { ok: true }))
}

/// Copies a file or a tree.
#[utoipa::path(
    post,
    path = "/v1/sessions/{id}/fs/copy",
    operation_id = "copy_file",
    tag = "files",
    params(PathId),
    request_body = MoveFileRequest,
    responses(
        (status = 200, description = "What was copied", body = CopyFileResponse)
    ),
    extensions(("x-error-codes" = json!(join(&[SESSION, FILE, CHANGE])))),
)]
pub(in crate::http) async fn copy<P: FilePlace>(
    State(state): State<ApiState>,
    place: P,
    JsonBody(request): JsonBody<MoveFileRequest>,
) -> Result<Json<CopyFileResponse>, ApiError> {
    let (from, to, existing) = parse_move::<P>(&request)?;
    let files = place.open(&state).await?;
    let copied = files.space().copy(from, to, existing).await.map_err(ApiError::of_file)?;
    Ok(Json(CopyFileResponse {
        ok: true,
        entries: copied.entries,
        bytes: copied.bytes,
        skipped: copied.skipped,
    }))
}

/// Removes a file or directory.
#[utoipa::path(
    delete,
    path = "/v1/sessions/{id}/fs/remove",
    operation_id = "remove_file",
    tag = "files",
    params(PathId, RemoveFileQuery),
    responses(
        (status = 200, description = "Done", body = Acknowledged)
    ),
    extensions(("x-error-codes" = json!(join(&[SESSION, FILE, CHANGE])))),
)]
pub(in crate::http) async fn remove<P: FilePlace>(
    State(state): State<ApiState>,
    place: P,
    CheckedQuery(query): CheckedQuery<RemoveFileQuery>,
) -> Result<Json<Acknowledged>, ApiError> {
    let path = parse_below::<P>(&query.path)?;
    let files = place.open(&state).await?;
    let removed = if query.recursive {
        files.space().remove_tree(path).await
    } else {
        files.space().remove(path).await
    };
    removed.map_err(ApiError::of_file)?;
    Ok(Json(Acknowledged { ok: true }))
}

/// Sets permission bits.
#[utoipa::path(
    post,
    path = "/v1/sessions/{id}/fs/chmod",
    operation_id = "change_mode",
    tag = "files",
    params(PathId),
    request_body = ChangeModeRequest,
    responses(
        (status = 200, description = "Done", body = Acknowledged)
    ),
    extensions(("x-error-codes" = json!(join(&[SESSION, FILE])))),
)]
pub(in crate::http) async fn change_mode<P: FilePlace>(
    State(state): State<ApiState>,
    place: P,
    JsonBody(request): JsonBody<ChangeModeRequest>,
) -> Result<Json<Acknowledged>, ApiError> {
    let path = P::parse(&request.path)?;
    let mode = parse_mode(&request.mode)?;
    let files = place.open(&state).await?;
    files.space().set_mode(path, mode).await.map_err(ApiError::of_file)?;
    Ok(Json(Acknowledged { ok: true }))
}

fn parse_move<P: FilePlace>(request: &MoveFileRequest) -> Result<(FilePath, FilePath, Existing), ApiError> {
    let existing = if request.overwrite { Existing::Replaced } else { Existing::Kept };
    Ok((parse_below::<P>(&request.from)?, parse_below::<P>(&request.to)?, existing))
}

/// A path that is not the workspace itself.
fn parse_below<P: FilePlace>(path: &str) -> Result<FilePath, ApiError> {
    let path = P::parse(path)?;
    if path.is_workspace() {
        return Err(ApiError::invalid("/workspace itself stays where it is; name something below it"));
    }
    Ok(path)
}

fn describe(base: &FilePath, entry: Entry) -> FileEntry {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let path = base.show_below(&entry.path);
    let (seconds, nanoseconds) = entry.modified;
    let nanoseconds = i32::try_from(nanoseconds).unwrap_or(0);
    FileEntry {
        name: path.rsplit('/').next().unwrap_or_default().to_owned(),
        file_type: match entry.kind {
            EntryKind::File => FileType::File,
            EntryKind::Directory => FileType::Directory,
            EntryKind::Symlink => FileType::Symlink,
            EntryKind::Fifo => FileType::Fifo,
            EntryKind::Socket => FileType::Socket,
            EntryKind::Device => FileType::Device,
        },
        size: entry.size,
        mode: format!("{:04o}", entry.mode),
        // A file may carry any time; one that no calendar has is shown as the first.
        mtime: Timestamp::new(seconds, nanoseconds).unwrap_or(Timestamp::UNIX_EPOCH),
        target: entry.target.as_deref().map(text),
        path,
    }
}
