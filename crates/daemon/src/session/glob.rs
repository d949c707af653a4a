//! Patterns of file names, compiled to regular expressions, which match in linear time whatever they say.

use regex::bytes::{Regex, RegexBuilder};
use sandkasten_api::limits::MAX_GLOB_BYTES;

/// How large the compiled form may get.
const COMPILED_BYTES: usize = 1 << 20;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(crate) struct Glob {
    regex: Regex,
    /// The pattern holds a slash, and so is about paths.
    is_path: bool,
}

/// Why a pattern is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidGlob {
    /// It is longer than anybody means it.
    #[error("the glob has {bytes} bytes, allowed are 1 to {MAX_GLOB_BYTES}")]
    Length {
        /// How long it is.
        bytes: usize,
    },
    /// A `[` without its `]`, a range that goes backwards, or the like.
    #[error("{glob:?} is no glob: known are *, ?, [a-z], [!a-z], ** and a backslash before any of them")]
    Malformed {
        /// What was given.
        glob: String,
    },
}

impl Glob {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// [`InvalidGlob`].
    pub(crate) fn parse(glob: &str) -> Result<Self, InvalidGlob> {
        if glob.is_empty() || glob.len() > MAX_GLOB_BYTES {
            return Err(InvalidGlob::Length { bytes: glob.len() });
        }
        let malformed = || InvalidGlob::Malformed { glob: glob.to_owned() };
        let expression = translate(glob.strip_prefix("./").unwrap_or(glob)).ok_or_else(malformed)?;
        let regex = RegexBuilder::new(&expression).size_limit(COMPILED_BYTES).build();
        Ok(Self { regex: regex.map_err(|_| malformed())?, is_path: glob.contains('/') })
    }

    /// Whether a path, from the directory that was asked about, is meant.
    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        let subject =
            if self.is_path { path } else { path.rsplit(|byte| *byte == b'/').next().unwrap_or(path) };
        self.regex.is_match(subject)
    }
}

/// Writes a pattern as a regular expression over bytes; a question mark is a character, or a byte that is part of none.
fn translate(glob: &str) -> Option<String> {
    const CHARACTER: &str = r"(?:[^/]|(?-u:[^/]))";
    let mut expression = String::from(r"(?s)\A");
    let mut rest = glob;
    while let Some(character) = rest.chars().next() {
        if let Some(behind) = rest.strip_prefix("**/") {
            expression.push_str(r"(?:(?-u:[^/])*/)*");
            rest = behind;
            continue;
        }
        if let Some(behind) = rest.strip_prefix("**") {
            expression.push_str(r"(?-u:.)*");
            rest = behind;
            continue;
        }
        rest = rest.get(character.len_utf8()..)?;
        match character {
            '*' => expression.push_str(r"(?-u:[^/])*"),
            '?' => expression.push_str(CHARACTER),
            '[' => rest = translate_class(rest, &mut expression)?,
            '\\' => {
                let literal = rest.chars().next()?;
                rest = rest.get(literal.len_utf8()..)?;
                expression.push_str(&regex::escape(literal.encode_utf8(&mut [0; 4])));
            }
            literal => expression.push_str(&regex::escape(literal.encode_utf8(&mut [0; 4]))),
        }
    }
    expression.push_str(r"\z");
    Some(expression)
}

/// Writes a class behind its opening bracket, and returns what is behind the closing one.
fn translate_class<'a>(class: &'a str, expression: &mut String) -> Option<&'a str> {
    let (class, negated) = match class.strip_prefix(['!', '^']) {
        Some(class) => (class, true),
        None => (class, false),
    };
    // A bracket that closes at once is meant itself.
    let first = class.chars().next()?.len_utf8();
    let end = class.get(first..)?.find(']')? + first;
    let (members, behind) = (class.get(..end)?, class.get(end + 1..)?);
    expression.push_str(if negated { "[^/" } else { "[" });
    let count = members.chars().count();
    for (index, member) in members.chars().enumerate() {
        let is_range = member == '-' && index > 0 && index + 1 < count;
        if !is_range && (member.is_ascii_punctuation()) {
            expression.push('\\');
        }
        expression.push(member);
    }
    expression.push(']');
    Some(behind)
}

#[cfg(test)]
mod tests {
    use super::{Glob, InvalidGlob};

    fn matches(glob: &str, path: &str) -> bool {
        Glob::parse(glob).expect(glob).matches(path.as_bytes())
    }

    #[test]
    fn patterns_mean_what_shells_mean_by_them() {
        for (glob, path, expected) in [
            ("*.rs", "a.rs", true),
            ("*.rs", "deep/er/a.rs", true),
            ("*.rs", "a.rst", false),
            ("src/*.rs", "src/a.rs", true),
            ("src/*.rs", "src/deep/a.rs", false),
            ("src/**/*.rs", "src/a.rs", true),
            ("src/**/*.rs", "src/x/y/a.rs", true),
            ("**/*.rs", "a.rs", true),
            ("src/**", "src/x/y", true),
            ("src/**", "src", false),
            ("a?c", "abc", true),
            ("a?c", "a\u{1f980}c", true),
            ("a?c", "a/c", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[!a-c]x", "zx", true),
            ("[]]x", "]x", true),
            ("[a&&b]", "&", true),
            ("[.-]x", "-x", true),
            ("a.b", "axb", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("{a}", "{a}", true),
            ("./a", "a", true),
        ] {
            assert_eq!(matches(glob, path), expected, "{glob} {path}");
        }
    }

    #[test]
    fn names_that_are_no_text_are_matched_byte_by_byte() {
        for glob in ["odd-*", "odd-?\n", "**", "*"] {
            assert!(Glob::parse(glob).expect(glob).matches(b"odd-\xff\n"), "{glob}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for glob in ["[", "[a", "[z-a]", "a\\"] {
            assert!(matches!(Glob::parse(glob), Err(InvalidGlob::Malformed { .. })), "{glob}");
        }
        assert!(matches!(Glob::parse(""), Err(InvalidGlob::Length { bytes: 0 })));
        assert!(matches!(Glob::parse(&"*".repeat(2_000)), Err(InvalidGlob::Length { bytes: 2_000 })));
    }
}
