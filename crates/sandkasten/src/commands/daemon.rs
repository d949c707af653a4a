//! `daemon`: serves the API in the foreground until a signal ends it. Sessions live on.

use std::process::ExitCode;

use clap::Args;
use sandkasten_daemon::Daemon;

use crate::arguments::GlobalArguments;
use crate::cli_error::{CliError, Exit, with_causes};
use crate::connection;
use crate::interrupt::Interrupts;
use crate::logging::{self, LogLevel};

/// Arguments of `daemon`.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct DaemonArguments {
    /// How much is logged, to standard error: JSON lines unless it is a terminal
    #[arg(long, value_enum, default_value_t, value_name = "LEVEL")]
    log_level: LogLevel,

    #[arg(short, long, hide = true)]
    detach: bool,
}

/// Runs the daemon.
pub(crate) async fn run(global: &GlobalArguments, arguments: &DaemonArguments) -> Result<ExitCode, CliError> {
    if arguments.detach {
        return Err(CliError::not_built_yet("--detach", "start it under systemd, or with `nohup … &`"));
    }
    logging::start(arguments.log_level);
    logging::log_panics();
    let config = connection::load_config(global)?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    // Before the start, so that a signal during it is not lost.
    let mut interrupts = Interrupts::listen()?;
    let daemon = Daemon::start(config).await.map_err(|error| start_error(&error))?;
    tracing::info!(address = %daemon.address(), version = env!("CARGO_PKG_VERSION"), "ready");

    let shutdown = async move {
        let interrupt = interrupts.next().await;
        tracing::info!(?interrupt, "ending; sessions live on");
    };
    daemon.serve(shutdown).await.map_err(|error| {
        CliError::ours(
            "the daemon failed",
            &error,
            "look at the log above; sessions are adopted at the next start",
        )
    })?;
    Ok(Exit::Success.into())
}

fn start_error(error: &dyn std::error::Error) -> CliError {
    let hint = if rustix::process::geteuid().is_root() {
        "run `sandkasten doctor` to see what is missing"
    } else {
        "run it as root: building sandboxes needs it"
    };
    CliError {
        what: "cannot start the daemon".to_owned(),
        why: with_causes(error),
        hint: hint.to_owned(),
        exit: Exit::Ours,
    }
}
