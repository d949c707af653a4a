//! A client of a terminal that remembers what it has heard.

use std::time::Duration;

use sandkasten_api::id::SessionId;
use sandkasten_api::process::Process;
use sandkasten_api::terminal::{TerminalCommand, TerminalEvent, TerminalQuery};
use sandkasten_client::{RequestError, TerminalFrame, TerminalReader, TerminalWriter};
use tokio::time::timeout;

use crate::patience::patience;
use crate::test_daemon::TestDaemon;

/// A bound on a hang.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to a terminal.
#[derive(Debug)]
pub struct TestTerminal {
    reader: TerminalReader,
    writer: TerminalWriter,
    /// Everything that was written since it was connected.
    pub heard: Vec<u8>,
    /// Every event.
    pub events: Vec<TerminalEvent>,
    /// How much of what was heard has been looked at by [`TestTerminal::hears`].
    seen: usize,
}

impl TestTerminal {
    /// Connects to the session's terminal of 24 lines and 80 columns.
    ///
    /// # Panics
    /// Where it is refused.
    pub async fn open(daemon: &TestDaemon, session: &SessionId) -> Self {
        let query = TerminalQuery { rows: Some(24), cols: Some(80), ..TerminalQuery::default() };
        Self::connect(daemon, session, &query).await.expect("a terminal")
    }

    /// Connects as the query says.
    ///
    /// # Errors
    /// As the client's.
    pub async fn connect(
        daemon: &TestDaemon,
        session: &SessionId,
        query: &TerminalQuery,
    ) -> Result<Self, RequestError> {
        let (reader, writer) = daemon.client().attach_terminal(session, query).await?;
        Ok(Self { reader, writer, heard: Vec::new(), events: Vec::new(), seen: 0 })
    }

    /// Types.
    ///
    /// # Panics
    /// Where the connection is cut.
    pub async fn give(&mut self, bytes: impl AsRef<[u8]>) {
        self.writer.give(bytes.as_ref()).await.expect("the daemon listens");
    }

    /// Sends a command.
    ///
    /// # Panics
    /// Where the connection is cut.
    pub async fn command(&mut self, command: TerminalCommand) {
        self.writer.command(command).await.expect("the daemon listens");
    }

    /// Takes the next frame; false where there is none any more.
    ///
    /// # Panics
    /// Where the connection is cut, or nothing comes for long.
    pub async fn step(&mut self) -> bool {
        let frame = timeout(patience(PATIENCE), self.reader.next()).await;
        match frame.unwrap_or_else(|_| panic!("nothing comes any more; heard {}", self.last())) {
            Some(Ok(TerminalFrame::Output(bytes))) => self.heard.extend(bytes),
            Some(Ok(TerminalFrame::Event(event))) => self.events.push(event),
            Some(Err(error)) => panic!("the terminal is lost: {error}; heard {}", self.last()),
            None => return false,
        }
        true
    }

    /// Waits until a text has been written behind the last one that was waited for.
    ///
    /// # Panics
    /// Where it does not come.
    pub async fn hears(&mut self, text: &str) {
        loop {
            let unseen = &self.heard[self.seen..];
            if let Some(at) = unseen.windows(text.len()).position(|window| window == text.as_bytes()) {
                self.seen += at + text.len();
                return;
            }
            assert!(self.step().await, "the terminal closed before {text:?}; heard {}", self.last());
        }
    }

    /// Reads to the end and returns how the process ended.
    ///
    /// # Panics
    /// Where the end is not the process's own.
    pub async fn ends(&mut self) -> Process {
        while self.step().await {}
        match self.events.last() {
            Some(TerminalEvent::Exit { process }) => (**process).clone(),
            other => panic!("the last event is {other:?}; heard {}", self.last()),
        }
    }

    /// The process that it is connected to.
    ///
    /// # Panics
    /// Where the daemon does not say it first.
    pub async fn process(&mut self) -> Process {
        while self.events.is_empty() {
            assert!(self.step().await, "closed without a word");
        }
        match self.events.first() {
            Some(TerminalEvent::Attached { process, .. }) => (**process).clone(),
            other => panic!("the first event is {other:?}"),
        }
    }

    /// What was written, for people.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.heard).into_owned()
    }

    /// The end of what was written, for messages.
    fn last(&self) -> String {
        const BYTES: usize = 2_000;
        String::from_utf8_lossy(&self.heard[self.heard.len().saturating_sub(BYTES)..]).into_owned()
    }

    /// Leaves.
    ///
    /// # Panics
    /// Where the connection was cut before.
    pub async fn leave(mut self) {
        self.writer.close().await.expect("the daemon listens");
    }
}
