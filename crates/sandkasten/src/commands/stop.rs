//! `stop`: ends the daemon of the data directory, and returns when it has ended.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use sandkasten_daemon::RunningDaemon;

use crate::arguments::GlobalArguments;
use crate::cli_error::{CliError, Exit};
use crate::table::printable;
use crate::{connection, output};

/// Running requests have a few seconds to end, and execs of sessions are put in order; a bound on hangs.
const TIMEOUT: Duration = Duration::from_secs(60);
const WHAT: &str = "cannot stop the daemon";

/// Arguments of `stop`.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct StopArguments {}

/// Ends the daemon; none is no failure.
pub(crate) fn run(global: &GlobalArguments, _: StopArguments) -> Result<ExitCode, CliError> {
    let config = connection::load_config(global)?;
    let Some(daemon) = find(&config)? else {
        output::print(&format!("no daemon runs on {}", printable(&config.data_dir.display().to_string())))?;
        return Ok(Exit::Success.into());
    };
    let failed = |error: std::io::Error| CliError::ours(WHAT, &error, "see `sandkasten status`");
    daemon.terminate().map_err(failed)?;
    if !daemon.wait(TIMEOUT).map_err(failed)? {
        return Err(CliError {
            what: WHAT.to_owned(),
            why: format!("process {} has not ended within {} s of SIGTERM", daemon.pid(), TIMEOUT.as_secs()),
            hint: "look at its log; no session is lost where it is killed".to_owned(),
            exit: Exit::Ours,
        });
    }
    output::print(&format!("the daemon has ended: process {}; sessions live on", daemon.pid()))?;
    Ok(Exit::Success.into())
}

/// Finds the daemon of the data directory, by its lock.
pub(super) fn find(config: &sandkasten_daemon::config::Config) -> Result<Option<RunningDaemon>, CliError> {
    RunningDaemon::find(&config.run_dir()).map_err(|error| {
        let hint = if rustix::process::geteuid().is_root() {
            "run it where the daemon runs"
        } else {
            "run it as root: the data directory is closed to others"
        };
        CliError::ours("cannot find out whether a daemon runs", &error, hint)
    })
}
