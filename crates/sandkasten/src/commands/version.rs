//! `version`: what this binary is.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::cli_error::CliError;
use crate::output;

/// Arguments of `version`.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct VersionArguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Version {
    name: &'static str,
    version: &'static str,
    api: &'static str,
}

/// Prints the version.
pub(crate) fn run(arguments: VersionArguments) -> Result<ExitCode, CliError> {
    let version = Version { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION"), api: "v1" };
    if arguments.json {
        output::print_json(&version)?;
    } else {
        output::print(&format!("{} {} (API {})", version.name, version.version, version.api))?;
    }
    Ok(output::done())
}
