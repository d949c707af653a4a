//! Unified diffs of one file, read and applied strictly: every line of a hunk must be there, in one place.

use memchr::memchr;
use memchr::memmem::Finder;

/// A diff as it was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnifiedDiff {
    hunks: Vec<Hunk>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Hunk {
    /// The line it is about, from 1 on; what it inserts, where it takes nothing away, comes behind that line.
    old_start: usize,
    old: Vec<u8>,
    new: Vec<u8>,
}

/// Where a hunk was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AppliedHunk {
    /// The line of the old file, from 1 on.
    pub(crate) line: usize,
    /// How far that is from where the diff has it.
    pub(crate) offset: isize,
}

/// Why a text is no diff of one file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the patch: {problem}")]
pub(crate) struct InvalidDiff {
    line: usize,
    problem: &'static str,
}

/// Why a diff does not fit a file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Mismatch {
    /// The old lines of a hunk are nowhere behind the hunk before it.
    #[error(
        "hunk {hunk} does not apply: its old lines are not in the file, or only before the hunk before it"
    )]
    Absent {
        /// Which hunk, from 1 on.
        hunk: usize,
    },
    /// They are not where the hunk says, and in several other places.
    #[error("hunk {hunk} does not apply: its old lines are not at line {line}, and in several other places")]
    Ambiguous {
        /// Which hunk, from 1 on.
        hunk: usize,
        /// Where it should have applied.
        line: usize,
    },
}

impl UnifiedDiff {
    /// Reads a diff. What stands before its first hunk is skipped.
    ///
    /// # Errors
    /// [`InvalidDiff`].
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidDiff> {
        let mut lines = text.split_inclusive('\n').zip(1..).peekable();
        let mut hunks = Vec::new();
        while let Some((line, number)) = lines.next() {
            let invalid = |problem| InvalidDiff { line: number, problem };
            let Some(header) = line.strip_prefix("@@ -") else {
                if !hunks.is_empty() && !line.trim().is_empty() {
                    return Err(invalid("expected a hunk or the end; a patch is about one file"));
                }
                continue;
            };
            let (old_start, mut old_left, mut new_left) =
                parse_header(header).ok_or(invalid("expected @@ -line,count +line,count @@"))?;
            let mut hunk = Hunk { old_start, ..Hunk::default() };
            while old_left > 0 || new_left > 0 {
                let (line, number) =
                    lines.next().ok_or(invalid("the hunk has fewer lines than its header says"))?;
                let invalid = |problem| InvalidDiff { line: number, problem };
                let missing_end = lines.peek().is_some_and(|(next, _)| next.starts_with('\\'));
                if missing_end {
                    lines.next();
                }
                let (kind, content) = match line.chars().next() {
                    // Some programs strip the space of an empty line.
                    Some('\n') | None => (' ', line),
                    Some(kind) => (kind, line.get(kind.len_utf8()..).unwrap_or_default()),
                };
                let content = content.strip_suffix('\n').unwrap_or(content);
                let end = if missing_end { "" } else { "\n" };
                let (is_old, is_new) = (matches!(kind, ' ' | '-'), matches!(kind, ' ' | '+'));
                if !is_old && !is_new {
                    return Err(invalid("a line of a hunk begins with a space, - or +"));
                }
                for (is_in, left, side) in
                    [(is_old, &mut old_left, &mut hunk.old), (is_new, &mut new_left, &mut hunk.new)]
                {
                    if is_in {
                        *left = left
                            .checked_sub(1)
                            .ok_or(invalid("the hunk has more lines than its header says"))?;
                        side.extend_from_slice(content.as_bytes());
                        side.extend_from_slice(end.as_bytes());
                    }
                }
            }
            hunks.push(hunk);
        }
        if hunks.is_empty() {
            return Err(InvalidDiff {
                line: 1,
                problem: "there is no hunk, which begins with @@ -line,count",
            });
        }
        Ok(Self { hunks })
    }

    /// Applies the diff. A hunk whose lines are not where it says is applied where they are, if that is one place.
    ///
    /// # Errors
    /// [`Mismatch`].
    pub(crate) fn apply(&self, content: &[u8]) -> Result<(Vec<u8>, Vec<AppliedHunk>), Mismatch> {
        let mut result = Vec::with_capacity(content.len());
        let mut applied = Vec::new();
        // Everything before it is done: a position and the lines before that.
        let (mut done, mut done_lines) = (0, 0);
        let mut drift = 0_isize;
        for (hunk, number) in self.hunks.iter().zip(1..) {
            // Lines before the hunk.
            let before = if hunk.old.is_empty() { hunk.old_start } else { hunk.old_start.saturating_sub(1) };
            let expected = before.saturating_add_signed(drift);
            let rest = content.get(done..).unwrap_or_default();
            let at = match skip_lines(rest, expected.checked_sub(done_lines)) {
                Some(at) if fits(rest, at, &hunk.old) => at,
                _ => find_once(rest, &hunk.old).map_err(|places| match places {
                    Places::None => Mismatch::Absent { hunk: number },
                    Places::Several => Mismatch::Ambiguous { hunk: number, line: hunk.old_start },
                })?,
            };
            let skipped = rest.get(..at).unwrap_or_default();
            let line = done_lines + count_lines(skipped);
            drift = line.cast_signed() - before.cast_signed();
            result.extend_from_slice(skipped);
            result.extend_from_slice(&hunk.new);
            done += at + hunk.old.len();
            done_lines = line + count_lines(&hunk.old);
            applied.push(AppliedHunk { line: line + 1, offset: drift });
        }
        result.extend_from_slice(content.get(done..).unwrap_or_default());
        Ok((result, applied))
    }
}

enum Places {
    None,
    Several,
}

/// Reads `line,count +line,count @@…`; a count that is missing is 1.
fn parse_header(header: &str) -> Option<(usize, usize, usize)> {
    let (ranges, _) = header.split_once(" @@")?;
    let (old, new) = ranges.split_once(" +")?;
    let range = |text: &str| -> Option<(usize, usize)> {
        match text.split_once(',') {
            None => Some((text.parse().ok()?, 1)),
            Some((line, count)) => Some((line.parse().ok()?, count.parse().ok()?)),
        }
    };
    let ((old_start, old_count), (_, new_count)) = (range(old)?, range(new)?);
    Some((old_start, old_count, new_count))
}

/// Where a line begins, counted in lines from the beginning.
fn skip_lines(content: &[u8], lines: Option<usize>) -> Option<usize> {
    let mut at = 0;
    for _ in 0..lines? {
        at += memchr(b'\n', content.get(at..)?)? + 1;
    }
    Some(at)
}

fn count_lines(content: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', content).count()
}

/// Whether whole lines of the content are these.
fn fits(content: &[u8], at: usize, old: &[u8]) -> bool {
    let begins = at == 0 || content.get(at - 1) == Some(&b'\n');
    let ends = old.is_empty() || old.ends_with(b"\n") || content.len() == at + old.len();
    begins && ends && content.get(at..).is_some_and(|rest| rest.starts_with(old))
}

fn find_once(content: &[u8], old: &[u8]) -> Result<usize, Places> {
    if old.is_empty() {
        return Err(Places::None);
    }
    let finder = Finder::new(old);
    let (mut from, mut found) = (0, None);
    // Each place is looked for from the line behind the one before it, so that places may overlap.
    while let Some(next) = finder.find(content.get(from..).unwrap_or_default()) {
        let at = from + next;
        if fits(content, at, old) && found.replace(at).is_some() {
            return Err(Places::Several);
        }
        match memchr(b'\n', content.get(at..).unwrap_or_default()) {
            Some(end) => from = at + end + 1,
            None => break,
        }
    }
    found.ok_or(Places::None)
}

#[cfg(test)]
mod tests {
    use super::{AppliedHunk, Mismatch, UnifiedDiff};

    fn apply(patch: &str, content: &str) -> Result<(String, Vec<AppliedHunk>), Mismatch> {
        let (result, hunks) = UnifiedDiff::parse(patch).expect(patch).apply(content.as_bytes())?;
        Ok((String::from_utf8(result).expect("text"), hunks))
    }

    #[test]
    fn hunks_change_what_they_say() {
        let patch = "diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -1,3 +1,4 @@ fn\n a\n-b\n+B\n+BB\n c\n@@ -5 +6,0 @@\n-e\n";
        let (result, hunks) = apply(patch, "a\nb\nc\nd\ne\nf\n").expect("applies");
        assert_eq!(result, "a\nB\nBB\nc\nd\nf\n");
        assert_eq!(hunks, [AppliedHunk { line: 1, offset: 0 }, AppliedHunk { line: 5, offset: 0 }]);
        assert_eq!(apply("@@ -0,0 +1,2 @@\n+x\n+y\n", "").expect("applies").0, "x\ny\n");
        assert_eq!(apply("@@ -1,0 +2 @@\n+x\n", "a\nb\n").expect("applies").0, "a\nx\nb\n");
        assert_eq!(apply("@@ -1,2 +1 @@\n a\n-b", "a\nb\n").expect("applies").0, "a\n");
        assert_eq!(apply("@@ -1,3 +1,3 @@\n a\n\n-b\n+c\n", "a\n\nb\n").expect("applies").0, "a\n\nc\n");
        assert_eq!(apply("@@ -1 +1 @@\n-a\r\n+b\r\n", "a\r\n").expect("applies").0, "b\r\n");
    }

    #[test]
    fn the_end_of_a_file_without_a_line_break_is_told_apart() {
        let patch = "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n";
        assert_eq!(apply(patch, "a").expect("applies").0, "a\n");
        assert_eq!(apply(patch, "a\n"), Err(Mismatch::Absent { hunk: 1 }));
        let patch = "@@ -1 +1 @@\n-a\n+a\n\\ No newline at end of file\n";
        assert_eq!(apply(patch, "a\n").expect("applies").0, "a");
        assert_eq!(apply(patch, "a"), Err(Mismatch::Absent { hunk: 1 }));
    }

    #[test]
    fn lines_that_have_moved_are_found_where_there_is_one_place_and_the_offset_is_told() {
        let patch = "@@ -1,2 +1,2 @@\n a\n-b\n+B\n@@ -4 +4 @@\n-d\n+D\n";
        let (result, hunks) = apply(patch, "new\na\nb\nc\nd\nd\n").expect("applies");
        assert_eq!(result, "new\na\nB\nc\nD\nd\n");
        assert_eq!(hunks, [AppliedHunk { line: 2, offset: 1 }, AppliedHunk { line: 5, offset: 1 }]);
        let twice = apply("@@ -1 +1 @@\n-x\n+y\n", "a\nx\nx\n");
        assert_eq!(twice, Err(Mismatch::Ambiguous { hunk: 1, line: 1 }));
        assert_eq!(apply("@@ -1 +1 @@\n-x\n+y\n", "ax\nxa\n"), Err(Mismatch::Absent { hunk: 1 }));
        let backwards = "@@ -2 +2 @@\n-b\n+B\n@@ -1 +1 @@\n-a\n+A\n";
        assert_eq!(apply(backwards, "a\nb\n"), Err(Mismatch::Absent { hunk: 2 }));
    }

    #[test]
    fn what_is_no_diff_of_one_file_is_refused_with_its_line() {
        for (patch, line) in [
            ("", 1),
            ("--- a\n+++ b\n", 1),
            ("@@ -1 +1\n-a\n+b\n", 1),
            ("@@ -x +1 @@\n-a\n+b\n", 1),
            ("@@ -1,2 +1 @@\n-a\n+b\n", 1),
            ("@@ -1 +1 @@\n-a\n-c\n+b\n", 3),
            ("@@ -1 +1 @@\nwhat\n", 2),
            ("@@ -1 +1 @@\n-a\n+b\n--- c\n+++ d\n@@ -1 +1 @@\n-a\n+b\n", 4),
        ] {
            assert_eq!(UnifiedDiff::parse(patch).expect_err(patch).line, line, "{patch:?}");
        }
    }
}
