//! `ps`: the live sessions.

use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use sandkasten_api::session::Session;

use crate::arguments::{GlobalArguments, ListingArguments};
use crate::cli_error::CliError;
use crate::output::Colour;
use crate::table::{self, Align};
use crate::{connection, human, output};

/// Arguments of `ps`.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct PsArguments {
    #[command(flatten)]
    listing: ListingArguments,
}

/// Lists the sessions.
pub(crate) async fn run(global: &GlobalArguments, arguments: PsArguments) -> Result<ExitCode, CliError> {
    let sessions = connection::connect(global)?
        .list_sessions()
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

fn render(sessions: &[Session], now: Timestamp, colour: Colour) -> String {
    let header =
        ["ID", "IMAGE", "STATUS", "AGE", "EXPIRES IN", "DIRECTORY"].map(|title| (title, Align::Left));
    let rows: Vec<Vec<String>> = sessions
        .iter()
        .map(|session| {
            vec![
                session.id.to_string(),
                session.image.clone(),
                session.status.as_str().to_owned(),
                span(session.created_at, now),
                span(now, session.expires_at),
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
    use sandkasten_api::session::{AcquireSource, Session, SessionStatus};

    use super::render;
    use crate::output::Colour;

    #[test]
    fn a_session_is_one_line() {
        let session = Session {
            id: "0123abcd-ef01".parse().expect("an id"),
            image: "host".to_owned(),
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
            "ID             IMAGE  STATUS   AGE   EXPIRES IN  DIRECTORY\n\
             0123abcd-ef01  host   running  30 s  29 min      /workspace"
        );
    }
}
