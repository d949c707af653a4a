//! Taking over one session that an earlier daemon started.

use std::sync::Arc;

use sandkasten_isolation::host::SandboxProcess;
use sandkasten_isolation::host::cgroup::SessionCgroup;
use sandkasten_isolation::plan::UidRange;
use sandkasten_protocol::JobState;

use crate::session::{LiveSession, SessionError, Sessions};
use crate::store::SessionRow;

/// Finds the sandbox of a session that was written down, with the jobs that its runner has. Blocking.
///
/// # Errors
/// [`SessionError`] where the sandbox has ended or does not answer; what is left of it is an orphan.
pub(super) fn adopt(
    sessions: &Sessions,
    row: SessionRow,
) -> Result<(Arc<LiveSession>, Vec<JobState>), SessionError> {
    let process = SandboxProcess::reopen(row.runner_pid, row.runner_started)?;
    let socket = sessions.places().socket(row.id.as_str());
    let range = UidRange::from_index(row.uid_range).map_err(|_| crate::store::StoreError::Corrupt {
        field: "uid_range",
        value: row.uid_range.to_string(),
    })?;
    let cgroup = SessionCgroup::new(sessions.layout(), &sessions.places().instance, row.id.as_str(), range);
    let defaults = sessions.config().defaults_of(&row.image);
    let (session, jobs) = LiveSession::adopted(row, defaults, range, process, socket, cgroup)?;
    Ok((Arc::new(session), jobs))
}
