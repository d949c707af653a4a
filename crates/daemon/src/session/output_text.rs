//! From the bytes that a command wrote to the text of an answer, piece by piece.
//!
//! Raw text only has its invalid UTF-8 replaced. Plain text also loses its ANSI sequences (ECMA-48) and has CR LF
//! turned into LF. A sequence or character that is cut by the end of a piece is carried over to the next.

use super::escape_sequence::{SequenceScanner, Step};

/// Turns pieces of output into text.
#[derive(Debug)]
pub(crate) struct OutputText {
    raw: bool,
    scanner: SequenceScanner,
    /// Bytes of a character, or a CR, that the next piece decides about.
    held: Vec<u8>,
}

impl OutputText {
    pub(crate) fn new(raw: bool) -> Self {
        Self { raw, scanner: SequenceScanner::default(), held: Vec::new() }
    }

    /// Takes a piece of output and returns the text that is certain by now.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        let mut pending = std::mem::take(&mut self.held);
        if self.raw {
            pending.extend_from_slice(bytes);
        } else {
            self.strip(bytes, &mut pending);
        }
        let keep = self.undecided(&pending);
        self.held = pending.split_off(pending.len() - keep);
        String::from_utf8_lossy(&pending).into_owned()
    }

    /// Returns what was held back, at the end of the output.
    pub(crate) fn finish(&mut self) -> String {
        let held = std::mem::take(&mut self.held);
        String::from_utf8_lossy(&held).into_owned()
    }

    fn strip(&mut self, bytes: &[u8], text: &mut Vec<u8>) {
        for &byte in bytes {
            match self.scanner.step(byte) {
                Step::Text if byte == b'\n' && text.last() == Some(&b'\r') => {
                    text.pop();
                    text.push(b'\n');
                }
                Step::Text => text.push(byte),
                // A line break that breaks a sequence is one all the same.
                Step::Broken if byte == b'\n' => text.push(byte),
                Step::Begin | Step::Inside | Step::End | Step::Broken => {}
            }
        }
    }

    /// How many bytes at the end the next piece may still change.
    fn undecided(&self, bytes: &[u8]) -> usize {
        if !self.raw && bytes.last() == Some(&b'\r') {
            return 1;
        }
        // At most three bytes can be the beginning of a character that is not complete.
        let tail = bytes.len().saturating_sub(3);
        let end = bytes.get(tail..).unwrap_or_default();
        for (index, byte) in end.iter().enumerate().rev() {
            let length = match byte {
                0xc2..=0xdf => 2,
                0xe0..=0xef => 3,
                0xf0..=0xf4 => 4,
                0x80..=0xbf => continue,
                _ => return 0,
            };
            let there = end.len() - index;
            return if there < length && is_prefix(end.get(index..).unwrap_or_default()) { there } else { 0 };
        }
        0
    }
}

/// Whether bytes are the beginning of a valid character, rather than invalid already.
fn is_prefix(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::OutputText;

    fn text(raw: bool, pieces: &[&[u8]]) -> String {
        let mut output = OutputText::new(raw);
        let mut text: String = pieces.iter().map(|piece| output.push(piece)).collect();
        text.push_str(&output.finish());
        text
    }

    #[test]
    fn every_split_of_the_bytes_gives_the_same_text() {
        let bytes =
            "a\x1b[1;31mré\x1b[0md\r\n\x1b]0;title\x07x\x1b]8;;u\x1b\\ž€😀\r\r\n\x1b(By\x1bMz\rq".as_bytes();
        let whole = text(false, &[bytes]);
        assert_eq!(whole, "aréd\nxž€😀\r\nyz\rq");
        for split in 0..=bytes.len() {
            let (a, b) = bytes.split_at(split);
            assert_eq!(text(false, &[a, b]), whole, "split at {split}");
            assert_eq!(text(true, &[a, b]), String::from_utf8_lossy(bytes), "split at {split}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(text(false, &single), whole);
    }

    #[test]
    fn bytes_that_are_no_utf8_are_replaced_and_nothing_is_lost_around_them() {
        for pieces in
            [&[&b"a\xff\xfeb\xc3"[..], b"(\xe2\x82"][..], &[&b"a\xff"[..], b"\xfeb", b"\xc3(", b"\xe2\x82"]]
        {
            assert_eq!(text(false, pieces), "a\u{fffd}\u{fffd}b\u{fffd}(\u{fffd}");
            assert_eq!(text(true, pieces), "a\u{fffd}\u{fffd}b\u{fffd}(\u{fffd}");
        }
    }

    #[test]
    fn control_bytes_that_are_no_sequence_stay() {
        assert_eq!(text(false, &[b"a\0b\tc\x07d\x08"]), "a\0b\tc\x07d\x08");
    }

    #[test]
    fn an_unfinished_string_swallows_no_later_line() {
        assert_eq!(text(false, &[b"a\x1b]0;never closed\nb\n"]), "a\nb\n");
        assert_eq!(text(false, &[b"a\x1b[31"]), "a");
        let long = [b"\x1b]", "x".repeat(5_000).as_bytes()].concat();
        assert!(text(false, &[&long]).len() > 800);
    }
}
