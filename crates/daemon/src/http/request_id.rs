//! `X-Request-ID`: the client's, or one of ours, on every answer and in every line of the log about it.

use axum::Json;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode};
use sandkasten_api::error::{ErrorBody, ErrorCode};

use super::api_error::Internal;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
const MAX_BYTES: usize = 128;

/// The id of a request, for what is said after its answer has begun.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub(super) String);

/// Echoes or makes the id, and logs internal errors with it, once.
pub(super) async fn attach(mut request: Request, next: Next) -> Response {
    let id = request.headers().get(HEADER).filter(|id| is_sound(id)).cloned().unwrap_or_else(make);
    request.extensions_mut().insert(RequestId(id.to_str().unwrap_or_default().to_owned()));
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    let shown = id.to_str().unwrap_or_default();
    if let Some(Internal(reason)) = response.extensions_mut().remove::<Internal>() {
        tracing::error!(request_id = shown, %method, path, reason = &*reason, "request failed");
        let message = format!("the daemon failed; its log has the reason under request id {shown}");
        let body = ErrorBody { error_code: ErrorCode::InternalError, message, details: None };
        response = (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response();
    } else {
        tracing::debug!(request_id = shown, %method, path, status = response.status().as_u16(), "request");
    }
    response.headers_mut().insert(HEADER, id);
    response
}

/// Whether a client's id can go into a header and a log as it is.
fn is_sound(id: &HeaderValue) -> bool {
    (1..=MAX_BYTES).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

fn make() -> HeaderValue {
    let mut bytes = [0_u8; 8];
    // An id without entropy would still be an id; the kernel gives enough after boot.
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).ok();
    HeaderValue::from_str(&format!("{:016x}", u64::from_be_bytes(bytes)))
        .unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}
