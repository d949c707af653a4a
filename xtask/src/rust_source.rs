//! Rust text without its comments and literals, so that a rule about code is not broken by a sentence about it.

/// What the scanner is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Code,
    LineComment,
    /// Block comments nest.
    BlockComment(u32),
    /// In a string; raw ones end with this many hashes and know no escapes.
    Text {
        raw: bool,
        hashes: usize,
    },
}

/// Replaces comments, strings and character literals by spaces. Lines stay where they are.
pub(crate) fn code_only(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut state = State::Code;
    let mut at = 0;
    while at < characters.len() {
        let (next, length) = step(state, &characters, at);
        let visible = state == State::Code && next == State::Code && length == 1;
        for character in characters.iter().skip(at).take(length) {
            code.push(if visible || *character == '\n' { *character } else { ' ' });
        }
        at += length;
        state = next;
    }
    code
}

/// Returns the state behind what stands at `at`, and how many characters that is.
fn step(state: State, characters: &[char], at: usize) -> (State, usize) {
    let ahead = |text: &str| text.chars().enumerate().all(|(i, c)| characters.get(at + i) == Some(&c));
    match state {
        State::Code if ahead("//") => (State::LineComment, 2),
        State::Code if ahead("/*") => (State::BlockComment(1), 2),
        State::Code => match text_start(characters, at) {
            Some((raw, hashes, length)) => (State::Text { raw, hashes }, length),
            None => (State::Code, character_literal(characters, at).unwrap_or(1)),
        },
        State::LineComment if ahead("\n") => (State::Code, 1),
        State::BlockComment(depth) if ahead("/*") => (State::BlockComment(depth + 1), 2),
        State::BlockComment(1) if ahead("*/") => (State::Code, 2),
        State::BlockComment(depth) if ahead("*/") => (State::BlockComment(depth - 1), 2),
        State::Text { raw: false, .. } if ahead("\\") => (state, 2),
        State::Text { hashes, .. } if ahead(&format!("\"{}", "#".repeat(hashes))) => {
            (State::Code, 1 + hashes)
        }
        State::LineComment | State::BlockComment(_) | State::Text { .. } => (state, 1),
    }
}

/// Recognises the start of a string: whether it is raw, its hashes, and how long the start is.
fn text_start(characters: &[char], at: usize) -> Option<(bool, usize, usize)> {
    let is_word = |at: usize| characters.get(at).is_some_and(|c| c.is_alphanumeric() || *c == '_');
    if at > 0 && is_word(at - 1) {
        return (characters.get(at) == Some(&'"')).then_some((false, 0, 1));
    }
    let prefix = characters.iter().skip(at).take_while(|c| matches!(c, 'b' | 'c' | 'r')).count();
    let raw = characters.iter().skip(at).take(prefix).any(|c| *c == 'r');
    let hashes = characters.iter().skip(at + prefix).take_while(|c| **c == '#').count();
    let quoted = characters.get(at + prefix + hashes) == Some(&'"');
    (prefix <= 2 && quoted && (raw || hashes == 0)).then_some((raw, hashes, prefix + hashes + 1))
}

/// Returns the length of a character literal, which a lifetime is not.
fn character_literal(characters: &[char], at: usize) -> Option<usize> {
    if characters.get(at) != Some(&'\'') {
        return None;
    }
    if characters.get(at + 1) == Some(&'\\') {
        let end = characters.iter().skip(at + 3).take(10).position(|c| *c == '\'')?;
        return Some(end + 4);
    }
    (characters.get(at + 2) == Some(&'\'')).then_some(3)
}

/// Returns the lines, counted from 1, on which `word` stands as a whole word.
pub(crate) fn lines_with_word(code: &str, word: &str) -> Vec<usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    code.lines()
        .enumerate()
        .filter(|(_, line)| {
            line.match_indices(word).any(|(start, _)| {
                let before = line.get(..start).and_then(|text| text.chars().next_back());
                let after = line.get(start + word.len()..).and_then(|text| text.chars().next());
                !before.is_some_and(is_word) && !after.is_some_and(is_word)
            })
        })
        .map(|(index, _)| index + 1)
        .collect()
}

/// Counts the lines that hold code.
pub(crate) fn net_lines(code: &str) -> usize {
    code.lines().filter(|line| !line.trim().is_empty()).count()
}

#[cfg(test)]
mod tests {
    use super::{code_only, lines_with_word, net_lines};

    #[test]
    fn comments_and_literals_go_and_lines_stay() {
        let text = "a // unsafe\nb /* unsafe /* x */ unsafe\n */ c\n\"unsafe \\\" unsafe\" d\nr#\"unsafe \" unsafe\"# e\n";
        let code = code_only(text);
        assert!(lines_with_word(&code, "unsafe").is_empty(), "{code}");
        assert_eq!(code.lines().count(), text.lines().count());
        for (line, word) in [(1, "a"), (2, "b"), (3, "c"), (4, "d"), (5, "e")] {
            assert_eq!(lines_with_word(&code, word), [line], "{word}");
        }
    }

    #[test]
    fn quotes_in_character_literals_open_no_string() {
        let code =
            code_only("let a = ['\"', '\\'', '\\\\', '\\u{22}', b'\"']; unsafe {}\nfn f<'a>(x: &'a str) {}");
        assert_eq!(lines_with_word(&code, "unsafe"), [1]);
        assert_eq!(lines_with_word(&code, "str"), [2]);
    }

    #[test]
    fn byte_and_c_strings_are_strings() {
        let code =
            code_only("f(b\"unsafe\", c\"unsafe\", br#\"unsafe\"#, cr\"unsafe\"); bar\"unsafe\"; unsafe");
        assert_eq!(code.matches("unsafe").count(), 1, "{code}");
    }

    #[test]
    fn a_word_is_not_a_part_of_one() {
        assert!(lines_with_word("forbid(unsafe_code)\nunshare_unsafe()", "unsafe").is_empty());
        assert_eq!(lines_with_word("x\nunsafe{}", "unsafe"), [2]);
    }

    #[test]
    fn only_code_counts_as_net() {
        assert_eq!(net_lines(&code_only("//! About.\n\nfn f() {\n    // why\n    g();\n}\n")), 3);
    }
}
