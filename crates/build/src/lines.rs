//! From the text to instructions of one line each: comments, continuations, directives and here-documents.

use crate::heredoc::{Announced, Heredoc, announced};
use crate::problem::{DockerfileError, Problem};
use crate::words;

/// One instruction as it is written, on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogicalLine {
    /// Where it begins.
    pub(crate) number: usize,
    /// In capitals.
    pub(crate) keyword: String,
    /// What is behind the keyword, without white space at its ends.
    pub(crate) rest: String,
    pub(crate) heredocs: Vec<Heredoc>,
}

/// What a text consists of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lines {
    /// `\` or a backtick.
    pub(crate) escape: char,
    pub(crate) lines: Vec<LogicalLine>,
}

/// Takes a Dockerfile apart.
pub(crate) fn read(text: &str) -> Result<Lines, DockerfileError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut physical = text.split_inclusive('\n').enumerate().map(|(index, line)| (index + 1, line));
    let escape = escape_directive(text)?;
    let mut lines = Vec::new();
    while let Some((number, first)) = physical.next() {
        let first = without_end(first).trim_start();
        if first.is_empty() || first.starts_with('#') {
            continue;
        }
        let (mut joined, mut goes_on) = continued(first, escape);
        while goes_on && let Some((_, next)) = physical.next() {
            let next = without_end(next);
            // Comments and empty lines between the parts of an instruction are no part of it.
            if next.trim().is_empty() || next.trim_start().starts_with('#') {
                continue;
            }
            let (part, more) = continued(next, escape);
            joined.push_str(&part);
            goes_on = more;
        }
        let trimmed = joined.trim();
        let (keyword, rest) = trimmed.split_once(char::is_whitespace).unwrap_or((trimmed, ""));
        if keyword.is_empty() {
            continue;
        }
        let (keyword, rest) = (keyword.to_ascii_uppercase(), rest.trim_start().to_owned());
        let mut heredocs = Vec::new();
        for announcement in announcements(&keyword, &rest, escape) {
            heredocs.push(
                collect(&announcement, &mut physical)
                    .ok_or_else(|| Problem::UnendedHeredoc { name: announcement.name.clone() }.at(number))?,
            );
        }
        lines.push(LogicalLine { number, keyword, rest, heredocs });
    }
    Ok(Lines { escape, lines })
}

/// What the first lines say of the character that escapes. Other directives are for other builders.
fn escape_directive(text: &str) -> Result<char, DockerfileError> {
    let mut escape = None;
    let mut seen = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let Some((name, value)) = line.strip_prefix('#').and_then(|comment| comment.split_once('=')) else {
            break;
        };
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        if !matches!(name.as_str(), "syntax" | "escape" | "check") || value.is_empty() {
            break;
        }
        let wrong = |reason| Problem::Directive { name: name.clone(), reason }.at(index + 1);
        if seen.contains(&name) {
            return Err(wrong("comes twice"));
        }
        if name == "escape" {
            escape = Some(match value {
                "\\" => '\\',
                "`" => '`',
                _ => return Err(wrong("has to be a backslash or a backtick")),
            });
        }
        seen.push(name);
    }
    Ok(escape.unwrap_or('\\'))
}

fn without_end(line: &str) -> &str {
    line.trim_end_matches(['\n', '\r'])
}

/// Takes the escape at the end of a line away, if there is one that is not escaped itself.
fn continued(line: &str, escape: char) -> (String, bool) {
    let trimmed = line.trim_end_matches([' ', '\t']);
    match trimmed.strip_suffix(escape) {
        Some(before) if !before.ends_with(escape) => (before.to_owned(), true),
        _ => (line.to_owned(), false),
    }
}

fn announcements(keyword: &str, rest: &str, escape: char) -> Vec<Announced> {
    let may_have = matches!(keyword, "RUN" | "COPY" | "ADD") && rest.contains("<<");
    if !may_have || rest.starts_with('[') && serde_json::from_str::<serde_json::Value>(rest).is_ok() {
        return Vec::new();
    }
    words::split(rest, escape).iter().filter_map(|word| announced(word, escape)).collect()
}

fn collect<'a>(
    announcement: &Announced,
    physical: &mut impl Iterator<Item = (usize, &'a str)>,
) -> Option<Heredoc> {
    let mut content = String::new();
    for (_, line) in physical {
        let line = if announcement.strip_tabs { line.trim_start_matches('\t') } else { line };
        if without_end(line) == announcement.name {
            let Announced { name, expand, .. } = announcement.clone();
            return Some(Heredoc { name, content, expand });
        }
        content.push_str(line);
    }
    None
}
