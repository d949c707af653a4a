//! The log: for people on a terminal, JSON lines otherwise, always to standard error, always one printable line an event.

mod line;
mod printable;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal};
use std::panic::{self, PanicHookInfo};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use self::line::LineFormat;
use crate::output;

/// How much is logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    /// Failures of the daemon itself.
    Error,
    /// And what an operator should look at.
    Warn,
    /// And the life of sessions.
    #[default]
    Info,
    /// And single requests.
    Debug,
    /// Everything.
    Trace,
}

/// Starts logging for this process. Later calls change nothing.
pub(crate) fn start(level: LogLevel) {
    // Libraries explain themselves at length below `warn`; that drowns our own lines.
    let others = if level == LogLevel::Error { "error" } else { "warn" };
    // What this one says is what clients sent, in full: they know it, and it would fill the log.
    let filter = EnvFilter::new(format!("{others},rmcp=off,sandkasten={}", level.as_str()));
    let format =
        if io::stderr().is_terminal() { LineFormat::Text(output::stderr_colour()) } else { LineFormat::Json };
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        // A line that cannot be written would be complained about on standard error, and a second failure there panics:
        // a full disk must not take down the daemon that logs to it.
        .log_internal_errors(false)
        .event_format(format)
        .try_init();
    // Only a second start in one process fails, and then the first one logs.
    drop(started);
}

/// Puts panics into the log, as one line like everything else there.
pub(crate) fn log_panics() {
    panic::set_hook(Box::new(log_panic));
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or_default();
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => tracing::error!(location, %backtrace, "panic: {message}"),
        _ => tracing::error!(location, "panic: {message}"),
    }
}

impl LogLevel {
    /// Returns the word for it on the command line.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}
