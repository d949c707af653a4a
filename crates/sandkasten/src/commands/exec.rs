//! `exec`: a command in a session's shell, with its exit status as ours.

use std::process::ExitCode;

use clap::Args;
use sandkasten_api::exec::ExecRequest;
use sandkasten_api::limits::MAX_TIMEOUT_MS;

use crate::arguments::GlobalArguments;
use crate::cli_error::CliError;
use crate::environment_argument::EnvironmentArguments;
use crate::interrupt::Interrupts;
use crate::stream_command::stream_command;
use crate::{connection, shell_quote};
use sandkasten_client::SessionReference;

/// Arguments of `exec`.
#[derive(Debug, Args)]
pub(crate) struct ExecArguments {
    /// The session, by id or name
    #[arg(value_name = "SESSION")]
    session: SessionReference,

    /// Milliseconds until the command is killed [default: the daemon's max_exec_timeout_ms]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=MAX_TIMEOUT_MS))]
    timeout_ms: Option<u64>,

    #[command(flatten)]
    environment: EnvironmentArguments,

    /// The directory to begin in, absolute; the shell stays there
    #[arg(long, value_name = "DIRECTORY")]
    cwd: Option<String>,

    /// The shell that runs it: main, another name for another shell that runs beside it, or none for a fresh process
    #[arg(long, value_name = "NAME")]
    shell: Option<String>,

    /// Pass the output through untouched, escape sequences included
    #[arg(long)]
    raw: bool,

    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<String>,
}

/// Runs the command.
pub(crate) async fn run(global: &GlobalArguments, arguments: &ExecArguments) -> Result<ExitCode, CliError> {
    let mut interrupts = Interrupts::listen()?;
    let client = connection::connect(global)?;
    let request = ExecRequest {
        cmd: Some(shell_quote::join(&arguments.command)),
        timeout_ms: arguments.timeout_ms,
        raw_output: arguments.raw,
        env: arguments.environment.variables(),
        cwd: arguments.cwd.clone(),
        shell: arguments.shell.clone(),
        ..ExecRequest::default()
    };
    let session = &arguments.session;
    let id = session
        .resolve(&client)
        .await
        .map_err(|error| CliError::request(format!("cannot run the command in session {session}"), &error))?;
    let ending = stream_command(&client, &id, request, &mut interrupts).await?;
    Ok(ExitCode::from(ending.exit_status()))
}
