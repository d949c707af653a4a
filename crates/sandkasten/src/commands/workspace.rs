//! `workspace`: the directories that outlive sessions, by way of the daemon.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use sandkasten_api::id::WorkspaceId;
use sandkasten_api::workspace::Workspace;
use sandkasten_client::Client;

use crate::arguments::{GlobalArguments, ListingArguments};
use crate::cli_error::CliError;
use crate::copy::{self, Direction, Operand, Remote, RemotePath};
use crate::output::Colour;
use crate::table::{self, Align};
use crate::{connection, human, output};

/// Subcommands of `workspace`.
#[derive(Debug, Subcommand)]
pub(crate) enum WorkspaceCommand {
    /// List workspaces
    #[command(visible_alias = "ls")]
    List(ListArguments),
    /// Create empty workspaces
    Create(NamesArguments),
    /// Copy files between this host and a workspace; see `sandkasten cp`
    Cp(CpArguments),
    /// Make a workspace with the files of another
    Copy(PairArguments),
    /// Rename a workspace that no session uses
    #[command(visible_alias = "mv")]
    Rename(PairArguments),
    /// Remove workspaces that no session uses, with everything in them
    Rm(NamesArguments),
}

/// Arguments of `workspace list`.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct ListArguments {
    #[command(flatten)]
    listing: ListingArguments,
}

/// Arguments of what is done to each of several.
#[derive(Debug, Args)]
pub(crate) struct NamesArguments {
    /// The workspaces
    #[arg(required = true, value_name = "ID")]
    ids: Vec<WorkspaceId>,
}

/// Arguments of what makes one of another.
#[derive(Debug, Args)]
pub(crate) struct PairArguments {
    /// The workspace that there is
    #[arg(value_name = "ID")]
    from: WorkspaceId,
    /// The id that no workspace has yet
    #[arg(value_name = "NEW")]
    to: WorkspaceId,
}

/// Arguments of `workspace cp`.
#[derive(Debug, Args)]
pub(crate) struct CpArguments {
    /// A path of this host, WORKSPACE:PATH, or - for standard input
    #[arg(value_name = "SRC", value_parser = Operand::<WorkspaceId>::parser())]
    from: Operand<WorkspaceId>,

    /// A path of this host, WORKSPACE:PATH, or - for standard output
    #[arg(value_name = "DST", value_parser = Operand::<WorkspaceId>::parser())]
    to: Operand<WorkspaceId>,
}

/// Runs a subcommand.
pub(crate) async fn run(global: &GlobalArguments, command: WorkspaceCommand) -> Result<ExitCode, CliError> {
    let client = connection::connect(global)?;
    match command {
        WorkspaceCommand::List(arguments) => list(&client, arguments).await?,
        WorkspaceCommand::Create(arguments) => {
            for id in &arguments.ids {
                let made = client.create_workspace(id).await;
                made.map_err(|error| CliError::request(format!("cannot create workspace {id}"), &error))?;
                output::print(id.as_str())?;
            }
        }
        WorkspaceCommand::Cp(arguments) => return copy_files(&client, &arguments).await,
        WorkspaceCommand::Copy(PairArguments { from, to }) => {
            let copied = client.copy_workspace(&from, &to).await;
            copied.map_err(|error| CliError::request(format!("cannot copy workspace {from}"), &error))?;
            output::print(to.as_str())?;
        }
        WorkspaceCommand::Rename(PairArguments { from, to }) => {
            let renamed = client.rename_workspace(&from, &to).await;
            renamed.map_err(|error| CliError::request(format!("cannot rename workspace {from}"), &error))?;
            output::print(to.as_str())?;
        }
        WorkspaceCommand::Rm(arguments) => remove(&client, &arguments.ids).await?,
    }
    Ok(output::done())
}

async fn copy_files(client: &Client, arguments: &CpArguments) -> Result<ExitCode, CliError> {
    let remote = |id: &WorkspaceId, path: &RemotePath| {
        Remote::new(client.workspace_files(id), id.as_str(), id.as_str(), path.clone())
    };
    let hint = "name one as WORKSPACE:PATH; `workspace copy` copies a whole workspace";
    match copy::direction(&arguments.from, &arguments.to, hint)? {
        Direction::In(from, id, path) => copy::copy_in(from, &remote(id, path)).await,
        Direction::Out(id, path, to) => copy::copy_out(&remote(id, path), to).await,
    }
}

async fn list(client: &Client, arguments: ListArguments) -> Result<(), CliError> {
    let listed = client.list_workspaces().await;
    let all = listed.map_err(|error| CliError::request("cannot list workspaces", &error))?;
    if arguments.listing.json {
        output::print_json(&all)
    } else if arguments.listing.quiet {
        output::print_names(all.iter().map(|workspace| workspace.id.as_str()))
    } else {
        output::print(&render(&all, Timestamp::now(), output::stdout_colour()))
    }
}

/// Removes each that was named, printing the ids of those that are gone. One failure does not keep the others; the last
/// failure decides the exit status.
async fn remove(client: &Client, ids: &[WorkspaceId]) -> Result<(), CliError> {
    let mut failure = None;
    for id in ids {
        match client.delete_workspace(id).await {
            Ok(()) => output::print(id.as_str())?,
            Err(error) => {
                let error = CliError::request(format!("cannot remove workspace {id}"), &error);
                if let Some(earlier) = failure.replace(error) {
                    output::report(&earlier);
                }
            }
        }
    }
    failure.map_or(Ok(()), Err)
}

fn render(all: &[Workspace], now: Timestamp, colour: Colour) -> String {
    let header = [("ID", Align::Left), ("SIZE", Align::Right), ("FILES", Align::Right), ("AGE", Align::Left)];
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|workspace| {
            // What was not counted to its end is more than that.
            let more = if workspace.truncated { ">" } else { "" };
            let age = now.as_second() - workspace.created_at.as_second();
            vec![
                workspace.id.to_string(),
                format!("{more}{}", human::bytes(workspace.size_bytes)),
                format!("{more}{}", human::grouped(workspace.files)),
                human::seconds(u64::try_from(age).unwrap_or(0)),
            ]
        })
        .collect();
    table::render(&header, &rows, colour)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sandkasten_api::workspace::Workspace;

    use super::render;
    use crate::output::Colour;

    #[test]
    fn a_workspace_is_one_line_that_says_where_more_was_not_counted() {
        let workspace = |id: &str, truncated| Workspace {
            id: id.parse().expect("an id"),
            created_at: "2026-11-24T12:00:00Z".parse().expect("a time"),
            labels: BTreeMap::new(),
            size_bytes: 1_536,
            files: 1_234,
            truncated,
        };
        let now = "2026-11-24T12:00:30Z".parse().expect("a time");
        assert_eq!(
            render(&[workspace("user-1", false), workspace("user-2", true)], now, Colour::Off),
            "ID          SIZE   FILES  AGE\n\
             user-1   1.5 KiB   1,234  30 s\n\
             user-2  >1.5 KiB  >1,234  30 s"
        );
    }
}
