//! `mcp`: sandboxes for an agent that speaks the Model Context Protocol over our standard input and output.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use sandkasten_api::id::WorkspaceId;
use sandkasten_api::limits::MAX_TTL_SECONDS;
use sandkasten_api::session::CreateSessionRequest;
use sandkasten_client::SessionReference;
use sandkasten_mcp::{HostDirectory, OwnSession, StdioOptions, serve_stdio};
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::GlobalArguments;
use crate::cli_error::{CliError, Exit, with_causes};
use crate::interrupt::Interrupts;
use crate::logging::{self, LogLevel};
use crate::output;
use crate::private_daemon::{self, find_or_start};

/// Arguments of `mcp`.
#[derive(Debug, Args)]
pub(crate) struct McpArguments {
    /// The image of the sandbox that is made for the agent [default: the daemon's default_image]
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,

    /// The workspace to mount at its /workspace; made where there is none
    #[arg(long, value_name = "ID")]
    workspace: Option<WorkspaceId>,

    /// Seconds of idleness until it ends [default: the daemon's session_ttl_seconds]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=MAX_TTL_SECONDS))]
    ttl: Option<u64>,

    /// A session that is there already, by id or name: the agent works in it, and it stays
    #[arg(long, value_name = "SESSION", conflicts_with_all = ["image", "workspace", "ttl"])]
    session: Option<SessionReference>,

    /// Let the agent copy files between the sandbox and this directory of this host, and nothing outside of it
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// Serves one agent to its end. Standard output is the protocol's alone.
pub(crate) async fn run(global: &GlobalArguments, arguments: McpArguments) -> Result<ExitCode, CliError> {
    let options = arguments.options()?;
    // Before anything is there to be cleaned up.
    let mut interrupts = Interrupts::listen()?;
    // An agent's terminal that is closed takes us with it otherwise, and leaves the sandbox.
    let mut hangup = signal(SignalKind::hangup())
        .map_err(|error| CliError::ours("cannot listen for signals", &error, "see ulimit -n"))?;
    logging::start(LogLevel::Warn);
    let (client, private) = find_or_start(global).await?;
    // Asked for politely, its end is an end like any other.
    let stop = async {
        tokio::select! {
            _ = interrupts.next() => {}
            _ = hangup.recv() => {}
        }
    };
    let served = serve_stdio(client, options, stop).await.map_err(|error| {
        CliError::ours(
            "cannot serve the agent",
            &error,
            "give it to an agent as an MCP server: see docs/mcp.md",
        )
    });
    let stopped = match private {
        Some(private) => private_daemon::stop(private).await,
        None => Ok(()),
    };
    served.and(stopped)?;
    Ok(output::done())
}

impl McpArguments {
    fn options(self) -> Result<StdioOptions, CliError> {
        let own = match self.session {
            Some(session) => OwnSession::Existing(session),
            None => OwnSession::New(Box::new(CreateSessionRequest {
                image: self.image,
                ttl_seconds: self.ttl,
                workspace_id: self.workspace.map(Into::into),
                ..CreateSessionRequest::default()
            })),
        };
        let directory = self.directory.as_deref().map(HostDirectory::open).transpose();
        let directory = directory.map_err(|error| CliError {
            what: "cannot serve the agent".to_owned(),
            why: with_causes(&error),
            hint: "correct --directory".to_owned(),
            exit: Exit::Usage,
        })?;
        Ok(StdioOptions { own, directory })
    }
}
