//! What a job used and which limits it met: read from cgroups before and after it. Small reads that do not block for long.

use sandkasten_isolation::host::PathError;
use sandkasten_isolation::host::cgroup::{Refusals, SessionCgroup};
use serde::{Deserialize, Serialize};

use super::process_groups::ProcessGroups;

/// The counters when a job began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Baseline {
    cpu_usec: u64,
    oom_kills: u64,
    forks: u64,
}

/// What happened since.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) cpu_usec: Option<u64>,
    pub(super) peak_memory_bytes: Option<u64>,
    /// Processes of the session that were killed for memory.
    pub(super) oom_kills: u64,
    /// Processes of the session that were not started because there were too many.
    pub(super) refused_forks: u64,
}

impl Baseline {
    /// What is known before a job begins, without looking at the session's counters: how much its group has used.
    ///
    /// # Errors
    /// The cgroup's.
    pub(super) fn of_group(groups: &ProcessGroups, number: u64) -> Result<Self, PathError> {
        Ok(Self { cpu_usec: groups.cpu_usec(number)?, ..Self::default() })
    }

    /// Reads the session's counters, as soon as the job has been given to the runner: it takes a while to meet a limit, and
    /// need not wait for this.
    ///
    /// # Errors
    /// The cgroup's.
    pub(super) fn look(&mut self, cgroup: &SessionCgroup) -> Result<(), PathError> {
        cgroup.reset_memory_peak()?;
        let Refusals { oom_kills, forks } = cgroup.refusals()?;
        (self.oom_kills, self.forks) = (oom_kills, forks);
        Ok(())
    }

    /// Reads everything again, at the end of the job. Limits that a job with `status` 0 has met do not matter.
    ///
    /// # Errors
    /// The cgroup's.
    pub(super) fn measure(
        self,
        cgroup: &SessionCgroup,
        groups: &ProcessGroups,
        number: u64,
        status: i32,
    ) -> Result<Measured, PathError> {
        let met = if status == 0 { Refusals::default() } else { cgroup.refusals()? };
        let peak = cgroup.memory_peak_bytes()?;
        Ok(Measured {
            cpu_usec: groups.note_cpu_usec(number)?.map(|usec| usec.saturating_sub(self.cpu_usec)),
            peak_memory_bytes: (peak > 0).then_some(peak),
            oom_kills: met.oom_kills.saturating_sub(self.oom_kills),
            refused_forks: met.forks.saturating_sub(self.forks),
        })
    }
}
