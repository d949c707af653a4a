//! A terminal or process of a session over a WebSocket.

use std::error::Error;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use reqwest::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use reqwest::{Method, StatusCode, Upgraded};
use sandkasten_api::id::SessionId;
use sandkasten_api::terminal::{TerminalCommand, TerminalEvent, TerminalQuery};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Message, Role};

use crate::client::Client;
use crate::request_error::RequestError;

/// The most bytes of input in one frame; the daemon takes twice as many.
const FRAME_BYTES: usize = 32 << 10;

/// What a terminal says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TerminalFrame {
    /// Bytes that were written.
    Output(Vec<u8>),
    /// Something about them.
    Event(TerminalEvent),
}

/// The half of a connection on which a terminal is heard. Dropping both halves leaves what runs there running.
#[derive(Debug)]
pub struct TerminalReader {
    url: String,
    frames: SplitStream<WebSocketStream<Upgraded>>,
    is_over: bool,
}

/// The half of a connection on which a terminal is typed into.
#[derive(Debug)]
pub struct TerminalWriter {
    url: String,
    frames: SplitSink<WebSocketStream<Upgraded>, Message>,
}

impl Client {
    /// Connects to a terminal of a session, which is started where there is none, or to one of its processes.
    ///
    /// # Errors
    /// As every request; `Refused` with `SESSION_NOT_FOUND`, `PROCESS_NOT_FOUND`, `LIMIT_EXCEEDED` and the like.
    pub async fn attach_terminal(
        &self,
        id: &SessionId,
        query: &TerminalQuery,
    ) -> Result<(TerminalReader, TerminalWriter), RequestError> {
        let key = generate_key();
        let request = self
            .session_request(Method::GET, id, "/tty")
            .query(query)
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, &key);
        let response = self.send(request).await?;
        let accepted = response.headers().get(SEC_WEBSOCKET_ACCEPT).and_then(|value| value.to_str().ok());
        if response.status() != StatusCode::SWITCHING_PROTOCOLS
            || accepted != Some(&derive_accept_key(key.as_bytes()))
        {
            return Err(self.odd(format!("it answers {} to a WebSocket handshake", response.status())));
        }
        let upgraded = response.upgrade().await.map_err(|source| self.unreachable(source))?;
        let (sink, stream) = WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await.split();
        let url = self.endpoint().to_string();
        Ok((
            TerminalReader { url: url.clone(), frames: stream, is_over: false },
            TerminalWriter { url, frames: sink },
        ))
    }
}

impl TerminalReader {
    /// Waits for the next frame. `None` follows where the daemon has closed the connection, which it does behind
    /// [`TerminalEvent::Exit`] or [`TerminalEvent::Error`], and behind an error. Cancel-safe.
    ///
    /// # Errors
    /// `Unreachable` where the connection breaks, `Protocol` for a frame that the contract does not know.
    pub async fn next(&mut self) -> Option<Result<TerminalFrame, RequestError>> {
        while !self.is_over {
            let frame = match self.frames.next().await {
                Some(Ok(Message::Binary(bytes))) => Ok(TerminalFrame::Output(bytes.into())),
                Some(Ok(Message::Text(text))) => self.read(text.as_str()),
                Some(Ok(Message::Close(_))) => break,
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Err(error)) => Err(unreachable(&self.url, error)),
                None => Err(unreachable(&self.url, "the connection was cut")),
            };
            self.is_over = frame.is_err();
            return Some(frame);
        }
        self.is_over = true;
        None
    }

    fn read(&self, text: &str) -> Result<TerminalFrame, RequestError> {
        serde_json::from_str(text).map(TerminalFrame::Event).map_err(|error| RequestError::Protocol {
            url: self.url.clone(),
            reason: format!("a text frame of the terminal is not what it should be: {error}"),
        })
    }
}

impl TerminalWriter {
    /// Types bytes.
    ///
    /// # Errors
    /// `Unreachable` where the connection breaks.
    pub async fn give(&mut self, bytes: &[u8]) -> Result<(), RequestError> {
        for piece in bytes.chunks(FRAME_BYTES) {
            self.send(Message::Binary(piece.to_vec().into())).await?;
        }
        Ok(())
    }

    /// Says something about the terminal.
    ///
    /// # Errors
    /// `Unreachable` where the connection breaks.
    pub async fn command(&mut self, command: TerminalCommand) -> Result<(), RequestError> {
        let text = serde_json::to_string(&command).unwrap_or_default();
        self.send(Message::Text(text.into())).await
    }

    /// Says goodbye; what runs there goes on.
    ///
    /// # Errors
    /// `Unreachable` where the connection breaks.
    pub async fn close(&mut self) -> Result<(), RequestError> {
        self.send(Message::Close(None)).await
    }

    async fn send(&mut self, message: Message) -> Result<(), RequestError> {
        self.frames.send(message).await.map_err(|error| unreachable(&self.url, error))
    }
}

fn unreachable(url: &str, source: impl Into<Box<dyn Error + Send + Sync>>) -> RequestError {
    RequestError::Unreachable { url: url.to_owned(), source: source.into() }
}
