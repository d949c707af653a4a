//! A process of its own: started in a group of its own, followed to its end, and ended at its timeout.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sandkasten_isolation::host::cgroup::ProcessGroup;
use sandkasten_isolation::plan::WORKSPACE_DIRECTORY;
use sandkasten_protocol::{Finished, Incoming, Reply, Request, StartProcess};
use tokio::time::timeout;

use super::SessionError;
use super::exec::{ExecFailure, Running};
use super::force::ForceError;
use super::job::{JobEnd, JobState};
use super::link::{Link, LinkError};
use super::measure::Baseline;
use super::outcome::{Ending, Outcome};
use super::relay::{Relayed, relay};

/// How long the runner may take to say that a process has started, that a killed one has ended, or what one has written. Only a
/// bound on a hang.
pub(super) const ANSWER: Duration = Duration::from_secs(20);

/// One process on its way.
pub(super) struct RunProcess<'a> {
    pub(super) running: &'a Running,
    pub(super) process: StartProcess,
    pub(super) limit: Option<Duration>,
}

impl RunProcess<'_> {
    pub(super) async fn carry_out(self) -> Result<JobEnd, ExecFailure> {
        let (running, session) = (self.running, &self.running.session);
        running.check_session()?;
        let made = session.groups.create_open().map_err(SessionError::from);
        let (number, file) = running.explain_loss(made).await?;
        let group = session.groups.get(number);
        let result = self.in_group(number, &group, file.as_fd()).await;
        session.groups.give_back(number);
        result
    }

    async fn in_group(
        mut self,
        number: u64,
        group: &ProcessGroup,
        file: std::os::fd::BorrowedFd<'_>,
    ) -> Result<JobEnd, ExecFailure> {
        let (running, session) = (self.running, &self.running.session);
        let baseline = Baseline::default();
        let directory = self.process.directory.clone().unwrap_or_else(|| WORKSPACE_DIRECTORY.to_owned());
        self.process.plan.note = {
            let mut note = running.job.note();
            (note.group, note.baseline, note.started_at) = (number, baseline, super::now());
            note.encode()
        };
        let started = Instant::now();
        let request = Request::Start(self.process);
        let opening = timeout(ANSWER, Link::open_with(&session.socket, &request, Some(file)));
        let opened = opening.await.unwrap_or(Err(LinkError::Silent)).map_err(SessionError::from);
        let mut link = running.explain_loss(opened).await?;
        let begun = timeout(ANSWER, await_start(&mut link)).await.unwrap_or(Err(LinkError::Silent));
        running.explain_loss(begun.map_err(SessionError::from)).await?;
        running.look_at_limits().await?;
        running.job.set(JobState::Running);
        let deadline = self.limit.and_then(|limit| started.checked_add(limit));
        let ended = follow(running, group, link, started, deadline).await?;
        Ok(JobEnd { cwd: Some(directory), ..ended })
    }
}

async fn await_start(link: &mut Link) -> Result<(), LinkError> {
    match link.next().await? {
        Incoming::Reply(Reply::Started) => Ok(()),
        Incoming::Reply(Reply::Busy) => Err(LinkError::Busy),
        Incoming::Reply(Reply::Failed { reason }) => Err(LinkError::Refused { reason }),
        Incoming::Reply(Reply::NoShell { tried }) => Err(LinkError::NoShell { tried }),
        _ => Err(LinkError::Unexpected),
    }
}

/// Follows a process to its end, and kills it with everything that it has started at its timeout.
///
/// # Errors
/// [`ExecFailure`].
pub(super) async fn follow(
    running: &Running,
    group: &ProcessGroup,
    mut link: Link,
    started: Instant,
    deadline: Option<Instant>,
) -> Result<JobEnd, ExecFailure> {
    let relayed = relay(&mut link, running.client(), &running.job.cancelled, deadline).await;
    let (finished, ending) = match running.explain_loss(relayed.map_err(SessionError::from)).await? {
        Relayed::Finished(finished) => (finished, Ending::Itself),
        Relayed::ShellChanged => return Err(SessionError::from(LinkError::Unexpected).into()),
        Relayed::Interrupted(interruption) => {
            let killed = kill(group, &mut link).await;
            (running.explain_force(killed).await?, interruption.into())
        }
    };
    let outcome =
        Outcome { finished, ending, duration: started.elapsed(), shell_restarted: false, cwd: None };
    outcome.judge(running).await
}

/// Kills everything in a group, and waits until the runner says how the process ended.
async fn kill(group: &ProcessGroup, link: &mut Link) -> Result<Finished, ForceError> {
    let killed = group.clone();
    let done = tokio::task::spawn_blocking(move || {
        // A stopped process dies as well; the freezer does not keep it from that.
        killed.signal(Signal::KILL, None)?;
        killed.kill_others(None)
    });
    done.await.map_err(|source| ForceError::Task { source })??;
    timeout(ANSWER, await_end(link)).await.map_err(|_| ForceError::Silent)?
}

async fn await_end(link: &mut Link) -> Result<Finished, ForceError> {
    loop {
        match link.next().await? {
            Incoming::Output(_) => {}
            Incoming::Reply(Reply::Finished(finished)) => return Ok(finished),
            Incoming::Reply(_) => return Err(LinkError::Unexpected.into()),
        }
    }
}
