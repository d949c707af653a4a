//! A terminal or process of a session on the user's own: keys go in, what is written comes out, byte for byte.

mod escape;
mod keyboard;
mod raw_mode;

use std::io;
use std::time::Duration;

use sandkasten_api::error::{ErrorBody, ErrorCode};
use sandkasten_api::exec::{StreamName, TerminalSize};
use sandkasten_api::id::SessionId;
use sandkasten_api::process::Process;
use sandkasten_api::terminal::{TerminalCommand, TerminalEvent, TerminalQuery};
use sandkasten_client::{Client, RequestError, TerminalFrame, TerminalReader, TerminalWriter};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use self::escape::{Escape, Typed};
use self::raw_mode::RawMode;
pub(crate) use self::raw_mode::window;
use crate::cli_error::{CliError, Exit};
use crate::interrupt::{Interrupt, Interrupts};
use crate::output;

/// How long a connection that broke is tried again: a daemon that is started anew is back within seconds.
const RECONNECTING: Duration = Duration::from_secs(20);
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(250);

/// What a user is connected to, and how.
#[derive(Debug)]
pub(crate) struct Attachment<'a> {
    pub(crate) client: &'a Client,
    pub(crate) session: &'a SessionId,
    pub(crate) query: TerminalQuery,
    /// What becomes of standard input.
    pub(crate) input: InputMode,
}

/// What becomes of standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InputMode {
    /// Every key goes to the program; `~.` leaves.
    Keys,
    /// Keys do nothing, but `~.` and Ctrl-C leave.
    Watch,
    /// Its bytes go to the program, and its end.
    Bytes,
    /// Nothing, and Ctrl-C is for us; but what a terminal writes is shown as it is.
    Ignored,
}

/// How it ended.
#[derive(Debug)]
pub(crate) enum Left {
    /// The process has ended.
    Ended(Box<Process>),
    /// The user has left; the process goes on.
    Detached,
    /// A signal to us.
    Interrupted(Interrupt),
    /// Nobody reads our output any more.
    Unread,
}

/// Why a conversation is over although its process goes on.
enum Broken {
    /// The connection was cut.
    Connection(RequestError),
    /// Something else went wrong.
    Failed(CliError),
}

/// What has been heard of the process.
#[derive(Debug, Default)]
struct Heard {
    process: Option<Box<Process>>,
    stream: Option<StreamName>,
    /// The place behind the last byte.
    offset: u64,
    /// What the daemon complained about last.
    complaint: Option<(String, ErrorCode)>,
}

impl Attachment<'_> {
    /// Connects the user until the process ends, the user leaves, or a signal comes. A terminal that loses its daemon is taken
    /// up again where it was left once there is one.
    ///
    /// # Errors
    /// [`CliError`], where it could not be connected to, or was lost.
    pub(crate) async fn run(self, interrupts: &mut Interrupts) -> Result<Left, CliError> {
        let what = format!("cannot connect to a terminal of session {}", self.session);
        let ends = self
            .client
            .attach_terminal(self.session, &self.query)
            .await
            .map_err(|error| CliError::request(what, &error))?;
        let failed = |error: io::Error| {
            CliError::ours("cannot use the terminal", &error, "is standard input a terminal?")
        };
        // Until the end of this, so that no key is echoed while a connection is looked for.
        let person = matches!(self.input, InputMode::Keys | InputMode::Watch);
        let raw = match self.input {
            InputMode::Keys | InputMode::Watch => Some(RawMode::enter().map_err(failed)?),
            InputMode::Ignored => Some(RawMode::of_output().map_err(failed)?),
            InputMode::Bytes => None,
        };
        let mut windows = signal(SignalKind::window_change()).map_err(failed)?;
        let mut keys = (self.input != InputMode::Ignored).then(keyboard::listen);
        let mut escape = person.then(|| Escape::new(self.input == InputMode::Watch));
        let left = self.converse(ends, interrupts, &mut keys, &mut escape, &mut windows).await;
        if let Some(raw) = raw
            && !matches!(left, Ok(Left::Ended(_)))
        {
            raw.leave_program();
        }
        left
    }

    async fn converse(
        &self,
        mut ends: (TerminalReader, TerminalWriter),
        interrupts: &mut Interrupts,
        keys: &mut Option<mpsc::Receiver<Vec<u8>>>,
        escape: &mut Option<Escape>,
        windows: &mut Signal,
    ) -> Result<Left, CliError> {
        let mut heard = Heard { offset: self.query.since, ..Heard::default() };
        loop {
            let (mut reader, mut writer) = ends;
            let over = tokio::select! {
                over = hear(&mut reader, &mut heard) => over,
                left = type_in(&mut writer, keys, escape, windows) => {
                    writer.close().await.ok();
                    Ok(left)
                }
                interrupt = interrupts.next() => Ok(Left::Interrupted(interrupt)),
            };
            match over {
                Ok(left) => return Ok(left),
                Err(Broken::Failed(error)) => return Err(error),
                Err(Broken::Connection(error)) => {
                    ends = tokio::select! {
                        ends = self.reconnect(&heard, &error) => ends?,
                        interrupt = interrupts.next() => return Ok(Left::Interrupted(interrupt)),
                    };
                }
            }
        }
    }

    /// Connects to the same process anew, behind what was heard of it.
    async fn reconnect(
        &self,
        heard: &Heard,
        error: &RequestError,
    ) -> Result<(TerminalReader, TerminalWriter), CliError> {
        let lost = |error| CliError::request(format!("lost the terminal of session {}", self.session), error);
        let Some(process) = heard.process.as_ref().filter(|process| process.tty) else {
            return Err(lost(error));
        };
        let TerminalSize { rows, cols } = window().unwrap_or(TerminalSize { rows: 24, cols: 80 });
        let query = TerminalQuery {
            name: None,
            process: Some(process.id),
            rows: Some(rows),
            cols: Some(cols),
            since: heard.offset,
            view: self.query.view,
        };
        output::note("\r\n[the connection was cut; looking for the daemon]\r");
        let deadline = Instant::now() + RECONNECTING;
        loop {
            match self.client.attach_terminal(self.session, &query).await {
                Ok(ends) => return Ok(ends),
                Err(RequestError::Unreachable { .. }) if Instant::now() < deadline => {
                    sleep(BETWEEN_ATTEMPTS).await;
                }
                Err(error) => return Err(lost(&error)),
            }
        }
    }
}

/// Writes what comes until the process ends.
async fn hear(reader: &mut TerminalReader, heard: &mut Heard) -> Result<Left, Broken> {
    heard.stream = None;
    while let Some(frame) = reader.next().await {
        match frame {
            Ok(TerminalFrame::Output(bytes)) => {
                heard.offset = heard.offset.saturating_add(bytes.len() as u64);
                let stream = heard.stream.unwrap_or(StreamName::Stdout);
                match output::write_stream(stream, &bytes) {
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Left::Unread),
                    Err(error) => {
                        let hint = "check where the output goes";
                        return Err(Broken::Failed(CliError::ours("cannot print", &error, hint)));
                    }
                    Ok(()) => {}
                }
            }
            Ok(TerminalFrame::Event(event)) => match event {
                TerminalEvent::Attached { process, .. } => heard.process = Some(process),
                TerminalEvent::Stream { stream } => heard.stream = Some(stream),
                TerminalEvent::Offset { offset } => heard.offset = offset,
                TerminalEvent::Exit { process } => return Ok(Left::Ended(process)),
                TerminalEvent::Error { error, error_code } => heard.complaint = Some((error, error_code)),
            },
            Err(error @ RequestError::Unreachable { .. }) => return Err(Broken::Connection(error)),
            Err(error) => return Err(Broken::Failed(CliError::request("lost the terminal", &error))),
        }
    }
    let (message, error_code) = heard.complaint.take().unwrap_or_else(|| {
        ("the daemon closed the connection without a word".to_owned(), ErrorCode::InternalError)
    });
    let body = ErrorBody { error_code, message, details: None };
    let error = RequestError::Refused { status: error_code.status(), body };
    Err(Broken::Failed(CliError::request("lost the terminal", &error)))
}

/// Sends what is typed until the user leaves. A connection that breaks is the listener's matter.
async fn type_in(
    writer: &mut TerminalWriter,
    keys: &mut Option<mpsc::Receiver<Vec<u8>>>,
    escape: &mut Option<Escape>,
    windows: &mut Signal,
) -> Left {
    loop {
        let sent = tokio::select! {
            typed = next(keys) => match typed {
                Some(bytes) => match escape.as_mut().map_or(Typed::Input(bytes.clone()), |escape| escape.look(&bytes)) {
                    Typed::Input(bytes) => writer.give(&bytes).await,
                    Typed::Leave(bytes) => {
                        writer.give(&bytes).await.ok();
                        return Left::Detached;
                    }
                },
                None => {
                    *keys = None;
                    writer.command(TerminalCommand::CloseInput).await
                }
            },
            Some(()) = windows.recv() => match window() {
                Some(TerminalSize { rows, cols }) if escape.as_ref().is_some_and(Escape::types) => {
                    writer.command(TerminalCommand::Resize { rows, cols }).await
                }
                _ => Ok(()),
            },
        };
        if sent.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn next(keys: &mut Option<mpsc::Receiver<Vec<u8>>>) -> Option<Vec<u8>> {
    match keys {
        Some(keys) => keys.recv().await,
        None => std::future::pending().await,
    }
}

/// Returns the size of the user's window.
///
/// # Errors
/// Wrong usage where standard input or output is no terminal.
pub(crate) fn required_window(what: &str, instead: &str) -> Result<TerminalSize, CliError> {
    use std::io::IsTerminal;
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        return Ok(window().unwrap_or(TerminalSize { rows: 24, cols: 80 }));
    }
    Err(CliError {
        what: what.to_owned(),
        why: "standard input and output are no terminal".to_owned(),
        hint: instead.to_owned(),
        exit: Exit::Usage,
    })
}
