//! Files of a workspace, read and written on behalf of clients: as its owner, and within its directory.

use std::time::Duration;

use sandkasten_api::id::WorkspaceId;
use sandkasten_api::limits::{MAX_LIST_ENTRIES, MAX_TREE_ENTRIES};
use sandkasten_isolation::host::{ListOptions, Listing, PathError, Reserve, RootDirectory, TreeBounds};
use sandkasten_isolation::plan::WORKSPACE_OWNER;

use super::{MIN_FREE_FILES, OpenWorkspace, WorkspaceError, Workspaces};

/// How much of a directory is looked at for a listing.
const LISTED: TreeBounds = TreeBounds { entries: MAX_TREE_ENTRIES, depth: 1, time: Duration::from_secs(30) };

/// A file to be written.
#[derive(Debug)]
pub(crate) struct NewFile {
    /// Relative to the workspace.
    pub(crate) path: String,
    pub(crate) content: Vec<u8>,
    /// Permission bits; absent: those that the file has.
    pub(crate) mode: Option<u32>,
}

impl Workspaces {
    /// Writes files, each whole or not at all, into a workspace that is made where there is none. Blocking.
    ///
    /// # Errors
    /// [`WorkspaceError::File`], or those of [`Workspaces::open_or_make`]; files before the one that failed are written.
    pub(crate) fn write_files(&self, id: &WorkspaceId, files: &[NewFile]) -> Result<(), WorkspaceError> {
        let sizes = files.iter().map(|file| u64::try_from(file.content.len()).unwrap_or(u64::MAX));
        self.require_room(sizes.fold(0, u64::saturating_add))?;
        let workspace = self.open_or_make(id)?;
        let root = self.root_of(&workspace)?;
        let written = files.iter().try_for_each(|file| root.write(&file.path, &file.content, file.mode));
        if let Err(error) = written {
            // The failure at hand is the client's to know; an empty workspace more is none.
            workspace.undo()?;
            return Err(error.into());
        }
        Ok(())
    }

    /// Reads at most `limit` bytes of a file, and says whether it goes on behind them. Blocking.
    ///
    /// # Errors
    /// [`WorkspaceError::NotFound`], [`WorkspaceError::InUse`] while it is being removed, or [`WorkspaceError::File`].
    pub(crate) fn read_file(
        &self,
        id: &WorkspaceId,
        path: &str,
        limit: u64,
    ) -> Result<(Vec<u8>, bool), WorkspaceError> {
        Ok(self.root_of(&self.open(id)?)?.read(path, limit)?)
    }

    /// Lists a directory by name, and says whether there is more in it. Blocking.
    ///
    /// # Errors
    /// As [`Workspaces::read_file`].
    pub(crate) fn list_directory(&self, id: &WorkspaceId, path: &str) -> Result<Listing, WorkspaceError> {
        let options = ListOptions { levels: 1, most: MAX_LIST_ENTRIES, keep: &|_| true, bounds: LISTED };
        Ok(self.root_of(&self.open(id)?)?.list(path, &options)?)
    }

    /// Returns the directory of a workspace, in which everything is done as its owner, and nothing is made of what the disk is to
    /// keep free.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn root_of(&self, workspace: &OpenWorkspace) -> Result<RootDirectory, PathError> {
        let directory = workspace.directory.try_clone().map_err(PathError::of("use", &workspace.path))?;
        let reserve = Reserve { bytes: self.0.min_free_mb.saturating_mul(1 << 20), files: MIN_FREE_FILES };
        Ok(RootDirectory::new(directory, WORKSPACE_OWNER).with_reserve(reserve))
    }
}
