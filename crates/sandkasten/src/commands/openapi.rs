//! `openapi`: the description of the API, as a daemon of this version serves it.

use std::process::ExitCode;

use clap::Args;

use crate::cli_error::CliError;
use crate::output;

/// Arguments of `openapi`, of which there are none.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct OpenapiArguments {}

/// Prints the document. No daemon is asked.
pub(crate) fn run(_: OpenapiArguments) -> Result<ExitCode, CliError> {
    output::print(sandkasten_daemon::openapi())?;
    Ok(output::done())
}
