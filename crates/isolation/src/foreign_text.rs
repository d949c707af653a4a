//! Text that somebody hostile may have chosen, made fit for a log or an answer.

/// As much of a foreign text as anybody reads.
const MOST_CHARACTERS: usize = 2_000;

/// Returns the text without control characters and not longer than anybody reads; what was there leaves a mark.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut characters = text.chars();
    let clean =
        |character: char| if character.is_control() { char::REPLACEMENT_CHARACTER } else { character };
    let mut printable: String = characters.by_ref().take(MOST_CHARACTERS).map(clean).collect();
    if characters.next().is_some() {
        printable.push('…');
    }
    printable
}

#[cfg(test)]
mod tests {
    use super::{MOST_CHARACTERS, printable};

    #[test]
    fn control_characters_leave_a_mark_and_the_rest_stays() {
        assert_eq!(printable("failed to open ä: ENOENT"), "failed to open ä: ENOENT");
        assert_eq!(printable("a\n\x1b[31mb\0c\u{85}\r"), "a\u{fffd}\u{fffd}[31mb\u{fffd}c\u{fffd}\u{fffd}");
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        let cut = printable(&"ä".repeat(1 << 20));
        assert_eq!(cut.chars().count(), MOST_CHARACTERS + 1);
        assert!(cut.ends_with('…'));
        assert_eq!(printable(&"ä".repeat(MOST_CHARACTERS)).chars().count(), MOST_CHARACTERS);
    }
}
