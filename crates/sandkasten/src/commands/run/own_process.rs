//! A command with our standard input or a terminal: a process of its own, to which we are connected byte for byte.

use std::collections::BTreeMap;

use sandkasten_api::exec::TerminalSize;
use sandkasten_api::id::SessionId;
use sandkasten_api::process::{Process, ProcessRequest};
use sandkasten_api::terminal::TerminalQuery;
use sandkasten_api::verdict::Reason;
use sandkasten_client::Client;

use crate::cli_error::{CliError, Exit};
use crate::interrupt::{Interrupt, Interrupts};
use crate::stream_command::{Ending, status};
use crate::terminal::{Attachment, InputMode, Left};

/// What is to be run.
#[derive(Debug)]
pub(super) struct OwnProcess {
    pub(super) command: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) timeout_ms: Option<u64>,
    /// It gets our standard input.
    pub(super) interactive: bool,
    /// The size of our window, where it gets a terminal.
    pub(super) tty: Option<TerminalSize>,
}

impl OwnProcess {
    /// Runs it to its end, or until we are told to end.
    pub(super) async fn run(
        self,
        client: &Client,
        id: &SessionId,
        interrupts: &mut Interrupts,
    ) -> Result<Ending, CliError> {
        let request = ProcessRequest {
            argv: Some(self.command),
            env: self.environment,
            stdin: self.interactive,
            separate_output: self.tty.is_none(),
            // We come a moment after it has begun.
            hold_output: true,
            tty: self.tty,
            timeout_ms: self.timeout_ms,
            ..ProcessRequest::default()
        };
        let process = client
            .start_process(id, &request)
            .await
            .map_err(|error| CliError::request(format!("cannot run the command in session {id}"), &error))?;
        let input = match (self.interactive, self.tty) {
            (true, Some(_)) => InputMode::Keys,
            (true, None) => InputMode::Bytes,
            (false, _) => InputMode::Ignored,
        };
        let query = TerminalQuery { process: Some(process.id), ..TerminalQuery::default() };
        match (Attachment { client, session: id, query, input }).run(interrupts).await? {
            Left::Ended(process) => ending(id, &process),
            Left::Detached => Ok(Ending::Interrupted(Interrupt::Interrupt)),
            Left::Interrupted(interrupt) => Ok(Ending::Interrupted(interrupt)),
            Left::Unread => Ok(Ending::Unread),
        }
    }
}

fn ending(id: &SessionId, process: &Process) -> Result<Ending, CliError> {
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
