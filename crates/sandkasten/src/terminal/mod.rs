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
use sandkasten_api::verdict::Reason;
use sandkasten_client::{Client, RequestError, TerminalFrame, TerminalReader, TerminalWriter};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use self::escape::{Escape, Typed};
use self::raw_mode::RawMode;
pub(crate) use self::raw_mode::window;
use crate::cli_error::{CliError, Exit};
use crate::interrupt::{Interrupt, Interrupts};
use crate::output;
use crate::stream_command::{Ending, status};

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
        let raw = match self.input {
            InputMode::Keys | InputMode::Watch => Some(RawMode::enter().map_err(failed)?),
            InputMode::Ignored => Some(RawMode::of_output().map_err(failed)?),
            InputMode::Bytes => None,
        };
        let mut typist = Typist::new(self.input).map_err(failed)?;
        let left = self.converse(ends, interrupts, &mut typist).await;
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
        typist: &mut Typist,
    ) -> Result<Left, CliError> {
        let mut heard = Heard { offset: self.query.since, ..Heard::default() };
        loop {
            let (mut reader, mut writer) = ends;
            let over = tokio::select! {
                over = hear(&mut reader, &mut heard) => over,
                left = typist.type_in(&mut writer) => {
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
                        () = typist.gives_up() => return Ok(Left::Detached),
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
        let Some(process) = heard.process.as_ref().filter(|process| process.tty) else {
            return Err(self.lost(error));
        };
        let TerminalSize { rows, cols } = window_or_usual();
        let query = TerminalQuery {
            name: None,
            process: Some(process.id),
            rows: Some(rows),
            cols: Some(cols),
            since: heard.offset,
            view: self.query.view,
        };
        output::note("\r\n[the connection was cut; looking for the daemon]\r");
        let attempts = async {
            loop {
                match self.client.attach_terminal(self.session, &query).await {
                    Err(RequestError::Unreachable { .. }) => sleep(BETWEEN_ATTEMPTS).await,
                    attached => return attached,
                }
            }
        };
        match timeout(RECONNECTING, attempts).await {
            Ok(attached) => attached.map_err(|error| self.lost(&error)),
            Err(_) => Err(self.lost(error)),
        }
    }

    fn lost(&self, error: &RequestError) -> CliError {
        CliError::request(format!("lost the terminal of session {}", self.session), error)
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

/// What the user does.
struct Typist {
    input: InputMode,
    /// None where there is no input, or no more.
    keys: Option<mpsc::Receiver<Vec<u8>>>,
    escape: Option<Escape>,
    windows: Signal,
}

impl Typist {
    fn new(input: InputMode) -> io::Result<Self> {
        let escape = match input {
            InputMode::Keys => Some(Escape::new(false)),
            InputMode::Watch => Some(Escape::new(true)),
            InputMode::Bytes | InputMode::Ignored => None,
        };
        let keys = (input != InputMode::Ignored).then(keyboard::listen);
        Ok(Self { input, keys, escape, windows: signal(SignalKind::window_change())? })
    }

    /// Sends what is typed until the user leaves. A connection that breaks is the listener's matter.
    async fn type_in(&mut self, writer: &mut TerminalWriter) -> Left {
        loop {
            let sent = tokio::select! {
                typed = next(&mut self.keys) => match typed.map(|bytes| self.look(bytes)) {
                    Some(Typed::Input(bytes)) => writer.give(&bytes).await,
                    Some(Typed::Leave(bytes)) => {
                        writer.give(&bytes).await.ok();
                        return Left::Detached;
                    }
                    None => {
                        self.keys = None;
                        writer.command(TerminalCommand::CloseInput).await
                    }
                },
                Some(()) = self.windows.recv() => match window() {
                    Some(TerminalSize { rows, cols })
                        if matches!(self.input, InputMode::Keys | InputMode::Ignored) =>
                    {
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

    /// Returns when the user does not want to wait for a connection any more. What else is typed meanwhile is typed blindly, and
    /// goes nowhere.
    async fn gives_up(&mut self) {
        loop {
            match next(&mut self.keys).await {
                Some(bytes) => {
                    if bytes.contains(&escape::INTERRUPT) || matches!(self.look(bytes), Typed::Leave(_)) {
                        return;
                    }
                }
                None => self.keys = None,
            }
        }
    }

    fn look(&mut self, bytes: Vec<u8>) -> Typed {
        match &mut self.escape {
            Some(escape) => escape.look(&bytes),
            None => Typed::Input(bytes),
        }
    }
}

async fn next(keys: &mut Option<mpsc::Receiver<Vec<u8>>>) -> Option<Vec<u8>> {
    match keys {
        Some(keys) => keys.recv().await,
        None => std::future::pending().await,
    }
}

/// What the end of a process is for us.
///
/// # Errors
/// [`CliError`], where it did not end by itself.
pub(crate) fn ending(id: &SessionId, process: &Process) -> Result<Ending, CliError> {
    let reason = process.verdict.as_ref().map(|verdict| verdict.reason);
    let failed = |why: &str, hint: &str, exit| {
        let what = format!("the command in session {id} did not end by itself");
        Err(CliError { what, why: why.to_owned(), hint: hint.to_owned(), exit })
    };
    match (reason, process.exit_code) {
        (Some(Reason::Timeout), _) => {
            failed("it ran past its timeout", "give it more time with --timeout-ms", Exit::Timeout)
        }
        (_, Some(code)) => {
            Ok(Ending::Exited { code: status(code), duration_ms: process.duration_ms.unwrap_or_default() })
        }
        (_, None) => failed("its session was lost", "look into the daemon's log", Exit::Ours),
    }
}

/// The size of the window of standard input, or a usual one.
fn window_or_usual() -> TerminalSize {
    window().unwrap_or(TerminalSize { rows: 24, cols: 80 })
}

/// Returns the size of the user's window.
///
/// # Errors
/// Wrong usage where standard input or output is no terminal.
pub(crate) fn required_window(what: &str, instead: &str) -> Result<TerminalSize, CliError> {
    use std::io::IsTerminal;
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        return Ok(window_or_usual());
    }
    Err(CliError {
        what: what.to_owned(),
        why: "standard input and output are no terminal".to_owned(),
        hint: instead.to_owned(),
        exit: Exit::Usage,
    })
}
