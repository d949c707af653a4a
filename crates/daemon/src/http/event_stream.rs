//! Server-Sent Events: how one is written, and the answer that carries them.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt};
use http::{HeaderValue, header};
use sandkasten_api::limits::STREAM_HEARTBEAT_SECONDS;
use serde::Serialize;
use tokio::sync::mpsc;

/// Pieces of a stream that wait for a slow client; then its source is not read any further.
pub(super) const PIECES_IN_FLIGHT: usize = 16;

/// A comment, which tells that the stream lives and nothing else.
pub(super) const HEARTBEAT: Bytes = Bytes::from_static(b": nothing new\n\n");

/// Renders one event. JSON has no line breaks of its own; three more characters count as line breaks for some readers and are
/// escaped as well.
pub(super) fn event(id: Option<&str>, name: &str, data: &impl Serialize) -> String {
    let json = serde_json::to_string(data).unwrap_or_else(|_| "{}".to_owned());
    let json =
        json.replace('\u{85}', "\\u0085").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!("{id}event: {name}\ndata: {json}\n\n")
}

/// Answers with events as they come. The stream is asked for the next one when the client has room for it, and dropped when
/// the client goes away.
pub(super) fn answer(events: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let body = Body::from_stream(events.map(Ok::<_, Infallible>));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        // Proxies would otherwise hold the events back.
        (header::HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, body).into_response()
}

/// Answers with what comes through a channel, until its other end is dropped.
pub(super) fn relay(receiver: mpsc::Receiver<Bytes>) -> Response {
    answer(futures_util::stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|piece| (piece, receiver))
    }))
}

/// Waits for the next event of a source, and lets the client know meanwhile that the stream lives. None where either has gone.
pub(super) async fn next<T>(source: &mut mpsc::Receiver<T>, pieces: &mpsc::Sender<Bytes>) -> Option<T> {
    let heartbeat = Duration::from_secs(STREAM_HEARTBEAT_SECONDS);
    loop {
        tokio::select! {
            event = source.recv() => return event,
            () = pieces.closed() => return None,
            () = tokio::time::sleep(heartbeat) => pieces.send(HEARTBEAT).await.ok()?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::event;

    #[test]
    fn characters_that_some_readers_break_lines_at_are_escaped() {
        let event = event(None, "chunk", &["a\u{2028}b\u{2029}c\u{85}d\re\nf\u{b}g"]);
        assert_eq!(event.lines().count(), 3, "{event:?}");
        assert!(!event.contains(['\u{2028}', '\u{2029}', '\u{85}', '\r', '\u{b}']));
        assert!(event.starts_with("event: chunk\ndata: [\"a\\u2028b\\u2029c\\u0085d\\re\\nf\\u000bg\""));
    }
}
