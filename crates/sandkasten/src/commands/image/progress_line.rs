//! A line on a terminal that says how far something is; nothing anywhere else.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use crate::output;

/// How often a terminal is told how far it is.
const INTERVAL: Duration = Duration::from_millis(250);

/// The line of one operation.
pub(super) struct ProgressLine {
    what: &'static str,
    started: Instant,
    shown: Option<Instant>,
    terminal: bool,
}

impl ProgressLine {
    /// Begins with nothing shown. `what` comes before the text.
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, started: Instant::now(), shown: None, terminal: io::stderr().is_terminal() }
    }

    /// Shows how far it is, if it is time to.
    pub(super) fn show(&mut self, text: &str) {
        let last = self.shown.unwrap_or(self.started);
        if !self.terminal || last.elapsed() < INTERVAL {
            return;
        }
        self.shown = Some(Instant::now());
        output::note_in_place(&format!("{}: {text}", self.what));
    }

    /// Takes the line away.
    pub(super) fn clear(&self) {
        if self.shown.is_some() {
            output::note_in_place("");
        }
    }
}
