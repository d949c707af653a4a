//! How large a request's body may be, by route.
//!
//! What goes over the limit is noticed while it is read. A length that is declared far beyond it is refused before anything is
//! read; one that is a little too large is not, because a client that is still sending then may not hear the answer.

use axum::extract::Request;
use http::header;

/// The most bytes of a route's bodies, as an extension of its requests.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyLimit(pub(super) usize);

/// Whether a request declares a body of more than twice the limit of its route.
pub(super) fn is_far_exceeded(request: &Request) -> bool {
    let declared = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let declared = declared.and_then(|length| length.parse::<u64>().ok()).unwrap_or(0);
    request.extensions().get::<BodyLimit>().is_some_and(|BodyLimit(most)| declared / 2 > *most as u64)
}
