//! Server-Sent Events: how they are written, and the answer that carries them.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use serde::Serialize;
use tokio::sync::mpsc;

/// Pieces of a stream that wait for a slow client; then its source is not read any further.
pub(super) const PIECES_IN_FLIGHT: usize = 16;

/// Answers with what comes through a channel, until its other end is dropped.
pub(super) fn respond(receiver: mpsc::Receiver<Bytes>) -> Response {
    let body = Body::from_stream(futures_util::stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|piece: Bytes| (Ok::<_, Infallible>(piece), receiver))
    }));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        // Proxies would otherwise hold the pieces back.
        (header::HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, body).into_response()
}

/// Renders one event. JSON has no line breaks of its own; three more characters count as line breaks for some readers
/// and are escaped as well.
pub(super) fn event(name: &str, data: &impl Serialize) -> String {
    let json = serde_json::to_string(data).unwrap_or_else(|_| "{}".to_owned());
    let json =
        json.replace('\u{85}', "\\u0085").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    format!("event: {name}\ndata: {json}\n\n")
}

#[cfg(test)]
mod tests {
    use super::event;

    #[test]
    fn characters_that_some_readers_break_lines_at_are_escaped() {
        let event = event("chunk", &["a\u{2028}b\u{2029}c\u{85}d\re\nf\u{b}g"]);
        assert_eq!(event.lines().count(), 3, "{event:?}");
        assert!(!event.contains(['\u{2028}', '\u{2029}', '\u{85}', '\r', '\u{b}']));
        assert!(event.starts_with("event: chunk\ndata: [\"a\\u2028b\\u2029c\\u0085d\\re\\nf\\u000bg\""));
    }
}
