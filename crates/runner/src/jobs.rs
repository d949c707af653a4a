//! The jobs of a session: those that run, and of those that have ended as many as memory allows.

use sandkasten_protocol::JobState;

use crate::job::Job;

/// Processes of their own that may run at once.
pub(crate) const MAX_PROCESSES: usize = 64;
/// Ended jobs that are kept.
const MAX_ENDED: usize = 128;
/// Bytes of output of ended jobs that are kept.
const MAX_ENDED_BYTES: usize = 8 << 20;

/// All jobs, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Jobs(Vec<Job>);

impl Jobs {
    pub(crate) fn insert(&mut self, job: Job) {
        self.0.push(job);
    }

    pub(crate) fn get(&self, id: u64) -> Option<&Job> {
        self.0.iter().rev().find(|job| job.id == id)
    }

    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut Job> {
        self.0.iter_mut().rev().find(|job| job.id == id)
    }

    pub(crate) fn remove(&mut self, id: u64) -> Option<Job> {
        let index = self.0.iter().position(|job| job.id == id)?;
        Some(self.0.remove(index))
    }

    pub(crate) fn running(&self) -> impl Iterator<Item = &Job> {
        self.0.iter().filter(|job| job.finished().is_none())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Job> {
        self.0.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Job> {
        self.0.iter_mut()
    }

    pub(crate) fn states(&self) -> Vec<JobState> {
        self.0.iter().map(Job::state).collect()
    }

    /// Forgets the oldest jobs that have ended, where there are too many of them or they keep too much. One that is being
    /// read stays.
    pub(crate) fn forget_oldest(&mut self) {
        let (mut count, mut bytes) = (0, 0);
        for job in self.0.iter().filter(|job| job.finished().is_some()) {
            count += 1;
            bytes += job.kept();
        }
        self.0.retain(|job| {
            let goes = (count > MAX_ENDED || bytes > MAX_ENDED_BYTES)
                && job.finished().is_some()
                && job.readers.is_empty();
            if goes {
                count -= 1;
                bytes -= job.kept();
            }
            !goes
        });
    }
}
