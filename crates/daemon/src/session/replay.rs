//! Output of a terminal that is shown once more. What asked the terminal a question is left out: an answer would be typed
//! into whatever runs there now.

use super::escape_sequence::{BELL, ESCAPE, SequenceScanner, Step};

/// The character that asks for a text of the terminal's own.
const ENQUIRY: u8 = 5;

/// Takes the questions out of an output that comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    scanner: SequenceScanner,
    /// What has come of a sequence.
    sequence: Vec<u8>,
}

impl Replay {
    /// Takes a piece and returns what of it is shown; a sequence that is not complete comes with the next one.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut shown = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            match self.scanner.step(byte) {
                Step::Text if byte == ENQUIRY => {}
                Step::Text => shown.push(byte),
                Step::Begin => {
                    shown.append(&mut self.sequence);
                    self.sequence.push(byte);
                }
                Step::Inside => self.sequence.push(byte),
                Step::Broken => {
                    shown.append(&mut self.sequence);
                    shown.push(byte);
                }
                Step::End => {
                    self.sequence.push(byte);
                    if !asks(&self.sequence) {
                        shown.extend_from_slice(&self.sequence);
                    }
                    self.sequence.clear();
                }
            }
        }
        shown
    }

    /// Returns what was held back, at the end of what is shown once more.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.sequence
    }
}

/// Whether a terminal answers to a sequence, as xterm's ctlseqs and the protocols of kitty have them.
fn asks(sequence: &[u8]) -> bool {
    match sequence {
        [ESCAPE, b'Z'] => true,
        [ESCAPE, b'[', parameters @ .., last] => control_asks(parameters, *last),
        [ESCAPE, b']', body @ ..] => without_end(body).split(|byte| *byte == b';').any(|field| field == b"?"),
        [ESCAPE, b'P', body @ ..] => body.starts_with(b"$q") || body.starts_with(b"+q"),
        [ESCAPE, b'_', b'G', ..] => true,
        _ => false,
    }
}

fn control_asks(parameters: &[u8], last: u8) -> bool {
    let prefix = parameters.first().copied().unwrap_or_default();
    let has = |byte| parameters.contains(&byte);
    match last {
        b'c' | b'n' => true,
        b'x' => !has(b'$') && !has(b'*'),
        b'p' | b'w' => has(b'$'),
        b'y' => has(b'*'),
        b'q' => prefix == b'>',
        b'u' | b'S' => prefix == b'?',
        // Sizes, places and titles of the window.
        b't' => {
            let first = parameters.split(|byte| *byte == b';').next().unwrap_or_default();
            matches!(first, [b'1', b'1'..=b'9'] | [b'2', b'0' | b'1'])
        }
        _ => false,
    }
}

/// A string without what ends it.
fn without_end(body: &[u8]) -> &[u8] {
    body.strip_suffix(&[BELL]).or_else(|| body.strip_suffix(&[ESCAPE, b'\\'])).unwrap_or(body)
}

#[cfg(test)]
mod tests {
    use super::Replay;

    fn shown(pieces: &[&[u8]]) -> Vec<u8> {
        let mut replay = Replay::default();
        let mut all: Vec<u8> = pieces.iter().flat_map(|piece| replay.push(piece)).collect();
        all.extend(replay.finish());
        all
    }

    #[test]
    fn what_a_terminal_would_answer_is_left_out() {
        let questions: [&[u8]; 20] = [
            b"\x05",
            b"\x1bZ",
            b"\x1b[c",
            b"\x1b[0c",
            b"\x1b[>c",
            b"\x1b[=0c",
            b"\x1b[5n",
            b"\x1b[6n",
            b"\x1b[?6n",
            b"\x1b[?2026$p",
            b"\x1b[>0q",
            b"\x1b[?u",
            b"\x1b[18t",
            b"\x1b[21t",
            b"\x1b]11;?\x07",
            b"\x1b]4;1;?\x1b\\",
            b"\x1b]52;c;?\x07",
            b"\x1bP$qm\x1b\\",
            b"\x1bP+q544e\x1b\\",
            b"\x1b_Ga=q,i=1;AAAA\x1b\\",
        ];
        for question in questions {
            let output = [b"a", question, b"b"].concat();
            for split in 0..=output.len() {
                let (first, second) = output.split_at(split);
                assert_eq!(
                    shown(&[first, second]),
                    b"ab",
                    "{:?} at {split}",
                    question.escape_ascii().to_string()
                );
            }
        }
    }

    #[test]
    fn everything_else_is_shown_as_it_was() {
        let output =
            "é\x1b[1;31mred\x1b[0m\x1b[2J\x1b[3;4H\x1b[?1049h\x1b]0;title?\x07\x1b]8;;http://h/?a=?\x1b\\\
            \x1b[22;0t\x1b(B\x1b=\x1b[2 q\x1b[!p\x1bPq#0;2\x1b\\\x1b[3S\r\n\x1b[broken\nline\x1b]0;open\nx"
                .as_bytes();
        assert_eq!(shown(&[output]), output);
        let single: Vec<&[u8]> = output.chunks(1).collect();
        assert_eq!(shown(&single), output);
        assert_eq!(shown(&[b"cut \x1b[3"]), b"cut \x1b[3");
    }
}
