//! Here-documents: the lines behind an instruction that belong to it.

use crate::words;

/// A here-document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The line that ends it; for a copy, also the name of the file.
    pub name: String,
    /// What is in it, each line with its end, tabs before them taken away where `<<-` says so.
    pub content: String,
    /// Whether variables in it are replaced: its name was not quoted.
    pub expand: bool,
}

/// A here-document that is announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Announced {
    pub(crate) name: String,
    pub(crate) expand: bool,
    /// Tabs before its lines do not count.
    pub(crate) strip_tabs: bool,
}

/// Reads `<<NAME`, `<<-NAME`, `<<"NAME"` or `3<<NAME`; none where a word is nothing of that.
pub(crate) fn announced(word: &str, escape: char) -> Option<Announced> {
    let rest = word.trim_start_matches(|character: char| character.is_ascii_digit()).strip_prefix("<<")?;
    let (strip_tabs, rest) = rest.strip_prefix('-').map_or((false, rest), |rest| (true, rest));
    if rest.is_empty() || rest.contains('<') {
        return None;
    }
    // A shell's quoting rules, and no variables: a `$` is a part of the name.
    let name = words::expand(rest, escape, &|name| Some(format!("${name}"))).ok()?;
    let expand = name == rest;
    (!name.is_empty()).then_some(Announced { name, expand, strip_tabs })
}

/// Whether a word announces a here-document.
pub(crate) fn is_announcement(word: &str, escape: char) -> bool {
    announced(word, escape).is_some()
}
