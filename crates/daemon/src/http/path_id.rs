//! The session, the workspace or the image that a path names.

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use sandkasten_api::error::ErrorCode;
use sandkasten_api::id::{ExecId, SessionId, WorkspaceId};
use sandkasten_api::schema;
use sandkasten_image::ImageName;

use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{Ref, Required};
use utoipa::{IntoParams, ToSchema};

use super::api_error::ApiError;
use super::router::ApiState;

/// The id in `/v1/sessions/{id}…`, looked at before anything of a body is read.
#[derive(Debug)]
pub(super) struct PathId(pub(super) SessionId);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(id) = Path::<String>::from_request_parts(parts, state).await.map_err(|error| {
            ApiError::invalid(format!("the session id is no text: {}", error.body_text()))
        })?;
        Ok(Self(id.parse()?))
    }
}

/// The ids in `/v1/sessions/{id}/…/{exec_id}…`, looked at before anything of a body is read.
#[derive(Debug)]
pub(super) struct PathIds(pub(super) SessionId, pub(super) ExecId);

impl<S: Send + Sync> FromRequestParts<S> for PathIds {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let ids = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((session, exec)) =
            ids.map_err(|error| ApiError::invalid(format!("an id is no text: {}", error.body_text())))?;
        Ok(Self(session.parse()?, exec.parse()?))
    }
}

/// Lets a request about workspaces in where there are any.
#[derive(Debug)]
pub(super) struct WorkspacesEnabled;

impl FromRequestParts<ApiState> for WorkspacesEnabled {
    type Rejection = ApiError;

    async fn from_request_parts(_: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        if state.sessions.config().workspace.enabled { Ok(Self) } else { Err(workspaces_disabled()) }
    }
}

/// The id in `/v1/workspaces/{id}…`, where there are workspaces; looked at before anything of a body is read.
#[derive(Debug)]
pub(super) struct WorkspacePathId(pub(super) WorkspaceId);

impl FromRequestParts<ApiState> for WorkspacePathId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let WorkspacesEnabled = WorkspacesEnabled::from_request_parts(parts, state).await?;
        let Path(id) = Path::<String>::from_request_parts(parts, state).await.map_err(|error| {
            ApiError::new(
                ErrorCode::InvalidWorkspace,
                format!("the workspace id is no text: {}", error.body_text()),
            )
        })?;
        Ok(Self(id.parse()?))
    }
}

/// The name in `/v1/images/{name}`, looked at before anything of a body is read.
#[derive(Debug)]
pub(super) struct PathImage(pub(super) ImageName);

impl<S: Send + Sync> FromRequestParts<S> for PathImage {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let invalid = |message| ApiError::new(ErrorCode::InvalidImage, message);
        let Path(name) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|error| invalid(format!("the name is no text: {}", error.body_text())))?;
        Ok(Self(name.parse().map_err(|error| invalid(format!("{error}")))?))
    }
}

impl IntoParams for PathImage {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![describe::<schema::ImageName>("name", "The image.")]
    }
}

impl IntoParams for PathId {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![describe::<SessionId>("id", "The session.")]
    }
}

impl IntoParams for PathIds {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![
            describe::<SessionId>("id", "The session."),
            describe::<ExecId>("exec_id", "The exec or process."),
        ]
    }
}

impl IntoParams for WorkspacePathId {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![describe::<WorkspaceId>("id", "The workspace.")]
    }
}

fn describe<T: ToSchema>(name: &str, description: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(description))
        .schema(Some(Ref::from_schema_name(T::name())))
        .build()
}

/// Says why there is no workspace.
pub(super) fn workspaces_disabled() -> ApiError {
    let reason = "workspaces are disabled: workspace.enabled is false in the configuration";
    ApiError::new(ErrorCode::InvalidWorkspace, reason)
}
