//! Characters that a log must not carry: those that act on a terminal, or that make one line look like two or like another.

/// Escapes everything that is not printable, line breaks included, as Rust writes it: `\n`, `\u{9b}`.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if is_printable(character) {
            escaped.push(character);
        } else {
            escaped.extend(character.escape_debug());
        }
    }
    escaped
}

/// Escapes what JSON lets stand although it is not printable: DEL, the controls above it, marks of direction.
pub(super) fn escaped_in_json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if is_printable(character) {
            escaped.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    escaped
}

/// Whether a character has a shape and nothing but a shape, as the standard library's tables of Unicode have it.
fn is_printable(character: char) -> bool {
    // These three are escaped for the sake of literals, not of readers.
    matches!(character, '"' | '\'' | '\\') || character.escape_debug().len() == 1
}

#[cfg(test)]
mod tests {
    use super::{escaped, escaped_in_json};

    /// ESC, line breaks, NUL, DEL, the one-character CSI, a line separator, a mark that turns text around.
    const HOSTILE: &str = "a\x1b[2J\r\n\0\u{7f}\u{9b}\u{2028}\u{202e}z";

    #[test]
    fn what_acts_on_a_terminal_is_escaped() {
        assert_eq!(escaped(HOSTILE), r"a\u{1b}[2J\r\n\0\u{7f}\u{9b}\u{2028}\u{202e}z");
    }

    #[test]
    fn what_is_printable_stays_as_it_is() {
        let text = "it's \"1 \u{20ac}\", C:\\ \u{1f600} \u{e4}\u{3b1}\u{6f22}";
        assert_eq!(escaped(text), text);
        assert_eq!(escaped_in_json(text), text);
    }

    #[test]
    fn json_stays_the_same_document() {
        let value = serde_json::json!({"text": format!("{HOSTILE}\u{e0001}")});
        let line = escaped_in_json(&value.to_string());
        assert!(line.is_ascii() && !line.contains(|c: char| c.is_control()), "{line}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).expect("JSON"), value);
    }
}
