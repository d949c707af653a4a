//! A stream of Server-Sent Events, read as a client without a library would.

use std::time::Duration;

use reqwest::RequestBuilder;
use serde_json::Value;

use crate::patience::patience;

/// A bound on hangs; nothing is measured with it.
const WAIT: Duration = Duration::from_secs(20);

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadEvent {
    /// Its id, if it has one.
    pub id: Option<String>,
    /// Its name.
    pub name: String,
    /// Its data.
    pub data: Value,
}

/// The events of an answer as they come.
#[derive(Debug)]
pub struct EventReader {
    response: reqwest::Response,
    buffer: String,
}

impl EventReader {
    /// Sends a request whose answer is an event stream.
    ///
    /// # Panics
    /// Where it is none.
    pub async fn open(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, buffer: String::new() }
    }

    /// Waits for the next event; none at the end of the stream. Comments are skipped.
    ///
    /// # Panics
    /// Where nothing comes in time, or it is no event.
    pub async fn next(&mut self) -> Option<ReadEvent> {
        loop {
            while let Some((text, rest)) = self.buffer.split_once("\n\n") {
                let event = read(text);
                self.buffer = rest.to_owned();
                if event.is_some() {
                    return event;
                }
            }
            let chunk = tokio::time::timeout(patience(WAIT), self.response.chunk()).await;
            match chunk.expect("something comes in time") {
                Ok(Some(bytes)) => self.buffer.push_str(&String::from_utf8_lossy(&bytes)),
                _ => return None,
            }
        }
    }

    /// Waits for the next event, and returns the session, the status and the reason it tells.
    ///
    /// # Panics
    /// Where it is no `state`.
    pub async fn state(&mut self) -> (String, String, Option<String>) {
        let event = self.next().await.expect("an event");
        assert_eq!(event.name, "state", "{event:?}");
        let at = event.data["at"].as_str().expect("a time");
        assert!(at.parse::<jiff::Timestamp>().is_ok(), "{event:?}");
        let text = |field: &str| event.data[field].as_str().map(str::to_owned);
        (text("session_id").expect("an id"), text("status").expect("a status"), text("reason"))
    }
}

fn read(text: &str) -> Option<ReadEvent> {
    let mut event = ReadEvent { id: None, name: String::new(), data: Value::Null };
    for line in text.lines() {
        match line.split_once(": ") {
            Some(("id", id)) => event.id = Some(id.to_owned()),
            Some(("event", name)) => name.clone_into(&mut event.name),
            Some(("data", data)) => event.data = serde_json::from_str(data).expect("JSON"),
            _ => {}
        }
    }
    (!event.name.is_empty()).then_some(event)
}
