//! Runs a command in a session with its output on ours as it is produced.

use std::io;

use sandkasten_api::exec::{ExecChunk, ExecFailed, ExecRequest, StreamName};
use sandkasten_api::id::SessionId;
use sandkasten_client::{Client, ExecEvent, ExecStream};

use crate::cli_error::{CliError, Exit};
use crate::interrupt::{Interrupt, Interrupts};
use crate::output;

/// The status by which shells report that the reader of a pipe went away: 128 + SIGPIPE.
pub(crate) const BROKEN_PIPE_STATUS: u8 = 141;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By itself, with its status and the milliseconds that it took.
    Exited {
        /// The status.
        code: u8,
        /// The time.
        duration_ms: u64,
    },
    /// By a signal to us, which stopped it.
    Interrupted(Interrupt),
    /// Because nobody reads its output any more, which stopped it.
    Unread,
}

impl Ending {
    /// Returns the exit status that we report.
    pub(crate) const fn exit_status(self) -> u8 {
        match self {
            Self::Exited { code, .. } => code,
            Self::Interrupted(interrupt) => interrupt.exit_status(),
            Self::Unread => BROKEN_PIPE_STATUS,
        }
    }
}

/// Runs a command to its end or to an interrupt, its standard error on ours. Where both of our outputs go to one place, they come as
/// one, because only so the order that they were written in is certain.
pub(crate) async fn stream_command(
    client: &Client,
    id: &SessionId,
    request: ExecRequest,
    interrupts: &mut Interrupts,
) -> Result<Ending, CliError> {
    let request = ExecRequest { separate_output: !output::is_one_place(), ..request };
    let stream = tokio::select! {
        stream = client.exec_stream(id, &request) => {
            stream.map_err(|error| CliError::request(format!("cannot run the command in session {id}"), &error))?
        }
        interrupt = interrupts.next() => return Ok(Ending::Interrupted(interrupt)),
    };
    // Leaving early drops the stream, and that is how the daemon learns that the command is to be stopped.
    tokio::select! {
        ending = copy(stream, id) => ending,
        interrupt = interrupts.next() => Ok(Ending::Interrupted(interrupt)),
    }
}

async fn copy(mut stream: ExecStream, id: &SessionId) -> Result<Ending, CliError> {
    while let Some(event) = stream.next().await {
        let event =
            event.map_err(|error| CliError::request(format!("lost the command in session {id}"), &error))?;
        match event {
            ExecEvent::Chunk(ExecChunk { chunk, stream, .. }) => {
                match output::write_stream(stream.unwrap_or(StreamName::Stdout), chunk.as_bytes()) {
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Ending::Unread),
                    result => result.map_err(|error| {
                        CliError::ours("cannot print", &error, "check where the output goes")
                    })?,
                }
            }
            ExecEvent::Done(done) => {
                return Ok(Ending::Exited { code: status(done.exit_code), duration_ms: done.duration_ms });
            }
            ExecEvent::Failed(failed) => return Err(command_failed(id, failed)),
        }
    }
    Err(CliError {
        what: format!("lost the command in session {id}"),
        why: "the stream ended without an event that says how".to_owned(),
        hint: "look into the daemon's log".to_owned(),
        exit: Exit::Ours,
    })
}

fn command_failed(id: &SessionId, failed: ExecFailed) -> CliError {
    // Whatever the daemon would have refused before the start is its own failure once the command runs.
    let (hint, exit) = match Exit::of(failed.error_code) {
        Exit::Timeout => {
            ("give it more time with --timeout-ms, up to the daemon's max_exec_timeout_ms", Exit::Timeout)
        }
        _ => ("look at the session with `sandkasten ps`, and into the daemon's log", Exit::Ours),
    };
    CliError {
        what: format!("the command in session {id} did not end by itself"),
        why: failed.error,
        hint: hint.to_owned(),
        exit,
    }
}

/// Fits a status into the eight bits that a process has for it, as the kernel does.
pub(crate) fn status(code: i32) -> u8 {
    code.to_le_bytes().first().copied().unwrap_or(Exit::Ours.code())
}

#[cfg(test)]
mod tests {
    use sandkasten_api::error::ErrorCode;
    use sandkasten_api::exec::ExecFailed;

    use super::{Ending, command_failed, status};
    use crate::cli_error::Exit;
    use crate::interrupt::Interrupt;

    #[test]
    fn statuses_are_cut_as_the_kernel_cuts_them() {
        assert_eq!([0, 7, 137, 256, -1].map(status), [0, 7, 137, 0, 255]);
    }

    #[test]
    fn every_ending_has_a_status() {
        assert_eq!(Ending::Exited { code: 7, duration_ms: 1 }.exit_status(), 7);
        assert_eq!(Ending::Interrupted(Interrupt::Interrupt).exit_status(), 130);
        assert_eq!(Ending::Interrupted(Interrupt::Terminate).exit_status(), 143);
        assert_eq!(Ending::Unread.exit_status(), 141);
    }

    #[test]
    fn a_timeout_is_124_and_every_other_failure_is_ours() {
        let id = "0123abcd-ef01".parse().expect("an id");
        let failed =
            |error_code| ExecFailed { error: "e".to_owned(), error_code, exec_id: None, verdict: None };
        assert_eq!(command_failed(&id, failed(ErrorCode::CommandTimeout)).exit, Exit::Timeout);
        assert_eq!(command_failed(&id, failed(ErrorCode::SessionNotRunning)).exit, Exit::Ours);
        assert_eq!(command_failed(&id, failed(ErrorCode::InternalError)).exit, Exit::Ours);
    }
}
