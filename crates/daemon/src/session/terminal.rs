//! Terminals of a session: interactive shells with a name, found again by whoever comes.

use std::sync::Arc;

use sandkasten_api::process::ProcessKind;

use super::Sessions;
use super::exec::{ExecFailure, ExecOptions};
use super::job::Job;
use super::live::LiveSession;

impl Sessions {
    /// Finds the terminal with the name that `options` have, or starts it. Two that ask at once get the same.
    ///
    /// # Errors
    /// [`ExecFailure`], where it could not be started.
    pub(crate) async fn terminal(
        &self,
        session: &Arc<LiveSession>,
        options: ExecOptions,
    ) -> Result<Arc<Job>, ExecFailure> {
        let _looking = session.terminals.lock().await;
        let is_wanted = |job: &&Arc<Job>| {
            let note = job.note();
            note.kind == ProcessKind::Terminal && note.name == options.name && !job.has_ended()
        };
        if let Some(job) = session.jobs.all().iter().rev().find(is_wanted) {
            return Ok(Arc::clone(job));
        }
        self.start_process(Arc::clone(session), options).await
    }
}
