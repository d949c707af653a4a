//! Error codes that several routes have in common. A handler names its own by the extension `x-error-codes`, from which the answers
//! of its operation are made; `INVALID_REQUEST`, `UNAUTHORIZED` and `INTERNAL_ERROR` need not be named.

use sandkasten_api::error::ErrorCode;
use serde::Deserialize;
use utoipa::openapi::path::Operation;

/// The extension of an operation that lists its codes. It is not part of the finished document.
pub(super) const CODES: &str = "x-error-codes";

/// Of what needs a live session.
pub(in crate::http) const SESSION: &[ErrorCode] =
    &[ErrorCode::SessionNotFound, ErrorCode::SessionExpired, ErrorCode::SessionNotRunning];

/// Of what needs an exec or process of a live session, besides [`SESSION`].
pub(in crate::http) const PROCESS: &[ErrorCode] = &[ErrorCode::ProcessNotFound];

/// Of `fs/read`, `fs/write` and `fs/upload`, which are older than the codes of single failures.
pub(in crate::http) const OLD_FILE: &[ErrorCode] = &[ErrorCode::FileNotFound, ErrorCode::LimitExceeded];

/// Of what looks at files.
pub(in crate::http) const FILE: &[ErrorCode] = &[
    ErrorCode::FileNotFound,
    ErrorCode::IsDirectory,
    ErrorCode::NotDirectory,
    ErrorCode::NotRegularFile,
    ErrorCode::FileChanged,
    ErrorCode::PermissionDenied,
    ErrorCode::FileTooLarge,
];

/// Of what changes files, besides [`FILE`].
pub(in crate::http) const CHANGE: &[ErrorCode] =
    &[ErrorCode::FileExists, ErrorCode::DirectoryNotEmpty, ErrorCode::NoSpace];

/// Of what is about workspaces.
pub(in crate::http) const WORKSPACES: &[ErrorCode] = &[ErrorCode::InvalidWorkspace];

/// Of what needs a workspace that is there, besides [`WORKSPACES`].
pub(in crate::http) const WORKSPACE: &[ErrorCode] =
    &[ErrorCode::WorkspaceNotFound, ErrorCode::WorkspaceInUse];

/// Of what is about one image.
pub(in crate::http) const IMAGE: &[ErrorCode] = &[ErrorCode::InvalidImage, ErrorCode::ImageNotFound];

/// Replaces codes that an operation names by others.
pub(in crate::http) fn replace(operation: &mut Operation, these: &[ErrorCode], by: &[&[ErrorCode]]) {
    let Some(extensions) = &mut operation.extensions else { return };
    let Some(named) = extensions.remove(CODES) else { return };
    let named = Vec::<ErrorCode>::deserialize(named).expect("handlers name codes by constants of the type");
    let kept = named.into_iter().filter(|code| !these.contains(code));
    let codes: Vec<ErrorCode> = kept.chain(join(by)).collect();
    extensions.insert(CODES.to_owned(), serde_json::json!(codes));
}

/// Joins lists, for the extension.
pub(in crate::http) fn join(lists: &[&[ErrorCode]]) -> Vec<ErrorCode> {
    lists.concat()
}
