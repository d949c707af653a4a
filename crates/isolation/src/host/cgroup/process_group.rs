//! The processes of one exec, as a cgroup of their own: whatever they start, however they daemonise, stays in it.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use super::hierarchy::{open_for_writing, read_keyed, write};
use super::layout::{Version, make_directory, remove_directory};
use crate::host::PathError;

/// A killed process ends in microseconds; one that is stuck in the kernel may not end at all.
const KILL_PATIENCE: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };
const MAX_KILL_PASSES: usize = 1_000;

/// A cgroup that only serves to know, freeze and kill a set of processes.
#[derive(Debug, Clone)]
pub struct ProcessGroup {
    version: Version,
    directory: PathBuf,
}

/// Why a group of processes could not be signalled.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// A control file refused.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A process could not be signalled.
    #[error("failed to signal process {pid}")]
    Signal {
        /// Its id on the host.
        pid: i32,
        /// The kernel's reason.
        source: std::io::Error,
    },
    /// A process is still there seconds after its kill.
    #[error("process {pid} survives its kill; it is stuck in the kernel")]
    Survivor {
        /// Its id on the host.
        pid: i32,
    },
    /// The group fills as fast as it is killed.
    #[error("processes appear as fast as they are killed")]
    Endless,
}

impl ProcessGroup {
    pub(super) fn new(version: Version, directory: PathBuf) -> Self {
        Self { version, directory }
    }

    /// Makes the group; that it exists is no error. Blocking.
    ///
    /// # Errors
    /// The kernel's.
    pub fn create(&self) -> Result<(), PathError> {
        make_directory(&self.directory)
    }

    /// Moves a process of the host's numbering into the group. Blocking.
    ///
    /// # Errors
    /// The kernel's; `ESRCH` where the process has ended.
    pub fn add(&self, pid: i32) -> Result<(), PathError> {
        write(&self.directory, "cgroup.procs", &pid.to_string())
    }

    /// Opens the file by which a process puts itself into the group: it writes `0`. Blocking.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open_membership(&self) -> Result<OwnedFd, PathError> {
        let name = if self.version == Version::V2 { "cgroup.procs" } else { "tasks" };
        open_for_writing(&self.directory.join(name))
    }

    /// Returns the processor time that the group's processes have used in all, those that have ended included, in microseconds;
    /// none where the kernel does not account it for such a group, in v1, or the group has been removed. Blocking.
    ///
    /// # Errors
    /// The kernel's.
    pub fn cpu_usec(&self) -> Result<Option<u64>, PathError> {
        match self.version {
            Version::V2 => match read_keyed(&self.directory, "cpu.stat", "usage_usec") {
                Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => Ok(None),
                usage => usage.map(Some),
            },
            Version::V1 => Ok(None),
        }
    }

    /// Returns the processes in the group, in the host's numbering. Blocking.
    ///
    /// # Errors
    /// The kernel's.
    pub fn members(&self) -> Result<Vec<i32>, PathError> {
        let path = self.directory.join("cgroup.procs");
        let text = fs::read_to_string(&path).map_err(PathError::of("read", &path))?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).collect())
    }

    /// Sends `signal` to every process but `spared`. The group is frozen meanwhile, so that nothing forks away from under
    /// the signal. A group that has been removed has none, also where that happens because of the signal. Blocking.
    ///
    /// # Errors
    /// The kernel's. The group is thawed in every case.
    pub fn signal(&self, signal: Signal, spared: Option<i32>) -> Result<(), GroupError> {
        match self.signal_frozen(signal, spared) {
            Err(GroupError::Path(error)) if is_removal(&error) && !self.lacks_freezer() => Ok(()),
            outcome => outcome,
        }
    }

    /// Whether the directory is there without the file that freezes it: it is of another hierarchy.
    fn lacks_freezer(&self) -> bool {
        self.directory.exists() && !self.directory.join(self.freezer_file()).exists()
    }

    fn signal_frozen(&self, signal: Signal, spared: Option<i32>) -> Result<(), GroupError> {
        self.freeze(true)?;
        let sent = self.signal_members(signal, spared);
        self.freeze(false)?;
        sent
    }

    fn signal_members(&self, signal: Signal, spared: Option<i32>) -> Result<(), GroupError> {
        for pid in self.members()?.into_iter().filter(|pid| Some(*pid) != spared) {
            let Some(process) = Pid::from_raw(pid) else { continue };
            match kill_process(process, signal) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(source) => return Err(GroupError::Signal { pid, source: source.into() }),
            }
        }
        Ok(())
    }

    /// Kills every process in the group but `spared`, and waits for their ends, until none is left; a group that has been
    /// removed has none. Blocking.
    ///
    /// # Errors
    /// The kernel's, and [`GroupError::Survivor`] for a process that outlives its kill.
    pub fn kill_others(&self, spared: Option<i32>) -> Result<(), GroupError> {
        // What forks while its parent is being killed is seen in the next pass; the bound is for a kernel at fault.
        for _ in 0..MAX_KILL_PASSES {
            let members = match self.members() {
                Err(error) if is_removal(&error) => return Ok(()),
                members => members?,
            };
            let others: Vec<i32> = members.into_iter().filter(|pid| Some(*pid) != spared).collect();
            if others.is_empty() {
                return Ok(());
            }
            let descriptors: Vec<(i32, OwnedFd)> = others
                .iter()
                .filter_map(|pid| Some((*pid, pidfd_open(Pid::from_raw(*pid)?, PidfdFlags::empty()).ok()?)))
                .collect();
            self.signal(Signal::KILL, spared)?;
            for (pid, descriptor) in descriptors {
                let mut watched = [PollFd::new(&descriptor, PollFlags::IN)];
                if !matches!(rustix::io::retry_on_intr(|| poll(&mut watched, Some(&KILL_PATIENCE))), Ok(1..))
                {
                    return Err(GroupError::Survivor { pid });
                }
            }
        }
        Err(GroupError::Endless)
    }

    fn freeze(&self, frozen: bool) -> Result<(), PathError> {
        let state = match (self.version, frozen) {
            (Version::V2, true) => "1",
            (Version::V2, false) => "0",
            (Version::V1, true) => "FROZEN",
            (Version::V1, false) => "THAWED",
        };
        write(&self.directory, self.freezer_file(), state)
    }

    const fn freezer_file(&self) -> &'static str {
        match self.version {
            Version::V2 => "cgroup.freeze",
            Version::V1 => "freezer.state",
        }
    }

    /// Removes the group. Blocking.
    ///
    /// # Errors
    /// The kernel's; `EBUSY` as long as a process is in it.
    pub fn remove(&self) -> Result<(), PathError> {
        remove_directory(&self.directory)
    }
}

/// Whether a control file could not be used because its group has been removed: before it was opened, or between that and its use.
fn is_removal(error: &PathError) -> bool {
    error.source.kind() == std::io::ErrorKind::NotFound
        || error.source.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::{GroupError, ProcessGroup, Signal, Version};

    #[test]
    fn a_group_that_has_been_removed_has_no_process_to_signal() {
        let directory = tempfile::tempdir().expect("a directory");
        for version in [Version::V1, Version::V2] {
            let group = ProcessGroup::new(version, directory.path().join("removed"));
            group.signal(Signal::TERM, None).expect("nobody is signalled");
            group.kill_others(None).expect("nobody is killed");
        }
    }

    #[test]
    fn a_directory_of_a_hierarchy_that_cannot_freeze_is_no_group_that_was_removed() {
        let directory = tempfile::tempdir().expect("a directory");
        for version in [Version::V1, Version::V2] {
            let group = ProcessGroup::new(version, directory.path().to_owned());
            assert!(matches!(group.signal(Signal::KILL, None), Err(GroupError::Path(_))), "{version:?}");
        }
    }

    #[test]
    fn a_group_that_cannot_be_frozen_is_not_signalled() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(directory.path().join("cgroup.freeze")).expect("something in the way");
        let group = ProcessGroup::new(Version::V2, directory.path().to_owned());
        assert!(matches!(group.signal(Signal::TERM, None), Err(GroupError::Path(_))));
    }
}
