//! Text that may become any length, of which the beginning and the end are kept.

/// A text as it grows. What is kept is half the limit from its beginning and half from its end.
#[derive(Debug)]
pub(crate) struct BoundedText {
    half: usize,
    head: String,
    tail: String,
    omitted: u64,
}

impl BoundedText {
    /// An empty text, of which at most this many bytes are kept.
    pub(crate) fn new(limit: usize) -> Self {
        Self { half: limit / 2, head: String::new(), tail: String::new(), omitted: 0 }
    }

    /// Appends a piece.
    pub(crate) fn push(&mut self, piece: &str) {
        let mut rest = piece;
        if self.tail.is_empty() && self.omitted == 0 {
            let fits = floor(piece, self.half.saturating_sub(self.head.len()));
            let (head, behind) = piece.split_at(fits);
            self.head.push_str(head);
            rest = behind;
        }
        self.tail.push_str(rest);
        // Twice the half, so that the pieces that are moved are as long as those that are dropped.
        if self.tail.len() > self.half.saturating_mul(2) {
            self.cut();
        }
    }

    /// What is kept, with a line in place of what is not, and how many bytes that is.
    pub(crate) fn finish(mut self) -> (String, u64) {
        if self.tail.len() > self.half {
            self.cut();
        }
        if self.omitted > 0 {
            self.head.push_str(&format!("\n[... {} bytes left out ...]\n", self.omitted));
        }
        self.head.push_str(&self.tail);
        (self.head, self.omitted)
    }

    fn cut(&mut self) {
        let surplus = ceiling(&self.tail, self.tail.len().saturating_sub(self.half));
        self.tail.drain(..surplus);
        self.omitted += surplus as u64;
    }
}

/// The last boundary between characters at or before this byte.
pub(crate) fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// The first boundary between characters at or behind this byte.
fn ceiling(text: &str, at: usize) -> usize {
    (at..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::BoundedText;

    fn keep(limit: usize, pieces: &[&str]) -> (String, u64) {
        let mut text = BoundedText::new(limit);
        for piece in pieces {
            text.push(piece);
        }
        text.finish()
    }

    #[test]
    fn what_fits_is_kept_as_it_is() {
        assert_eq!(keep(10, &["hello", "", "world"]), ("helloworld".to_owned(), 0));
        assert_eq!(keep(10, &[]), (String::new(), 0));
    }

    #[test]
    fn of_a_longer_text_beginning_and_end_are_kept_and_the_rest_is_counted() {
        let (text, omitted) = keep(10, &["0123456789abcdefghij"]);
        assert_eq!((text.as_str(), omitted), ("01234\n[... 10 bytes left out ...]\nfghij", 10));
        let (text, omitted) = keep(10, &["01", "234", "5678", "9", "abcdefgh", "ij"]);
        assert_eq!((text.as_str(), omitted), ("01234\n[... 10 bytes left out ...]\nfghij", 10));
    }

    #[test]
    fn characters_stay_whole() {
        let (text, omitted) = keep(6, &["ääää", "öööö"]);
        assert!(text.starts_with("ä\n[") && text.ends_with("]\nö"), "{text}");
        assert_eq!(omitted, 12);
    }

    #[test]
    fn memory_does_not_grow_with_what_is_written() {
        let mut text = BoundedText::new(1_000);
        for _ in 0..100_000 {
            text.push("0123456789");
        }
        assert!(text.head.len() + text.tail.len() <= 1_500, "{}", text.tail.len());
        assert_eq!(text.finish().1, 999_000);
    }
}
