//! Turns a failure to read the file into what was wrong, where, with the source line and a caret.
//!
//! The parser's own snippets are not used: they show the lines around the fault, and one of those may be the key.

use std::collections::BTreeMap;

use serde_saphyr::{Error, RenderOptions, SnippetMode, UserMessageFormatter};

use super::document::{self, Position};
use super::setting::{self, BOOLEAN, Setting, WHOLE};

const HIDDEN: &str = "(hidden)";
/// What the name of a secret has in it, in any spelling.
const SECRET_WORDS: [&str; 4] = ["key", "secret", "token", "passw"];

/// What is wrong with a file.
pub(super) struct Diagnosis {
    pub(super) position: Position,
    /// What was wrong, with the value, and what is allowed.
    pub(super) message: String,
    /// The source line under a line number, with a caret below it.
    pub(super) excerpt: String,
}

/// Explains why the text is no configuration.
pub(super) fn diagnose(text: &str, error: &Error) -> Diagnosis {
    let error = error.without_snippet();
    let positions = document::value_positions(text);
    let (position, message) = first_issue(text, error, &positions).unwrap_or_else(|| {
        let position = error.location().map_or(Position { line: 1, column: 1 }, document::position);
        (position, explain(text, error, position, &positions))
    });
    let lines = Lines::new(text);
    Diagnosis { position, message: lines.without_secrets(message), excerpt: lines.excerpt(position) }
}

/// Explains a value that parsed but broke a rule.
fn first_issue(
    text: &str,
    error: &Error,
    positions: &BTreeMap<String, Position>,
) -> Option<(Position, String)> {
    let Error::ValidationError { issues, .. } = error else { return None };
    let issue = issues.first()?;
    let mut path = String::new();
    for (kind, segment) in issue.path.segments() {
        match kind {
            serde_saphyr::path_map::PathKind::Index => path.push_str(&format!("[{segment}]")),
            _ if path.is_empty() => path.push_str(segment),
            _ => path.push_str(&format!(".{segment}")),
        }
    }
    let found = setting::find(&path)?;
    // garde numbers the inside of an optional value as if it were a list.
    let position = positions.get(&path).or_else(|| positions.get(found.name)).copied()?;
    let reason = issue.message.as_deref().unwrap_or(&issue.code);
    Some((position, refusal(found, &Lines::new(text).scalar(position), reason)))
}

/// Explains a value of the wrong type, a key that is unknown, or text that is no YAML.
fn explain(text: &str, error: &Error, position: Position, positions: &BTreeMap<String, Position>) -> String {
    if let Error::SerdeUnknownField { field, expected, .. } = error {
        return format!("unknown key `{field}`; allowed here: {}", expected.join(", "));
    }
    if let Error::DuplicateMappingKey { key, .. } = error {
        return format!("the key `{}` is there twice; keep one", key.as_deref().unwrap_or("?"));
    }
    if let Error::MultipleDocuments { .. } = error {
        return "a second YAML document starts after `---`; keep one".to_owned();
    }
    let reason = match error {
        Error::InvalidScalar { ty, .. } if ty.contains("float") => "is no number".to_owned(),
        Error::InvalidScalar { .. } => WHOLE.to_owned(),
        Error::InvalidBooleanStrict { .. } => BOOLEAN.to_owned(),
        Error::SerdeUnknownVariant { .. } => "is not one of the words it takes".to_owned(),
        Error::Message { msg, .. } => msg.clone(),
        Error::Unexpected { expected, .. } => format!("is no {}", plain_shape(expected)),
        other => plain_message(other),
    };
    // A section and its first key may start at the same place; the longer path is the key.
    let path = positions
        .iter()
        .filter(|(_, at)| **at == position)
        .map(|(path, _)| path)
        .max_by_key(|path| path.len());
    match path.and_then(|path| setting::find(path)) {
        Some(found) => refusal(found, &Lines::new(text).scalar(position), &reason),
        None => match error {
            Error::Unexpected { .. } => {
                format!("`{}` {reason}; allowed: `key: value` lines", Lines::new(text).scalar(position))
            }
            _ => reason,
        },
    }
}

/// Says that a value of a setting is refused: by the file and by the environment in the same words.
pub(super) fn refusal(setting: &Setting, value: &str, reason: &str) -> String {
    let value = if setting.name == setting::API_KEY { HIDDEN } else { value };
    // garde's own rules say "lower than 16".
    let verb = if reason.starts_with("lower") || reason.starts_with("greater") { "is " } else { "" };
    format!("{}: `{value}` {verb}{reason}; allowed: {}", setting.name, setting.allowed)
}

/// Puts the parser's words for a kind of node into the reader's.
fn plain_shape(expected: &str) -> &str {
    match expected {
        "mapping start" => "section with keys of its own",
        "sequence start" => "list",
        "string scalar" => "text",
        other => other,
    }
}

fn plain_message(error: &Error) -> String {
    let mut options = RenderOptions::new(&UserMessageFormatter);
    options.snippets = SnippetMode::Off;
    let message = error.render_with_options(options);
    // The position is said in front already.
    message.split(" at line ").next().unwrap_or(&message).to_owned()
}

/// The lines of a file, with the values of secret keys known.
struct Lines<'a> {
    lines: Vec<&'a str>,
    /// For each line, the character from which on it is hidden.
    hidden_from: Vec<Option<usize>>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let lines: Vec<&str> = text.lines().collect();
        let mut hidden_from = Vec::with_capacity(lines.len());
        // A secret in block style goes on as long as lines are indented more than its key.
        let mut block: Option<usize> = None;
        for line in &lines {
            let indent = line.chars().take_while(|c| c.is_whitespace()).count();
            let inside = block.is_some_and(|key_indent| indent > key_indent || line.trim().is_empty());
            let from = if inside { Some(0) } else { hidden_start(line) };
            if !inside {
                block = from.map(|_| indent);
            }
            hidden_from.push(from);
        }
        Self { lines, hidden_from }
    }

    fn line(&self, position: Position) -> Option<(&'a str, Option<usize>)> {
        let index = position.line.checked_sub(1)?;
        Some((*self.lines.get(index)?, *self.hidden_from.get(index)?))
    }

    /// Returns the value that starts at a position, without quotes and comment, cut to a printable length.
    fn scalar(&self, position: Position) -> String {
        let Some((line, hidden)) = self.line(position) else { return String::new() };
        if hidden.is_some() {
            return HIDDEN.to_owned();
        }
        let rest: String = line.chars().skip(position.column.saturating_sub(1)).take(80).collect();
        match rest.chars().next() {
            Some(quote @ ('"' | '\'')) => rest.chars().skip(1).take_while(|c| *c != quote).collect(),
            _ => rest.split(" #").next().unwrap_or("").trim_end_matches([',', '}', ']', ' ']).to_owned(),
        }
    }

    /// Returns the line of a position with a caret below, secrets left out.
    fn excerpt(&self, position: Position) -> String {
        let Some((line, hidden)) = self.line(position) else { return String::new() };
        let mut shown: String = line.chars().take(hidden.unwrap_or(usize::MAX)).collect();
        if hidden.is_some() {
            shown.push_str(HIDDEN);
        }
        // A tab in front of the caret keeps it below the same place, and control characters cannot move it.
        let shown: String =
            shown.chars().map(|c| if c.is_control() && c != '\t' { '?' } else { c }).collect();
        let column = position.column.min(hidden.map_or(usize::MAX, |from| from + 1));
        let pad: String =
            shown.chars().take(column.saturating_sub(1)).map(|c| if c == '\t' { c } else { ' ' }).collect();
        let number = position.line.to_string();
        let gutter = " ".repeat(number.len());
        format!("{gutter} |\n{number} | {shown}\n{gutter} | {pad}^")
    }

    /// Replaces whatever of a secret the parser quoted.
    fn without_secrets(&self, mut message: String) -> String {
        let hidden = self
            .lines
            .iter()
            .zip(&self.hidden_from)
            .filter_map(|(line, from)| from.map(|from| line.chars().skip(from).collect::<String>()));
        for text in hidden {
            let words = text.split(|c: char| c.is_whitespace() || "\"'{}[],".contains(c));
            for word in words.filter(|word| word.len() > 3) {
                message = message.replace(word, HIDDEN);
            }
        }
        message
    }
}

/// Returns from which character on a line may be secret.
fn hidden_start(line: &str) -> Option<usize> {
    [secret_start(line), unknown_start(line)].into_iter().flatten().min()
}

/// Returns from which character on a line belongs to a key that is none of ours: it may be the API key, misspelt beyond
/// recognition. Numbers and truth values are no secrets.
fn unknown_start(line: &str) -> Option<usize> {
    let mut start = 0;
    for part in line.split_inclusive(['{', ',', '[']) {
        let behind = line.get(start..)?;
        start += part.len();
        let (name, value) = behind.split_once(':')?;
        let plain = name.trim().trim_matches(['"', '\'', '-', ' ']);
        // No key but a part of a value: `127.0.0.1:80`, or text with spaces.
        let is_key = !plain.is_empty()
            && !plain.starts_with('#')
            && !plain.contains([' ', ',', '{', '[', '/'])
            && (value.is_empty() || value.starts_with([' ', '\t']));
        if !is_key || setting::is_name(plain) {
            continue;
        }
        let value = value.split([',', '}', '#']).next()?.trim();
        if value.parse::<f64>().is_err() && value.parse::<bool>().is_err() {
            let bytes = line.len() - behind.len() + name.len() + 1;
            return Some(line.get(..bytes)?.chars().count());
        }
    }
    None
}

/// Returns from which character on a line is secret: behind a key that looks like one, misspelt ones included.
fn secret_start(line: &str) -> Option<usize> {
    let lower = line.to_ascii_lowercase();
    if lower.trim_start().starts_with('#') {
        return None;
    }
    let starts = SECRET_WORDS.iter().flat_map(|word| lower.match_indices(word)).map(|(start, _)| start);
    let hidden_from = starts.filter_map(|start| {
        let (before, name) = lower.split_at_checked(start)?;
        let name_bytes = name.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        let rest = name.get(name_bytes..)?;
        let rest_bytes = rest.len() - rest.trim_start_matches([' ', '"', '\'']).len();
        if name.get(..name_bytes)?.ends_with("key_file") {
            return None;
        }
        match rest.get(rest_bytes..)?.starts_with(':') {
            true => Some(start + name_bytes + rest_bytes + 1),
            // Whoever forgot the colon, or put it elsewhere, wrote the secret here.
            false => (!before.contains(':')).then_some(start + name_bytes),
        }
    });
    Some(lower.get(..hidden_from.min()?)?.chars().count())
}
