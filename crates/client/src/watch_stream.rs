//! The events of a watch on files, typed.

use sandkasten_api::file_watch::{FileChange, WatchEnd, WatchOverflow, WatchReady};

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
    ended: bool,
}

impl WatchStream {
    pub(crate) fn new(url: String, response: reqwest::Response) -> Self {
        Self { events: EventReader::new(url, response, "the watch did"), ended: false }
    }

    /// Waits for the next event. `None` follows the last event or an error, and only those.
    ///
    /// # Errors
    /// `Unreachable` where the connection breaks, `Protocol` where the stream ends before the watch does or is no event
    /// stream. Cancel-safe: an event that was not returned yet is returned by the next call.
    pub async fn next(&mut self) -> Option<Result<WatchEvent, RequestError>> {
        while !self.ended {
            match self.advance().await {
                Ok(Some(event)) => {
                    self.ended = matches!(event, WatchEvent::Overflow(_) | WatchEvent::End(_));
                    return Some(Ok(event));
                }
                Ok(None) => {}
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }

    /// Returns an event that is known, or nothing for one that is not: the contract may grow.
    async fn advance(&mut self) -> Result<Option<WatchEvent>, RequestError> {
        let raw = self.events.next().await?;
        Ok(match raw.name.as_str() {
            "ready" => Some(WatchEvent::Ready(self.events.data(&raw)?)),
            "change" => Some(WatchEvent::Change(self.events.data(&raw)?)),
            "overflow" => Some(WatchEvent::Overflow(self.events.data(&raw)?)),
            "end" => Some(WatchEvent::End(self.events.data(&raw)?)),
            _ => None,
        })
    }
}
