//! Files of a workspace while a request uses them, with or without a session.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use sandkasten_api::id::WorkspaceId;
use sandkasten_isolation::host::WatchDepth;

use super::file_space::{FileSpace, Turns};
use super::file_watch::FileWatch;
use super::{FilePath, SessionError, Sessions};
use crate::workspace::{OpenWorkspace, WorkspaceError};

/// What the requests about each workspace share, as long as there are any.
#[derive(Debug, Default)]
pub(super) struct WorkspaceTurns(Mutex<HashMap<WorkspaceId, Weak<Turns>>>);

/// What is done where there is no such workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MissingWorkspace {
    /// The request is refused.
    Refused,
    /// It is made.
    Made,
}

/// The files of a workspace while a request uses them: it is neither removed nor renamed meanwhile. One that was made for a
/// request that comes to nothing goes with it.
#[derive(Debug)]
pub(crate) struct WorkspaceFiles {
    space: FileSpace,
    held: Arc<HeldWorkspace>,
}

/// A workspace in use by a request, or by what is left to do of one whose client has gone.
#[derive(Debug)]
pub(super) struct HeldWorkspace {
    /// Absent at the end alone.
    workspace: Option<OpenWorkspace>,
    is_kept: AtomicBool,
}

impl WorkspaceTurns {
    /// Returns what requests about a workspace share.
    pub(super) fn of(&self, id: &WorkspaceId) -> Arc<Turns> {
        let mut all = self.all();
        if let Some(turns) = all.get(id).and_then(Weak::upgrade) {
            return turns;
        }
        all.retain(|_, turns| turns.strong_count() > 0);
        let turns = Arc::default();
        all.insert(id.clone(), Arc::downgrade(&turns));
        turns
    }

    /// Ends the watches of a workspace that is not there any more.
    fn end(&self, id: &WorkspaceId) {
        if let Some(turns) = self.all().remove(id).and_then(|turns| turns.upgrade()) {
            turns.closed.send_replace(true);
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<WorkspaceId, Weak<Turns>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WorkspaceFiles {
    /// The operations on them.
    pub(crate) fn space(&self) -> &FileSpace {
        &self.space
    }

    /// Says that the request has done what it was for.
    pub(crate) fn keep(&self) {
        self.held.is_kept.store(true, Ordering::Relaxed);
    }
}

impl Drop for HeldWorkspace {
    fn drop(&mut self) {
        let Some(workspace) = self.workspace.take().filter(|_| !*self.is_kept.get_mut()) else { return };
        let id = workspace.id().clone();
        // Three short calls to the kernel, and only where the workspace is a new one. The answer waits for them: whoever lists
        // the workspaces next does not see it.
        if let Err(error) = workspace.undo() {
            tracing::error!(workspace = %id, error = &error as &dyn std::error::Error, "a new workspace stays, empty");
        }
    }
}

impl Sessions {
    /// Opens the files of a workspace.
    ///
    /// # Errors
    /// [`SessionError::Workspace`]: those of [`Workspaces::open`](crate::workspace::Workspaces::open) or
    /// [`Workspaces::open_or_make`](crate::workspace::Workspaces::open_or_make).
    pub(crate) async fn workspace_files(
        &self,
        id: WorkspaceId,
        missing: MissingWorkspace,
    ) -> Result<WorkspaceFiles, SessionError> {
        let opened = self.workspaces().run(move |all| {
            let workspace = match missing {
                MissingWorkspace::Refused => all.open(&id),
                MissingWorkspace::Made => all.open_or_make(&id),
            }?;
            Ok((all.root_of(&workspace)?, workspace))
        });
        let (root, workspace) = opened.await?;
        let turns = self.inner.workspace_turns.of(workspace.id());
        let held = Arc::new(HeldWorkspace { workspace: Some(workspace), is_kept: AtomicBool::new(false) });
        let mut space = FileSpace::with_turns(root, turns);
        space.held = Some(Arc::clone(&held));
        Ok(WorkspaceFiles { space, held })
    }

    /// Begins to watch a directory of a workspace. The watch does not keep the workspace from being removed.
    ///
    /// # Errors
    /// Those of [`Sessions::workspace_files`], or [`SessionError::File`].
    pub(crate) async fn watch_workspace(
        &self,
        id: WorkspaceId,
        path: FilePath,
        depth: WatchDepth,
    ) -> Result<FileWatch, SessionError> {
        let files = self.workspace_files(id, MissingWorkspace::Refused).await?;
        let watch = files.space.watch(path, depth, &self.inner.watch_limits).await?;
        Ok(watch.holding(Arc::clone(&files.space.turns)))
    }

    /// Removes a workspace that nobody uses, and ends its watches, whether or not anybody waits for this.
    ///
    /// # Errors
    /// Those of [`Workspaces::remove`](crate::workspace::Workspaces::remove).
    pub(crate) async fn remove_workspace(&self, id: WorkspaceId) -> Result<(), WorkspaceError> {
        let inner = Arc::clone(&self.inner);
        self.workspaces().run(move |all| all.remove(&id, || inner.workspace_turns.end(&id))).await
    }

    /// Gives a workspace that nobody uses another name, and ends its watches, whether or not anybody waits for this.
    ///
    /// # Errors
    /// Those of [`Workspaces::rename`](crate::workspace::Workspaces::rename).
    pub(crate) async fn rename_workspace(
        &self,
        id: WorkspaceId,
        to: WorkspaceId,
    ) -> Result<(), WorkspaceError> {
        let inner = Arc::clone(&self.inner);
        self.workspaces().run(move |all| all.rename(&id, &to, || inner.workspace_turns.end(&id))).await
    }
}
