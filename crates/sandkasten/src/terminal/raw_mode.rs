//! The user's own terminal in raw mode: every key goes to the program inside, Ctrl-C and Ctrl-Z included.

use std::io;

use rustix::stdio::stdin;
use rustix::termios::{OptionalActions, OutputModes, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use sandkasten_api::exec::TerminalSize;

use crate::output;

/// Raw mode as long as it lives; what was before comes back with its end.
#[derive(Debug)]
pub(super) struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Puts the terminal of standard input into raw mode.
    ///
    /// # Errors
    /// The kernel's, where standard input is no terminal.
    pub(super) fn enter() -> io::Result<Self> {
        Self::change(Termios::make_raw)
    }

    /// Shows what is written as it is, with keys as usual: the terminal inside has ended its lines for ours already.
    ///
    /// # Errors
    /// The kernel's, where standard input is no terminal.
    pub(super) fn of_output() -> io::Result<Self> {
        Self::change(|modes| modes.output_modes.remove(OutputModes::OPOST))
    }

    fn change(change: impl FnOnce(&mut Termios)) -> io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut changed = before.clone();
        change(&mut changed);
        tcsetattr(stdin(), OptionalActions::Now, &changed)?;
        Ok(Self { before })
    }
}

/// Modes of a terminal that a program inside may have switched on and cannot switch off any more once its user has left:
/// bracketed paste, the alternate screen, mouse reports, cursor keys and a hidden cursor (xterm's ctlseqs).
const USUAL_MODES: &str = "\x1b[?2004l\x1b[?1049l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1004l\x1b[?1l\x1b>\x1b[?25h\x1b[m";

impl RawMode {
    /// Brings the terminal's modes back to what is usual, for a user who leaves a program that goes on.
    pub(super) fn leave_program(&self) {
        output::write(USUAL_MODES).ok();
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // A terminal that has gone needs nothing.
        tcsetattr(stdin(), OptionalActions::Now, &self.before).ok();
    }
}

/// Returns the size of the window of standard input, where it is a terminal that knows it.
pub(crate) fn window() -> Option<TerminalSize> {
    let size = tcgetwinsize(stdin()).ok()?;
    let within = |number: u16| (1..=1_000).contains(&number);
    (within(size.ws_row) && within(size.ws_col))
        .then_some(TerminalSize { rows: size.ws_row, cols: size.ws_col })
}
