//! Looking for a text in the files of a tree.

use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use regex::bytes::{Regex, RegexBuilder};
use sandkasten_api::limits::{MAX_PATTERN_BYTES, MAX_TREE_DEPTH, MAX_TREE_ENTRIES};
use sandkasten_isolation::host::{EntryKind, FileError, RootDirectory, TreeBounds, Unreadable, VisitEnd};

use super::{FilePath, FileSpace, Glob, SessionError};

/// How long one search takes at most.
const TIME: Duration = Duration::from_secs(10);
/// The largest file that is searched; larger ones are skipped.
const FILE_BYTES: u64 = 16 << 20;
/// How much is read in all.
const ALL_BYTES: u64 = 512 << 20;
/// How much of a line is searched, so that no single line takes long.
const LINE_BYTES: usize = 64 << 10;
/// How much of a line is shown, and of it before the match.
const SHOWN_BYTES: usize = 1_000;
const SHOWN_BEFORE: usize = 200;
/// How much text all matches have together.
const RESULT_BYTES: usize = 1 << 20;
/// How large a compiled pattern may get: its states, times the bytes of a line, bound the time of one line.
const COMPILED_BYTES: usize = 256 << 10;
/// Where a NUL makes a file a binary one.
const BINARY_BYTES: usize = 8 << 10;

/// What is looked for, and how much of it.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    pattern: Regex,
    pub(crate) glob: Option<Glob>,
    pub(crate) most: usize,
    /// Lines before and after.
    pub(crate) context: usize,
}

/// What a text is to be taken for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pattern<'a> {
    /// Itself.
    Literal(&'a str),
    /// A regular expression.
    Regex(&'a str),
}

/// Why a pattern is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidPattern {
    /// It is empty, or longer than anybody means it.
    #[error("the pattern has {bytes} bytes; allowed are 1 to {MAX_PATTERN_BYTES}")]
    Length {
        /// How long it is.
        bytes: usize,
    },
    /// It cannot be compiled, or gets too large.
    #[error("regex is none that can be used: {reason}")]
    Malformed {
        /// Why.
        reason: String,
    },
}

/// One line with a match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Match {
    /// Its file, from the searched directory on; empty for that itself.
    pub(crate) path: Vec<u8>,
    pub(crate) line: u64,
    /// Characters of the line before the match, and one.
    pub(crate) column: usize,
    pub(crate) text: String,
    pub(crate) before: Vec<String>,
    pub(crate) after: Vec<String>,
}

/// What a search has found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) matches: Vec<Match>,
    pub(crate) files: u64,
    /// Binary, too large, or not to be read.
    pub(crate) skipped: u64,
    /// A limit ended the search.
    pub(crate) truncated: bool,
}

impl Search {
    /// Prepares a search.
    ///
    /// # Errors
    /// [`InvalidPattern`].
    pub(crate) fn new(
        pattern: Pattern<'_>,
        is_case_ignored: bool,
        glob: Option<Glob>,
        most: usize,
        context: usize,
    ) -> Result<Self, InvalidPattern> {
        let (Pattern::Literal(text) | Pattern::Regex(text)) = pattern;
        if text.is_empty() || text.len() > MAX_PATTERN_BYTES {
            return Err(InvalidPattern::Length { bytes: text.len() });
        }
        let expression = match pattern {
            Pattern::Literal(text) => regex::escape(text),
            Pattern::Regex(text) => text.to_owned(),
        };
        let mut builder = RegexBuilder::new(&expression);
        let built = builder.case_insensitive(is_case_ignored).size_limit(COMPILED_BYTES).build();
        let pattern = built.map_err(|error| InvalidPattern::Malformed { reason: error.to_string() })?;
        Ok(Self { pattern, glob, most, context })
    }

    fn run(&self, root: &RootDirectory, path: &str) -> Result<Findings, FileError> {
        let mut under_way = UnderWay {
            search: self,
            found: Findings::default(),
            bytes: 0,
            shown: 0,
            until: Instant::now() + TIME,
        };
        let bounds = TreeBounds { entries: MAX_TREE_ENTRIES, depth: MAX_TREE_DEPTH, time: TIME };
        let end = root.visit(path, bounds, Unreadable::Skipped, &mut |visited| {
            let entry = &visited.entry;
            let is_meant = self.glob.as_ref().is_none_or(|glob| glob.matches(&entry.path));
            if entry.kind != EntryKind::File || !is_meant {
                return ControlFlow::Continue(());
            }
            match visited.open() {
                Ok(file) => under_way.file(&entry.path, file),
                Err(_) => {
                    under_way.found.skipped += 1;
                    ControlFlow::Continue(())
                }
            }
        });
        match end {
            Ok(VisitEnd::Complete) => {}
            Ok(VisitEnd::Stopped) | Err(FileError::TooMuch { .. }) => under_way.found.truncated = true,
            // A file alone.
            Err(FileError::NotDirectory { .. }) => {
                let (file, _) = root.open_file(path)?;
                under_way.found.truncated = under_way.file(b"", file).is_break();
            }
            Err(error) => return Err(error),
        }
        Ok(under_way.found)
    }
}

impl FileSpace {
    /// Searches a directory and what is below it, or one file.
    ///
    /// # Errors
    /// [`SessionError::File`].
    pub(crate) async fn search(&self, path: FilePath, search: Search) -> Result<Findings, SessionError> {
        self.walk(move |root| search.run(root, path.as_str())).await
    }
}

struct UnderWay<'a> {
    search: &'a Search,
    found: Findings,
    bytes: u64,
    shown: usize,
    until: Instant,
}

impl UnderWay<'_> {
    fn file(&mut self, path: &[u8], file: File) -> ControlFlow<()> {
        if Instant::now() >= self.until || self.bytes >= ALL_BYTES {
            return ControlFlow::Break(());
        }
        let Ok(Some(content)) = read_text(file) else {
            self.found.skipped += 1;
            return ControlFlow::Continue(());
        };
        self.bytes += content.len() as u64;
        self.found.files += 1;
        let lines: Vec<&[u8]> = content.split(|byte| *byte == b'\n').collect();
        for (index, line) in lines.iter().enumerate() {
            if index % 64 == 63 && Instant::now() >= self.until {
                return ControlFlow::Break(());
            }
            let line = without_return(line);
            let Some(found) = self.search.pattern.find(line.get(..LINE_BYTES).unwrap_or(line)) else {
                continue;
            };
            // What follows a last line break is no line.
            if index + 1 == lines.len() && line.is_empty() {
                continue;
            }
            if self.found.matches.len() == self.search.most || self.shown >= RESULT_BYTES {
                return ControlFlow::Break(());
            }
            let context = self.search.context;
            let shown = |range: std::ops::Range<usize>| -> Vec<String> {
                let lines = lines.get(range).unwrap_or_default();
                lines.iter().map(|line| show(without_return(line), 0)).collect()
            };
            // The empty piece behind the last line break is not shown as a line.
            let last =
                if lines.last().is_some_and(|last| last.is_empty()) { lines.len() - 1 } else { lines.len() };
            let found = Match {
                path: path.to_owned(),
                line: index as u64 + 1,
                column: String::from_utf8_lossy(line.get(..found.start()).unwrap_or_default())
                    .chars()
                    .count()
                    + 1,
                text: show(line, found.start()),
                before: shown(index.saturating_sub(context)..index),
                after: shown((index + 1).min(last)..(index + 1 + context).min(last)),
            };
            let texts = [&found.text].into_iter().chain(&found.before).chain(&found.after);
            self.shown += texts.map(String::len).sum::<usize>() + found.path.len() + 64;
            self.found.matches.push(found);
        }
        ControlFlow::Continue(())
    }
}

/// Reads a file, unless it is too large or a binary one.
fn read_text(file: File) -> io::Result<Option<Vec<u8>>> {
    let mut content = Vec::new();
    let mut file = file.take(FILE_BYTES + 1);
    file.by_ref().take(BINARY_BYTES as u64).read_to_end(&mut content)?;
    if content.contains(&0) {
        return Ok(None);
    }
    file.read_to_end(&mut content)?;
    Ok((content.len() as u64 <= FILE_BYTES).then_some(content))
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// A line as text; of a long one, what is around the match.
fn show(line: &[u8], at: usize) -> String {
    let from = if line.len() <= SHOWN_BYTES { 0 } else { at.saturating_sub(SHOWN_BEFORE) };
    let to = line.len().min(from + SHOWN_BYTES);
    String::from_utf8_lossy(line.get(from..to).unwrap_or_default()).into_owned()
}
