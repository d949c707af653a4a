//! A line on a terminal that says how far something is; nothing anywhere else.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use crate::output;

/// How often a terminal is told how far it is.
const INTERVAL: Duration = Duration::from_millis(250);

/// The line, which is cleared with its end.
#[derive(Debug)]
pub(crate) struct ProgressLine {
    last: Instant,
    is_shown: bool,
    is_terminal: bool,
}

impl ProgressLine {
    pub(crate) fn new() -> Self {
        Self { last: Instant::now(), is_shown: false, is_terminal: io::stderr().is_terminal() }
    }

    /// Shows a text in place of the last one, unless that has only just been shown.
    pub(crate) fn show(&mut self, text: impl FnOnce() -> String) {
        if self.is_terminal && self.last.elapsed() >= INTERVAL {
            output::note_in_place(&text());
            self.last = Instant::now();
            self.is_shown = true;
        }
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        if self.is_shown {
            output::note_in_place("");
        }
    }
}
