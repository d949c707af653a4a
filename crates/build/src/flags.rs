//! Options of instructions: `--name` and `--name=value`, before everything else.

/// An option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flag {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
}

/// Takes the options off the beginning of what is behind a keyword. Quotes around a part of one are taken away.
pub(crate) fn take(rest: &str, escape: char) -> (Vec<Flag>, &str) {
    let mut flags = Vec::new();
    let mut rest = rest.trim_start();
    while rest.starts_with("--") {
        let end = end_of_word(rest, escape);
        let (word, behind) = rest.split_at(end);
        rest = behind.trim_start();
        if word == "--" {
            break;
        }
        let word = unquoted(&word[2..], escape);
        flags.push(match word.split_once('=') {
            Some((name, value)) => Flag { name: name.to_owned(), value: Some(value.to_owned()) },
            None => Flag { name: word, value: None },
        });
    }
    (flags, rest)
}

fn end_of_word(text: &str, escape: char) -> usize {
    let (mut quote, mut escaped) = (None, false);
    for (index, character) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if character == escape {
            escaped = true;
        } else if quote == Some(character) {
            quote = None;
        } else if quote.is_none() && matches!(character, '"' | '\'') {
            quote = Some(character);
        } else if quote.is_none() && character.is_whitespace() {
            return index;
        }
    }
    text.len()
}

fn unquoted(word: &str, escape: char) -> String {
    let mut result = String::new();
    let mut quote = None;
    let mut characters = word.chars();
    while let Some(character) = characters.next() {
        if character == escape {
            // `\$` stays what it is until variables are replaced.
            match characters.next() {
                Some(next @ ('"' | '\'')) => result.push(next),
                next => result.extend([Some(character), next].into_iter().flatten()),
            }
        } else if quote == Some(character) {
            quote = None;
        } else if quote.is_none() && matches!(character, '"' | '\'') {
            quote = Some(character);
        } else {
            result.push(character);
        }
    }
    result
}
