//! The jobs of a session, as the daemon knows them: every exec and process that runs, and the last that have ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sandkasten_api::id::ExecId;

use super::job::Job;

/// Ended jobs that are remembered; the runner keeps as many.
const MAX_ENDED: usize = 128;

/// All jobs of one session, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Jobs(Mutex<Vec<Arc<Job>>>);

impl Jobs {
    /// Adds a job, unless there is one with its key, which is returned.
    pub(crate) fn add(&self, job: Arc<Job>) -> Option<Arc<Job>> {
        let mut all = self.all_mut();
        let key = job.note().key.as_ref().map(|key| key.key.clone());
        let has_key = |known: &&Arc<Job>| known.note().key.as_ref().map(|key| &key.key) == key.as_ref();
        if key.is_some()
            && let Some(known) = all.iter().rev().find(has_key)
        {
            return Some(Arc::clone(known));
        }
        let mut surplus = all.iter().filter(|job| job.has_ended()).count().saturating_sub(MAX_ENDED - 1);
        all.retain(|job| {
            let goes = surplus > 0 && job.has_ended();
            surplus -= usize::from(goes);
            !goes
        });
        all.push(job);
        None
    }

    /// Adds a job that an earlier daemon has started.
    pub(super) fn restore(&self, job: Arc<Job>) {
        self.all_mut().push(job);
    }

    /// Forgets a job that never ran.
    pub(super) fn forget(&self, id: ExecId) {
        self.all_mut().retain(|job| job.id != id);
    }

    pub(crate) fn find(&self, id: ExecId) -> Option<Arc<Job>> {
        self.all_mut().iter().rev().find(|job| job.id == id).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Job>> {
        self.all_mut().clone()
    }

    fn all_mut(&self) -> MutexGuard<'_, Vec<Arc<Job>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
