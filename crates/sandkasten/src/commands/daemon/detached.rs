//! The daemon that `--detach` starts: in a session of its own, with nothing left of who started it.

use std::process::ExitCode;

use sandkasten_daemon::config::Config;
use sandkasten_daemon::{Daemon, open_log};
use tokio::signal::unix::{SignalKind, signal};

use super::start_report::{StartReport, Starter};
use super::{serve, start};
use crate::arguments::GlobalArguments;
use crate::cli_error::{CliError, Exit, with_causes};
use crate::connection;
use crate::interrupt::Interrupts;

/// Starts, reports, and serves. Standard output and error are the log already.
pub(super) async fn run(global: &GlobalArguments) -> Result<ExitCode, CliError> {
    let starter = Starter::from_stdin()?;
    let served = match leave_starter(global).await {
        Ok((daemon, interrupts)) => {
            tell(starter, &StartReport::Ready { address: daemon.address().to_string() });
            serve(daemon, interrupts).await.inspect_err(log_failure)
        }
        Err(error) => {
            log_failure(&error);
            tell(starter, &StartReport::Failed(error.clone()));
            Err(error)
        }
    };
    // It is in the log, as a line like the others; printing it would put three more there.
    Ok(served.map_or_else(|error| error.exit, |()| Exit::Success).into())
}

async fn leave_starter(global: &GlobalArguments) -> Result<(Daemon, Interrupts), CliError> {
    let failed = |error: rustix::io::Errno| CliError::ours("cannot detach the daemon", &error, "");
    // A session without a terminal: no hangup and no Ctrl-C reaches it.
    rustix::process::setsid().map_err(failed)?;
    // It was started by a link whose name says nothing to a reader of process listings.
    rustix::thread::set_name(c"sandkasten").map_err(failed)?;
    // Before the directory changes: the file may be named from where it was started.
    let config = connection::load_config(global)?;
    rustix::process::chdir("/").map_err(failed)?;
    reopen_log_on_hangup(config.clone())?;
    let log = config.log_path();
    start(config, Some(log), None).await
}

/// Lets the log be rotated by renaming it: SIGHUP makes the next one.
fn reopen_log_on_hangup(config: Config) -> Result<(), CliError> {
    let mut hangups = signal(SignalKind::hangup())
        .map_err(|error| CliError::ours("cannot listen for signals", &error, "see ulimit -n"))?;
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            match reopen_log(&config) {
                Ok(()) => tracing::info!("the log was opened again"),
                Err(reason) => {
                    tracing::error!(reason, "the log could not be opened again; the earlier one goes on");
                }
            }
        }
    });
    Ok(())
}

fn reopen_log(config: &Config) -> Result<(), String> {
    let log = open_log(config).map_err(|error| with_causes(&error))?;
    rustix::stdio::dup2_stdout(&log)
        .and_then(|()| rustix::stdio::dup2_stderr(&log))
        .map_err(|error| error.to_string())
}

fn tell(starter: Starter, report: &StartReport) {
    if let Err(error) = starter.tell(report) {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(error, "whoever started the daemon did not wait for it");
    }
}

fn log_failure(error: &CliError) {
    tracing::error!(why = error.why, "{}", error.what);
}
