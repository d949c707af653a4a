//! The operations on one root directory, whoever it belongs to: each on a thread for blocking work, within bounds.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sandkasten_api::limits::{MAX_LIST_ENTRIES, MAX_TREE_DEPTH, MAX_TREE_ENTRIES};
use sandkasten_isolation::host::{
    Copied, Entry, Existing, FileError, ListOptions, Listing, Parents, RemovalDepth, RootDirectory,
    TreeBounds,
};
use tokio::sync::Semaphore;

use super::file_watch::WatchLimits;
use super::glob::Glob;
use super::workspace_files::HeldWorkspace;
use super::{FilePath, SessionError};

/// How many operations that go through trees run at once; more wait. They hold a thread and a descriptor for each level.
const WALKS: usize = 4;
/// What one of them may go through.
const BOUNDS: TreeBounds =
    TreeBounds { entries: MAX_TREE_ENTRIES, depth: MAX_TREE_DEPTH, time: Duration::from_secs(30) };

/// A root directory with its operations. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct FileSpace {
    root: Arc<RootDirectory>,
    pub(super) turns: Arc<Turns>,
    /// Those of the workspace that a session has, where others edit as well.
    pub(super) workspace: Option<Arc<Turns>>,
    /// A workspace without a session, which is not to go while anything is done in it, also for a client that has gone.
    pub(super) held: Option<Arc<HeldWorkspace>>,
}

/// What those who use the same files wait for, and what ends their watches.
#[derive(Debug)]
pub(super) struct Turns {
    walks: Arc<Semaphore>,
    /// Archives wait for their clients, and so keep others of them waiting, but nothing else.
    pub(super) archives: Arc<Semaphore>,
    /// Held by an edit, so that of two none is lost between the last look at the file and its replacement.
    edits: Arc<tokio::sync::Mutex<()>>,
    /// Tells watches that the session has ended, or the workspace has gone.
    pub(super) closed: tokio::sync::watch::Sender<bool>,
    pub(super) watch_limits: OnceLock<WatchLimits>,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            walks: Arc::new(Semaphore::new(WALKS)),
            archives: Arc::new(Semaphore::new(WALKS)),
            edits: Arc::default(),
            closed: tokio::sync::watch::Sender::default(),
            watch_limits: OnceLock::default(),
        }
    }
}

impl FileSpace {
    pub(crate) fn new(root: RootDirectory) -> Self {
        Self::with_turns(root, Arc::default())
    }

    pub(super) fn with_turns(root: RootDirectory, turns: Arc<Turns>) -> Self {
        Self { root: Arc::new(root), turns, workspace: None, held: None }
    }

    /// What an edit holds.
    pub(super) fn edits(&self) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(&self.workspace.as_ref().unwrap_or(&self.turns).edits)
    }

    pub(super) fn root(&self) -> Arc<RootDirectory> {
        Arc::clone(&self.root)
    }

    /// Lists a directory.
    ///
    /// # Errors
    /// [`SessionError::File`], as for all that follow.
    pub(crate) async fn list(
        &self,
        path: FilePath,
        levels: usize,
        glob: Option<Glob>,
    ) -> Result<Listing, SessionError> {
        self.walk(move |root| {
            let keep = |found: &[u8]| glob.as_ref().is_none_or(|glob| glob.matches(found));
            root.list(
                path.as_str(),
                &ListOptions { levels, most: MAX_LIST_ENTRIES, keep: &keep, bounds: BOUNDS },
            )
        })
        .await
    }

    /// Looks at a file.
    pub(crate) async fn look_at(&self, path: FilePath) -> Result<Entry, SessionError> {
        self.call(move |root| root.look_at(path.as_str())).await
    }

    /// Makes a directory.
    pub(crate) async fn make_directory(
        &self,
        path: FilePath,
        mode: u32,
        parents: Parents,
    ) -> Result<(), SessionError> {
        self.call(move |root| root.make_directory(path.as_str(), mode, parents)).await
    }

    /// Gives a file or directory another name.
    pub(crate) async fn rename(
        &self,
        from: FilePath,
        to: FilePath,
        existing: Existing,
    ) -> Result<(), SessionError> {
        self.call(move |root| root.rename(from.as_str(), to.as_str(), existing)).await
    }

    /// Copies a file or a tree.
    pub(crate) async fn copy(
        &self,
        from: FilePath,
        to: FilePath,
        existing: Existing,
    ) -> Result<Copied, SessionError> {
        self.walk(move |root| root.copy(from.as_str(), to.as_str(), existing, BOUNDS)).await
    }

    /// Removes a file or an empty directory.
    pub(crate) async fn remove(&self, path: FilePath) -> Result<(), SessionError> {
        self.call(move |root| root.remove(path.as_str(), RemovalDepth::Single)).await
    }

    /// Removes a file, or a directory with all that is in it.
    pub(crate) async fn remove_tree(&self, path: FilePath) -> Result<(), SessionError> {
        self.walk(move |root| root.remove(path.as_str(), RemovalDepth::Tree(BOUNDS))).await
    }

    /// Sets permission bits.
    pub(crate) async fn set_mode(&self, path: FilePath, mode: u32) -> Result<(), SessionError> {
        self.call(move |root| root.set_mode(path.as_str(), mode)).await
    }

    /// Runs something that takes long, and not too many of them at once.
    pub(super) async fn walk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&RootDirectory) -> Result<T, FileError> + Send + 'static,
    ) -> Result<T, SessionError> {
        // Never closed. The permit goes with the work, which goes on where the request is given up.
        let permit = Arc::clone(&self.turns.walks).acquire_owned().await.ok();
        self.call(move |root| {
            let _permit = permit;
            work(root)
        })
        .await
    }

    pub(super) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&RootDirectory) -> Result<T, FileError> + Send + 'static,
    ) -> Result<T, SessionError> {
        let (root, held) = (self.root(), self.held.clone());
        let done = tokio::task::spawn_blocking(move || {
            let _held = held;
            work(&root)
        })
        .await;
        Ok(done.map_err(|source| SessionError::Task { source })??)
    }
}
