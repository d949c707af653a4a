//! A command in a persistent shell: offered until a shell takes it, followed to its end, and ended at its timeout.

use std::time::{Duration, Instant};

use sandkasten_protocol::{Finished, Request, RunCommand};
use tokio::time::timeout;

use super::SessionError;
use super::exec::{ExecFailure, Running};
use super::force::end_command;
use super::job::{JobEnd, JobState};
use super::link::{Link, LinkError};
use super::measure::Baseline;
use super::outcome::{Ending, Outcome};
use super::relay::{Relayed, relay};
use super::shell_slot::{Prepared, ShellSlot};

/// How often a command is offered to a shell that has just been replaced. A shell that dies each time is broken.
const SHELL_ATTEMPTS: usize = 5;

/// One command on its way.
pub(super) struct RunInShell<'a> {
    pub(super) running: &'a Running,
    pub(super) command: RunCommand,
    pub(super) limit: Option<Duration>,
}

/// A shell that nobody else has meanwhile.
pub(super) type Slot = tokio::sync::OwnedMutexGuard<ShellSlot>;

impl RunInShell<'_> {
    pub(super) async fn carry_out(self, mut slot: Slot) -> Result<JobEnd, ExecFailure> {
        let (running, session) = (self.running, &self.running.session);
        let limit = self.limit.unwrap_or(Duration::MAX);
        let mut request = Request::Run(self.command);
        for _ in 0..SHELL_ATTEMPTS {
            running.check_session()?;
            let prepared = slot.prepare(&session.groups).map_err(SessionError::from);
            let Prepared::Ready(group) = running.explain_loss(prepared).await? else {
                renew(running, &mut slot).await?;
                continue;
            };
            let baseline = Baseline::of_group(&session.groups, group).map_err(SessionError::from);
            let baseline = running.explain_loss(baseline).await?;
            let note = {
                let mut note = running.job.note();
                (note.group, note.baseline, note.started_at) = (group, baseline, super::now());
                note.encode()
            };
            if let Request::Run(command) = &mut request {
                command.generation = slot.generation();
                command.plan.note = note;
            }
            let started = Instant::now();
            let opening = timeout(limit, Link::open(&session.socket, &request));
            let opened = opening.await.unwrap_or(Err(LinkError::Silent)).map_err(SessionError::from);
            let link = running.explain_loss(opened).await?;
            running.look_at_limits().await?;
            running.job.set_shell_pid(slot.pid());
            running.job.set(JobState::Running);
            let deadline = started.checked_add(limit);
            let mut follow = FollowCommand { running, link, started, deadline };
            match follow.until_end(&mut slot).await? {
                Some(end) => return Ok(end),
                None => renew(running, &mut slot).await?,
            }
        }
        Err(ExecFailure::ShellKeepsEnding)
    }
}

/// A command that a shell has been given.
pub(super) struct FollowCommand<'a> {
    pub(super) running: &'a Running,
    pub(super) link: Link,
    pub(super) started: Instant,
    pub(super) deadline: Option<Instant>,
}

impl FollowCommand<'_> {
    /// Follows the command to its end. None means that the shell was another one and nothing ran.
    ///
    /// # Errors
    /// [`ExecFailure`].
    pub(super) async fn until_end(&mut self, slot: &mut ShellSlot) -> Result<Option<JobEnd>, ExecFailure> {
        let (running, session) = (self.running, &self.running.session);
        let relayed = relay(&mut self.link, running.client(), &running.job.cancelled, self.deadline).await;
        let (finished, ending, shell_restarted) =
            match running.explain_loss(relayed.map_err(SessionError::from)).await? {
                Relayed::Finished(finished) => (finished, Ending::Itself, false),
                Relayed::ShellChanged => return Ok(None),
                Relayed::Interrupted(interruption) => {
                    let ended = end_command(session, slot, &mut self.link).await;
                    let (finished, replaced) = running.explain_force(ended).await?;
                    (finished, interruption.into(), replaced)
                }
            };
        let cwd = directory(running, slot, &finished).await;
        let duration = self.started.elapsed();
        let outcome = Outcome { finished, ending, duration, shell_restarted, cwd };
        Ok(Some(outcome.judge(running).await?))
    }
}

/// Asks which shell there is now.
///
/// # Errors
/// [`ExecFailure`].
pub(super) async fn renew(running: &Running, slot: &mut ShellSlot) -> Result<(), ExecFailure> {
    let renewed = slot.renew(&running.session).await;
    let renewed = renewed.map_err(|error| match error {
        super::shell_slot::RenewError::Link(error) => SessionError::Link(error),
        error => error.into(),
    });
    running.explain_loss(renewed).await
}

/// Where the shell is: the runner knows it of the main one; of another it is asked of the kernel here.
async fn directory(running: &Running, slot: &mut ShellSlot, finished: &Finished) -> Option<String> {
    if finished.cwd.is_some() {
        return finished.cwd.clone();
    }
    let pid = slot.pid()?;
    let read = tokio::task::spawn_blocking(move || working_directory(pid)).await.ok().flatten();
    if let Some(directory) = read {
        slot.stay_in(Some(&directory));
    }
    slot.directory().map(ToOwned::to_owned).or_else(|| Some(running.session.describe().cwd))
}

/// Reads a process's working directory as it sees it: proc_pid_cwd(5). Paths are those of its mount namespace, because all of
/// its mounts are. None for a directory that has been removed, and where the process has ended.
fn working_directory(pid: i32) -> Option<String> {
    let path = std::fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
    let path = path.to_string_lossy();
    (path.starts_with('/') && !path.ends_with(" (deleted)")).then(|| path.into_owned())
}
