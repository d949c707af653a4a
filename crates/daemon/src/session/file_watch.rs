//! Watching files of a session or a workspace: how many watches there may be, and waiting for changes without a thread.

use std::fs;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use sandkasten_api::limits::{MAX_TREE_DEPTH, MAX_TREE_ENTRIES, MAX_WATCHED_DIRECTORIES, MAX_WATCHES};
use sandkasten_isolation::host::{
    FileError, RootDirectory, TreeBounds, TreeWatch, WatchAllowance, WatchBounds, WatchDepth, WatchEvent,
    WatchPermit,
};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use super::file_space::Turns;
use super::{FilePath, FileSpace, SessionError};

/// The kernel's limits are those of the daemon's user, which other programs share. No more than this is ever taken of them,
/// nor more than a part of what they are.
const MAX_DIRECTORIES: usize = 65_536;
const MAX_STREAMS: usize = 32;
/// What is assumed where a limit cannot be read: no kernel's is smaller.
const LEAST_DIRECTORIES: usize = 8_192;
const LEAST_STREAMS: usize = 128;
/// What one look at new directories may go through.
const BOUNDS: TreeBounds =
    TreeBounds { entries: MAX_TREE_ENTRIES, depth: MAX_TREE_DEPTH, time: Duration::from_secs(10) };
/// How long the second half of a rename is waited for. The kernel queues both in one go.
const MOVE_PATIENCE: Duration = Duration::from_millis(20);

/// What may be watched, by the whole daemon or by one session.
#[derive(Debug)]
pub(super) struct WatchLimits {
    directories: Arc<WatchAllowance>,
    streams: Arc<WatchAllowance>,
}

impl WatchLimits {
    /// Leaves the larger part of what the kernel allows to others. Reads two small files.
    pub(super) fn of_this_host() -> Self {
        let read = |name: &str, least: usize| {
            let limit = fs::read_to_string(format!("/proc/sys/fs/inotify/{name}"));
            limit.ok().and_then(|limit| limit.trim().parse().ok()).unwrap_or(least)
        };
        let directories = read("max_user_watches", LEAST_DIRECTORIES) / 2;
        let streams = read("max_user_instances", LEAST_STREAMS) / 4;
        Self {
            directories: WatchAllowance::new(directories.min(MAX_DIRECTORIES)),
            streams: WatchAllowance::new(streams.min(MAX_STREAMS)),
        }
    }

    /// The limits of one session.
    fn part(&self) -> Self {
        Self {
            directories: self.directories.part(MAX_WATCHED_DIRECTORIES),
            streams: self.streams.part(MAX_WATCHES),
        }
    }
}

/// A watch on a directory of a session or a workspace. It keeps neither from its end.
#[derive(Debug)]
pub(crate) struct FileWatch {
    root: Arc<RootDirectory>,
    /// Absent while it is being read.
    tree: Option<TreeWatch>,
    readable: AsyncFd<Arc<OwnedFd>>,
    closed: watch::Receiver<bool>,
    _permit: WatchPermit,
    /// Those of a workspace, which would else go with the request that began the watch.
    _turns: Option<Arc<Turns>>,
}

/// What a watch has waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// There is something to read.
    Changes,
    /// The session has ended, or the workspace has gone.
    End,
}

impl FileSpace {
    /// Begins to watch a directory.
    ///
    /// # Errors
    /// [`SessionError::File`].
    pub(super) async fn watch(
        &self,
        path: FilePath,
        depth: WatchDepth,
        limits: &WatchLimits,
    ) -> Result<FileWatch, SessionError> {
        let limits = self.turns.watch_limits.get_or_init(|| limits.part());
        let closed = self.turns.closed.subscribe();
        let unwatchable = || FileError::Unwatchable { path: path.as_str().to_owned() };
        let permit = limits.streams.take().ok_or_else(unwatchable)?;
        let bounds = WatchBounds { allowance: Arc::clone(&limits.directories), tree: BOUNDS };
        let watched = path.clone();
        let tree = self.walk(move |root| root.watch(watched.as_str(), depth, bounds)).await?;
        let failed = |source| {
            SessionError::File(FileError::Other { action: "watch", path: path.as_str().to_owned(), source })
        };
        #[expect(
            deprecated,
            reason = "its successor is unsafe, for descriptors that are not owned; this one is"
        )]
        let readable = AsyncFd::new(tree.events()).map_err(failed)?;
        Ok(FileWatch { root: self.root(), tree: Some(tree), readable, closed, _permit: permit, _turns: None })
    }

    /// Ends all watches: the session has ended, or the workspace has gone.
    pub(super) fn close(&self) {
        self.turns.closed.send_replace(true);
    }
}

impl FileWatch {
    /// Keeps what others of the same files share for as long as the watch.
    pub(super) fn holding(self, turns: Arc<Turns>) -> Self {
        Self { _turns: Some(turns), ..self }
    }

    /// How many directories are watched.
    pub(crate) fn directories(&self) -> usize {
        self.tree.as_ref().map_or(0, TreeWatch::directories)
    }

    /// Waits for changes, or for the end of the session or workspace. Cancel-safe.
    pub(crate) async fn wait(&mut self) -> Awaited {
        let is_drained = self.tree.as_ref().is_none_or(TreeWatch::is_drained);
        let is_moving = self.tree.as_ref().is_some_and(TreeWatch::is_moving);
        tokio::select! {
            biased;
            _ = self.closed.wait_for(|closed| *closed) => Awaited::End,
            () = std::future::ready(()), if !is_drained => Awaited::Changes,
            ready = self.readable.readable() => {
                // Before the reading, so that what comes meanwhile wakes again.
                if let Ok(mut ready) = ready {
                    ready.clear_ready();
                }
                Awaited::Changes
            }
            () = tokio::time::sleep(MOVE_PATIENCE), if is_moving => Awaited::Changes,
        }
    }

    /// Waits for the end of the session. Cancel-safe.
    pub(crate) async fn wait_for_end(&mut self) {
        // Where the sender has gone, the session has as well.
        self.closed.wait_for(|closed| *closed).await.ok();
    }

    /// Reads what there is. To be awaited to its end: what was read is lost otherwise.
    ///
    /// # Errors
    /// [`SessionError::File`], after which nothing more comes.
    pub(crate) async fn read(&mut self) -> Result<Vec<WatchEvent>, SessionError> {
        let Some(mut tree) = self.tree.take() else { return Ok(Vec::new()) };
        let root = Arc::clone(&self.root);
        let read = tokio::task::spawn_blocking(move || {
            let was_moving = tree.is_moving();
            let events = root.read_changes(&mut tree).map(|mut events| {
                if was_moving && events.is_empty() {
                    events.extend(tree.end_move());
                }
                events
            });
            (tree, events)
        });
        let (tree, events) = read.await.map_err(|source| SessionError::Task { source })?;
        self.tree = Some(tree);
        Ok(events?)
    }
}
