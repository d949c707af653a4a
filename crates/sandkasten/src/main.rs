//! The one binary of Sandkasten: parses the command line, runs the subcommand, turns the outcome into an exit status.
//!
//! Owns what a user sees in a terminal. Must not know how sessions work: it speaks to a daemon through the API, be it
//! one in this very process.
#![forbid(unsafe_code)]

mod arguments;
mod commands;

mod connection;
mod copy;
mod private_daemon;
mod stream_command;
mod terminal;

mod cli_error;
mod environment_argument;
mod human;
mod interrupt;
mod label_argument;
mod logging;
mod output;
mod progress_line;
mod service_manager;
mod shell_quote;
mod table;

use std::process::ExitCode;
use std::time::Duration;

use crate::arguments::Arguments;
use crate::cli_error::{CliError, Exit};

/// How long work on the disk that nobody waits for any more may hold the end up. A pull that waits for another program to
/// unpack the same layer could do so for hours; all of it may be cut off at any time.
const EXIT_PATIENCE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let arguments = match Arguments::of_process() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version count as errors here, but go to standard output and succeed.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Success };
            return if error.print().is_ok() { exit.into() } else { Exit::Ours.into() };
        }
    };
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            output::report(&error);
            error.exit.into()
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode, CliError> {
    // While its number is still its own: the runtime opens descriptors.
    let socket = if arguments.is_daemon() { service_manager::passed_socket()? } else { None };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| CliError {
            what: "cannot start".to_owned(),
            why: format!("the async runtime does not come up: {error}"),
            hint: "look at the limits of open files and threads (ulimit -a)".to_owned(),
            exit: Exit::Ours,
        })?;
    let done = runtime.block_on(commands::run(arguments, socket));
    runtime.shutdown_timeout(EXIT_PATIENCE);
    done
}
