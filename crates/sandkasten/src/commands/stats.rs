//! `stats`: what sessions use.

use std::process::ExitCode;

use clap::Args;
use sandkasten_api::error::ErrorCode;
use sandkasten_api::id::SessionId;
use sandkasten_api::session::SessionStats;
use sandkasten_client::{Client, RequestError};
use serde::Serialize;

use crate::arguments::{GlobalArguments, ListingArguments};
use crate::cli_error::CliError;
use crate::output::Colour;
use crate::table::{self, Align};
use crate::{connection, human, output};
use sandkasten_client::SessionReference;

/// Arguments of `stats`.
#[derive(Debug, Args)]
pub(crate) struct StatsArguments {
    /// The session, by id or name [default: all of them]
    #[arg(value_name = "SESSION")]
    session: Option<SessionReference>,

    #[command(flatten)]
    listing: ListingArguments,
}

/// What one session uses, with its name.
#[derive(Debug, Serialize)]
struct NamedStats {
    id: SessionId,
    #[serde(flatten)]
    stats: SessionStats,
}

/// Shows what one session or all of them use.
pub(crate) async fn run(global: &GlobalArguments, arguments: &StatsArguments) -> Result<ExitCode, CliError> {
    let client = connection::connect(global)?;
    let all = match &arguments.session {
        Some(session) => {
            let id = session.resolve(&client).await.map_err(|error| failed(session, &error))?;
            vec![one(&client, &id).await.map_err(|error| failed(session, &error))?]
        }
        None => all(&client).await?,
    };
    match (arguments.listing, &arguments.session, all.as_slice()) {
        // One session is one object, all of them are an array even where there is one.
        (ListingArguments { json: true, .. }, Some(_), [one]) => output::print_json(one)?,
        (ListingArguments { json: true, .. }, ..) => output::print_json(&all)?,
        (ListingArguments { quiet: true, .. }, ..) => {
            output::print_names(all.iter().map(|one| one.id.as_str()))?
        }
        _ => output::print(&render(&all, output::stdout_colour()))?,
    }
    Ok(output::done())
}

async fn all(client: &Client) -> Result<Vec<NamedStats>, CliError> {
    let sessions =
        client.list_sessions().await.map_err(|error| CliError::request("cannot list sessions", &error))?;
    let mut all = Vec::with_capacity(sessions.len());
    for session in sessions {
        match one(client, &session.id).await {
            Ok(stats) => all.push(stats),
            // It ended since the listing.
            Err(RequestError::Refused { body, .. }) if has_ended(body.error_code) => {}
            Err(error) => return Err(failed(&session.id, &error)),
        }
    }
    Ok(all)
}

async fn one(client: &Client, id: &SessionId) -> Result<NamedStats, RequestError> {
    Ok(NamedStats { id: id.clone(), stats: client.session_stats(id).await? })
}

fn failed(id: &dyn std::fmt::Display, error: &RequestError) -> CliError {
    CliError::request(format!("cannot read what session {id} uses"), error)
}

const fn has_ended(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::SessionNotFound | ErrorCode::SessionExpired | ErrorCode::SessionNotRunning)
}

fn render(all: &[NamedStats], colour: Colour) -> String {
    let header = [
        ("ID", Align::Left),
        ("MEMORY", Align::Right),
        ("LIMIT", Align::Right),
        ("PEAK", Align::Right),
        ("CPU TIME", Align::Right),
        ("CORES", Align::Right),
        ("PIDS", Align::Right),
        ("OOM KILLS", Align::Right),
    ];
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|NamedStats { id, stats }| {
            vec![
                id.to_string(),
                human::bytes(stats.memory_bytes),
                human::bytes(stats.memory_limit),
                human::bytes(stats.memory_peak_bytes),
                format!("{}.{:03} s", stats.cpu_usage_usec / 1_000_000, stats.cpu_usage_usec / 1000 % 1000),
                format!("{}.{:02}", stats.cpu_limit_millis / 1000, stats.cpu_limit_millis / 10 % 100),
                format!("{}/{}", stats.pids, stats.pids_limit),
                stats.oom_kills.to_string(),
            ]
        })
        .collect();
    table::render(&header, &rows, colour)
}

#[cfg(test)]
mod tests {
    use sandkasten_api::session::SessionStats;

    use super::{NamedStats, render};
    use crate::output::Colour;

    #[test]
    fn stats_are_one_line_in_human_units() {
        let stats = SessionStats {
            memory_bytes: 3 << 20,
            memory_limit: 512 << 20,
            memory_peak_bytes: 5 << 20,
            cpu_usage_usec: 1_234_567,
            cpu_limit_millis: 500,
            pids: 2,
            pids_limit: 256,
            oom_kills: 0,
        };
        let all = [NamedStats { id: "0123abcd-ef01".parse().expect("an id"), stats }];
        assert_eq!(
            render(&all, Colour::Off),
            "ID              MEMORY    LIMIT     PEAK  CPU TIME  CORES   PIDS  OOM KILLS\n\
             0123abcd-ef01  3.0 MiB  512 MiB  5.0 MiB   1.234 s   0.50  2/256          0"
        );
        let json = serde_json::to_value(&all[0]).expect("JSON");
        assert_eq!((&json["id"], &json["pids"]), (&"0123abcd-ef01".into(), &2.into()));
    }
}
