//! The log: for people on a terminal, JSON lines otherwise, always to standard error.

use std::io::{self, IsTerminal};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use crate::output::{self, Colour};

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
    let filter = EnvFilter::new(format!("{others},sandkasten={}", level.as_str()));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = if io::stderr().is_terminal() {
        let colours = output::stderr_colour() == Colour::On;
        builder.with_ansi(colours).with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
    // Only a second start in one process fails, and then the first one logs.
    drop(started);
}

impl LogLevel {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}
