//! Running one command in a session's shell, from its place in the queue to its last byte.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use sandkasten_api::session::SessionStatus;
use sandkasten_protocol::{Finished, Request, RunCommand};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::force::{ForceError, end_command};
use super::link::{Link, LinkError};
use super::live::{InUse, LiveSession};
use super::relay::{Interruption, Relayed, relay};
use super::shell_slot::{Prepared, ShellSlot};
use super::{SessionError, Sessions};

/// Pieces of output that wait for a slow reader; then the command is not read any further.
const EVENTS_IN_FLIGHT: usize = 16;
/// How often a command is offered to a shell that has just been replaced. A shell that dies each time is broken.
const SHELL_ATTEMPTS: usize = 5;
/// How long a sandbox may take to end once its runner has gone.
const LOSS_PATIENCE: Duration = Duration::from_secs(1);

/// What a command is run with.
#[derive(Debug)]
pub(crate) struct ExecOptions {
    /// The shell text.
    pub(crate) command: String,
    /// How long it may run, from its start.
    pub(crate) timeout: Duration,
    /// How many bytes of output are passed on; none passes all.
    pub(crate) output_limit: Option<u64>,
}

/// What happens while a command runs. An end is the last event.
#[derive(Debug)]
pub(crate) enum ExecEvent {
    /// It wrote something.
    Output(Vec<u8>),
    /// It has ended by itself.
    End(ExecEnd),
    /// It was ended, or could not be run.
    Failure(ExecFailure),
}

/// How a command ended by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExecEnd {
    pub(crate) exit_code: i32,
    pub(crate) cwd: String,
    pub(crate) truncated: bool,
    pub(crate) duration: Duration,
}

/// What kept a command from ending by itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExecFailure {
    /// It ran past its timeout and was killed.
    #[error("the command ran past its timeout of {} ms and was killed", .timeout.as_millis())]
    TimedOut {
        /// The timeout.
        timeout: Duration,
        /// Whether a fresh shell had to take the place of the old one.
        shell_restarted: bool,
    },
    /// The client went away, and the command was killed.
    #[error("the client went away")]
    Cancelled,
    /// The session could not run it.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// It could not be ended.
    #[error("failed to end the command")]
    Force(#[from] ForceError),
    /// Shell after shell ended before it took the command.
    #[error("the shell ended {SHELL_ATTEMPTS} times before it took the command")]
    ShellKeepsEnding,
}

impl Sessions {
    /// Queues a command on a session's shell; it has its place when this returns. Events come until the end; who drops the
    /// receiver stops the command.
    pub(crate) async fn exec(
        &self,
        session: Arc<LiveSession>,
        options: ExecOptions,
    ) -> mpsc::Receiver<ExecEvent> {
        let (events, receiver) = mpsc::channel(EVENTS_IN_FLIGHT);
        let sessions = self.clone();
        let in_use = InUse::new(&session);
        let mut turn = Box::pin(Arc::clone(&session.shell).lock_owned());
        // Asking once takes the place. The task below may begin later than that of a command that comes after this one.
        let first = poll_fn(|context| Poll::Ready(turn.as_mut().poll(context))).await;
        tokio::spawn(async move {
            let slot = match first {
                Poll::Ready(slot) => slot,
                Poll::Pending => tokio::select! {
                    slot = turn => slot,
                    () = events.closed() => return,
                },
            };
            let run = Run { session: &session, options, events: &events };
            let result = run.carry_out(slot).await;
            sessions.note_use(&session, result.as_ref().ok().map(|end| end.cwd.as_str()));
            drop(in_use);
            // The receiver may be gone; then nobody wants to know.
            events.send(result.map_or_else(ExecEvent::Failure, ExecEvent::End)).await.ok();
        });
        receiver
    }

    /// Ends a command that an earlier daemon left running in a session, and that nobody waits for any more. The shell is
    /// taken before anybody else can have it, and given back in order.
    ///
    /// # Errors
    /// [`ExecFailure`], where the command could not be ended.
    pub(crate) async fn end_orphan(session: &Arc<LiveSession>) -> Result<(), ExecFailure> {
        let mut slot = session.shell.lock().await;
        let mut link = Link::open(&session.socket, &Request::Follow).await.map_err(SessionError::from)?;
        match end_command(session, &mut slot, &mut link).await {
            Ok(_) | Err(ForceError::NothingRuns) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// One command on its way.
struct Run<'a> {
    session: &'a Arc<LiveSession>,
    options: ExecOptions,
    events: &'a mpsc::Sender<ExecEvent>,
}

impl Run<'_> {
    async fn carry_out(
        mut self,
        mut slot: tokio::sync::OwnedMutexGuard<ShellSlot>,
    ) -> Result<ExecEnd, ExecFailure> {
        for _ in 0..SHELL_ATTEMPTS {
            if let Some(status) = self.session.end_status() {
                return Err(SessionError::NotRunning { id: self.session.id.clone(), status }.into());
            }
            let prepared = slot.prepare(&self.session.cgroup).map_err(SessionError::from);
            match self.explain_loss(prepared).await? {
                Prepared::Ready => {}
                Prepared::ShellEnded => {
                    self.renew(&mut slot).await?;
                    continue;
                }
            }
            let started = Instant::now();
            let request = Request::Run(RunCommand {
                generation: slot.generation(),
                command: std::mem::take(&mut self.options.command),
                output_limit: self.options.output_limit,
            });
            let opening = timeout(self.options.timeout, Link::open(&self.session.socket, &request));
            let opened = opening.await.unwrap_or(Err(LinkError::Silent)).map_err(SessionError::from);
            let mut link = self.explain_loss(opened).await?;
            let Request::Run(RunCommand { command, .. }) = request else { continue };
            self.options.command = command;
            match self.follow(&mut link, started, &mut slot).await? {
                Some(finished) => {
                    return Ok(ExecEnd {
                        exit_code: finished.status,
                        cwd: finished.cwd,
                        truncated: finished.truncated,
                        duration: started.elapsed(),
                    });
                }
                None => self.renew(&mut slot).await?,
            }
        }
        Err(ExecFailure::ShellKeepsEnding)
    }

    /// Follows the command to its end. None means that the shell was another one and nothing ran.
    async fn follow(
        &self,
        link: &mut Link,
        started: Instant,
        slot: &mut ShellSlot,
    ) -> Result<Option<Finished>, ExecFailure> {
        let deadline = started + self.options.timeout;
        let relayed = relay(link, self.events, deadline, self.options.output_limit).await;
        let interruption = match self.explain_loss(relayed.map_err(SessionError::from)).await? {
            Relayed::Finished(finished) => return Ok(Some(finished)),
            Relayed::ShellChanged => return Ok(None),
            Relayed::Interrupted(interruption) => interruption,
        };
        let ended = end_command(self.session, slot, link).await;
        if let Some(status) = self.session.end_status() {
            return Err(SessionError::NotRunning { id: self.session.id.clone(), status }.into());
        }
        let shell_restarted = match ended {
            Err(ForceError::Link(error)) => self.explain_loss(Err(error.into())).await?,
            Err(ForceError::Renew(error)) => self.explain_loss(Err(error.into())).await?,
            ended => ended?,
        };
        Err(match interruption {
            Interruption::Deadline => {
                ExecFailure::TimedOut { timeout: self.options.timeout, shell_restarted }
            }
            Interruption::Cancelled => ExecFailure::Cancelled,
        })
    }

    async fn renew(&self, slot: &mut ShellSlot) -> Result<(), ExecFailure> {
        let renewed = slot.renew(self.session).await;
        self.explain_loss(renewed.map_err(SessionError::from)).await
    }

    /// Turns a failure of a sandbox that has meanwhile ended into that end.
    async fn explain_loss<T>(&self, result: Result<T, SessionError>) -> Result<T, ExecFailure> {
        let error = match result {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let session = Arc::clone(self.session);
        // A runner that has closed its sockets is about to end.
        let ended = tokio::task::spawn_blocking(move || session.process.ends_within(LOSS_PATIENCE)).await;
        let status = self.session.end_status();
        match status.or_else(|| ended.is_ok_and(|ended| ended).then_some(SessionStatus::Crashed)) {
            Some(status) => Err(SessionError::NotRunning { id: self.session.id.clone(), status }.into()),
            None => Err(error.into()),
        }
    }
}
