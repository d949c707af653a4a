//! The events of a streamed exec, typed.

use std::collections::VecDeque;

use futures_util::Stream;
use futures_util::stream;
use sandkasten_api::exec::{ExecChunk, ExecDone, ExecFailed};
use serde::de::DeserializeOwned;

use crate::event_parser::{EventParser, RawEvent};
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
    url: String,
    response: reqwest::Response,
    parser: EventParser,
    ready: VecDeque<RawEvent>,
    ended: bool,
}

impl ExecStream {
    pub(crate) fn new(url: String, response: reqwest::Response) -> Self {
        Self { url, response, parser: EventParser::default(), ready: VecDeque::new(), ended: false }
    }

    /// Waits for the next event. `None` follows the last event or an error, and only those.
    ///
    /// # Errors
    /// `Unreachable` where the connection breaks, `Protocol` where the stream ends before the command does or is
    /// no event stream. Cancel-safe: an event that was not returned yet is returned by the next call.
    pub async fn next(&mut self) -> Option<Result<ExecEvent, RequestError>> {
        while !self.ended {
            match self.advance().await {
                Ok(Some(event)) => {
                    self.ended = !matches!(event, ExecEvent::Chunk(_));
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

    /// Turns it into a [`Stream`], for the combinators of the ecosystem.
    pub fn into_stream(self) -> impl Stream<Item = Result<ExecEvent, RequestError>> {
        stream::unfold(self, |mut events| async move { events.next().await.map(|event| (event, events)) })
    }

    /// Returns an event that is ready, or reads once and returns nothing.
    async fn advance(&mut self) -> Result<Option<ExecEvent>, RequestError> {
        if let Some(raw) = self.ready.pop_front() {
            return self.decode(&raw);
        }
        let bytes = self.response.chunk().await.map_err(|source| self.broken(source))?;
        let bytes =
            bytes.ok_or_else(|| self.odd("the event stream ended before the command did".to_owned()))?;
        let events = self.parser.push(&bytes).map_err(|error| self.odd(error.to_string()))?;
        self.ready.extend(events);
        Ok(None)
    }

    fn decode(&self, raw: &RawEvent) -> Result<Option<ExecEvent>, RequestError> {
        Ok(match raw.name.as_str() {
            "chunk" => Some(ExecEvent::Chunk(self.data(raw)?)),
            "done" => Some(ExecEvent::Done(self.data(raw)?)),
            "error" => Some(ExecEvent::Failed(self.data(raw)?)),
            // The contract may grow.
            _ => None,
        })
    }

    fn data<T: DeserializeOwned>(&self, raw: &RawEvent) -> Result<T, RequestError> {
        serde_json::from_str(&raw.data).map_err(|error| {
            self.odd(format!("the data of event `{}` is not what it should be: {error}", raw.name))
        })
    }

    fn broken(&self, source: reqwest::Error) -> RequestError {
        RequestError::Unreachable { url: self.url.clone(), source: Box::new(source.without_url()) }
    }

    fn odd(&self, reason: String) -> RequestError {
        RequestError::Protocol { url: self.url.clone(), reason }
    }
}
