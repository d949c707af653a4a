//! `daemon`: serves the API, in the foreground or detached, until a signal ends it. Sessions live on.

mod detach;
mod detached;
mod start_report;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use sandkasten_daemon::config::Config;
use sandkasten_daemon::{Daemon, PassedSocket, StartError};

use crate::arguments::{GlobalArguments, KeySource};
use crate::cli_error::{CliError, Exit, with_causes};
use crate::connection;
use crate::interrupt::Interrupts;
use crate::logging::{self, LogLevel};
use crate::service_manager::{self, Watchdog};

/// Arguments of `daemon`.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct DaemonArguments {
    /// Run in the background; returns when the daemon is ready, or says why not
    #[arg(short, long)]
    detach: bool,

    /// How much is logged: to standard error, as JSON lines unless it is a terminal, or to the log of a detached daemon
    #[arg(long, value_enum, default_value_t, value_name = "LEVEL")]
    log_level: LogLevel,

    /// What `--detach` starts: the start is reported into the pipe that is its standard input
    #[arg(long, hide = true, conflicts_with = "detach")]
    detached: bool,
}

/// Runs the daemon, on the socket that this process was handed, if there is one.
pub(crate) async fn run(
    global: &GlobalArguments,
    arguments: &DaemonArguments,
    socket: Option<PassedSocket>,
) -> Result<ExitCode, CliError> {
    refuse_key_on_command_line(global)?;
    if arguments.detach {
        refuse_to_leave_socket(socket.as_ref())?;
        return detach::start(global, arguments.log_level).await;
    }
    logging::start(arguments.log_level);
    logging::log_panics();
    if arguments.detached {
        return detached::run(global).await;
    }
    let (daemon, interrupts) = start(connection::load_config(global)?, None, socket).await?;
    serve(daemon, interrupts).await?;
    Ok(Exit::Success.into())
}

/// Starts a daemon that logs to standard error, or to the file that this is.
async fn start(
    config: Config,
    log: Option<PathBuf>,
    socket: Option<PassedSocket>,
) -> Result<(Daemon, Interrupts), CliError> {
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    if let Some(socket) = &socket {
        tracing::info!(
            address = %socket.address(),
            configured = %config.listen,
            "serving on the socket that was handed over; `listen` does not count"
        );
    }
    // Before the start, so that a signal during it is not lost.
    let interrupts = Interrupts::listen()?;
    let daemon = Daemon::start(config, log, socket).await.map_err(|error| start_error(&error))?;
    tracing::info!(address = %daemon.address(), version = env!("CARGO_PKG_VERSION"), "ready");
    Ok((daemon, interrupts))
}

async fn serve(daemon: Daemon, mut interrupts: Interrupts) -> Result<(), CliError> {
    service_manager::ready(&daemon.address().to_string());
    let _watchdog = Watchdog::feed(daemon.heartbeat());
    let shutdown = async move {
        let interrupt = interrupts.next().await;
        tracing::info!(?interrupt, "ending; sessions live on");
        service_manager::stopping();
    };
    daemon.serve(shutdown).await.map_err(|error| {
        CliError::ours(
            "the daemon failed",
            &error,
            "look at the log above; sessions are adopted at the next start",
        )
    })
}

/// A daemon takes no key from where every process of the host can read it; ignoring it would open the API instead.
fn refuse_key_on_command_line(global: &GlobalArguments) -> Result<(), CliError> {
    match global.key_source {
        KeySource::Elsewhere => Ok(()),
        KeySource::CommandLine => Err(CliError {
            what: "cannot take the key of the daemon from the command line".to_owned(),
            why: "`--api-key` is for commands that speak to a daemon, and process listings show it"
                .to_owned(),
            hint: "set api_key or api_key_file in the configuration, or SANDKASTEN_API_KEY".to_owned(),
            exit: Exit::Usage,
        }),
    }
}

/// The process in the background could not serve on it, and would listen elsewhere instead.
fn refuse_to_leave_socket(socket: Option<&PassedSocket>) -> Result<(), CliError> {
    let Some(socket) = socket else { return Ok(()) };
    Err(CliError {
        what: "cannot put the daemon into the background".to_owned(),
        why: format!("whoever started it has handed over a socket, on {}", socket.address()),
        hint: "start it without --detach: a service manager keeps it in the background".to_owned(),
        exit: Exit::Usage,
    })
}

fn start_error(error: &StartError) -> CliError {
    let (hint, exit) = match error {
        StartError::NotRoot => ("run it as root: building sandboxes needs it", Exit::Ours),
        StartError::PassedSocket(_) => ("set api_key, or correct the socket unit", Exit::Usage),
        _ => ("run `sandkasten doctor` to see what is missing", Exit::Ours),
    };
    CliError {
        what: "cannot start the daemon".to_owned(),
        why: with_causes(error),
        hint: hint.to_owned(),
        exit,
    }
}
