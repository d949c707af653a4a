//! `create`: a session that stays until it is destroyed or idle for too long.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use sandkasten_api::id::WorkspaceId;
use sandkasten_api::limits::{MAX_TTL_SECONDS, MAX_WAIT_MS};
use sandkasten_api::session::CreateSessionRequest;

use crate::arguments::GlobalArguments;
use crate::cli_error::CliError;
use crate::label_argument::NamingArguments;
use crate::{connection, output};

/// Arguments of `create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArguments {
    /// The image [default: the daemon's default_image]
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,

    /// Seconds of idleness until the session ends [default: the daemon's session_ttl_seconds]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=MAX_TTL_SECONDS))]
    ttl: Option<u64>,

    /// The workspace to mount at /workspace; made where there is none
    #[arg(long, value_name = "ID")]
    workspace: Option<WorkspaceId>,

    /// Seconds to wait for a turn, for a place among max_sessions and for memory [default: the daemon's
    /// admission.wait_seconds, and not for a place]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=MAX_WAIT_MS / 1000))]
    wait: Option<u64>,

    #[command(flatten)]
    naming: NamingArguments,

    /// Print the session as JSON instead of its id
    #[arg(long)]
    json: bool,
}

/// Creates a session and prints its id.
pub(crate) async fn run(global: &GlobalArguments, arguments: &CreateArguments) -> Result<ExitCode, CliError> {
    let request = CreateSessionRequest {
        image: arguments.image.clone(),
        ttl_seconds: arguments.ttl,
        workspace_id: arguments.workspace.as_ref().map(ToString::to_string),
        name: arguments.naming.name.clone(),
        labels: arguments.naming.labels()?,
    };
    let client = connection::connect(global)?;
    let created = match arguments.wait {
        None => client.create_session(&request).await,
        Some(seconds) => client.create_session_within(&request, Duration::from_secs(seconds)).await,
    };
    let session = created.map_err(|error| CliError::request("cannot create a session", &error))?;
    if arguments.json {
        output::print_json(&session)?
    } else {
        output::print(session.id.as_str())?
    }
    Ok(output::done())
}
