//! Whose files a request is about: a session's or a workspace's. The calls are the same for both.

use axum::extract::FromRequestParts;
use sandkasten_api::file_watch::WatchEndReason;
use sandkasten_isolation::host::WatchDepth;
use utoipa::IntoParams;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};

use super::api_error::ApiError;
use super::openapi::codes::{self, SESSION, WORKSPACE, WORKSPACES};
use super::path_id::{PathId, WorkspacePathId};
use super::router::ApiState;
use crate::session::{
    FilePath, FileSpace, FileWatch, InvalidPath, MissingWorkspace, SessionError, SessionFiles, WorkspaceFiles,
};

/// What has files, as a request's path names it.
pub(super) trait FilePlace: FromRequestParts<ApiState, Rejection = ApiError> + Send + 'static {
    /// What it means where a watch ends before its client leaves.
    const WATCH_END: WatchEndReason;

    /// Turns the description of a call on files of a session into one of a call on files of this, and returns its path.
    fn describe(path: &str, operation: &mut Operation) -> String;

    /// Reads a path in it.
    fn parse(path: &str) -> Result<FilePath, InvalidPath>;

    /// Opens the files that are there.
    fn open(self, state: &ApiState) -> impl Future<Output = Result<OpenFiles, ApiError>> + Send;

    /// Opens the files for what may be the first of them.
    fn open_or_make(self, state: &ApiState) -> impl Future<Output = Result<OpenFiles, ApiError>> + Send;

    /// Begins to watch a directory.
    fn watch(
        self,
        state: &ApiState,
        path: FilePath,
        depth: WatchDepth,
    ) -> impl Future<Output = Result<FileWatch, SessionError>> + Send;
}

/// Files in use by a request.
#[derive(Debug)]
pub(super) enum OpenFiles {
    Session(SessionFiles),
    Workspace(WorkspaceFiles),
}

impl OpenFiles {
    /// The operations on them.
    pub(super) fn space(&self) -> &FileSpace {
        match self {
            Self::Session(files) => files.space(),
            Self::Workspace(files) => files.space(),
        }
    }

    /// Whether they are still there; what goes on for long asks between two pieces. A workspace in use is.
    pub(super) fn check_live(&self) -> Result<(), SessionError> {
        match self {
            Self::Session(files) => files.check_live(),
            Self::Workspace(_) => Ok(()),
        }
    }

    /// Says that the request has done what it was for: a workspace that was made for it stays.
    pub(super) fn keep(&self) {
        if let Self::Workspace(files) = self {
            files.keep();
        }
    }
}

impl FilePlace for PathId {
    const WATCH_END: WatchEndReason = WatchEndReason::Session;

    fn describe(path: &str, _: &mut Operation) -> String {
        path.to_owned()
    }

    fn parse(path: &str) -> Result<FilePath, InvalidPath> {
        FilePath::parse(path)
    }

    async fn open(self, state: &ApiState) -> Result<OpenFiles, ApiError> {
        Ok(OpenFiles::Session(state.sessions.files(&self.0).await?))
    }

    async fn open_or_make(self, state: &ApiState) -> Result<OpenFiles, ApiError> {
        self.open(state).await
    }

    async fn watch(
        self,
        state: &ApiState,
        path: FilePath,
        depth: WatchDepth,
    ) -> Result<FileWatch, SessionError> {
        state.sessions.watch_files(&self.0, path, depth).await
    }
}

impl FilePlace for WorkspacePathId {
    const WATCH_END: WatchEndReason = WatchEndReason::Removed;

    fn describe(path: &str, operation: &mut Operation) -> String {
        operation.tags = Some(vec!["workspaces".to_owned()]);
        operation.operation_id = operation.operation_id.take().map(|id| format!("workspace_{id}"));
        let is_id = |parameter: &RefOr<Parameter>| matches!(parameter, RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Path);
        let parameters = operation.parameters.get_or_insert_default();
        parameters.retain(|parameter| !is_id(parameter));
        parameters.splice(..0, Self::into_params(|| None).into_iter().map(RefOr::T));
        codes::replace(operation, SESSION, &[WORKSPACES, WORKSPACE]);
        path.replacen("/v1/sessions/", "/v1/workspaces/", 1)
    }

    fn parse(path: &str) -> Result<FilePath, InvalidPath> {
        FilePath::in_workspace(path)
    }

    async fn open(self, state: &ApiState) -> Result<OpenFiles, ApiError> {
        let files = state.sessions.workspace_files(self.0, MissingWorkspace::Refused).await?;
        Ok(OpenFiles::Workspace(files))
    }

    async fn open_or_make(self, state: &ApiState) -> Result<OpenFiles, ApiError> {
        let files = state.sessions.workspace_files(self.0, MissingWorkspace::Made).await?;
        Ok(OpenFiles::Workspace(files))
    }

    async fn watch(
        self,
        state: &ApiState,
        path: FilePath,
        depth: WatchDepth,
    ) -> Result<FileWatch, SessionError> {
        state.sessions.watch_workspace(self.0, path, depth).await
    }
}
