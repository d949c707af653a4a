//! `shell`: a terminal of a session on the user's own.

use std::process::ExitCode;

use clap::Args;
use sandkasten_api::id::ExecId;
use sandkasten_api::terminal::TerminalQuery;

use crate::arguments::GlobalArguments;
use crate::cli_error::CliError;
use crate::interrupt::Interrupts;
use crate::terminal::{Attachment, InputMode, Left, ending, required_window};
use crate::{connection, output};
use sandkasten_client::SessionReference;

/// Arguments of `shell`.
#[derive(Debug, Args)]
#[command(
    after_help = "Enter ~ . leaves the terminal; what runs in it goes on, and the next `shell` finds it \
                        again with all that it has written meanwhile. Enter ~ ~ types a tilde."
)]
pub(crate) struct ShellArguments {
    /// The session, by id or name
    #[arg(value_name = "SESSION")]
    session: SessionReference,

    /// Which terminal of the session; one that is not there is started
    #[arg(long, value_name = "NAME", default_value = "main", conflicts_with = "process")]
    terminal: String,

    /// A process that has a terminal, in the place of a shell
    #[arg(long, value_name = "ID")]
    process: Option<ExecId>,

    /// Watch only: give no input and leave the size of the terminal alone; Ctrl-C leaves
    #[arg(long)]
    view: bool,
}

/// Runs the command.
pub(crate) async fn run(global: &GlobalArguments, arguments: &ShellArguments) -> Result<ExitCode, CliError> {
    let mut interrupts = Interrupts::listen()?;
    let session = &arguments.session;
    let instead = format!("run commands with `sandkasten exec {session} -- CMD`");
    let window = required_window("cannot open a shell", &instead)?;
    let client = connection::connect(global)?;
    let id = session
        .resolve(&client)
        .await
        .map_err(|error| CliError::request(format!("cannot open a shell in session {session}"), &error))?;
    let query = TerminalQuery {
        name: arguments.process.is_none().then(|| arguments.terminal.clone()),
        process: arguments.process,
        rows: Some(window.rows),
        cols: Some(window.cols),
        since: 0,
        view: arguments.view,
    };
    let input = if arguments.view { InputMode::Watch } else { InputMode::Keys };
    let attachment = Attachment { client: &client, session: &id, query, input };
    match attachment.run(&mut interrupts).await? {
        Left::Ended(process) => Ok(ExitCode::from(ending(&id, &process)?.exit_status())),
        Left::Detached => {
            output::note(&format!(
                "\nleft the terminal; it goes on, and `sandkasten shell {session}` comes back to it"
            ));
            Ok(ExitCode::SUCCESS)
        }
        Left::Interrupted(interrupt) => Ok(ExitCode::from(interrupt.exit_status())),
        Left::Unread => Ok(ExitCode::SUCCESS),
    }
}
