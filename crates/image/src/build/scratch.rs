//! A directory for what a step changes, until it has become a layer.

use std::os::fd::AsFd;
use std::path::PathBuf;

use super::BuildError;
use crate::beneath;
use crate::staging::StagedLayer;
use crate::store::ImageStore;

/// The name of the upper directory in it: that of crates/isolation/src/enter/root.rs.
const UPPER: &[u8] = b"u";

/// A temporary directory of the store, which nobody but root can reach; removed with the value, or after a crash by whoever opens
/// the store next.
pub struct Scratch {
    staged: StagedLayer,
}

impl Scratch {
    /// Returns the directory, in which the sandbox makes the two that an overlay needs.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.staged.path()
    }

    /// Opens what was changed; none where nothing has run.
    pub(super) fn changed(&self) -> Result<Option<std::os::fd::OwnedFd>, BuildError> {
        match beneath::open_directory(self.staged.root().as_fd(), UPPER) {
            Ok(opened) => Ok(Some(opened)),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(error) => Err(BuildError::ReadChanges { path: String::new(), source: error.into() }),
        }
    }
}

impl ImageStore {
    /// Makes a directory for what a step changes.
    ///
    /// # Errors
    /// [`BuildError::Stage`].
    pub fn scratch(&self) -> Result<Scratch, BuildError> {
        let staged = StagedLayer::create(&self.layers, self.lock_file())
            .map_err(|source| BuildError::Stage { source })?;
        Ok(Scratch { staged })
    }
}
