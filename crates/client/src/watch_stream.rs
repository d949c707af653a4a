//! The events of a watch on files, typed.

use sandkasten_api::file_watch::{FileChange, WatchEnd, WatchOverflow, WatchReady};

use crate::event_parser::RawEvent;
use crate::event_reader::EventReader;
use crate::request_error::RequestError;

/// What a watch reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchEvent {
    /// What changes from now on is told; the first event.
    Ready(WatchReady),
    /// A change.
    Change(FileChange),
    /// Changes were lost; the last event.
    Overflow(WatchOverflow),
    /// The directory or the session has gone; the last event.
    End(WatchEnd),
}

/// The events of a watch as they arrive. Dropping it ends the watch.
#[derive(Debug)]
pub struct WatchStream {
    events: EventReader,
}

impl WatchStream {
    pub(crate) fn new(url: String, response: reqwest::Response) -> Self {
        Self { events: EventReader::new(url, response, "the watch did") }
    }

    /// Waits for the next event. `None` follows the last event or an error, and only those.
    ///
    /// # Errors
    /// `Unreachable` where the connection breaks, `Protocol` where the stream ends before the watch does or is no event
    /// stream. Cancel-safe: an event that was not returned yet is returned by the next call.
    pub async fn next(&mut self) -> Option<Result<WatchEvent, RequestError>> {
        self.events.next(read, |event| matches!(event, WatchEvent::Overflow(_) | WatchEvent::End(_))).await
    }
}

/// Reads an event that is known.
fn read(events: &EventReader, raw: &RawEvent) -> Result<Option<WatchEvent>, RequestError> {
    Ok(match raw.name.as_str() {
        "ready" => Some(WatchEvent::Ready(events.data(raw)?)),
        "change" => Some(WatchEvent::Change(events.data(raw)?)),
        "overflow" => Some(WatchEvent::Overflow(events.data(raw)?)),
        "end" => Some(WatchEvent::End(events.data(raw)?)),
        _ => None,
    })
}
