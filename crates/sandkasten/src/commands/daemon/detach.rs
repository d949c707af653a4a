//! `daemon --detach`: starts this program anew in the background, and returns when it says that it is ready.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitCode, ExitStatus};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use sandkasten_daemon::config::Config;
use sandkasten_daemon::{RunningDaemon, StartError, keep_descriptors_from_programs, open_log};

use super::start_error;
use super::start_report::{self, StartReport};
use crate::arguments::GlobalArguments;
use crate::cli_error::{CliError, Exit};
use crate::interrupt::{Interrupt, Interrupts};
use crate::logging::LogLevel;
use crate::table::printable;
use crate::{connection, output};

const WHAT: &str = "cannot start the daemon";

/// Starts a daemon in the background.
pub(super) async fn start(global: &GlobalArguments, level: LogLevel) -> Result<ExitCode, CliError> {
    let config = connection::load_config(global)?;
    if !rustix::process::geteuid().is_root() {
        return Err(start_error(&StartError::NotRoot));
    }
    refuse_second(&config)?;
    for warning in config.warnings() {
        output::warn(&warning.to_string());
    }
    // Before the start, so that whoever interrupts it leaves no daemon behind.
    let mut interrupts = Interrupts::listen()?;
    let (child, pipe) = spawn(global, &config, level)?;
    let pid = child.id();
    let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())
        .map_err(|error| CliError::ours(WHAT, &error, "see ulimit -n"))?;
    let ending = tokio::task::spawn_blocking(move || report_or_end(child, pipe));
    let ended = tokio::select! {
        ended = ending => ended,
        interrupt = interrupts.next() => return give_up(process, interrupt).await,
    };
    let failed = |error: &dyn std::error::Error| CliError::ours(WHAT, error, &look_at_log(&config));
    match ended.map_err(|error| failed(&error))?.map_err(|error| failed(&error))? {
        Outcome::Reported(StartReport::Ready { address }) => {
            let log = config.log_path();
            output::print(&format!(
                "the daemon runs: process {pid}, {address}, log {}",
                printable(&log.display().to_string())
            ))?;
            Ok(Exit::Success.into())
        }
        Outcome::Reported(StartReport::Failed(error)) => Err(error),
        Outcome::Ended(status) => Err(CliError {
            what: WHAT.to_owned(),
            why: format!("it ended without saying why, {}", describe(status)),
            hint: look_at_log(&config),
            exit: Exit::Ours,
        }),
    }
}

/// What came of a start.
#[derive(Debug)]
enum Outcome {
    Reported(StartReport),
    /// Without a word: it was killed, or failed before it could speak.
    Ended(ExitStatus),
}

fn refuse_second(config: &Config) -> Result<(), CliError> {
    let found = RunningDaemon::find(&config.run_dir());
    let Some(daemon) = found.map_err(|error| CliError::ours(WHAT, &error, ""))? else { return Ok(()) };
    let place = daemon.record().map_or_else(
        || "and is just starting".to_owned(),
        |record| format!("at {}, ready since {:.0}", record.address, record.ready_at),
    );
    Err(CliError {
        what: WHAT.to_owned(),
        why: format!(
            "process {} is the daemon of {}, {}",
            daemon.pid(),
            printable(&config.data_dir.display().to_string()),
            printable(&place)
        ),
        hint: "stop it with `sandkasten stop`, or choose another data_dir".to_owned(),
        exit: Exit::Ours,
    })
}

/// Starts the program with the log as its output and the pipe as its input, and nothing else of ours. The key is in neither
/// of its arguments: it takes the configuration and the environment as a daemon in the foreground does.
fn spawn(global: &GlobalArguments, config: &Config, level: LogLevel) -> Result<(Child, OwnedFd), CliError> {
    let failed = |error: io::Error| CliError::ours(WHAT, &error, "see ulimit -a");
    let log = open_log(config)
        .map_err(|error| CliError::ours("cannot write the log of the daemon", &error, "correct data_dir"))?;
    keep_descriptors_from_programs().map_err(failed)?;
    let (reader, writer) = io::pipe().map_err(failed)?;
    // The running file itself, whatever its path has come to mean.
    let mut command = Command::new("/proc/self/exe");
    command.arg0("sandkasten").args(["daemon", "--detached", "--log-level", level.as_str()]);
    if let Some(path) = &global.config {
        command.arg("--config").arg(path);
    }
    command.stdin(writer).stdout(log.try_clone().map_err(failed)?).stderr(log);
    let child = command.spawn().map_err(failed)?;
    // Dropping the command closes our copy of what is the daemon's, so that its end is seen.
    Ok((child, reader.into()))
}

/// Waits until the daemon has reported, or has ended without. Blocking.
fn report_or_end(mut child: Child, pipe: OwnedFd) -> io::Result<Outcome> {
    match start_report::read(pipe)? {
        Some(StartReport::Failed(error)) => {
            // Nothing of it is left when we return.
            child.wait()?;
            Ok(Outcome::Reported(StartReport::Failed(error)))
        }
        Some(ready) => Ok(Outcome::Reported(ready)),
        None => Ok(Outcome::Ended(child.wait()?)),
    }
}

/// Ends a daemon that is still starting, and waits until it has ended: it does so once it has started.
async fn give_up(process: OwnedFd, interrupt: Interrupt) -> Result<ExitCode, CliError> {
    let ended = tokio::task::spawn_blocking(move || {
        match pidfd_send_signal(&process, Signal::TERM) {
            // It has ended by itself.
            Err(rustix::io::Errno::SRCH) => return Ok(0),
            result => result?,
        }
        rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(&process, PollFlags::IN)], None))
    });
    match ended.await {
        Ok(Ok(_)) => Ok(interrupt.exit_status().into()),
        Ok(Err(error)) => Err(CliError::ours("cannot end the daemon", &error, "see `sandkasten status`")),
        Err(error) => Err(CliError::ours("cannot end the daemon", &error, "see `sandkasten status`")),
    }
}

fn look_at_log(config: &Config) -> String {
    format!("look at its log: {}", printable(&config.log_path().display().to_string()))
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("with exit status {code}"),
        (None, Some(signal)) => format!("by signal {signal}"),
        (None, None) => status.to_string(),
    }
}
