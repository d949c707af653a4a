//! Request bodies as JSON, with errors in the API's own form.

use std::error::Error;
use std::sync::Arc;

use axum::body::{Bytes, HttpBody};
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use http::{StatusCode, header};
use serde::de::DeserializeOwned;

use super::api_error::ApiError;
use super::body_limit;
use super::body_pace::TooSlow;
use super::guard::Guard;

/// A body parsed as JSON, whatever its content type where a key was shown; without keys only `application/json` is
/// taken, which a web page cannot send across origins unasked. An empty body is an empty object.
#[derive(Debug)]
pub(super) struct JsonBody<T>(pub(super) T);

impl<T, S> FromRequest<S> for JsonBody<T>
where
    T: DeserializeOwned,
    S: Send + Sync + AsRef<Arc<Guard>>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let is_json = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
        // Both before anything of the body is read.
        if body_limit::is_far_exceeded(&request) {
            return Err(too_large());
        }
        if state.as_ref().is_open() && !is_json && !request.body().is_end_stream() {
            return Err(ApiError::invalid(
                "without an API key only bodies of Content-Type application/json are taken",
            ));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|error| refused(&error))?;
        let body: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        // A struct would also be read from an array of its fields, which no client means.
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err(ApiError::invalid("the body is no JSON object"));
        }
        parse(body).map(Self).map_err(ApiError::invalid)
    }
}

/// Parses a whole body; an error names the field.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let (path, reason) = (error.path().to_string(), error.inner());
        if path == "." {
            format!("the body is not what was expected: {reason}")
        } else {
            format!("{path}: {reason}")
        }
    })?;
    json.end().map_err(|error| format!("the body goes on behind its end: {error}"))?;
    Ok(value)
}

/// Explains why a body could not be read.
fn refused(rejection: &BytesRejection) -> ApiError {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        too_large()
    } else if came_too_slowly(rejection) {
        ApiError::invalid(TooSlow.to_string()).with_status(StatusCode::REQUEST_TIMEOUT)
    } else {
        ApiError::invalid("the body could not be read to its end")
    }
}

fn too_large() -> ApiError {
    ApiError::invalid("the body is too large; write large files with several requests")
        .with_status(StatusCode::PAYLOAD_TOO_LARGE)
}

/// Whether the reason behind an error is that a body's time ran out.
pub(super) fn came_too_slowly(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| error.source()).any(<dyn Error>::is::<TooSlow>)
}
