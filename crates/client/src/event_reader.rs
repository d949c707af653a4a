//! An answer that is a stream of events, read one by one.

use std::collections::VecDeque;

use serde::de::DeserializeOwned;

use crate::event_parser::{EventParser, RawEvent};
use crate::request_error::RequestError;

/// The events of one answer.
#[derive(Debug)]
pub(crate) struct EventReader {
    url: String,
    response: reqwest::Response,
    parser: EventParser,
    ready: VecDeque<RawEvent>,
    /// What a stream must not end before, for the message where it does.
    end: &'static str,
    /// The last event, or an error, was returned.
    is_over: bool,
}

impl EventReader {
    pub(crate) fn new(url: String, response: reqwest::Response, end: &'static str) -> Self {
        Self { url, response, parser: EventParser::default(), ready: VecDeque::new(), end, is_over: false }
    }

    /// Waits for the next event that `read` knows; others are passed over, because the contract may grow. None follows the one
    /// that `is_last`, or an error. Cancel-safe: an event that was not returned yet is returned by the next call.
    pub(crate) async fn next<E>(
        &mut self,
        read: impl Fn(&Self, &RawEvent) -> Result<Option<E>, RequestError>,
        is_last: impl Fn(&E) -> bool,
    ) -> Option<Result<E, RequestError>> {
        while !self.is_over {
            let event = match self.next_raw().await {
                Ok(raw) => read(self, &raw).transpose(),
                Err(error) => Some(Err(error)),
            };
            if let Some(event) = event {
                self.is_over = event.as_ref().map_or(true, &is_last);
                return Some(event);
            }
        }
        None
    }

    async fn next_raw(&mut self) -> Result<RawEvent, RequestError> {
        loop {
            if let Some(raw) = self.ready.pop_front() {
                return Ok(raw);
            }
            let bytes = self.response.chunk().await.map_err(|source| self.broken(source))?;
            let bytes =
                bytes.ok_or_else(|| self.odd(format!("the event stream ended before {}", self.end)))?;
            let events = self.parser.push(&bytes).map_err(|error| self.odd(error.to_string()))?;
            self.ready.extend(events);
        }
    }

    /// Reads the data of an event.
    pub(crate) fn data<T: DeserializeOwned>(&self, raw: &RawEvent) -> Result<T, RequestError> {
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
