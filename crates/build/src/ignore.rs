//! `.dockerignore`: which paths of a context are left out. The last pattern that fits counts.

use regex::bytes::Regex;

/// Patterns are few; each is a regular expression of its own.
const MOST_PATTERNS: usize = 10_000;

/// A file of patterns that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IgnoreError {
    /// A pattern is none.
    #[error("line {line}: {pattern:?} is no pattern")]
    Pattern {
        /// The line, the first being 1.
        line: usize,
        /// The pattern.
        pattern: String,
    },
    /// There are too many.
    #[error("there are more than {allowed} patterns")]
    TooMany {
        /// The limit.
        allowed: usize,
    },
}

/// Which paths are left out.
#[derive(Debug, Clone, Default)]
pub struct IgnoreRules {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    keeps: bool,
    expression: Regex,
}

impl IgnoreRules {
    /// Reads a file of patterns.
    ///
    /// # Errors
    /// [`IgnoreError`].
    pub fn parse(text: &str) -> Result<Self, IgnoreError> {
        let mut rules = Vec::new();
        for (index, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
            if line.starts_with('#') {
                continue;
            }
            let line = line.trim();
            let (keeps, pattern) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest.trim()));
            let pattern = cleaned(pattern);
            if pattern.is_empty() {
                continue;
            }
            let expression = expression(&pattern)
                .ok_or_else(|| IgnoreError::Pattern { line: index + 1, pattern: pattern.clone() })?;
            rules.push(Rule { keeps, expression });
            if rules.len() > MOST_PATTERNS {
                return Err(IgnoreError::TooMany { allowed: MOST_PATTERNS });
            }
        }
        Ok(Self { rules })
    }

    /// Whether a path of the context, with single slashes and none before it, is left out.
    #[must_use]
    pub fn leaves_out(&self, path: &[u8]) -> bool {
        self.rules.iter().rev().find(|rule| rule.expression.is_match(path)).is_some_and(|rule| !rule.keeps)
    }

    /// Whether something below a directory that is left out may be kept all the same.
    #[must_use]
    pub fn has_exceptions(&self) -> bool {
        self.rules.iter().any(|rule| rule.keeps)
    }
}

/// Without `.`, `..` and slashes that mean nothing.
pub(crate) fn cleaned(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The expression for a pattern: of a path itself, and of all that is below it.
fn expression(pattern: &str) -> Option<Regex> {
    let mut text = String::from("(?s-u)^");
    text.push_str(&glob(pattern)?);
    text.push_str("(?:/.*)?$");
    Regex::new(&text).ok()
}

/// Whether a path fits a pattern of wildcards as sources of a copy have them: `*`, `?` and `[…]`, each within one name. None
/// where the pattern is none.
pub(crate) fn wildcard(pattern: &str) -> Option<Regex> {
    Regex::new(&format!("(?s-u)^{}$", glob(pattern)?)).ok()
}

fn glob(pattern: &str) -> Option<String> {
    let mut text = String::new();
    let mut characters = pattern.chars().peekable();
    let literal = |text: &mut String, character: char| {
        for byte in character.to_string().bytes() {
            if byte.is_ascii_alphanumeric() {
                text.push(char::from(byte));
            } else {
                text.push_str(&format!("\\x{byte:02x}"));
            }
        }
    };
    while let Some(character) = characters.next() {
        match character {
            '*' if characters.next_if_eq(&'*').is_some() => {
                // `**/` is any number of directories, none included.
                match characters.next_if_eq(&'/') {
                    Some(_) => text.push_str("(?:.*/)?"),
                    None => text.push_str(".*"),
                }
            }
            '*' => text.push_str("[^/]*"),
            // One character, which may be several bytes.
            '?' => text.push_str(r"(?:[^/\x80-\xff]|[\xc0-\xff][\x80-\xbf]*)"),
            '\\' => literal(&mut text, characters.next()?),
            '[' => {
                text.push('[');
                if characters.next_if(|next| matches!(next, '^' | '!')).is_some() {
                    text.push_str("^/");
                }
                let mut some = false;
                loop {
                    match characters.next()? {
                        ']' if some => break,
                        '-' if some && characters.peek() != Some(&']') => text.push('-'),
                        '\\' => literal(&mut text, characters.next()?),
                        character => literal(&mut text, character),
                    }
                    some = true;
                }
                text.push(']');
            }
            character => literal(&mut text, character),
        }
    }
    Some(text)
}

/// A pattern of a source of a copy.
#[derive(Debug, Clone)]
pub struct Wildcard(Regex);

impl Wildcard {
    /// Reads a pattern; none where it is malformed.
    #[must_use]
    pub fn new(pattern: &str) -> Option<Self> {
        wildcard(pattern).map(Self)
    }

    /// Whether a text has characters that make a pattern of it.
    #[must_use]
    pub fn is_in(text: &str) -> bool {
        text.contains(['*', '?', '['])
    }

    /// Whether a path fits.
    #[must_use]
    pub fn fits(&self, path: &[u8]) -> bool {
        self.0.is_match(path)
    }
}
