//! The session that a path names.

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use sandkasten_api::id::SessionId;

use super::api_error::ApiError;

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
