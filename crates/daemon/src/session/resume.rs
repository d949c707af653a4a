//! Jobs of a session that an earlier daemon started: those that have ended are known again, those that run are followed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sandkasten_api::id::ExecId;
use sandkasten_protocol::{Attach, Finished, Hearing, JobState as RunnerJob, Request};
use tokio::sync::mpsc;

use super::exec::{Audience, ExecFailure, Running};
use super::job::{Job, JobEnd, JobNote, JobState, NotedEnd};
use super::link::Link;
use super::live::LiveSession;
use super::measure::Measured;
use super::run_command::{self, Slot};
use super::run_process;
use super::verdict::{Bounds, Cause, judge};
use super::{SessionError, Sessions, plan};
use crate::config::DefaultsConfig;

/// As many as a runner keeps, with those that run.
const MAX_JOBS: usize = 256;

impl Sessions {
    /// Takes over the jobs of an adopted session. Shells that carry a command out are taken before anybody else can have
    /// them. A job whose note is none of ours is left alone.
    pub(crate) async fn resume(&self, session: &Arc<LiveSession>, jobs: Vec<RunnerJob>) {
        // No sound runner has more; each that runs takes a connection.
        for RunnerJob { job, note, finished } in jobs.into_iter().take(MAX_JOBS) {
            let Some(note) = JobNote::decode(&note) else { continue };
            session.groups.count_from(note.group.saturating_add(1));
            let id = ExecId::from_number(job);
            match finished {
                Some(finished) => {
                    let end = self.end_of(&session.defaults, &note, &finished);
                    let job = Job::new(id, note, JobState::Ended(Arc::new(end)));
                    session.jobs.restore(Arc::new(job));
                }
                None => self.follow_again(session, id, note).await,
            }
        }
    }

    /// How a job ended while no daemon was there: what the earlier one has noted, else what the runner says.
    fn end_of(&self, defaults: &DefaultsConfig, note: &JobNote, finished: &Finished) -> JobEnd {
        let noted = note.end.clone().unwrap_or_else(|| {
            let limits = plan::limits(self.config(), defaults);
            let bounds = Bounds { memory_bytes: limits.memory_bytes, pids: limits.pids, full_disk: None };
            let cause = Cause::Itself { status: finished.status, signal: finished.signal };
            let verdict = judge(cause, Measured::default(), bounds);
            NotedEnd { duration_ms: 0, cwd: finished.cwd.clone(), verdict }
        });
        JobEnd {
            exit_code: finished.status,
            cwd: noted.cwd,
            written: finished.written,
            duration: Duration::from_millis(noted.duration_ms),
            shell_restarted: false,
            verdict: noted.verdict,
        }
    }

    async fn follow_again(&self, session: &Arc<LiveSession>, id: ExecId, note: JobNote) {
        let shell = note.shell.clone();
        let job = Arc::new(Job::new(id, note, JobState::Running));
        session.jobs.restore(Arc::clone(&job));
        let slot = match shell {
            Some(name) => Some(session.shell(&name).lock_owned().await),
            None => None,
        };
        let (events, _) = mpsc::channel(1);
        let running = Running {
            sessions: self.clone(),
            session: Arc::clone(session),
            job,
            events,
            audience: Audience::Nobody,
        };
        tokio::spawn(async move {
            let result = to_end(&running, slot).await;
            if let Err(error) = &result {
                let (session, exec) = (&running.session.id, id);
                let error = error as &dyn std::error::Error;
                tracing::error!(%session, %exec, error, "what an earlier daemon left running could not be followed");
            }
            // A shell that cannot be had back makes the session useless.
            if let Err(ExecFailure::Force(_)) = &result {
                let reason = "a command of an earlier daemon could not be ended".to_owned();
                running.sessions.give_up(&running.session, reason).await.ok();
            }
            running.conclude(result).await;
        });
    }
}

async fn to_end(running: &Running, slot: Option<Slot>) -> Result<JobEnd, ExecFailure> {
    let attach =
        Attach { job: running.job.id.number(), from: [0; 2], follow: true, hearing: Hearing::EndOnly };
    let opened = Link::open(&running.session.socket, &Request::Attach(attach)).await;
    let link = running.explain_loss(opened.map_err(SessionError::from)).await?;
    // Limits that were met before are not known any more.
    running.look_at_limits().await?;
    let (started, deadline) = times(running);
    if let Some(mut slot) = slot {
        run_command::renew(running, &mut slot).await?;
        running.job.set_shell_pid(slot.pid());
        let mut follow = run_command::FollowCommand { running, link, started, deadline };
        return follow.until_end(&mut slot).await?.ok_or(ExecFailure::ShellKeepsEnding);
    }
    let group = running.job.note().group;
    let ended =
        run_process::follow(running, &running.session.groups.get(group), link, started, deadline).await;
    running.session.groups.give_back(group);
    ended
}

/// When it was started, by this daemon's clock, and when it is to be ended.
fn times(running: &Running) -> (Instant, Option<Instant>) {
    let note = running.job.note();
    let age = Duration::try_from(Timestamp::now().duration_since(note.started_at)).unwrap_or_default();
    let now = Instant::now();
    let started = now.checked_sub(age).unwrap_or(now);
    (started, note.timeout_ms.and_then(|limit| started.checked_add(Duration::from_millis(limit))))
}
