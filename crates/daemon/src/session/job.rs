//! One exec or process of a session: what it is, where it is in its life, and how it ended.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use sandkasten_api::id::ExecId;
use sandkasten_api::process::{Process, ProcessKind, ProcessStatus};
use sandkasten_api::verdict::Verdict;
use sandkasten_protocol::Capture;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};

use super::measure::{Baseline, Measured};
use super::verdict::{Bounds, Cause, judge};

/// The most bytes of a command that are kept for lists.
const SHOWN_COMMAND_BYTES: usize = 4 << 10;

/// What the daemon knows of a job beyond what the runner does. The runner keeps it, so that a later daemon, perhaps of
/// another version, has it as well; fields are only ever added.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct JobNote {
    pub(crate) kind: ProcessKind,
    #[serde(default)]
    pub(crate) name: Option<String>,
    pub(crate) command: String,
    /// The persistent shell that carries it out, if one does.
    #[serde(default)]
    pub(crate) shell: Option<String>,
    #[serde(default)]
    pub(crate) tty: bool,
    #[serde(default)]
    pub(crate) raw_output: bool,
    #[serde(default)]
    pub(crate) separate: bool,
    /// The key that its request carried, if it did.
    #[serde(default)]
    pub(crate) key: Option<RequestKey>,
    /// What is kept of its output, of each stream.
    pub(crate) head: u64,
    pub(crate) tail: u64,
    pub(crate) started_at: Timestamp,
    pub(crate) timeout_ms: Option<u64>,
    /// The number of its process group; 0 before it has one.
    pub(crate) group: u64,
    #[serde(default)]
    pub(crate) baseline: Baseline,
    /// Once it has ended: what the runner does not know.
    #[serde(default)]
    pub(crate) end: Option<NotedEnd>,
}

impl JobNote {
    /// As the runner keeps it.
    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What a runner has kept; none where that is no note.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

/// What makes a request that is sent twice one exec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RequestKey {
    /// As the client chose it.
    pub(crate) key: String,
    /// Tells the request from others.
    pub(crate) fingerprint: [u8; 32],
}

/// What a later daemon could not find out about an end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct NotedEnd {
    pub(crate) duration_ms: u64,
    pub(crate) cwd: Option<String>,
    pub(crate) verdict: Verdict,
}

/// How a job ended.
#[derive(Debug, Clone)]
pub(crate) struct JobEnd {
    pub(crate) exit_code: i32,
    pub(crate) cwd: Option<String>,
    /// How many bytes each stream has had.
    pub(crate) written: [u64; 2],
    pub(crate) duration: Duration,
    /// Whether a fresh shell had to take the place of the one that carried it out.
    pub(crate) shell_restarted: bool,
    pub(crate) verdict: Verdict,
}

impl JobEnd {
    /// Of something that was cancelled while it waited for its shell.
    pub(super) fn before_it_began() -> Self {
        const SIGINT: i32 = 2;
        Self {
            exit_code: 128 + SIGINT,
            cwd: None,
            written: [0; 2],
            duration: Duration::ZERO,
            shell_restarted: false,
            verdict: judge(Cause::Cancelled, Measured::default(), Bounds::default()),
        }
    }
}

/// Where a job is in its life.
#[derive(Debug, Clone)]
pub(crate) enum JobState {
    /// It waits for its shell.
    Queued,
    /// It runs.
    Running,
    /// It has ended.
    Ended(Arc<JobEnd>),
    /// It could not be run, or its sandbox has gone.
    Failed,
}

/// A job of a live session.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: ExecId,
    note: Mutex<JobNote>,
    state: watch::Sender<JobState>,
    shell_pid: AtomicI32,
    /// Notified once a client wants it to end.
    pub(crate) cancelled: Notify,
}

impl Job {
    pub(crate) fn new(id: ExecId, note: JobNote, state: JobState) -> Self {
        let (note, state) = (Mutex::new(note), watch::Sender::new(state));
        Self { id, note, state, shell_pid: AtomicI32::new(0), cancelled: Notify::new() }
    }

    pub(crate) fn note(&self) -> MutexGuard<'_, JobNote> {
        self.note.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state(&self) -> JobState {
        self.state.borrow().clone()
    }

    pub(super) fn set(&self, state: JobState) {
        self.state.send_replace(state);
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(*self.state.borrow(), JobState::Ended(_) | JobState::Failed)
    }

    /// Returns when it has ended, or could not be run.
    pub(crate) async fn ended(&self) -> Option<Arc<JobEnd>> {
        let mut watch = self.state.subscribe();
        let state = watch.wait_for(|state| matches!(state, JobState::Ended(_) | JobState::Failed)).await;
        match state.as_deref() {
            Ok(JobState::Ended(end)) => Some(Arc::clone(end)),
            _ => None,
        }
    }

    /// Returns where it is once it runs, has ended, or could not be run.
    pub(super) async fn begun(&self) -> JobState {
        let mut watch = self.state.subscribe();
        let state = watch.wait_for(|state| !matches!(state, JobState::Queued)).await;
        state.map_or(JobState::Failed, |state| state.clone())
    }

    /// The shell that carries it out, in the host's numbering, if one does and has begun.
    pub(super) fn shell_pid(&self) -> Option<i32> {
        match self.shell_pid.load(Ordering::Relaxed) {
            0 => None,
            pid => Some(pid),
        }
    }

    pub(super) fn set_shell_pid(&self, pid: Option<i32>) {
        self.shell_pid.store(pid.unwrap_or_default(), Ordering::Relaxed);
    }

    /// What is kept of its output, of each stream.
    pub(crate) fn capture(&self) -> Capture {
        let note = self.note();
        Capture { head: note.head, tail: note.tail }
    }

    /// Describes it as the API shows it.
    pub(crate) fn describe(&self) -> Process {
        let (status, end) = match self.state() {
            JobState::Queued => (ProcessStatus::Queued, None),
            JobState::Running => (ProcessStatus::Running, None),
            JobState::Ended(end) => (ProcessStatus::Ended, Some(end)),
            JobState::Failed => (ProcessStatus::Ended, None),
        };
        let note = self.note();
        Process {
            id: self.id,
            kind: note.kind,
            name: note.name.clone(),
            command: note.command.clone(),
            shell: note.shell.clone(),
            tty: note.tty,
            status,
            started_at: note.started_at,
            exit_code: end.as_ref().map(|end| end.exit_code),
            duration_ms: end.as_ref().map(|end| milliseconds(end.duration)),
            verdict: end.map(|end| end.verdict.clone()),
        }
    }
}

/// As much of a command as lists show.
pub(super) fn shown(command: &str) -> String {
    let end = (0..=SHOWN_COMMAND_BYTES.min(command.len())).rev().find(|at| command.is_char_boundary(*at));
    command.get(..end.unwrap_or(0)).unwrap_or_default().to_owned()
}

pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
