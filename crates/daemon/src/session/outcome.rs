//! From how a job ended to what is said of it: its cgroups are read, a verdict is made, and the runner is told what only the
//! daemon knows.

use std::sync::Arc;
use std::time::Duration;

use sandkasten_api::process::ProcessKind;
use sandkasten_api::verdict::Reason;
use sandkasten_protocol::{Finished, Request};

use super::exec::{ExecFailure, Running};
use super::job::{JobEnd, NotedEnd, milliseconds};
use super::link::ask;
use super::live::LiveSession;
use super::measure::Measured;
use super::relay::Interruption;
use super::verdict::{Bounds, Cause, judge};
use super::{SessionError, plan};

/// What brought a job to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Itself.
    Itself,
    /// Its timeout.
    Timeout,
    /// A client.
    Cancelled,
}

impl From<Interruption> for Ending {
    fn from(interruption: Interruption) -> Self {
        match interruption {
            Interruption::Deadline => Self::Timeout,
            Interruption::Cancelled => Self::Cancelled,
        }
    }
}

/// An end that has not been judged yet.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) finished: Finished,
    pub(super) ending: Ending,
    pub(super) duration: Duration,
    pub(super) shell_restarted: bool,
    pub(super) cwd: Option<String>,
}

impl Outcome {
    /// Judges.
    ///
    /// # Errors
    /// [`ExecFailure`], where the session's cgroup cannot be read.
    pub(super) async fn judge(self, running: &Running) -> Result<JobEnd, ExecFailure> {
        let session = &running.session;
        let (group, baseline, timeout_ms) = {
            let note = running.job.note();
            (note.group, note.baseline, note.timeout_ms.unwrap_or_default())
        };
        let Finished { status, signal, written, .. } = self.finished;
        let measured =
            baseline.measure(&session.cgroup, &session.groups, group, status).map_err(SessionError::from);
        let measured = running.explain_loss(measured).await?;
        session.note_memory_peak(measured.peak_memory_bytes.unwrap_or_default());
        let duration_ms = milliseconds(self.duration);
        let cause = match self.ending {
            Ending::Itself => Cause::Itself { status, signal },
            Ending::Timeout => Cause::Timeout { limit_ms: timeout_ms, used_ms: duration_ms },
            Ending::Cancelled => Cause::Cancelled,
        };
        let bounds = bounds(running, status, measured).await;
        let verdict = judge(cause, measured, bounds);
        let quick = running.job.note().kind == ProcessKind::Exec;
        // Of the plain end of an exec, which is what matters most for speed, the runner knows enough.
        if verdict.reason != Reason::Exit || !quick {
            note_end(running, NotedEnd { duration_ms, cwd: self.cwd.clone(), verdict: verdict.clone() });
        }
        Ok(JobEnd {
            exit_code: status,
            cwd: self.cwd,
            written,
            duration: self.duration,
            shell_restarted: self.shell_restarted,
            verdict,
        })
    }
}

async fn bounds(running: &Running, status: i32, measured: Measured) -> Bounds {
    let limits = plan::limits(running.sessions.config(), &running.session.defaults);
    let full_disk = if status == 0 || measured.oom_kills > 0 {
        None
    } else {
        let session = Arc::clone(&running.session);
        tokio::task::spawn_blocking(move || full_disk(&session)).await.ok().flatten()
    };
    Bounds { memory_bytes: limits.memory_bytes, pids: limits.pids, full_disk }
}

/// The size of the first file system of a session that has no room left. One that cannot be asked does not count.
fn full_disk(session: &LiveSession) -> Option<u64> {
    let root = session.files.root();
    let full = |target: &&str| root.full_size(target).ok().flatten();
    plan::WRITABLE_DIRECTORIES.iter().find_map(full)
}

/// Gives the runner what a later daemon could not find out. Nobody waits for it: where it is lost, that daemon says less.
fn note_end(running: &Running, end: NotedEnd) {
    let note = {
        let mut note = running.job.note();
        note.end = Some(end);
        note.encode()
    };
    let (session, job) = (Arc::clone(&running.session), running.job.id.number());
    tokio::task::spawn_blocking(move || {
        if let Err(error) = ask(&session.socket, &Request::Note { job, note }) {
            tracing::debug!(session = %session.id, error = &error as &dyn std::error::Error, "an end was not noted");
        }
    });
}
