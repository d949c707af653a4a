//! The output of a process as it is written, typed.

use sandkasten_api::process::{LogChunk, LogFailed, Process};

use crate::event_parser::RawEvent;
use crate::event_reader::EventReader;
use crate::request_error::RequestError;

/// What a followed process reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEvent {
    /// A piece of output.
    Chunk(LogChunk),
    /// The process has ended; the last event.
    Done(Box<Process>),
    /// Something else ended the stream; the last event.
    Failed(LogFailed),
}

/// The output of a process as it arrives. Dropping it ends the following alone.
#[derive(Debug)]
pub struct LogStream {
    events: EventReader,
}

impl LogStream {
    pub(crate) fn new(url: String, response: reqwest::Response) -> Self {
        Self { events: EventReader::new(url, response, "the process did") }
    }

    /// Waits for the next event. `None` follows the last event or an error, and only those.
    ///
    /// # Errors
    /// `Unreachable` where the connection breaks, `Protocol` where the stream ends before the process does or is no event
    /// stream. Cancel-safe: an event that was not returned yet is returned by the next call.
    pub async fn next(&mut self) -> Option<Result<LogEvent, RequestError>> {
        self.events.next(read, |event| !matches!(event, LogEvent::Chunk(_))).await
    }
}

/// Reads an event that is known.
fn read(events: &EventReader, raw: &RawEvent) -> Result<Option<LogEvent>, RequestError> {
    Ok(match raw.name.as_str() {
        "chunk" => Some(LogEvent::Chunk(events.data(raw)?)),
        "done" => Some(LogEvent::Done(Box::new(events.data(raw)?))),
        "error" => Some(LogEvent::Failed(events.data(raw)?)),
        _ => None,
    })
}
