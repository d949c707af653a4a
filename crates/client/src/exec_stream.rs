//! The events of a streamed exec, typed.

use futures_util::Stream;
use futures_util::stream;
use sandkasten_api::exec::{ExecChunk, ExecDone, ExecFailed};

use crate::event_parser::RawEvent;
use crate::event_reader::EventReader;
use crate::request_error::RequestError;

/// What a streamed exec reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecEvent {
    /// A piece of output.
    Chunk(ExecChunk),
    /// The command ended; the last event.
    Done(ExecDone),
    /// Something else ended the command; the last event.
    Failed(ExecFailed),
}

/// The events of a streamed exec as they arrive. Dropping it before the end stops the command.
#[derive(Debug)]
pub struct ExecStream {
    events: EventReader,
}

impl ExecStream {
    pub(crate) fn new(url: String, response: reqwest::Response) -> Self {
        Self { events: EventReader::new(url, response, "the command did") }
    }

    /// Waits for the next event. `None` follows the last event or an error, and only those.
    ///
    /// # Errors
    /// `Unreachable` where the connection breaks, `Protocol` where the stream ends before the command does or is
    /// no event stream. Cancel-safe: an event that was not returned yet is returned by the next call.
    pub async fn next(&mut self) -> Option<Result<ExecEvent, RequestError>> {
        self.events.next(read, |event| !matches!(event, ExecEvent::Chunk(_))).await
    }

    /// Turns it into a [`Stream`], for the combinators of the ecosystem.
    pub fn into_stream(self) -> impl Stream<Item = Result<ExecEvent, RequestError>> {
        stream::unfold(self, |mut events| async move { events.next().await.map(|event| (event, events)) })
    }
}

/// Reads an event that is known.
fn read(events: &EventReader, raw: &RawEvent) -> Result<Option<ExecEvent>, RequestError> {
    Ok(match raw.name.as_str() {
        "chunk" => Some(ExecEvent::Chunk(events.data(raw)?)),
        "done" => Some(ExecEvent::Done(events.data(raw)?)),
        "error" => Some(ExecEvent::Failed(events.data(raw)?)),
        _ => None,
    })
}
