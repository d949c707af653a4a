//! Workspaces: directories on disk that outlive sessions, one owner for all of them, and who uses which.
//!
//! Nothing is written down beside the tree: the directory says that a workspace exists, the filesystem since when, and
//! locks in the kernel who uses it. Every daemon on a data directory sees the same. Must not know sessions or HTTP.

mod copy;
mod files;
mod idle;
mod lock;
mod measure;
mod removal;
mod workspace_error;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rustix::fs::{
    AtFlags, CWD, Gid, Mode, OFlags, RenameFlags, StatxFlags, Uid, fchmod, fchown, fstat, renameat_with,
    statvfs, statx,
};
use sandkasten_api::id::WorkspaceId;
use sandkasten_api::workspace::{ID_LABEL, Workspace};
use sandkasten_isolation::host::{PathError, WorkspaceSource};
use sandkasten_isolation::plan::WORKSPACE_OWNER;

use crate::config::Config;
use crate::places::{PlacesError, private_directory};
use copy::CopyError;
use lock::WorkspaceLock;
use measure::measure;

pub(crate) use files::NewFile;
pub(crate) use workspace_error::WorkspaceError;

/// Files and directories that are counted for one listing, over all workspaces.
const COUNTED_ENTRIES: u64 = 200_000;
/// Files that the disk must have room for, where its filesystem has a bound.
const MIN_FREE_FILES: u64 = 10_000;

/// All workspaces of a data directory. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Workspaces(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    directory: PathBuf,
    min_free_mb: u64,
}

/// A workspace in use, for as long as this lives.
#[derive(Debug)]
pub(crate) struct OpenWorkspace {
    id: WorkspaceId,
    path: PathBuf,
    directory: OwnedFd,
    lock: WorkspaceLock,
    /// Whether it was not there before.
    made: bool,
}

impl Workspaces {
    /// Names the workspaces of the configured data directory; touches nothing.
    pub(crate) fn new(config: &Config) -> Self {
        let directory = config.data_dir.join("workspaces");
        Self(Arc::new(Inner { directory, min_free_mb: config.workspace.min_free_mb }))
    }

    /// Makes the directories around workspaces. Blocking.
    ///
    /// # Errors
    /// [`PlacesError`], also where others than root could get at them.
    pub(crate) fn prepare(&self) -> Result<(), PlacesError> {
        [self.0.directory.clone(), self.locks(), self.rubbish(), self.unfinished(), self.idle()]
            .iter()
            .try_for_each(|path| private_directory(path))
    }

    /// Removes what an earlier daemon did not get to. Blocking, for as long as that takes.
    ///
    /// # Errors
    /// The first thing that stays.
    pub(crate) fn clean(&self) -> Result<(), WorkspaceError> {
        self.clean_idle()?;
        let unfinished = self.unfinished();
        for id in names_in(&unfinished)? {
            // Another daemon on the data directory may be at it.
            if let Ok(lock) = WorkspaceLock::claim(&self.locks(), &id) {
                removal::discard(&unfinished.join(id.as_str()), &self.rubbish())?;
                if self.require(&id).is_err() {
                    lock.remove()?;
                }
            }
        }
        Ok(removal::empty(&self.rubbish())?)
    }

    /// Does something that blocks on a thread for that.
    ///
    /// # Errors
    /// Those of `work`.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, WorkspaceError> + Send + 'static,
    ) -> Result<T, WorkspaceError> {
        let workspaces = self.clone();
        tokio::task::spawn_blocking(move || work(&workspaces))
            .await
            .map_err(|source| WorkspaceError::Task { source })?
    }

    /// Opens a workspace, and makes it where there is none. Blocking.
    ///
    /// # Errors
    /// [`WorkspaceError::InUse`] while it is being removed or renamed; [`WorkspaceError::NoRoom`] or
    /// [`WorkspaceError::NoInodes`] where the disk is too full for anything to be written.
    pub(crate) fn open_or_make(&self, id: &WorkspaceId) -> Result<OpenWorkspace, WorkspaceError> {
        self.require_room(0)?;
        let lock = WorkspaceLock::share(&self.locks(), id)?;
        let path = self.path(id);
        let made = match rustix::fs::mkdir(&path, Mode::RWXU) {
            Ok(()) => true,
            Err(rustix::io::Errno::EXIST) => false,
            Err(error) => return Err(PathError::of("make the directory", &path)(error).into()),
        };
        let directory = self.open_tree(id)?;
        Ok(OpenWorkspace { id: id.clone(), path, directory, lock, made })
    }

    /// Opens a workspace that is there. Blocking.
    ///
    /// # Errors
    /// [`WorkspaceError::NotFound`], or [`WorkspaceError::InUse`] while it is being removed or renamed.
    pub(crate) fn open(&self, id: &WorkspaceId) -> Result<OpenWorkspace, WorkspaceError> {
        // Before the lock, which would else leave a file for every name that is asked for.
        self.require(id)?;
        let lock = WorkspaceLock::share(&self.locks(), id)?;
        let directory = self.open_tree(id)?;
        Ok(OpenWorkspace { id: id.clone(), path: self.path(id), directory, lock, made: false })
    }

    /// Lists all workspaces by name. Blocking.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn list(&self) -> Result<Vec<Workspace>, WorkspaceError> {
        let mut budget = COUNTED_ENTRIES;
        let mut all = Vec::new();
        for id in names_in(&self.0.directory)? {
            match self.describe(id, &mut budget) {
                Ok(workspace) => all.push(workspace),
                // Removed meanwhile.
                Err(WorkspaceError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    /// Removes a workspace with everything in it. Says when it has gone, before its files are deleted and anybody can make another
    /// of its name. Blocking.
    ///
    /// # Errors
    /// [`WorkspaceError::NotFound`], or [`WorkspaceError::InUse`] while a session or a request uses it.
    pub(crate) fn remove(&self, id: &WorkspaceId, gone: impl FnOnce()) -> Result<(), WorkspaceError> {
        self.require(id)?;
        let lock = WorkspaceLock::claim(&self.locks(), id)?;
        let discarded = removal::discard(&self.path(id), &self.rubbish());
        if discarded.is_ok() {
            gone();
        }
        lock.remove()?;
        match discarded {
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => {
                return Err(WorkspaceError::NotFound { id: id.clone() });
            }
            result => result?,
        }
        // What stays of it is nobody's any more, and tried again at the next start.
        Ok(removal::empty(&self.rubbish())?)
    }

    /// Makes an empty workspace. Blocking.
    ///
    /// # Errors
    /// [`WorkspaceError::Exists`], or those of [`Workspaces::open_or_make`].
    pub(crate) fn create(&self, id: &WorkspaceId) -> Result<Workspace, WorkspaceError> {
        if !self.open_or_make(id)?.made {
            return Err(WorkspaceError::Exists { id: id.clone() });
        }
        self.describe(id.clone(), &mut 1)
    }

    /// Gives a workspace that nobody uses another name. Says when it has gone from its old one, before anybody can make another of
    /// that name. Blocking.
    ///
    /// # Errors
    /// [`WorkspaceError::NotFound`], [`WorkspaceError::InUse`] or [`WorkspaceError::Exists`].
    pub(crate) fn rename(
        &self,
        id: &WorkspaceId,
        to: &WorkspaceId,
        gone: impl FnOnce(),
    ) -> Result<(), WorkspaceError> {
        self.require(id)?;
        self.require_free(to)?;
        let own = WorkspaceLock::claim(&self.locks(), id)?;
        let _target = WorkspaceLock::claim(&self.locks(), to)?;
        let (from, path) = (self.path(id), self.path(to));
        match renameat_with(CWD, &from, CWD, &path, RenameFlags::NOREPLACE) {
            Ok(()) => {
                gone();
                Ok(own.remove()?)
            }
            Err(rustix::io::Errno::EXIST) => Err(WorkspaceError::Exists { id: to.clone() }),
            Err(rustix::io::Errno::NOENT) => Err(WorkspaceError::NotFound { id: id.clone() }),
            Err(error) => Err(PathError::of("rename", &from)(error).into()),
        }
    }

    /// Makes a workspace with the files of another, which may be in use: each file is then as it is at some instant. The new one
    /// is there whole or not at all. Blocking, for as long as it takes.
    ///
    /// # Errors
    /// [`WorkspaceError::NotFound`], [`WorkspaceError::Exists`], [`WorkspaceError::TooDeep`], and those of
    /// [`Workspaces::open_or_make`], also where the disk becomes too full meanwhile.
    pub(crate) fn copy(&self, id: &WorkspaceId, to: &WorkspaceId) -> Result<Workspace, WorkspaceError> {
        self.require_room(0)?;
        self.require_free(to)?;
        let from = self.open(id)?;
        let _target = WorkspaceLock::claim(&self.locks(), to)?;
        let unfinished = self.unfinished().join(to.as_str());
        let made = self.copy_into(&from, &unfinished).and_then(|()| {
            match renameat_with(CWD, &unfinished, CWD, self.path(to), RenameFlags::NOREPLACE) {
                Ok(()) => Ok(()),
                Err(rustix::io::Errno::EXIST) => Err(WorkspaceError::Exists { id: to.clone() }),
                Err(error) => Err(PathError::of("rename", &unfinished)(error).into()),
            }
        });
        if let Err(error) = made {
            removal::discard(&unfinished, &self.rubbish())?;
            removal::empty(&self.rubbish())?;
            return Err(error);
        }
        self.describe(to.clone(), &mut COUNTED_ENTRIES.clone())
    }

    fn copy_into(&self, from: &OpenWorkspace, unfinished: &Path) -> Result<(), WorkspaceError> {
        match removal::discard(unfinished, &self.rubbish()) {
            Err(error) if error.source.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            // Of a daemon that was killed.
            _ => {}
        }
        rustix::fs::mkdir(unfinished, Mode::RWXU).map_err(PathError::of("make the directory", unfinished))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let target =
            rustix::fs::open(unfinished, flags, Mode::empty()).map_err(PathError::of("open", unfinished))?;
        let id = from.id.clone();
        copy::copy(&from.directory, &target, &|bytes| self.require_room(bytes)).map_err(|error| match error {
            CopyError::TooDeep => WorkspaceError::TooDeep { id },
            CopyError::Room(error) => *error,
            CopyError::Kernel { source } => WorkspaceError::Copy { id, source },
        })
    }

    /// Checks that there is room for as many bytes and for a file.
    ///
    /// # Errors
    /// [`WorkspaceError::NoRoom`] or [`WorkspaceError::NoInodes`].
    pub(crate) fn require_room(&self, bytes: u64) -> Result<(), WorkspaceError> {
        let directory = &self.0.directory;
        let disk = statvfs(directory).map_err(PathError::of("look at the filesystem of", directory))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize).saturating_sub(bytes);
        let (free_mb, floor_mb) = (free >> 20, self.0.min_free_mb);
        if free_mb < floor_mb {
            return Err(WorkspaceError::NoRoom { free_mb, floor_mb });
        }
        // Some filesystems have as many as fit, and say 0.
        if disk.f_files > 0 && disk.f_favail < MIN_FREE_FILES {
            return Err(WorkspaceError::NoInodes { free: disk.f_favail });
        }
        Ok(())
    }

    fn describe(&self, id: WorkspaceId, budget: &mut u64) -> Result<Workspace, WorkspaceError> {
        let directory = self.open_tree(&id)?;
        let path = self.path(&id);
        let status = statx(&directory, "", AtFlags::EMPTY_PATH, StatxFlags::BTIME | StatxFlags::MTIME)
            .map_err(PathError::of("look at", &path))?;
        // The time of the last change stands in for that of birth where the filesystem does not keep it.
        let born = status.stx_mask & StatxFlags::BTIME.bits() != 0;
        let time = if born { status.stx_btime } else { status.stx_mtime };
        let milliseconds =
            time.tv_sec.saturating_mul(1_000).saturating_add(i64::from(time.tv_nsec / 1_000_000));
        let counted = measure(&directory, budget);
        Ok(Workspace {
            created_at: Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH),
            labels: BTreeMap::from([(ID_LABEL.to_owned(), id.to_string())]),
            id,
            size_bytes: counted.bytes,
            files: counted.files,
            truncated: counted.truncated,
        })
    }

    fn require_free(&self, id: &WorkspaceId) -> Result<(), WorkspaceError> {
        match self.require(id) {
            Ok(()) => Err(WorkspaceError::Exists { id: id.clone() }),
            Err(WorkspaceError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn require(&self, id: &WorkspaceId) -> Result<(), WorkspaceError> {
        let path = self.path(id);
        match fs::symlink_metadata(&path) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(WorkspaceError::NotFound { id: id.clone() })
            }
            Err(error) => Err(PathError::of("look at", &path)(error).into()),
        }
    }

    /// Opens the directory of a workspace, and sees that it is its owner's and can be used by them: a daemon may have
    /// died before it gave it away, and a session may have taken its own permission.
    fn open_tree(&self, id: &WorkspaceId) -> Result<OwnedFd, WorkspaceError> {
        Self::open_tree_at(&self.path(id), id)
    }

    fn open_tree_at(path: &Path, id: &WorkspaceId) -> Result<OwnedFd, WorkspaceError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = match rustix::fs::open(path, flags, Mode::empty()) {
            Err(rustix::io::Errno::NOENT) => return Err(WorkspaceError::NotFound { id: id.clone() }),
            opened => opened.map_err(PathError::of("open", path))?,
        };
        let status = fstat(&directory).map_err(PathError::of("look at", path))?;
        let owner = (status.st_uid, status.st_gid);
        if owner == (0, 0) {
            fchmod(&directory, Mode::from_raw_mode(0o755)).map_err(PathError::of("set the mode of", path))?;
            let ids = (Uid::from_raw(WORKSPACE_OWNER), Gid::from_raw(WORKSPACE_OWNER));
            fchown(&directory, Some(ids.0), Some(ids.1)).map_err(PathError::of("give away", path))?;
        } else if owner != (WORKSPACE_OWNER, WORKSPACE_OWNER) {
            return Err(WorkspaceError::Owner { id: id.clone(), owner: owner.0 });
        } else if status.st_mode & 0o700 != 0o700 {
            let mode = Mode::from_raw_mode((status.st_mode & 0o777) | 0o700);
            fchmod(&directory, mode).map_err(PathError::of("set the mode of", path))?;
        }
        Ok(directory)
    }

    fn path(&self, id: &WorkspaceId) -> PathBuf {
        self.0.directory.join(id.as_str())
    }

    fn locks(&self) -> PathBuf {
        self.0.directory.join(".locks")
    }

    fn unfinished(&self) -> PathBuf {
        self.0.directory.join(".unfinished")
    }

    fn idle(&self) -> PathBuf {
        self.0.directory.join(".idle")
    }

    fn rubbish(&self) -> PathBuf {
        self.0.directory.join(".rubbish")
    }
}

impl OpenWorkspace {
    /// Returns its id.
    pub(crate) fn id(&self) -> &WorkspaceId {
        &self.id
    }

    /// Returns what a launch needs of it.
    pub(crate) fn source(&self) -> WorkspaceSource<'_> {
        WorkspaceSource { directory: self.directory.as_fd(), path: &self.path, lock: self.lock.as_fd() }
    }

    /// Undoes its making, for a use that failed: where it was not there before, is empty, and nobody else has come upon it.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn undo(self) -> Result<(), PathError> {
        if !self.made || !self.lock.try_upgrade() {
            return Ok(());
        }
        match rustix::fs::rmdir(&self.path) {
            Ok(()) => self.lock.remove(),
            Err(rustix::io::Errno::NOTEMPTY | rustix::io::Errno::EXIST) => Ok(()),
            Err(error) => Err(PathError::of("remove", &self.path)(error)),
        }
    }
}

/// Lists the directories that are called as workspaces are, by name.
fn names_in(directory: &Path) -> Result<Vec<WorkspaceId>, PathError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(PathError::of("list", directory))? {
        let entry = entry.map_err(PathError::of("list", directory))?;
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        // The daemon's own directories begin with a dot, which no id does.
        if let (true, Some(Ok(id))) = (is_directory, entry.file_name().to_str().map(str::parse)) {
            names.push(id);
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests;
