//! Workspaces that have no name yet: each is mounted in a sandbox that nobody has asked for, and gets its name with it.
//!
//! Such a workspace is a directory in `.idle/`, empty, with a lock file of a name that no workspace can have. Naming it renames both:
//! first the lock, which the runner holds, then the directory. Whoever makes, renames or removes a workspace has its lock before, so
//! that nobody is at the name in between.

use std::fs;
use std::io;
use std::path::PathBuf;

use rustix::fs::{CWD, Mode, RenameFlags, renameat_with};
use sandkasten_api::id::WorkspaceId;
use sandkasten_isolation::host::PathError;

use super::lock::WorkspaceLock;
use super::{OpenWorkspace, WorkspaceError, Workspaces, names_in, removal};

impl Workspaces {
    /// Makes an empty workspace without a name, for the sandbox of this id. Blocking.
    ///
    /// # Errors
    /// [`WorkspaceError::NoRoom`] or [`WorkspaceError::NoInodes`], or the kernel's.
    pub(crate) fn make_idle(&self, id: &WorkspaceId) -> Result<OpenWorkspace, WorkspaceError> {
        self.require_room(0)?;
        let lock = WorkspaceLock::share_file(self.idle_lock(id), id)?;
        let path = self.idle().join(id.as_str());
        rustix::fs::mkdir(&path, Mode::RWXU).map_err(PathError::of("make the directory", &path))?;
        let directory = Self::open_tree_at(&path, id)?;
        Ok(OpenWorkspace { id: id.clone(), path, directory, lock, made: true })
    }

    /// Whether a workspace without a name could get this one: neither is there a workspace, nor is anybody about to make one; and
    /// there is room on the disk. A few system calls.
    pub(crate) fn is_free(&self, name: &WorkspaceId) -> bool {
        let is_absent = |path: PathBuf| {
            fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        is_absent(self.path(name))
            && is_absent(self.locks().join(name.as_str()))
            && self.require_room(0).is_ok()
    }

    /// Gives the workspace of a sandbox its name. Two renames.
    ///
    /// # Errors
    /// [`WorkspaceError::Exists`] where somebody else has come by the name; the kernel's.
    pub(crate) fn name_idle(&self, id: &WorkspaceId, name: &WorkspaceId) -> Result<(), WorkspaceError> {
        rename(self.idle_lock(id), self.locks().join(name.as_str()), name)?;
        rename(self.idle().join(id.as_str()), self.path(name), name)
    }

    /// Removes the workspace of a sandbox that has ended without getting a name, if it has one. Blocking.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn remove_idle(&self, id: &WorkspaceId) -> Result<(), PathError> {
        match removal::discard(&self.idle().join(id.as_str()), &self.rubbish()) {
            Err(error) if error.source.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let lock = self.idle_lock(id);
        match fs::remove_file(&lock) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(PathError::of("remove", &lock)(error));
            }
            _ => {}
        }
        removal::empty(&self.rubbish())
    }

    /// Whether the workspace of a sandbox is there and has no name yet.
    pub(crate) fn has_idle(&self, id: &WorkspaceId) -> bool {
        fs::symlink_metadata(self.idle().join(id.as_str())).is_ok_and(|found| found.is_dir())
            && fs::symlink_metadata(self.idle_lock(id)).is_ok()
    }

    /// Removes what killed daemons have left: workspaces without a name that no sandbox holds. Blocking.
    pub(super) fn clean_idle(&self) -> Result<(), WorkspaceError> {
        let mut left = names_in(&self.idle())?;
        let locks = self.locks();
        for entry in fs::read_dir(&locks).map_err(PathError::of("list", &locks))? {
            let name = entry.map_err(PathError::of("list", &locks))?.file_name();
            left.extend(name.to_str().and_then(|name| name.strip_prefix('.')?.parse().ok()));
        }
        for id in left {
            if WorkspaceLock::claim_file(self.idle_lock(&id), &id).is_ok() {
                self.remove_idle(&id)?;
            }
        }
        Ok(())
    }

    fn idle_lock(&self, id: &WorkspaceId) -> PathBuf {
        self.locks().join(format!(".{id}"))
    }
}

fn rename(from: PathBuf, to: PathBuf, name: &WorkspaceId) -> Result<(), WorkspaceError> {
    match renameat_with(CWD, &from, CWD, &to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::EXIST) => Err(WorkspaceError::Exists { id: name.clone() }),
        Err(error) => Err(PathError::of("rename", &from)(error).into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsFd;

    use sandkasten_api::id::WorkspaceId;

    use super::{WorkspaceError, Workspaces};
    use crate::config::Config;

    fn workspaces(directory: &tempfile::TempDir) -> Workspaces {
        let mut config = Config::default();
        config.data_dir = directory.path().to_owned();
        config.workspace.min_free_mb = 0;
        let workspaces = Workspaces::new(&config);
        workspaces.prepare().expect("directories");
        workspaces
    }

    fn id(text: &str) -> WorkspaceId {
        text.parse().expect("an id")
    }

    #[test]
    fn a_workspace_without_a_name_gets_one_with_its_lock_and_is_none_before() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIP: giving a workspace away needs root");
            return;
        }
        let directory = tempfile::tempdir().expect("a directory");
        let all = workspaces(&directory);
        let made = all.make_idle(&id("0000-1")).expect("made");
        // As the runner has it.
        let held = made.source().lock.as_fd().try_clone_to_owned().expect("a copy");
        drop(made);
        assert!(all.list().expect("listed").is_empty() && all.has_idle(&id("0000-1")));
        all.clean_idle().expect("cleaned");
        assert!(all.has_idle(&id("0000-1")), "it is held");
        assert!(all.is_free(&id("user-1")));
        all.name_idle(&id("0000-1"), &id("user-1")).expect("named");
        assert!(!all.has_idle(&id("0000-1")) && !all.is_free(&id("user-1")));
        assert_eq!(all.list().expect("listed").len(), 1);
        let in_use = all.remove(&id("user-1"), || ());
        assert!(matches!(in_use, Err(WorkspaceError::InUse { .. })), "{in_use:?}");
        drop(all.open(&id("user-1")).expect("shared"));
        drop(held);
        all.remove(&id("user-1"), || ()).expect("removed");
        assert!(all.is_free(&id("user-1")));
    }

    #[test]
    fn a_name_that_is_taken_is_given_to_nobody_else_and_what_has_none_goes_whole() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIP: giving a workspace away needs root");
            return;
        }
        let directory = tempfile::tempdir().expect("a directory");
        let all = workspaces(&directory);
        all.create(&id("user-1")).expect("made");
        let made = all.make_idle(&id("0000-1")).expect("made");
        assert!(!all.is_free(&id("user-1")));
        let taken = all.name_idle(&id("0000-1"), &id("user-1"));
        assert!(matches!(taken, Err(WorkspaceError::Exists { .. })), "{taken:?}");
        // Put there by hand, without a lock.
        fs::create_dir(directory.path().join("workspaces/user-2")).expect("a directory");
        assert!(!all.is_free(&id("user-2")));
        drop(made);
        fs::write(directory.path().join("workspaces/.idle/0000-1/file"), b"x").expect("written");
        all.clean_idle().expect("cleaned");
        for (place, left) in [(".idle", 0), (".rubbish", 0), (".locks", 1)] {
            let entries = fs::read_dir(directory.path().join("workspaces").join(place)).expect("listed");
            assert_eq!(entries.count(), left, "{place}");
        }
    }
}
