//! The conversation on the WebSocket of a terminal: what is written goes out, what is typed comes in, until the process ends
//! or the client goes, which ends nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use sandkasten_api::limits::STREAM_HEARTBEAT_SECONDS;
use sandkasten_api::terminal::{TerminalCommand, TerminalEvent};
use tokio::sync::mpsc;
use tokio::time::{interval_at, timeout};

use super::api_error::ApiError;
use super::exec_request::terminal;
use super::terminal_output::TerminalOutput;
use crate::session::{Following, Job, LiveSession, LogEvent, ProcessError, SessionError, Sessions};

/// How long a client may be silent, though it is asked for a sign of life, and how long one frame may wait for a client that
/// does not read. A terminal waits for its client; it is not to wait for one that has vanished.
const PATIENCE: Duration = Duration::from_secs(4 * STREAM_HEARTBEAT_SECONDS);
/// How long the client may take to say goodbye in turn; without that, what was sent last could be lost.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long the end of a session may take to be known after its terminal has gone.
const END_PATIENCE: Duration = Duration::from_secs(2);
/// Complaints that wait to be sent; of more the client is not told.
const COMPLAINTS: usize = 4;

/// One client of a terminal.
#[derive(Debug)]
pub(super) struct TerminalSocket {
    pub(super) sessions: Sessions,
    pub(super) session: Arc<LiveSession>,
    pub(super) job: Arc<Job>,
    /// Only watches.
    pub(super) view: bool,
}

/// The client does not listen any more.
struct Gone;

/// What tells a client that lives from one that has vanished.
#[derive(Debug, Default)]
struct Life {
    /// Something came since it was looked at last.
    heard: AtomicBool,
    /// Nothing is read from it at the moment, because what it sent waits for the process.
    busy: AtomicBool,
}

impl TerminalSocket {
    /// Serves the client until either end has gone. Everything from `since` on is sent.
    pub(super) async fn serve(self, socket: WebSocket, following: Following, since: u64) {
        let (mut sink, mut stream) = socket.split();
        let (complain, complaints) = mpsc::channel(COMPLAINTS);
        let life = Life::default();
        let served = tokio::select! {
            sent = self.send(&mut sink, following, since, complaints, &life) => sent.is_ok(),
            () = self.receive(&mut stream, &complain, &life) => false,
        };
        if served {
            let farewell = async { while let Some(Ok(_)) = stream.next().await {} };
            timeout(FAREWELL, farewell).await.ok();
        }
    }

    async fn send(
        &self,
        sink: &mut SplitSink<WebSocket, Message>,
        following: Following,
        since: u64,
        mut complaints: mpsc::Receiver<ApiError>,
        life: &Life,
    ) -> Result<(), Gone> {
        let Following { written, mut events } = following;
        let process = self.job.describe();
        let mut output = TerminalOutput::new(process.tty, since, written);
        say(sink, &TerminalEvent::Attached { process: Box::new(process), written: written[0] }).await?;
        let mut signs = interval_at(tokio::time::Instant::now() + PATIENCE / 4, PATIENCE / 4);
        let mut silent = Duration::ZERO;
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(LogEvent::Output(piece)) => {
                        for message in output.frames(piece) {
                            pass(sink, message).await?;
                        }
                    }
                    Some(LogEvent::End) | None => break,
                    Some(LogEvent::Failure(error)) => return self.fail(sink, error).await,
                },
                Some(complaint) = complaints.recv() => say(sink, &failure(&complaint)).await?,
                _ = signs.tick() => {
                    let lives = life.heard.swap(false, Ordering::Relaxed) || life.busy.load(Ordering::Relaxed);
                    silent = if lives { Duration::ZERO } else { silent + PATIENCE / 4 };
                    if silent >= PATIENCE {
                        return Err(Gone);
                    }
                    pass(sink, Message::Ping(Bytes::new())).await?;
                }
            }
        }
        if let Some(message) = output.finish() {
            pass(sink, message).await?;
        }
        // The verdict follows the runner's word by a moment.
        self.job.ended().await;
        say(sink, &TerminalEvent::Exit { process: Box::new(self.job.describe()) }).await?;
        close(sink, close_code::NORMAL).await
    }

    /// Says why there is no more output: where the session has ended, that.
    async fn fail(&self, sink: &mut SplitSink<WebSocket, Message>, error: ProcessError) -> Result<(), Gone> {
        timeout(END_PATIENCE, self.job.ended()).await.ok();
        let error = match self.session.end_status() {
            Some(status) => SessionError::NotRunning { id: self.session.id.clone(), status }.into(),
            None => ApiError::from(error),
        };
        say(sink, &failure(&error)).await?;
        close(sink, close_code::ERROR).await
    }

    async fn receive(
        &self,
        stream: &mut SplitStream<WebSocket>,
        complaints: &mpsc::Sender<ApiError>,
        life: &Life,
    ) {
        while let Some(Ok(message)) = stream.next().await {
            life.heard.store(true, Ordering::Relaxed);
            life.busy.store(true, Ordering::Relaxed);
            let taken = match message {
                Message::Binary(bytes) => self.give(bytes.into(), false).await,
                Message::Text(text) => self.obey(text.as_str()).await,
                Message::Close(_) => return,
                Message::Ping(_) | Message::Pong(_) => Ok(()),
            };
            life.busy.store(false, Ordering::Relaxed);
            if let Err(complaint) = taken {
                complaints.try_send(complaint).ok();
            }
        }
    }

    async fn obey(&self, text: &str) -> Result<(), ApiError> {
        let command: TerminalCommand = serde_json::from_str(text).map_err(|error| {
            ApiError::invalid(format!("the text frame {text:.200?} is no command: {error}"))
        })?;
        match command {
            TerminalCommand::CloseInput => self.give(Vec::new(), true).await,
            TerminalCommand::Resize { .. } if self.view => Err(only_watches()),
            TerminalCommand::Resize { rows, cols } => {
                let size = terminal(sandkasten_api::exec::TerminalSize { rows, cols })?;
                Ok(self.sessions.resize(&self.session, &self.job, size).await?)
            }
        }
    }

    async fn give(&self, bytes: Vec<u8>, close: bool) -> Result<(), ApiError> {
        if self.view {
            return Err(only_watches());
        }
        Ok(self.sessions.feed_input(&self.session, &self.job, bytes, close).await?)
    }
}

fn only_watches() -> ApiError {
    ApiError::invalid("this connection only watches; connect without view=true to give input")
}

fn failure(error: &ApiError) -> TerminalEvent {
    TerminalEvent::Error { error: error.message().to_owned(), error_code: error.code() }
}

async fn say(sink: &mut SplitSink<WebSocket, Message>, event: &TerminalEvent) -> Result<(), Gone> {
    pass(sink, super::terminal_output::text(event)).await
}

async fn close(sink: &mut SplitSink<WebSocket, Message>, code: u16) -> Result<(), Gone> {
    pass(sink, Message::Close(Some(CloseFrame { code, reason: "".into() }))).await
}

async fn pass(sink: &mut SplitSink<WebSocket, Message>, message: Message) -> Result<(), Gone> {
    match timeout(PATIENCE, sink.send(message)).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(Gone),
    }
}
