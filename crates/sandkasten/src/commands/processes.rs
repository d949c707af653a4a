//! `processes` and `kill`: what runs in a session.

use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use sandkasten_api::id::ExecId;
use sandkasten_api::process::{Process, ProcessKind, ProcessStatus};

use crate::arguments::{GlobalArguments, ListingArguments};
use crate::cli_error::CliError;
use crate::output::Colour;
use crate::table::{self, Align};
use crate::{connection, human, output};
use sandkasten_client::SessionReference;

/// How much of a command is shown in a table.
const COMMAND_CHARACTERS: usize = 60;

/// Arguments of `processes`.
#[derive(Debug, Args)]
pub(crate) struct ProcessesArguments {
    /// The session, by id or name
    #[arg(value_name = "SESSION")]
    session: SessionReference,

    /// Those that have ended and are still known as well
    #[arg(short, long)]
    all: bool,

    #[command(flatten)]
    listing: ListingArguments,
}

/// Arguments of `kill`.
#[derive(Debug, Args)]
pub(crate) struct KillArguments {
    /// The session, by id or name
    #[arg(value_name = "SESSION")]
    session: SessionReference,

    /// The processes, by id
    #[arg(required = true, value_name = "PROCESS")]
    processes: Vec<ExecId>,

    /// Send a signal, by name or number, and do no more [default: end it with everything that it has started]
    #[arg(short, long, value_name = "SIGNAL")]
    signal: Option<String>,
}

/// Lists processes and execs.
pub(crate) async fn list(
    global: &GlobalArguments,
    arguments: &ProcessesArguments,
) -> Result<ExitCode, CliError> {
    let client = connection::connect(global)?;
    let session = &arguments.session;
    let failed = |error| CliError::request(format!("cannot list the processes of session {session}"), &error);
    let id = session.resolve(&client).await.map_err(failed)?;
    let mut all = client.list_processes(&id).await.map_err(failed)?;
    all.retain(|process| arguments.all || process.status != ProcessStatus::Ended);
    if arguments.listing.json {
        output::print_json(&all)?;
    } else if arguments.listing.quiet {
        let ids: Vec<String> = all.iter().map(|process| process.id.to_string()).collect();
        output::print_names(ids.iter().map(String::as_str))?;
    } else {
        output::print(&render(&all, Timestamp::now(), output::stdout_colour()))?;
    }
    Ok(output::done())
}

/// Ends processes, or sends them a signal, printing the ids of those that it has reached. One failure does not keep the others;
/// the last failure decides the exit status.
pub(crate) async fn kill(global: &GlobalArguments, arguments: &KillArguments) -> Result<ExitCode, CliError> {
    let client = connection::connect(global)?;
    let session = &arguments.session;
    let resolved = session.resolve(&client).await;
    let id = resolved.map_err(|error| {
        CliError::request(format!("cannot reach the processes of session {session}"), &error)
    })?;
    let mut failure = None;
    for process in &arguments.processes {
        let done = match &arguments.signal {
            Some(signal) => client.signal_process(&id, *process, signal).await,
            None => client.end_process(&id, *process).await.map(drop),
        };
        match done {
            Ok(()) => output::print(&process.to_string())?,
            Err(error) => {
                let error = CliError::request(format!("cannot end process {process}"), &error);
                if let Some(earlier) = failure.replace(error) {
                    output::report(&earlier);
                }
            }
        }
    }
    failure.map_or_else(|| Ok(output::done()), Err)
}

fn render(all: &[Process], now: Timestamp, colour: Colour) -> String {
    let header = ["ID", "KIND", "NAME", "STATUS", "STARTED", "COMMAND"].map(|title| (title, Align::Left));
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|process| {
            let kind = match process.kind {
                ProcessKind::Exec => "exec",
                ProcessKind::Process => "process",
                ProcessKind::Terminal => "terminal",
            };
            let age = u64::try_from(now.as_second() - process.started_at.as_second()).unwrap_or(0);
            vec![
                process.id.to_string(),
                kind.to_owned(),
                process.name.clone().unwrap_or_default(),
                status(process),
                format!("{} ago", human::seconds(age)),
                shorten(&process.command),
            ]
        })
        .collect();
    table::render(&header, &rows, colour)
}

fn status(process: &Process) -> String {
    match (process.status, process.exit_code) {
        (ProcessStatus::Queued, _) => "queued".to_owned(),
        (ProcessStatus::Running, _) => "running".to_owned(),
        (ProcessStatus::Ended, Some(code)) => format!("exited {code}"),
        (ProcessStatus::Ended, None) => "ended".to_owned(),
    }
}

/// The beginning of a command's first line.
fn shorten(command: &str) -> String {
    let line = command.lines().next().unwrap_or_default();
    let short: String = line.chars().take(COMMAND_CHARACTERS).collect();
    if short.len() < command.trim_end_matches('\n').len() { format!("{short}…") } else { short }
}

#[cfg(test)]
mod tests {
    use sandkasten_api::process::{Process, ProcessKind, ProcessStatus};

    use super::render;
    use crate::output::Colour;

    #[test]
    fn a_process_is_one_line_whatever_its_command_has() {
        let process = |kind, name: Option<&str>, command: &str, status, exit_code| Process {
            id: "00000000000000ab".parse().expect("an id"),
            kind,
            name: name.map(str::to_owned),
            command: command.to_owned(),
            shell: None,
            tty: false,
            status,
            started_at: "2026-11-24T12:00:00Z".parse().expect("a time"),
            exit_code,
            duration_ms: None,
            verdict: None,
        };
        let all = [
            process(
                ProcessKind::Process,
                Some("web"),
                "python3 -m http.server",
                ProcessStatus::Running,
                None,
            ),
            process(ProcessKind::Exec, None, "echo one\necho two", ProcessStatus::Ended, Some(7)),
        ];
        let now = "2026-11-24T12:00:30Z".parse().expect("a time");
        assert_eq!(
            render(&all, now, Colour::Off),
            "ID                KIND     NAME  STATUS    STARTED   COMMAND\n\
             00000000000000ab  process  web   running   30 s ago  python3 -m http.server\n\
             00000000000000ab  exec           exited 7  30 s ago  echo one…"
        );
    }
}
