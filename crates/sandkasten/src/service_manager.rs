//! The service manager that may have started this process: the socket that it hands over, what it wants to be told, and its
//! watchdog. systemd for the most part; its protocol is in sd_listen_fds(3), sd_notify(3) and sd_watchdog_enabled(3).
//!
//! Where there is none, the environment says so, and nothing here does anything.

use std::time::Duration;

use sandkasten_daemon::{Heartbeat, PassedSocket};
use sd_notify::NotifyState;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::cli_error::{CliError, Exit};

const WHAT: &str = "cannot serve on the socket that was handed over";
const HINT: &str = "let the socket unit have one ListenStream=, of TCP or with the path of a unix socket";

/// Takes the socket that this process was started with, if there is one. Once, before anything else is opened.
pub(crate) fn passed_socket() -> Result<Option<PassedSocket>, CliError> {
    let usage =
        |error: &dyn std::error::Error| CliError { exit: Exit::Usage, ..CliError::ours(WHAT, error, HINT) };
    let mut numbers = sd_notify::listen_fds().map_err(|error| usage(&error))?;
    match (numbers.len(), numbers.next()) {
        (_, None) => Ok(None),
        (1, Some(number)) => PassedSocket::take(number).map(Some).map_err(|error| usage(&error)),
        (count, Some(_)) => Err(CliError {
            what: WHAT.to_owned(),
            why: format!("there are {count} of them, and the daemon listens on one"),
            hint: HINT.to_owned(),
            exit: Exit::Usage,
        }),
    }
}

/// Says that the daemon is ready, and where.
pub(crate) fn ready(address: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(&format!("listening on {address}"))]);
}

/// Says that the daemon ends.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("ending; sessions live on")]);
}

/// The watchdog is fed for as long as this lives.
#[derive(Debug)]
pub(crate) struct Watchdog(JoinHandle<()>);

impl Watchdog {
    /// Begins to feed the watchdog, where one waits for this process.
    pub(crate) fn feed(heartbeat: Heartbeat) -> Option<Self> {
        let period = sd_notify::watchdog_enabled().filter(|period| !period.is_zero())?;
        Some(Self(tokio::spawn(feed(heartbeat, period / 2))))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Twice a period, as the manual has it, and only where the daemon has just shown that it works.
async fn feed(heartbeat: Heartbeat, pause: Duration) {
    let mut turns = tokio::time::interval(pause);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        match tokio::time::timeout(pause, heartbeat.check()).await {
            Ok(Ok(())) => tell(&[NotifyState::Watchdog]),
            Ok(Err(error)) => {
                let error: &dyn std::error::Error = &error;
                tracing::error!(error, "the daemon does not work; the watchdog is not told that it does");
            }
            Err(_) => tracing::error!(
                seconds = pause.as_secs_f64(),
                "the daemon does not answer; the watchdog is not told that it does"
            ),
        }
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}
