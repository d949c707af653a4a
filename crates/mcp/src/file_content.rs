//! What a file is to a language model: lines of text, a picture, or bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sandkasten_client::{ContentStream, Files, RequestError};

use crate::bounded_text::floor;

/// The most bytes of a file that are read to find lines in it.
pub(crate) const MAX_SCANNED_BYTES: usize = 16 << 20;

/// Content as far as it was read.
#[derive(Debug)]
pub(crate) struct ReadContent {
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
    /// Whether there is more behind them.
    pub(crate) goes_on: bool,
}

/// Lines of a text, and where they are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LineWindow<'a> {
    /// The lines with their ends.
    pub(crate) text: &'a str,
    /// The first of them, from 1 on.
    pub(crate) first_line: usize,
    /// How many there are.
    pub(crate) lines: usize,
    /// Whether more follow.
    pub(crate) goes_on: bool,
}

/// Reads a file up to so many bytes.
pub(crate) async fn read(files: &Files, path: &str, limit: usize) -> Result<ReadContent, RequestError> {
    let mut stream: ContentStream = files.read(path).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > limit {
            bytes.truncate(limit);
            return Ok(ReadContent { bytes, goes_on: true });
        }
    }
    Ok(ReadContent { bytes, goes_on: false })
}

impl ReadContent {
    /// The content as text, where it is some. A character that the end of what was read cuts in two is none.
    pub(crate) fn text(&self) -> Option<&str> {
        let text = match str::from_utf8(&self.bytes) {
            Ok(text) => text,
            Err(error) if self.goes_on && error.error_len().is_none() => {
                str::from_utf8(self.bytes.get(..error.valid_up_to())?).ok()?
            }
            Err(_) => return None,
        };
        (!text.contains('\0')).then_some(text)
    }

    /// The content in base64.
    pub(crate) fn base64(&self) -> String {
        STANDARD.encode(&self.bytes)
    }

    /// The type of a picture that clients show, by its first bytes.
    pub(crate) fn image_type(&self) -> Option<&'static str> {
        match self.bytes.as_slice() {
            [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Some("image/png"),
            [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
            _ => None,
        }
    }
}

/// Takes so many lines of a text from one of them on, and no more bytes than `limit`; of a single line that is longer, its
/// beginning.
pub(crate) fn window(text: &str, first_line: usize, lines: usize, limit: usize) -> LineWindow<'_> {
    let (mut start, mut end, mut taken) = (text.len(), text.len(), 0);
    let mut at = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if index + 1 == first_line {
            (start, end) = (at, at);
        }
        if index + 1 >= first_line {
            if taken == lines || (taken > 0 && at + line.len() - start > limit) {
                break;
            }
            end = at + line.len();
            taken += 1;
        }
        at += line.len();
    }
    let whole = text.get(start..end).unwrap_or_default();
    let cut = whole.get(..floor(whole, limit)).unwrap_or_default();
    LineWindow { text: cut, first_line, lines: taken, goes_on: start + cut.len() < text.len() }
}

#[cfg(test)]
mod tests {
    use super::{LineWindow, ReadContent, window};

    fn content(bytes: &[u8], goes_on: bool) -> ReadContent {
        ReadContent { bytes: bytes.to_vec(), goes_on }
    }

    #[test]
    fn windows_of_lines() {
        let text = "one\ntwo\nthree";
        let seen = |first, lines, limit| {
            let LineWindow { text, lines, goes_on, .. } = window(text, first, lines, limit);
            (text, lines, goes_on)
        };
        assert_eq!(seen(1, 10, 100), ("one\ntwo\nthree", 3, false));
        assert_eq!(seen(2, 1, 100), ("two\n", 1, true));
        assert_eq!(seen(3, 1, 100), ("three", 1, false));
        assert_eq!(seen(4, 1, 100), ("", 0, false));
        assert_eq!(seen(1, 10, 8), ("one\ntwo\n", 2, true));
        assert_eq!(seen(1, 10, 2), ("on", 1, true));
        assert_eq!(seen(1, 0, 100), ("", 0, true));
        assert_eq!(window("", 1, 10, 10).lines, 0);
        assert_eq!(window("ää", 1, 1, 3).text, "ä");
    }

    #[test]
    fn text_is_told_from_bytes() {
        assert_eq!(content("ä\n".as_bytes(), false).text(), Some("ä\n"));
        assert_eq!(content(b"a\0b", false).text(), None);
        assert_eq!(content(b"\xff\xfe", false).text(), None);
        assert_eq!(content(b"a\xc3", true).text(), Some("a"));
        assert_eq!(content(b"a\xc3", false).text(), None);
    }

    #[test]
    fn pictures_are_known_by_their_first_bytes() {
        for (bytes, expected) in [
            (&b"\x89PNG\r\n\x1a\nrest"[..], Some("image/png")),
            (b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            (b"GIF89a", Some("image/gif")),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some("image/webp")),
            (b"<svg/>", None),
            (b"", None),
        ] {
            assert_eq!(content(bytes, false).image_type(), expected, "{bytes:?}");
        }
    }
}
