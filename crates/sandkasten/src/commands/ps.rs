//! `ps`: sessions, by default the live ones.

use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use sandkasten_api::id::WorkspaceId;
use sandkasten_api::name::SessionName;
use sandkasten_api::session::{Session, SessionStatus};
use sandkasten_client::SessionFilter;

use crate::arguments::{GlobalArguments, ListingArguments};
use crate::cli_error::CliError;
use crate::output::Colour;
use crate::table::{self, Align};
use crate::{connection, human, output};

/// Arguments of `ps`.
#[derive(Debug, Clone, Args)]
pub(crate) struct PsArguments {
    /// Sessions that have ended within the last day as well
    #[arg(short, long)]
    all: bool,

    /// Only sessions with this label; may be given several times, and without a value for any
    #[arg(short, long = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,

    /// Only sessions of which this is true: status, image, workspace or name
    #[arg(short, long = "filter", value_name = "KEY=VALUE", value_parser = parse_filter)]
    filters: Vec<Filter>,

    #[command(flatten)]
    listing: ListingArguments,
}

/// Lists the sessions.
pub(crate) async fn run(global: &GlobalArguments, arguments: &PsArguments) -> Result<ExitCode, CliError> {
    let sessions = connection::connect(global)?
        .find_sessions(&filter(arguments))
        .await
        .map_err(|error| CliError::request("cannot list sessions", &error))?;
    if arguments.listing.json {
        output::print_json(&sessions)?;
    } else if arguments.listing.quiet {
        output::print_names(sessions.iter().map(|session| session.id.as_str()))?;
    } else {
        output::print(&render(&sessions, Timestamp::now(), output::stdout_colour()))?;
    }
    Ok(output::done())
}

/// A condition of `--filter`.
#[derive(Debug, Clone)]
enum Filter {
    Status(SessionStatus),
    Image(String),
    Workspace(WorkspaceId),
    Name(SessionName),
}

fn parse_filter(text: &str) -> Result<Filter, String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    match key {
        "status" => SessionStatus::ALL
            .into_iter()
            .find(|status| status.as_str() == value)
            .map(Filter::Status)
            .ok_or_else(|| {
                format!("no status; there are {}", SessionStatus::ALL.map(SessionStatus::as_str).join(", "))
            }),
        "image" => Ok(Filter::Image(value.to_owned())),
        "workspace" => value.parse().map(Filter::Workspace).map_err(|error| format!("{error}")),
        "name" => value.parse().map(Filter::Name).map_err(|error| format!("{error}")),
        _ => {
            Err("the key is none of status, image, workspace and name; for labels there is --label"
                .to_owned())
        }
    }
}

fn filter(arguments: &PsArguments) -> SessionFilter {
    let mut filter = SessionFilter { labels: arguments.labels.clone(), ..SessionFilter::default() };
    for condition in arguments.filters.iter().cloned() {
        match condition {
            Filter::Status(status) => filter.statuses.push(status),
            Filter::Image(image) => filter.image = Some(image),
            Filter::Workspace(id) => filter.workspace_id = Some(id),
            Filter::Name(name) => filter.name = Some(name),
        }
    }
    if arguments.all && filter.statuses.is_empty() {
        filter.statuses = SessionStatus::ALL.to_vec();
    }
    filter
}

fn render(sessions: &[Session], now: Timestamp, colour: Colour) -> String {
    let header =
        ["ID", "NAME", "IMAGE", "STATUS", "AGE", "EXPIRES IN", "DIRECTORY"].map(|title| (title, Align::Left));
    let rows: Vec<Vec<String>> = sessions
        .iter()
        .map(|session| {
            vec![
                session.id.to_string(),
                session.name.as_ref().map(ToString::to_string).unwrap_or_default(),
                session.image.clone(),
                session.status.as_str().to_owned(),
                span(session.created_at, now),
                if session.status.is_ended() { String::new() } else { span(now, session.expires_at) },
                session.cwd.clone(),
            ]
        })
        .collect();
    table::render(&header, &rows, colour)
}

/// Renders the time between two instants; nothing where the first is not the earlier one.
fn span(from: Timestamp, to: Timestamp) -> String {
    human::seconds(u64::try_from(to.as_second() - from.as_second()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use sandkasten_api::label::Labels;
    use sandkasten_api::session::{AcquireSource, Session, SessionStatus};

    use super::render;
    use crate::output::Colour;

    #[test]
    fn a_session_is_one_line() {
        let session = Session {
            id: "0123abcd-ef01".parse().expect("an id"),
            image: "host".to_owned(),
            name: Some("builder".parse().expect("a name")),
            labels: Labels::default(),
            reason: None,
            ttl_seconds: 1_800,
            status: SessionStatus::Running,
            cwd: "/workspace".to_owned(),
            workspace_id: None,
            created_at: "2026-11-24T12:00:00Z".parse().expect("a time"),
            expires_at: "2026-11-24T12:30:00Z".parse().expect("a time"),
            acquire_source: AcquireSource::Cold,
            last_activity: None,
            isolation: None,
        };
        let now = "2026-11-24T12:00:30Z".parse().expect("a time");
        assert_eq!(
            render(&[session], now, Colour::Off),
            "ID             NAME     IMAGE  STATUS   AGE   EXPIRES IN  DIRECTORY\n\
             0123abcd-ef01  builder  host   running  30 s  29 min      /workspace"
        );
    }
}
