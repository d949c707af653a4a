//! `create`: a session that stays until it is destroyed or idle for too long.

use std::process::ExitCode;

use clap::Args;
use sandkasten_api::id::WorkspaceId;
use sandkasten_api::limits::MAX_TTL_SECONDS;
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
    let session = connection::connect(global)?
        .create_session(&request)
        .await
        .map_err(|error| CliError::request("cannot create a session", &error))?;
    if arguments.json {
        output::print_json(&session)?
    } else {
        output::print(session.id.as_str())?
    }
    Ok(output::done())
}
