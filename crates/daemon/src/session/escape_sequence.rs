//! Where the ANSI sequences of an output (ECMA-48) begin and end, byte by byte.

/// Finds sequences in an output that comes in pieces.
#[derive(Debug, Default)]
pub(super) struct SequenceScanner {
    state: State,
    length: usize,
}

/// What a byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// No part of a sequence.
    Text,
    /// The first of one; another that was not complete is given up.
    Begin,
    /// In one.
    Inside,
    /// The last of one.
    End,
    /// It shows that what began was no sequence, or ends it half-way.
    Broken,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// Behind ESC.
    Escape,
    /// Behind ESC and intermediate bytes.
    Intermediate,
    /// In a control sequence, behind ESC [.
    Control,
    /// In a string: OSC, DCS, SOS, PM or APC.
    String,
    /// In a string, behind ESC.
    StringEscape,
}

pub(super) const ESCAPE: u8 = 0x1b;
pub(super) const BELL: u8 = 0x07;
const CANCEL: u8 = 0x18;
const SUBSTITUTE: u8 = 0x1a;
/// A string that is longer than any in use was none: what follows is text.
const MAX_SEQUENCE_BYTES: usize = 4_096;

impl SequenceScanner {
    /// Takes the next byte.
    pub(super) fn step(&mut self, byte: u8) -> Step {
        if self.state == State::Text {
            if byte != ESCAPE {
                return Step::Text;
            }
            self.begin();
            return Step::Begin;
        }
        self.length += 1;
        // A line break inside a sequence ends it in any terminal's user's eyes.
        if matches!(byte, CANCEL | SUBSTITUTE | b'\n') || self.length > MAX_SEQUENCE_BYTES {
            self.state = State::Text;
            return Step::Broken;
        }
        if byte == ESCAPE && !matches!(self.state, State::String | State::StringEscape) {
            self.begin();
            return Step::Begin;
        }
        self.state = self.next_state(byte);
        if self.state == State::Text { Step::End } else { Step::Inside }
    }

    fn begin(&mut self) {
        self.state = State::Escape;
        self.length = 0;
    }

    fn next_state(&self, byte: u8) -> State {
        match (self.state, byte) {
            (State::String, BELL) | (State::StringEscape, b'\\') => State::Text,
            (State::String | State::StringEscape, ESCAPE) => State::StringEscape,
            (State::String | State::StringEscape, _) => State::String,
            (State::Escape, b'[') => State::Control,
            (State::Escape, b']' | b'P' | b'X' | b'^' | b'_') => State::String,
            (State::Escape | State::Intermediate, 0x20..=0x2f) => State::Intermediate,
            (State::Control, 0x00..=0x3f) => State::Control,
            _ => State::Text,
        }
    }
}
