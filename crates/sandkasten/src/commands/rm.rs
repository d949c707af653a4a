//! `rm`: destroys sessions.

use std::process::ExitCode;

use clap::Args;
use sandkasten_api::id::SessionId;

use crate::arguments::GlobalArguments;
use crate::cli_error::CliError;
use crate::{connection, output};

/// Arguments of `rm`.
#[derive(Debug, Args)]
pub(crate) struct RmArguments {
    /// The sessions
    #[arg(required = true, value_name = "ID")]
    ids: Vec<SessionId>,
}

/// Destroys every session that was named, printing the ids of those that are gone. One failure does not keep the
/// others; the last failure decides the exit status.
pub(crate) async fn run(global: &GlobalArguments, arguments: &RmArguments) -> Result<ExitCode, CliError> {
    let client = connection::connect(global)?;
    let mut failure = None;
    for id in &arguments.ids {
        match client.destroy_session(id).await {
            Ok(()) => output::print(id.as_str())?,
            Err(error) => {
                let error = CliError::request(format!("cannot destroy session {id}"), &error);
                if let Some(earlier) = failure.replace(error) {
                    output::report(&earlier);
                }
            }
        }
    }
    match failure {
        Some(error) => Err(error),
        None => Ok(output::done()),
    }
}
