//! Directories whose attributes wait until everything below them is there: a mode without write permission would stop
//! the filling, and every new entry would change the modification time.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};

use super::attributes::Attributes;
use super::entry_path::{is_within, printable};
use super::error::UnpackError;
use crate::beneath;
use crate::limits::LimitError;

/// About two million directories with names of usual length.
const MOST_NAME_BYTES: u64 = 512 << 20;
/// What one directory costs beside its name.
const FIXED_COST: u64 = 160;

/// The directories of a layer, with the attributes they are to have in the end.
#[derive(Default)]
pub(super) struct PendingDirectories {
    by_path: BTreeMap<Vec<u8>, Attributes>,
    cost: u64,
}

impl PendingDirectories {
    /// Notes the attributes of a directory; a later entry for the same path wins, save that what was hidden stays so.
    pub(super) fn insert(&mut self, path: &[u8], mut attributes: Attributes) -> Result<(), LimitError> {
        self.cost += FIXED_COST + path.len() as u64 + attributes.extended_bytes();
        if self.by_path.get(path).is_some_and(Attributes::is_opaque) {
            attributes.make_opaque();
        }
        self.by_path.insert(path.to_vec(), attributes);
        if self.cost > MOST_NAME_BYTES {
            return Err(LimitError::DirectoryNames { allowed: MOST_NAME_BYTES });
        }
        Ok(())
    }

    /// Hides what lower layers have in a directory, if it is one of this layer.
    pub(super) fn make_opaque(&mut self, path: &[u8]) {
        if let Some(attributes) = self.by_path.get_mut(path) {
            attributes.make_opaque();
        }
    }

    /// Forgets a directory that was replaced, and all that were below it.
    pub(super) fn remove(&mut self, path: &[u8]) {
        let gone: Vec<Vec<u8>> = self
            .by_path
            .range(path.to_vec()..)
            .map(|(candidate, _)| candidate)
            // Names such as `a-b` sort between `a` and `a/c`.
            .take_while(|candidate| candidate.starts_with(path))
            .filter(|candidate| is_within(candidate, path))
            .cloned()
            .collect();
        for candidate in gone {
            self.by_path.remove(&candidate);
        }
    }

    /// Sets the attributes of all, children before parents, so that a parent that cannot be searched comes last.
    /// Returns how many extended attributes the file system refused.
    pub(super) fn apply(self, root: BorrowedFd<'_>) -> Result<u64, UnpackError> {
        let mut refused = 0;
        for (path, attributes) in self.by_path.iter().rev() {
            let name = printable(path);
            let directory = beneath::open_readable_directory(root, path).map_err(|source| {
                UnpackError::Create { kind: "directory", name: name.clone(), source: source.into() }
            })?;
            refused += attributes.apply(directory.as_fd(), &name)?;
        }
        Ok(refused)
    }
}
