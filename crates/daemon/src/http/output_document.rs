//! From the bytes that are kept of an output to the text of an answer.

use sandkasten_protocol::Captured;

use crate::session::OutputText;

/// A text, and how much of what was written it lacks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct OutputDocument {
    pub(super) text: String,
    pub(super) omitted_bytes: u64,
}

impl OutputDocument {
    /// Renders what is kept. Where bytes are left out between the beginning and the end, a line says how many.
    pub(super) fn render(captured: Captured, raw: bool) -> Self {
        let (head, omitted_bytes, tail) = captured.into_parts();
        if omitted_bytes == 0 {
            return Self { text: text(&[&head, &tail], raw), omitted_bytes };
        }
        let (mut whole, end) = (text(&[&head], raw), text(&[&tail], raw));
        if !whole.is_empty() && !end.is_empty() {
            let (before, after) = (line_break(!whole.ends_with('\n')), line_break(!end.starts_with('\n')));
            whole.push_str(&format!("{before}[… {omitted_bytes} bytes left out …]{after}"));
        }
        whole.push_str(&end);
        Self { text: whole, omitted_bytes }
    }
}

const fn line_break(is_needed: bool) -> &'static str {
    if is_needed { "\n" } else { "" }
}

fn text(parts: &[&[u8]], raw: bool) -> String {
    let mut text = OutputText::new(raw);
    let mut whole: String = parts.iter().map(|part| text.push(part)).collect();
    whole.push_str(&text.finish());
    whole
}

#[cfg(test)]
mod tests {
    use sandkasten_protocol::{Capture, Captured};

    use super::OutputDocument;

    fn render(head: u64, tail: u64, bytes: &[u8]) -> OutputDocument {
        let mut captured = Captured::new(Capture { head, tail });
        captured.push(bytes);
        OutputDocument::render(captured, false)
    }

    #[test]
    fn what_is_left_out_is_said_between_beginning_and_end_only() {
        assert_eq!(render(4, 4, b"abcdefgh").text, "abcdefgh");
        let cut = render(4, 4, b"abcd12345wxyz");
        assert_eq!((cut.text.as_str(), cut.omitted_bytes), ("abcd\n[… 5 bytes left out …]\nwxyz", 5));
        assert_eq!(render(2, 2, b"a\nbbb\nc").text, "a\n[… 3 bytes left out …]\nc");
        assert_eq!(render(4, 0, b"abcdef"), OutputDocument { text: "abcd".into(), omitted_bytes: 2 });
        assert_eq!(render(0, 2, b"abcdef"), OutputDocument { text: "ef".into(), omitted_bytes: 4 });
    }

    #[test]
    fn a_character_over_the_border_of_beginning_and_end_is_whole_where_nothing_is_left_out() {
        assert_eq!(render(2, 9, "aäö".as_bytes()).text, "aäö");
    }
}
