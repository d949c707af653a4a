//! The cgroup of one session: made and limited before anything runs in it, read for its usage, removed at the end.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::hierarchy::{open_for_writing, write};
use super::layout::{Controller, Layout, Version, enable, make_directory, remove_directory};
use super::process_group::{GroupError, ProcessGroup};
use crate::host::PathError;
use crate::plan::UidRange;

/// Where v2 controllers are used, the session's own cgroup holds no process but two inner ones: the runner's, outside of
/// every limit, so that a session at its limit can still be served, and the limited one of everything else.
const RUNNER: &str = "init";
const LIMITED: &str = "work";
/// The number of the process group that the first shell is started in.
pub const FIRST_PROCESS_GROUP: u64 = 1;

pub(super) const CPU_PERIOD_USEC: u64 = 100_000;

/// What a session may use at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// CPU time, in thousandths of a core.
    pub cpu_millis: u64,
    /// Memory, in bytes; no swap comes on top.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub pids: u64,
}

/// The cgroup of one session, over all hierarchies.
#[derive(Debug, Clone)]
pub struct SessionCgroup {
    pub(super) layout: Layout,
    pub(super) instance: String,
    session: String,
    range: UidRange,
}

/// Why a session's cgroup could not be made as asked.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// A step failed.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A step failed, and what had been made could not be removed either.
    #[error("{error}; removing what had been made failed too: {undo}")]
    Undo {
        /// The first failure.
        error: Box<PathError>,
        /// The failure of the removal.
        undo: Box<PathError>,
    },
}

impl SessionCgroup {
    /// Names the cgroup of `session` below the daemon's directory `instance`. Touches nothing.
    #[must_use]
    pub fn new(layout: &Layout, instance: &str, session: &str, range: UidRange) -> Self {
        Self { layout: layout.clone(), instance: instance.to_owned(), session: session.to_owned(), range }
    }

    /// Makes the cgroup and sets its limits. On failure nothing is left behind. Blocking.
    ///
    /// # Errors
    /// The [`PathError`] of the limit that the kernel refuses; no limit is skipped.
    pub fn create(&self, limits: &Limits) -> Result<(), CgroupError> {
        self.or_removed(self.make_directories().and_then(|()| self.limit(limits)))
    }

    /// Makes the cgroup without limits: nothing may run in it before it has [some](Self::limit). On failure nothing is left
    /// behind. Blocking.
    ///
    /// # Errors
    /// The [`PathError`] of what cannot be made.
    pub fn make(&self) -> Result<(), CgroupError> {
        self.or_removed(self.make_directories())
    }

    fn or_removed(&self, made: Result<(), PathError>) -> Result<(), CgroupError> {
        made.map_err(|error| match self.remove() {
            Ok(()) => CgroupError::Path(error),
            Err(undo) => CgroupError::Undo { error: Box::new(error), undo: Box::new(undo) },
        })
    }

    fn make_directories(&self) -> Result<(), PathError> {
        for root in self.layout.roots() {
            make_directory(&self.directory_in(&root))?;
        }
        self.make_process_groups()
    }

    /// Sets its limits. A few small writes; blocking.
    ///
    /// # Errors
    /// The [`PathError`] of the limit that the kernel refuses; no limit is skipped.
    pub fn limit(&self, limits: &Limits) -> Result<(), PathError> {
        self.limit_memory(limits.memory_bytes)?;
        let (version, directory) = self.controller(Controller::Cpu);
        let quota = (limits.cpu_millis * CPU_PERIOD_USEC / 1_000).max(1_000);
        match version {
            Version::V2 => write(&directory, "cpu.max", &format!("{quota} {CPU_PERIOD_USEC}"))?,
            Version::V1 => {
                write(&directory, "cpu.cfs_period_us", &CPU_PERIOD_USEC.to_string())?;
                write(&directory, "cpu.cfs_quota_us", &quota.to_string())?;
            }
        }
        let (_, directory) = self.controller(Controller::Pids);
        write(&directory, "pids.max", &limits.pids.to_string())
    }

    /// Makes the first process group, with what has to be above it, and lets the runner start processes in it in v2: who starts a
    /// process there must be able to write `cgroup.procs` of the group and of the nearest cgroup above both, cgroups(7).
    fn make_process_groups(&self) -> Result<(), PathError> {
        let first = self.group_parent().join(group_name(FIRST_PROCESS_GROUP));
        let Some((root, controllers)) = &self.layout.unified else { return make_directory(&first) };
        let own = self.directory_in(root);
        if !controllers.is_empty() {
            enable(controllers, &own)?;
            make_directory(&own.join(RUNNER))?;
            make_directory(&own.join(LIMITED))?;
        }
        make_directory(&first)?;
        for directory in [&own, &first] {
            let path = directory.join("cgroup.procs");
            chown(&path, Some(self.range.base()), None)
                .map_err(PathError::of("change the owner of", &path))?;
        }
        Ok(())
    }

    fn limit_memory(&self, bytes: u64) -> Result<(), PathError> {
        let (version, directory) = self.controller(Controller::Memory);
        let bytes = bytes.to_string();
        let (limit, swap, swap_value) = match version {
            Version::V2 => ("memory.max", "memory.swap.max", "0"),
            // In v1 this one counts memory and swap together.
            Version::V1 => ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", bytes.as_str()),
        };
        write(&directory, limit, &bytes)?;
        match write(&directory, swap, swap_value) {
            // The kernel accounts no swap; that is only safe where there is none.
            Err(error) if error.source.kind() == std::io::ErrorKind::NotFound && !host_swaps() => Ok(()),
            result => result,
        }
    }

    /// Opens the v1 files through which a single-threaded process puts itself into the session's cgroup. Blocking.
    ///
    /// # Errors
    /// The [`PathError`] of a file that cannot be opened.
    pub fn open_session_tasks(&self) -> Result<Vec<OwnedFd>, PathError> {
        let legacy = self.layout.legacy_roots();
        let mut tasks = Vec::with_capacity(legacy.len());
        for root in &legacy {
            let directory = self.directory_in(root);
            let group = directory.join(group_name(FIRST_PROCESS_GROUP));
            tasks.push(open_for_writing(&if group.is_dir() { group } else { directory }.join("tasks"))?);
        }
        Ok(tasks)
    }

    /// Opens the v1 files through which the runner leaves the session's cgroup again. Blocking.
    ///
    /// # Errors
    /// The [`PathError`] of a file that cannot be opened.
    pub fn open_runner_tasks(&self) -> Result<Vec<OwnedFd>, PathError> {
        let place = |root: &PathBuf| open_for_writing(&root.join(&self.instance).join("tasks"));
        self.layout.legacy_roots().iter().map(place).collect()
    }

    /// Opens the v2 cgroup that the runner is started in, where there is that hierarchy. Blocking.
    ///
    /// # Errors
    /// The [`PathError`] of the directory.
    pub fn open_runner_directory(&self) -> Result<Option<OwnedFd>, PathError> {
        self.layout.unified.as_ref().map(|_| open_directory(&self.runner_directory())).transpose()
    }

    /// Opens the v2 process group that the first shell is started in, where there is that hierarchy: its directory and
    /// its `cgroup.procs`. Blocking.
    ///
    /// # Errors
    /// The [`PathError`] of what cannot be opened.
    pub fn open_first_process_group(&self) -> Result<Option<[OwnedFd; 2]>, PathError> {
        if self.layout.unified.is_none() {
            return Ok(None);
        }
        let first = self.group_parent().join(group_name(FIRST_PROCESS_GROUP));
        Ok(Some([open_directory(&first)?, open_for_writing(&first.join("cgroup.procs"))?]))
    }

    /// Returns process group number `number`.
    #[must_use]
    pub fn process_group(&self, number: u64) -> ProcessGroup {
        ProcessGroup::new(self.group_version(), self.group_parent().join(group_name(number)))
    }

    /// Kills every process of the session, in whichever of its cgroups, and waits for their ends. For what an earlier
    /// daemon left; blocking.
    ///
    /// # Errors
    /// The kernel's.
    pub fn kill_all(&self) -> Result<(), GroupError> {
        let mut directories: Vec<PathBuf> =
            self.layout.roots().iter().map(|root| self.directory_in(root)).collect();
        while let Some(directory) = directories.pop() {
            directories.extend(inner_directories(&directory));
            match ProcessGroup::new(self.group_version(), directory).kill_others(None) {
                Err(GroupError::Path(error)) if error.source.kind() == std::io::ErrorKind::NotFound => {}
                result => result?,
            }
        }
        Ok(())
    }

    /// Returns the numbers of the process groups there are. Blocking.
    ///
    /// # Errors
    /// The [`PathError`] of a directory that cannot be listed.
    pub fn process_group_numbers(&self) -> Result<Vec<u64>, PathError> {
        let directory = self.group_parent();
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&directory).map_err(PathError::of("list", &directory))? {
            let name = entry.map_err(PathError::of("list", &directory))?.file_name();
            numbers.extend(
                name.to_string_lossy().strip_prefix('x').and_then(|number| number.parse::<u64>().ok()),
            );
        }
        Ok(numbers)
    }

    /// Removes the cgroup and its groups in every hierarchy. All processes must have ended. Blocking; removing what is
    /// not there is no error.
    ///
    /// # Errors
    /// The [`PathError`] of the first directory that stays; the others are still removed.
    pub fn remove(&self) -> Result<(), PathError> {
        let mut first = Ok(());
        for root in self.layout.roots() {
            let mut found = vec![self.directory_in(&root)];
            let mut next = 0;
            while let Some(directory) = found.get(next) {
                let inner = inner_directories(directory);
                found.extend(inner);
                next += 1;
            }
            // Inner ones first.
            for path in found.iter().rev() {
                first = first.and(remove_directory(path));
            }
        }
        first
    }

    pub(super) fn directory_in(&self, root: &Path) -> PathBuf {
        root.join(&self.instance).join(&self.session)
    }

    fn group_version(&self) -> Version {
        if self.layout.unified.is_some() { Version::V2 } else { Version::V1 }
    }

    /// The directory that process groups are made in.
    fn group_parent(&self) -> PathBuf {
        match &self.layout.unified {
            Some((root, controllers)) if controllers.is_empty() => self.directory_in(root),
            Some((root, _)) => self.directory_in(root).join(LIMITED),
            None => {
                let freezer = self.layout.legacy.get(&Controller::Freezer);
                self.directory_in(freezer.map_or(Path::new("/sys/fs/cgroup/freezer"), PathBuf::as_path))
            }
        }
    }

    /// The v2 cgroup that the runner lives in.
    pub(super) fn runner_directory(&self) -> PathBuf {
        match &self.layout.unified {
            Some((root, controllers)) if !controllers.is_empty() => self.directory_in(root).join(RUNNER),
            Some((root, _)) => self.directory_in(root),
            None => PathBuf::new(),
        }
    }

    pub(super) fn controller(&self, controller: Controller) -> (Version, PathBuf) {
        // `Layout::detect` lets no layout through that lacks one of these.
        let (version, root) =
            self.layout.locate(controller).unwrap_or((Version::V2, Path::new("/sys/fs/cgroup")));
        let own = self.directory_in(root);
        (version, if version == Version::V2 { own.join(LIMITED) } else { own })
    }
}

fn group_name(number: u64) -> String {
    format!("x{number}")
}

fn inner_directories(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

fn open_directory(path: &Path) -> Result<OwnedFd, PathError> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(PathError::of("open", path))
}

/// Whether the host has any swap; if that cannot be read, it counts as having some.
fn host_swaps() -> bool {
    fs::read_to_string("/proc/swaps").map_or(true, |text| text.lines().count() > 1)
}
