//! The conversation on the WebSocket of a terminal: what is written goes out, what is typed comes in, until the process ends
//! or the client goes, which ends nothing.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures_util::future::poll_immediate;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use sandkasten_api::limits::STREAM_HEARTBEAT_SECONDS;
use sandkasten_api::process::Process;
use sandkasten_api::terminal::{TerminalCommand, TerminalEvent};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::api_error::{ApiError, quoted};
use super::exec_request::terminal;
use super::terminal_output::TerminalOutput;
use crate::session::{Following, Job, LiveSession, LogEvent, ProcessError, SessionError, Sessions};

/// How long a client of a terminal may be silent, though it is asked for a sign of life. A terminal waits for its client; it is
/// not to wait for one that has vanished. Where there is no terminal, a client may take the time that every connection has to
/// take what is sent: nobody else waits.
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
    /// Something came, or something that had to wait for it was taken, since it was looked at last.
    heard: AtomicBool,
    /// Nothing is read from it at the moment, because what it sent waits for the process.
    busy: AtomicBool,
}

impl TerminalSocket {
    /// Serves the client until either end has gone. Everything from `since` on is sent.
    pub(super) async fn serve(self, socket: WebSocket, following: Following, since: u64) {
        let (sink, mut stream) = socket.split();
        let (complain, complaints) = mpsc::channel(COMPLAINTS);
        let life = Life::default();
        let process = self.job.describe();
        let mut sender = Sender { sink, life: &life, is_terminal: process.tty };
        let served = tokio::select! {
            sent = self.send(&mut sender, process, following, since, complaints) => sent.is_ok(),
            () = self.receive(&mut stream, &complain, &life) => false,
        };
        if served {
            let farewell = async { while let Some(Ok(_)) = stream.next().await {} };
            timeout(FAREWELL, farewell).await.ok();
        }
    }

    async fn send(
        &self,
        sender: &mut Sender<'_>,
        process: Process,
        following: Following,
        since: u64,
        mut complaints: mpsc::Receiver<ApiError>,
    ) -> Result<(), Gone> {
        let Following { written, mut events } = following;
        let mut output = TerminalOutput::new(process.tty, since, written);
        sender.say(&TerminalEvent::Attached { process: Box::new(process), written: written[0] }).await?;
        let mut signs = interval_at(Instant::now() + PATIENCE / 4, PATIENCE / 4);
        // Time in which a frame waited for the client is not time in which it was asked for a sign.
        signs.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut silent = Duration::ZERO;
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(LogEvent::Output(piece)) => {
                        for message in output.frames(piece) {
                            sender.pass(message).await?;
                        }
                    }
                    Some(LogEvent::End) | None => break,
                    Some(LogEvent::Failure(error)) => return self.fail(sender, error).await,
                },
                Some(complaint) = complaints.recv() => sender.say(&failure(&complaint)).await?,
                _ = signs.tick() => {
                    silent = if sender.life.is_there() { Duration::ZERO } else { silent + PATIENCE / 4 };
                    if sender.is_terminal && silent >= PATIENCE {
                        return Err(Gone);
                    }
                    sender.pass(Message::Ping(Bytes::new())).await?;
                }
            }
        }
        if let Some(message) = output.finish() {
            sender.pass(message).await?;
        }
        // The verdict follows the runner's word by a moment.
        self.job.ended().await;
        sender.say(&TerminalEvent::Exit { process: Box::new(self.job.describe()) }).await?;
        sender.close(close_code::NORMAL).await
    }

    /// Says why there is no more output: where the session has ended, that.
    async fn fail(&self, sender: &mut Sender<'_>, error: ProcessError) -> Result<(), Gone> {
        timeout(END_PATIENCE, self.job.ended()).await.ok();
        let error = match self.session.end_status() {
            Some(status) => SessionError::NotRunning { id: self.session.id.clone(), status }.into(),
            None => ApiError::from(error),
        };
        sender.say(&failure(&error)).await?;
        sender.close(close_code::ERROR).await
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
                // The answers to pings and to a goodbye go out when the next message is asked for.
                Message::Ping(_) | Message::Pong(_) | Message::Close(_) => Ok(()),
            };
            life.busy.store(false, Ordering::Relaxed);
            if let Err(complaint) = taken {
                complaints.try_send(complaint).ok();
            }
        }
    }

    async fn obey(&self, text: &str) -> Result<(), ApiError> {
        let command: TerminalCommand = serde_json::from_str(text).map_err(|error| {
            ApiError::invalid(format!("the text frame {} is no command: {error}", quoted(text, 200)))
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

impl Life {
    /// Whether there was a sign of life since the last call.
    fn is_there(&self) -> bool {
        self.heard.swap(false, Ordering::Relaxed) || self.busy.load(Ordering::Relaxed)
    }
}

/// Where the client listens.
struct Sender<'a> {
    sink: SplitSink<WebSocket, Message>,
    life: &'a Life,
    /// Others may sit at it as well, whom this client is not to keep waiting.
    is_terminal: bool,
}

impl Sender<'_> {
    async fn say(&mut self, event: &TerminalEvent) -> Result<(), Gone> {
        self.pass(super::terminal_output::text(event)).await
    }

    async fn close(&mut self, code: u16) -> Result<(), Gone> {
        self.pass(Message::Close(Some(CloseFrame { code, reason: "".into() }))).await
    }

    async fn pass(&mut self, message: Message) -> Result<(), Gone> {
        let mut sending = pin!(self.sink.send(message));
        let sent = match poll_immediate(sending.as_mut()).await {
            Some(sent) => return sent.map_err(|_| Gone),
            None if self.is_terminal => timeout(PATIENCE, sending).await.map_err(|_| Gone)?,
            None => sending.await,
        };
        // Whoever has read, if slowly, lives, although no answer of its own came through meanwhile.
        self.life.heard.store(true, Ordering::Relaxed);
        sent.map_err(|_| Gone)
    }
}
