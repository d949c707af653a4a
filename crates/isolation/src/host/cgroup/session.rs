//! The cgroup of one session: made and limited before anything runs in it, read for its usage, removed at the end.

use std::fs::{self, File, OpenOptions};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::hierarchy::{read_keyed, read_number, write};
use super::layout::{Controller, Layout, Version, make_directory, remove_directory};
use super::process_group::ProcessGroup;
use crate::host::PathError;

/// The directory, beside the sessions', that runners live in: outside every limit, so that a session at its limit can
/// still be served, and a leaf, because v2 allows no processes in an inner cgroup with controllers.
pub(super) const RUNNERS: &str = "runners";

const CPU_PERIOD_USEC: u64 = 100_000;

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

/// What a session uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Memory in use, in bytes, page cache and tmpfs included.
    pub memory_bytes: u64,
    /// The most memory that was in use at once, in bytes; 0 where the kernel does not keep it (v2 before 5.19).
    pub memory_peak_bytes: u64,
    /// CPU time used, in microseconds.
    pub cpu_usec: u64,
    /// Processes and threads alive.
    pub pids: u64,
    /// Processes killed because the memory limit was reached.
    pub oom_kills: u64,
}

/// The cgroup of one session, over all hierarchies.
#[derive(Debug, Clone)]
pub struct SessionCgroup {
    layout: Layout,
    instance: String,
    session: String,
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
    pub fn new(layout: &Layout, instance: &str, session: &str) -> Self {
        Self { layout: layout.clone(), instance: instance.to_owned(), session: session.to_owned() }
    }

    /// Makes the cgroup and sets its limits. On failure nothing is left behind. Blocking.
    ///
    /// # Errors
    /// The [`PathError`] of the limit that the kernel refuses; no limit is skipped.
    pub fn create(&self, limits: &Limits) -> Result<(), CgroupError> {
        self.try_create(limits).map_err(|error| match self.remove() {
            Ok(()) => CgroupError::Path(error),
            Err(undo) => CgroupError::Undo { error: Box::new(error), undo: Box::new(undo) },
        })
    }

    fn try_create(&self, limits: &Limits) -> Result<(), PathError> {
        for root in self.layout.roots() {
            make_directory(&self.directory_in(&root))?;
        }
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

    /// Opens the files through which a process puts itself into the session's cgroup. Blocking.
    ///
    /// # Errors
    /// The [`PathError`] of a file that cannot be opened.
    pub fn open_joins(&self) -> Result<Vec<OwnedFd>, PathError> {
        self.layout.roots().iter().map(|root| open_procs(&self.directory_in(root))).collect()
    }

    /// Opens the files through which the runner puts itself into the runners' cgroup. Blocking.
    ///
    /// # Errors
    /// The [`PathError`] of a file that cannot be opened.
    pub fn open_runner_joins(&self) -> Result<Vec<OwnedFd>, PathError> {
        let unified = self.layout.unified.as_ref().map(|(root, _)| root);
        let place = |root: &PathBuf| {
            let ours = root.join(&self.instance);
            if Some(root) == unified { ours.join(RUNNERS) } else { ours }
        };
        self.layout.roots().iter().map(|root| open_procs(&place(root))).collect()
    }

    /// Returns the group for the processes of exec number `number`.
    #[must_use]
    pub fn process_group(&self, number: u64) -> ProcessGroup {
        let (version, root) = self.group_root();
        ProcessGroup::new(version, self.directory_in(&root).join(format!("x{number}")))
    }

    /// Returns the group of everything in the session that is in no exec's group.
    #[must_use]
    pub fn base_group(&self) -> ProcessGroup {
        let (version, root) = self.group_root();
        ProcessGroup::new(version, self.directory_in(&root))
    }

    /// Returns the numbers of the execs that have a group. Blocking.
    ///
    /// # Errors
    /// The [`PathError`] of a directory that cannot be listed.
    pub fn process_group_numbers(&self) -> Result<Vec<u64>, PathError> {
        let (_, root) = self.group_root();
        let directory = self.directory_in(&root);
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&directory).map_err(PathError::of("list", &directory))? {
            let name = entry.map_err(PathError::of("list", &directory))?.file_name();
            numbers.extend(
                name.to_string_lossy().strip_prefix('x').and_then(|number| number.parse::<u64>().ok()),
            );
        }
        Ok(numbers)
    }

    /// Reads what the session uses. Blocking.
    ///
    /// # Errors
    /// The [`PathError`] of a file that cannot be read.
    pub fn usage(&self) -> Result<Usage, PathError> {
        let (version, memory) = self.controller(Controller::Memory);
        let (memory_bytes, memory_peak_bytes, oom_kills) = match version {
            Version::V2 => (
                read_number(&memory, "memory.current")?,
                read_number(&memory, "memory.peak").or_else(|error| match error.source.kind() {
                    std::io::ErrorKind::NotFound => Ok(0),
                    _ => Err(error),
                })?,
                read_keyed(&memory, "memory.events", "oom_kill")?,
            ),
            Version::V1 => (
                read_number(&memory, "memory.usage_in_bytes")?,
                read_number(&memory, "memory.max_usage_in_bytes")?,
                read_keyed(&memory, "memory.oom_control", "oom_kill")?,
            ),
        };
        let cpu_usec = match &self.layout.unified {
            // Every v2 cgroup accounts CPU time, also without the controller.
            Some((root, _)) => read_keyed(&self.directory_in(root), "cpu.stat", "usage_usec")?,
            None => read_number(&self.controller(Controller::CpuAccounting).1, "cpuacct.usage")? / 1_000,
        };
        let pids = read_number(&self.controller(Controller::Pids).1, "pids.current")?;
        Ok(Usage { memory_bytes, memory_peak_bytes, cpu_usec, pids, oom_kills })
    }

    /// Reads the limits back from the kernel. Blocking.
    ///
    /// # Errors
    /// The [`PathError`] of a file that cannot be read.
    pub fn limits(&self) -> Result<Limits, PathError> {
        let (version, memory) = self.controller(Controller::Memory);
        let (_, cpu) = self.controller(Controller::Cpu);
        let file = if version == Version::V2 { "memory.max" } else { "memory.limit_in_bytes" };
        let memory_bytes = read_number(&memory, file)?;
        let (cpu_version, _) = self.controller(Controller::Cpu);
        let quota = match cpu_version {
            Version::V1 => read_number(&cpu, "cpu.cfs_quota_us")?,
            Version::V2 => {
                let path = cpu.join("cpu.max");
                let text = fs::read_to_string(&path).map_err(PathError::of("read", &path))?;
                text.split(' ').next().and_then(|quota| quota.parse().ok()).unwrap_or(u64::MAX)
            }
        };
        let pids = read_number(&self.controller(Controller::Pids).1, "pids.max")?;
        Ok(Limits { cpu_millis: quota.saturating_mul(1_000) / CPU_PERIOD_USEC, memory_bytes, pids })
    }

    /// Removes the cgroup and its groups in every hierarchy. All processes must have ended. Blocking; removing what is
    /// not there is no error.
    ///
    /// # Errors
    /// The [`PathError`] of the first directory that stays; the others are still removed.
    pub fn remove(&self) -> Result<(), PathError> {
        let mut first = Ok(());
        for root in self.layout.roots() {
            let directory = self.directory_in(&root);
            let children = match fs::read_dir(&directory) {
                Ok(entries) => {
                    entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
                }
                Err(_) => Vec::new(),
            };
            for path in children.iter().chain([&directory]) {
                first = first.and(remove_directory(path));
            }
        }
        first
    }

    fn directory_in(&self, root: &Path) -> PathBuf {
        root.join(&self.instance).join(&self.session)
    }

    fn group_root(&self) -> (Version, PathBuf) {
        match &self.layout.unified {
            Some((root, _)) => (Version::V2, root.clone()),
            None => (Version::V1, self.layout.legacy.get(&Controller::Freezer).cloned().unwrap_or_default()),
        }
    }

    fn controller(&self, controller: Controller) -> (Version, PathBuf) {
        // `Layout::detect` lets no layout through that lacks one of these.
        let (version, root) =
            self.layout.locate(controller).unwrap_or((Version::V2, Path::new("/sys/fs/cgroup")));
        (version, self.directory_in(root))
    }
}

fn open_procs(directory: &Path) -> Result<OwnedFd, PathError> {
    let path = directory.join("cgroup.procs");
    let file: File = OpenOptions::new().write(true).open(&path).map_err(PathError::of("open", &path))?;
    Ok(file.into())
}

/// Whether the host has any swap; if that cannot be read, it counts as having some.
fn host_swaps() -> bool {
    fs::read_to_string("/proc/swaps").map_or(true, |text| text.lines().count() > 1)
}
