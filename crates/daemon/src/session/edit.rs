//! Changing a part of a file: what is replaced must be there, and the file must be the one that was looked at.

use memchr::memmem::{Finder, find_iter};
use sandkasten_api::limits::MAX_EDIT_BYTES;
use sandkasten_isolation::host::FileError;
use sha2::{Digest, Sha256};

use super::unified_diff::{AppliedHunk, Mismatch, UnifiedDiff};
use super::{FilePath, FileSpace, SessionError};

/// A change of a content.
#[derive(Debug)]
pub(crate) enum Change {
    /// One after the other, each in what the one before it has made.
    Replacements(Vec<Replacement>),
    /// A diff.
    Patch(UnifiedDiff),
}

/// A string for another.
#[derive(Debug)]
pub(crate) struct Replacement {
    pub(crate) old: Vec<u8>,
    pub(crate) new: Vec<u8>,
    pub(crate) which: Occurrences,
}

/// Which occurrences are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occurrences {
    /// The only one there is.
    Single,
    /// Each.
    All,
}

/// What an edit has made.
#[derive(Debug)]
pub(crate) struct Edited {
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
    /// Strings that were replaced, or hunks that were applied.
    pub(crate) changes: usize,
    pub(crate) hunks: Vec<AppliedHunk>,
}

/// Why a file was not edited. It is as it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EditError {
    /// The file could not be read or written, or has changed meanwhile.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// It is not the file that the request expects.
    #[error("{path} has sha256 {found}, not the expected one: read it again")]
    Unexpected {
        /// Which file.
        path: String,
        /// What it has.
        found: String,
    },
    /// A string to be replaced is not there.
    #[error("edit {number}: the old string is not in the file; it must match byte for byte, spaces included")]
    Absent {
        /// Which edit, from 1 on.
        number: usize,
    },
    /// It is there more than once.
    #[error(
        "edit {number}: the old string is in the file {count} times; give more of what is around it, or replace_all"
    )]
    Ambiguous {
        /// Which edit, from 1 on.
        number: usize,
        /// How often.
        count: usize,
    },
    /// The diff does not fit.
    #[error(transparent)]
    Patch(#[from] Mismatch),
    /// The result would be too large.
    #[error("the result would be larger than {MAX_EDIT_BYTES} bytes")]
    TooLarge,
}

impl FileSpace {
    /// Changes a file, whole or not at all.
    ///
    /// # Errors
    /// [`EditError`].
    pub(crate) async fn edit(
        &self,
        path: FilePath,
        change: Change,
        expected: Option<String>,
    ) -> Result<Edited, EditError> {
        let (root, held) = (self.root(), self.held.clone());
        let turn = self.edits().lock_owned().await;
        let edited = tokio::task::spawn_blocking(move || {
            let _turn = (turn, held);
            let failed = |error: FileError| EditError::Session(error.into());
            let (old, version) = root.read_whole(path.as_str(), MAX_EDIT_BYTES).map_err(failed)?;
            let found = sha256(&old);
            if expected.is_some_and(|expected| !expected.eq_ignore_ascii_case(&found)) {
                return Err(EditError::Unexpected { path: path.as_str().to_owned(), found });
            }
            let (new, changes, hunks) = change.apply(&old)?;
            root.replace(path.as_str(), (&old, &version), &new).map_err(failed)?;
            Ok(Edited { sha256: sha256(&new), bytes: new.len() as u64, changes, hunks })
        });
        edited.await.map_err(|source| SessionError::Task { source })?
    }
}

impl Change {
    fn apply(self, old: &[u8]) -> Result<(Vec<u8>, usize, Vec<AppliedHunk>), EditError> {
        let (content, changes, hunks) = match self {
            Self::Patch(diff) => {
                let (content, hunks) = diff.apply(old)?;
                (content, hunks.len(), hunks)
            }
            Self::Replacements(replacements) => {
                let (mut content, mut changes) = (old.to_owned(), 0);
                for (replacement, number) in replacements.into_iter().zip(1..) {
                    changes += replacement.apply(&mut content, number)?;
                }
                (content, changes, Vec::new())
            }
        };
        if content.len() as u64 > MAX_EDIT_BYTES {
            Err(EditError::TooLarge)
        } else {
            Ok((content, changes, hunks))
        }
    }
}

impl Replacement {
    fn apply(&self, content: &mut Vec<u8>, number: usize) -> Result<usize, EditError> {
        let count = match self.which {
            Occurrences::All => find_iter(content, &self.old).count(),
            Occurrences::Single => overlapping(content, &self.old),
        };
        match (count, self.which) {
            (0, _) => return Err(EditError::Absent { number }),
            (1, _) | (_, Occurrences::All) => {}
            (count, Occurrences::Single) => return Err(EditError::Ambiguous { number, count }),
        }
        let growth = self.new.len().saturating_sub(self.old.len()).saturating_mul(count);
        if content.len().saturating_add(growth) as u64 > MAX_EDIT_BYTES {
            return Err(EditError::TooLarge);
        }
        let mut result = Vec::with_capacity(content.len() + growth);
        let mut done = 0;
        for at in find_iter(content, &self.old) {
            result.extend_from_slice(content.get(done..at).unwrap_or_default());
            result.extend_from_slice(&self.new);
            done = at + self.old.len();
        }
        result.extend_from_slice(content.get(done..).unwrap_or_default());
        *content = result;
        Ok(count)
    }
}

/// How often a string begins in a content, up to a hundred times: `aa` is in `aaa` twice, and so in no single place.
fn overlapping(content: &[u8], old: &[u8]) -> usize {
    let finder = Finder::new(old);
    let (mut from, mut count) = (0, 0);
    while count < 100
        && let Some(next) = content.get(from..).and_then(|rest| finder.find(rest))
    {
        count += 1;
        from += next + 1;
    }
    count
}

fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{Change, EditError, Occurrences, Replacement};

    fn replace(
        content: &str,
        pairs: &[(&str, &str)],
        which: Occurrences,
    ) -> Result<(String, usize), EditError> {
        let replacements = pairs.iter().map(|(old, new)| Replacement {
            old: old.as_bytes().into(),
            new: new.as_bytes().into(),
            which,
        });
        let (content, changes, _) = Change::Replacements(replacements.collect()).apply(content.as_bytes())?;
        Ok((String::from_utf8(content).expect("text"), changes))
    }

    #[test]
    fn a_single_string_is_replaced_and_one_that_is_not_single_refused() {
        use Occurrences::{All, Single};
        assert_eq!(
            replace("abc", &[("b", "x"), ("x", "yy")], Single).expect("replaced"),
            ("ayyc".to_owned(), 2)
        );
        assert_eq!(replace("aXbXc", &[("X", "")], All).expect("replaced"), ("abc".to_owned(), 2));
        assert!(matches!(replace("abc", &[("d", "x")], All), Err(EditError::Absent { number: 1 })));
        assert!(matches!(
            replace("aaa", &[("aa", "x")], Single),
            Err(EditError::Ambiguous { number: 1, count: 2 })
        ));
        let large = "a".repeat(1 << 20);
        assert!(matches!(
            replace(&large, &[("a", "aaaaaaaaaaaaaaaaaaaaaaaa")], All),
            Err(EditError::TooLarge)
        ));
    }
}
