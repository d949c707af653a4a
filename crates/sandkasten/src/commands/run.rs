//! `run`: one command in a fresh sandbox, with its exit status as ours.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use sandkasten_api::exec::ExecRequest;
use sandkasten_api::id::WorkspaceId;
use sandkasten_api::limits::MAX_TIMEOUT_MS;
use sandkasten_api::session::{CreateSessionRequest, Session};
use sandkasten_client::Client;

use crate::arguments::GlobalArguments;
use crate::cli_error::CliError;
use crate::environment_argument::EnvironmentArguments;
use crate::interrupt::Interrupts;
use crate::label_argument::NamingArguments;
use crate::output;
use crate::private_daemon::{self, find_or_start};
use crate::shell_quote;
use crate::stream_command::{Ending, stream_command};
use crate::terminal::required_window;

mod own_process;
mod report;

use self::own_process::OwnProcess;

/// How long destroying the session may take after an interrupt.
const CLEAN_UP_TIMEOUT: Duration = Duration::from_secs(10);

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// The image [default: the daemon's default_image]
    #[arg(long, value_name = "IMAGE")]
    pub(crate) image: Option<String>,

    /// The workspace to mount at /workspace; made where there is none
    #[arg(long, value_name = "ID")]
    workspace: Option<WorkspaceId>,

    #[command(flatten)]
    naming: NamingArguments,

    /// Milliseconds until the command is killed [default: the daemon's max_exec_timeout_ms; with -i or -t, none]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=MAX_TIMEOUT_MS))]
    timeout_ms: Option<u64>,

    /// Pass the output through untouched, escape sequences included
    #[arg(long)]
    raw: bool,

    /// Say on standard error what isolates the session and how long everything took
    #[arg(long)]
    report: bool,

    #[command(flatten)]
    environment: EnvironmentArguments,

    /// Give our standard input to the command, byte for byte
    #[arg(short, long)]
    interactive: bool,

    /// Give the command a terminal; -it feels like ssh, and Enter ~ . ends it
    #[arg(short, long)]
    tty: bool,

    #[arg(long, hide = true, value_name = "MODE")]
    network: Option<String>,

    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<String>,
}

/// Runs the command.
pub(crate) async fn run(global: &GlobalArguments, arguments: &RunArguments) -> Result<ExitCode, CliError> {
    refuse_what_is_not_built(arguments)?;
    let process = arguments.process()?;
    // Before anything is there to be cleaned up.
    let mut interrupts = Interrupts::listen()?;
    let (client, private) = find_or_start(global).await?;
    let outcome = run_in_session(&client, arguments, process, &mut interrupts).await;
    drop(client);
    let stopped = match private {
        Some(private) => private_daemon::stop(private).await,
        None => Ok(()),
    };
    let ending = keep_both(outcome, stopped)?;
    Ok(ExitCode::from(ending.exit_status()))
}

impl RunArguments {
    /// Where the command gets our input or a terminal, it is a process of its own.
    ///
    /// # Errors
    /// Wrong usage where a terminal is wanted and there is none here.
    fn process(&self) -> Result<Option<OwnProcess>, CliError> {
        if !self.interactive && !self.tty {
            return Ok(None);
        }
        let instead = "leave -t out: -i alone gives input from a file or pipe";
        let tty = if self.tty {
            Some(required_window("cannot give the command a terminal", instead)?)
        } else {
            None
        };
        Ok(Some(OwnProcess {
            command: self.command.clone(),
            environment: self.environment.variables(),
            timeout_ms: self.timeout_ms,
            interactive: self.interactive,
            tty,
        }))
    }
}

async fn run_in_session(
    client: &Client,
    arguments: &RunArguments,
    process: Option<OwnProcess>,
    interrupts: &mut Interrupts,
) -> Result<Ending, CliError> {
    let request = CreateSessionRequest {
        image: arguments.image.clone(),
        workspace_id: arguments.workspace.as_ref().map(ToString::to_string),
        name: arguments.naming.name.clone(),
        labels: arguments.naming.labels()?,
        ..CreateSessionRequest::default()
    };
    let started = Instant::now();
    // Not to be interrupted: a session that nobody knows of could not be cleaned up. It takes milliseconds.
    let session = client
        .create_session(&request)
        .await
        .map_err(|error| CliError::request("cannot create a session", &error))?;
    let create_time = started.elapsed();

    let outcome = run_reported(client, &session, create_time, arguments, process, interrupts).await;
    let destroyed = destroy(client, &session).await;
    keep_both(outcome, destroyed)
}

async fn run_reported(
    client: &Client,
    session: &Session,
    create_time: Duration,
    arguments: &RunArguments,
    process: Option<OwnProcess>,
    interrupts: &mut Interrupts,
) -> Result<Ending, CliError> {
    if arguments.report {
        let detailed = client
            .get_session(&session.id)
            .await
            .map_err(|error| CliError::request(format!("cannot look at session {}", session.id), &error))?;
        output::note(&report::isolation(&detailed, output::stderr_colour()));
    }
    let started = Instant::now();
    let ending = match process {
        Some(process) => process.run(client, &session.id, interrupts).await?,
        None => {
            let request = ExecRequest {
                cmd: Some(shell_quote::join(&arguments.command)),
                env: arguments.environment.variables(),
                timeout_ms: arguments.timeout_ms,
                raw_output: arguments.raw,
                ..ExecRequest::default()
            };
            stream_command(client, &session.id, request, interrupts).await?
        }
    };
    if arguments.report {
        output::note(&report::times(create_time, started.elapsed(), ending, output::stderr_colour()));
    }
    Ok(ending)
}

async fn destroy(client: &Client, session: &Session) -> Result<(), CliError> {
    let what = format!("cannot destroy session {}", session.id);
    match tokio::time::timeout(CLEAN_UP_TIMEOUT, client.destroy_session(&session.id)).await {
        Ok(result) => result.map_err(|error| CliError::request(what, &error)),
        Err(elapsed) => Err(CliError::ours(
            what,
            &elapsed,
            "its time to live will end it; `sandkasten rm` ends it sooner",
        )),
    }
}

/// A failed clean-up is the outcome where the rest went well, and is added to the reason where it did not.
fn keep_both(outcome: Result<Ending, CliError>, clean_up: Result<(), CliError>) -> Result<Ending, CliError> {
    match (outcome, clean_up) {
        (Ok(ending), Ok(())) => Ok(ending),
        (Ok(_), Err(error)) | (Err(error), Ok(())) => Err(error),
        (Err(mut error), Err(second)) => {
            error.why = format!("{}\nafter that: {}: {}", error.why, second.what, second.why);
            Err(error)
        }
    }
}

fn refuse_what_is_not_built(arguments: &RunArguments) -> Result<(), CliError> {
    let refused = |option: &str, instead: &str| Err(CliError::not_built_yet(option, instead));
    if let Some(mode) = arguments.network.as_deref().filter(|mode| *mode != "none") {
        return refused(&format!("--network {mode}"), "run without it: sessions have no network");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::keep_both;
    use crate::cli_error::{CliError, Exit};
    use crate::stream_command::Ending;

    fn error(what: &str, exit: Exit) -> CliError {
        CliError { what: what.to_owned(), why: format!("{what} why"), hint: String::new(), exit }
    }

    #[test]
    fn no_failure_hides_another() {
        let ending = Ending::Exited { code: 7, duration_ms: 1 };
        assert_eq!(keep_both(Ok(ending), Ok(())), Ok(ending));
        assert_eq!(keep_both(Ok(ending), Err(error("b", Exit::Ours))), Err(error("b", Exit::Ours)));
        let both =
            keep_both(Err(error("a", Exit::Refused)), Err(error("b", Exit::Ours))).expect_err("failed");
        assert_eq!(
            (both.what.as_str(), both.why.as_str(), both.exit),
            ("a", "a why\nafter that: b: b why", Exit::Refused)
        );
    }
}
