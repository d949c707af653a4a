//! `rm`: destroys sessions.

use std::process::ExitCode;

use clap::Args;
use sandkasten_client::{Client, RequestError};

use crate::arguments::GlobalArguments;
use crate::cli_error::CliError;
use crate::{connection, output};
use sandkasten_client::SessionReference;

/// Arguments of `rm`.
#[derive(Debug, Args)]
pub(crate) struct RmArguments {
    /// The sessions, by id or name
    #[arg(required = true, value_name = "SESSION")]
    sessions: Vec<SessionReference>,
}

/// Destroys every session that was named, printing which are gone. One failure does not keep the
/// others; the last failure decides the exit status.
pub(crate) async fn run(global: &GlobalArguments, arguments: &RmArguments) -> Result<ExitCode, CliError> {
    let client = connection::connect(global)?;
    let mut failure = None;
    for session in &arguments.sessions {
        match destroy(&client, session).await {
            Ok(()) => output::print(&session.to_string())?,
            Err(error) => {
                let error = CliError::request(format!("cannot destroy session {session}"), &error);
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

async fn destroy(client: &Client, session: &SessionReference) -> Result<(), RequestError> {
    client.destroy_session(&session.resolve(client).await?).await
}
