//! From the pieces that a process wrote to the frames of a terminal's WebSocket.

use axum::extract::ws::Message;
use sandkasten_api::exec::StreamName;
use sandkasten_api::terminal::TerminalEvent;
use sandkasten_protocol::{Piece, Stream};

use crate::session::Replay;

/// A line of a terminal is not longer; a history that begins in the middle of a longer one begins there.
const MAX_LINE_BYTES: usize = 4 << 10;

/// What has been sent to one client.
#[derive(Debug)]
pub(super) struct TerminalOutput {
    /// Where each stream goes on.
    places: [u64; 2],
    stream: Stream,
    /// Of a terminal: what had been written before the client came, as long as that is not all sent.
    history: Option<History>,
}

/// Output of a terminal that its client has not been there for.
#[derive(Debug)]
struct History {
    end: u64,
    replay: Replay,
    /// How many bytes of it have been left out, those included that may still be shown.
    left_out: usize,
}

impl TerminalOutput {
    /// Of a process that had written so much of each stream when the client came, which wants it from `since` on.
    pub(super) fn new(tty: bool, since: u64, written: [u64; 2]) -> Self {
        let history = History { end: written[0], replay: Replay::default(), left_out: 0 };
        let history = (tty && since < written[0]).then_some(history);
        Self { places: [since; 2], stream: Stream::Output, history }
    }

    /// Returns the frames of a piece.
    pub(super) fn frames(&mut self, piece: Piece) -> Vec<Message> {
        let Piece { stream, mut offset, mut bytes } = piece;
        let mut frames = Vec::new();
        if stream != self.stream {
            self.stream = stream;
            frames.push(text(&TerminalEvent::Stream { stream: name(stream) }));
        }
        let place = &mut self.places[stream.index()];
        if offset != *place {
            if self.history.is_some() {
                // The oldest line that is kept is seldom whole, and may begin in the middle of a sequence.
                let newline = bytes.iter().take(MAX_LINE_BYTES).position(|byte| *byte == b'\n');
                let cut = newline.map_or(0, |newline| newline + 1);
                bytes.drain(..cut);
                offset = offset.saturating_add(cut as u64);
            }
            frames.push(text(&TerminalEvent::Offset { offset }));
        }
        *place = offset.saturating_add(bytes.len() as u64);
        if let Some(mut history) = self.history.take() {
            let length = usize::try_from(history.end.saturating_sub(offset)).unwrap_or(usize::MAX);
            let live = bytes.split_off(length.min(bytes.len()));
            let mut shown = history.replay.push(&bytes);
            history.left_out = (history.left_out + bytes.len()).saturating_sub(shown.len());
            if *place < history.end {
                self.history = Some(history);
            } else {
                let held = history.replay.finish();
                let left_out = history.left_out > held.len();
                shown.extend(held);
                frames.extend(binary(std::mem::take(&mut shown)));
                frames.extend(left_out.then(|| text(&TerminalEvent::Offset { offset: history.end })));
            }
            frames.extend(binary(shown));
            bytes = live;
        }
        frames.extend(binary(bytes));
        frames
    }

    /// Returns what is still to be sent at the end.
    pub(super) fn finish(self) -> Option<Message> {
        self.history.and_then(|history| binary(history.replay.finish()))
    }
}

fn name(stream: Stream) -> StreamName {
    match stream {
        Stream::Output => StreamName::Stdout,
        Stream::Error => StreamName::Stderr,
    }
}

fn binary(bytes: Vec<u8>) -> Option<Message> {
    (!bytes.is_empty()).then(|| Message::Binary(bytes.into()))
}

/// Renders a text frame.
pub(super) fn text(event: &TerminalEvent) -> Message {
    let json = serde_json::to_string(event).unwrap_or_else(|_| "{}".to_owned());
    Message::Text(json.into())
}

#[cfg(test)]
mod tests {
    use axum::extract::ws::Message;
    use sandkasten_protocol::{Piece, Stream};

    use super::TerminalOutput;

    fn piece(offset: u64, bytes: &[u8]) -> Piece {
        Piece { stream: Stream::Output, offset, bytes: bytes.to_vec() }
    }

    /// The frames in short: bytes as they are, places with an `@`.
    fn heard(output: &mut TerminalOutput, piece: Piece) -> Vec<String> {
        let short = |message| match message {
            Message::Binary(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Message::Text(text) => {
                let event: serde_json::Value = serde_json::from_str(&text).expect("JSON");
                match event["type"].as_str() {
                    Some("offset") => format!("@{}", event["offset"]),
                    _ => format!("@{}", event["stream"].as_str().unwrap_or_default()),
                }
            }
            other => panic!("{other:?}"),
        };
        output.frames(piece).into_iter().map(short).collect()
    }

    #[test]
    fn a_gap_is_told_and_streams_are_told_apart() {
        let mut output = TerminalOutput::new(false, 0, [0, 0]);
        assert_eq!(heard(&mut output, piece(0, b"ab")), ["ab"]);
        assert_eq!(heard(&mut output, piece(5, b"c\x1b[6nd")), ["@5", "c\x1b[6nd"]);
        let error = Piece { stream: Stream::Error, offset: 0, bytes: b"e".to_vec() };
        assert_eq!(heard(&mut output, error), ["@stderr", "e"]);
        assert_eq!(heard(&mut output, piece(11, b"f")), ["@stdout", "f"]);
    }

    #[test]
    fn a_history_is_shown_without_questions_and_what_comes_later_as_it_is() {
        let mut output = TerminalOutput::new(true, 0, [10, 0]);
        assert_eq!(heard(&mut output, piece(0, b"abc\x1b[6")), ["abc"]);
        assert_eq!(heard(&mut output, piece(6, b"ndef\x1b[6n")), ["def", "@10", "\x1b[6n"]);
        assert_eq!(heard(&mut output, piece(14, b"\x1b[6n")), ["\x1b[6n"]);
        let mut output = TerminalOutput::new(true, 0, [4, 0]);
        assert_eq!(heard(&mut output, piece(0, b"ab\x1b[")), ["ab\x1b["]);
        assert_eq!(heard(&mut output, piece(4, b"1m")), ["1m"]);
        assert!(output.finish().is_none());
    }

    #[test]
    fn a_history_whose_beginning_is_gone_begins_with_a_whole_line() {
        let mut output = TerminalOutput::new(true, 0, [30, 0]);
        assert_eq!(heard(&mut output, piece(20, b"1m\nline\r\nx")), ["@23", "line\r\nx"]);
        let mut output = TerminalOutput::new(true, 25, [30, 0]);
        assert_eq!(heard(&mut output, piece(25, b"one \n")), ["one \n"]);
    }
}
