//! `status`: whether a daemon runs on the data directory, and what it says about itself.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use sandkasten_daemon::config::{Config, ListenAddress};
use sandkasten_daemon::{DaemonRecord, RunningDaemon};
use serde::Serialize;

use super::stop::find;
use crate::arguments::GlobalArguments;
use crate::cli_error::{CliError, Exit};
use crate::table::printable;
use crate::{connection, human, output};

/// How long a daemon that hangs may hold up the answer.
const SESSIONS_TIMEOUT: Duration = Duration::from_secs(5);

/// Arguments of `status`.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct StatusArguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is known of the daemon; what is not is null.
#[derive(Debug, Default, Serialize)]
struct Status {
    running: bool,
    /// Whether it has said that it listens.
    ready: bool,
    data_dir: PathBuf,
    pid: Option<i32>,
    address: Option<String>,
    version: Option<String>,
    since: Option<Timestamp>,
    sessions: Option<usize>,
    /// The log of this daemon, or of the last one in the background where none runs.
    log: Option<PathBuf>,
    /// Why the sessions are not known.
    #[serde(skip)]
    silence: Option<String>,
}

/// Says whether a daemon runs: exit status 3 where none does.
pub(crate) async fn run(global: &GlobalArguments, arguments: StatusArguments) -> Result<ExitCode, CliError> {
    let config = connection::load_config(global)?;
    let status = match find(&config)? {
        Some(daemon) => running(global, &config, &daemon).await,
        None => {
            let log = config.log_path();
            Status { log: log.is_file().then_some(log), data_dir: config.data_dir, ..Status::default() }
        }
    };
    if arguments.json {
        output::print_json(&status)?;
    } else {
        output::print(&render(&status, Timestamp::now()))?;
    }
    Ok(if status.running { Exit::Success } else { Exit::Unreachable }.into())
}

async fn running(global: &GlobalArguments, config: &Config, daemon: &RunningDaemon) -> Status {
    let status = Status {
        running: true,
        data_dir: config.data_dir.clone(),
        pid: Some(daemon.pid()),
        ..Status::default()
    };
    let Some(record) = daemon.record() else { return status };
    let (sessions, silence) = match count_sessions(global, config, record).await {
        Ok(count) => (Some(count), None),
        Err(reason) => (None, Some(reason)),
    };
    Status {
        ready: true,
        address: Some(record.address.clone()),
        version: Some(record.version.clone()),
        since: Some(record.ready_at),
        log: record.log.clone(),
        sessions,
        silence,
        ..status
    }
}

/// Asks the daemon itself, at the address that it has and not at the one that is configured by now.
async fn count_sessions(
    global: &GlobalArguments,
    config: &Config,
    record: &DaemonRecord,
) -> Result<usize, String> {
    let address: ListenAddress = record.address.parse().map_err(|_| "its address is none".to_owned())?;
    let mut there = config.clone();
    there.listen = address;
    let client = connection::configured(global, &there).map_err(|error| error.why)?;
    match tokio::time::timeout(SESSIONS_TIMEOUT, client.list_sessions()).await {
        Ok(Ok(sessions)) => Ok(sessions.len()),
        Ok(Err(error)) => Err(CliError::request("", &error).why),
        Err(_) => Err(format!("no answer within {} s", SESSIONS_TIMEOUT.as_secs())),
    }
}

fn render(status: &Status, now: Timestamp) -> String {
    let data_dir = printable(&status.data_dir.display().to_string());
    let log = status.log.as_ref().map(|log| printable(&log.display().to_string()));
    let Some(pid) = status.pid else {
        let log = log.map(|log| format!("\nlog of the last one  {log}")).unwrap_or_default();
        return format!("no daemon runs on {data_dir}{log}");
    };
    if !status.ready {
        return format!("the daemon of {data_dir} is starting or ending: process {pid}");
    }
    let text = |value: &Option<String>| printable(value.as_deref().unwrap_or_default());
    let since = status.since.map(|since| {
        let seconds = u64::try_from(now.duration_since(since).as_secs()).unwrap_or(0);
        format!("{since:.0} ({})", human::seconds(seconds))
    });
    let sessions = match (status.sessions, &status.silence) {
        (Some(count), _) => count.to_string(),
        (None, reason) => format!("not known: {}", text(reason)),
    };
    [
        ("running", format!("process {pid}")),
        ("address", text(&status.address)),
        ("version", text(&status.version)),
        ("since", since.unwrap_or_default()),
        ("sessions", sessions),
        ("data", data_dir),
        ("log", log.unwrap_or_else(|| "standard error, in the foreground".to_owned())),
    ]
    .map(|(name, value)| format!("{name:<10}{value}"))
    .join("\n")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Status, render};

    fn ready() -> Status {
        Status {
            running: true,
            ready: true,
            data_dir: PathBuf::from("/var/lib/sandkasten"),
            pid: Some(4711),
            address: Some("127.0.0.1:8080".to_owned()),
            version: Some("0.1.0".to_owned()),
            since: Some("2026-01-01T00:00:00.5Z".parse().expect("a time")),
            sessions: Some(3),
            log: Some(PathBuf::from("/var/lib/sandkasten/run/sandkasten.log")),
            silence: None,
        }
    }

    #[test]
    fn a_daemon_that_is_ready_is_told_line_by_line() {
        let now = "2026-01-01T00:10:00.5Z".parse().expect("a time");
        assert_eq!(
            render(&ready(), now),
            "running   process 4711\n\
             address   127.0.0.1:8080\n\
             version   0.1.0\n\
             since     2026-01-01T00:00:00Z (10 min)\n\
             sessions  3\n\
             data      /var/lib/sandkasten\n\
             log       /var/lib/sandkasten/run/sandkasten.log"
        );
        let foreground = Status { log: None, sessions: None, silence: Some("a\x1b".to_owned()), ..ready() };
        let text = render(&foreground, now);
        assert!(text.contains("sessions  not known: a\u{fffd}") && text.contains("foreground"), "{text}");
    }

    #[test]
    fn a_daemon_that_is_not_ready_or_not_there_is_a_line() {
        let now = "2026-01-01T00:00:00Z".parse().expect("a time");
        let starting = Status { ready: false, ..ready() };
        assert_eq!(
            render(&starting, now),
            "the daemon of /var/lib/sandkasten is starting or ending: process 4711"
        );
        let absent = Status { data_dir: PathBuf::from("/d"), ..Status::default() };
        assert_eq!(render(&absent, now), "no daemon runs on /d");
        let left = Status { log: Some(PathBuf::from("/d/log")), ..absent };
        assert_eq!(render(&left, now), "no daemon runs on /d\nlog of the last one  /d/log");
    }

    #[test]
    fn json_has_every_key_and_null_for_what_is_not_known() {
        let value = serde_json::to_value(Status::default()).expect("JSON");
        let keys: Vec<&str> = value.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            ["address", "data_dir", "log", "pid", "ready", "running", "sessions", "since", "version"]
        );
    }
}
