//! Taking over one sandbox that an earlier daemon started.

use sandkasten_isolation::host::SandboxProcess;
use sandkasten_isolation::host::cgroup::SessionCgroup;
use sandkasten_isolation::plan::UidRange;
use sandkasten_protocol::JobState;

use super::{Inner, LiveSession, SessionError};
use crate::store::{SessionRow, StoreError};

impl Inner {
    /// Finds the sandbox of a session that was written down, with the jobs that its runner has. Blocking.
    ///
    /// # Errors
    /// [`SessionError`] where the sandbox has ended or does not answer; what is left of it is an orphan.
    pub(super) fn adopt_sandbox(
        &self,
        row: SessionRow,
    ) -> Result<(LiveSession, Vec<JobState>), SessionError> {
        let process = SandboxProcess::reopen(row.runner_pid, row.runner_started)?;
        let socket = self.places.socket(row.id.as_str());
        let range = UidRange::from_index(row.uid_range)
            .map_err(|_| StoreError::Corrupt { field: "uid_range", value: row.uid_range.to_string() })?;
        let cgroup = SessionCgroup::new(&self.layout, &self.places.instance, row.id.as_str(), range);
        let defaults = self.config.defaults_of(&row.image);
        LiveSession::adopted(row, defaults, range, process, socket, cgroup)
    }
}
