//! `~.` at the beginning of a line leaves the terminal, as in ssh.

/// What Ctrl-C types.
const INTERRUPT: u8 = 3;

/// Looks for the escape in what is typed.
#[derive(Debug)]
pub(super) struct Escape {
    state: State,
    /// Nothing is typed: the user only watches, and Ctrl-C leaves as well.
    watch: bool,
}

/// What is to be done with what was typed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// It goes to the program.
    Input(Vec<u8>),
    /// This goes to the program, and then the user leaves.
    Leave(Vec<u8>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    LineStart,
    Line,
    /// Behind a tilde at the beginning of a line, which is held back.
    Tilde,
}

impl Escape {
    pub(super) fn new(watch: bool) -> Self {
        Self { state: State::LineStart, watch }
    }

    /// Whether what is typed goes to the program.
    pub(super) fn types(&self) -> bool {
        !self.watch
    }

    /// Takes what was typed. Two tildes are one.
    pub(super) fn look(&mut self, bytes: &[u8]) -> Typed {
        let mut input = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            if self.watch && byte == INTERRUPT {
                return Typed::Leave(Vec::new());
            }
            self.state = match (self.state, byte) {
                (State::LineStart, b'~') => State::Tilde,
                (State::Tilde, b'.') => return Typed::Leave(if self.watch { Vec::new() } else { input }),
                (State::Tilde, b'~') => {
                    input.push(b'~');
                    State::Line
                }
                (before, _) => {
                    if before == State::Tilde {
                        input.push(b'~');
                    }
                    input.push(byte);
                    if matches!(byte, b'\r' | b'\n') { State::LineStart } else { State::Line }
                }
            };
        }
        Typed::Input(if self.watch { Vec::new() } else { input })
    }
}

#[cfg(test)]
mod tests {
    use super::{Escape, Typed};

    fn typed(text: &str) -> (Vec<u8>, bool) {
        let mut escape = Escape::new(false);
        let mut all = Vec::new();
        for byte in text.as_bytes() {
            match escape.look(&[*byte]) {
                Typed::Input(input) => all.extend(input),
                Typed::Leave(input) => {
                    all.extend(input);
                    return (all, true);
                }
            }
        }
        (all, false)
    }

    #[test]
    fn a_tilde_and_a_dot_leave_at_the_beginning_of_a_line_alone() {
        assert_eq!(typed("~."), (b"".to_vec(), true));
        assert_eq!(typed("ls\r~."), (b"ls\r".to_vec(), true));
        assert_eq!(typed("ls ~.\r"), (b"ls ~.\r".to_vec(), false));
        assert_eq!(typed("\x03~."), (b"\x03~.".to_vec(), false));
        assert_eq!(typed("\r\r~."), (b"\r\r".to_vec(), true));
    }

    #[test]
    fn who_watches_types_nothing_and_leaves_by_an_interrupt() {
        let mut escape = Escape::new(true);
        assert_eq!(escape.look(b"rm -r x\r"), Typed::Input(Vec::new()));
        assert_eq!(escape.look(b"x\r~."), Typed::Leave(Vec::new()));
        assert_eq!(Escape::new(true).look(b"x\x03"), Typed::Leave(Vec::new()));
    }

    #[test]
    fn other_tildes_are_typed() {
        assert_eq!(typed("~/bin\r"), (b"~/bin\r".to_vec(), false));
        assert_eq!(typed("~~.\r"), (b"~.\r".to_vec(), false));
        assert_eq!(typed("~\r~."), (b"~\r".to_vec(), true));
        assert_eq!(Escape::new(false).look(b"echo 1\r~.rest"), Typed::Leave(b"echo 1\r".to_vec()));
    }
}
