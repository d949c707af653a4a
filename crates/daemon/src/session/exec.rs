//! Running something in a session, from its place in the queue to its last byte.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use sandkasten_api::id::ExecId;
use sandkasten_api::process::ProcessKind;
use sandkasten_api::session::SessionStatus;
use sandkasten_protocol::{
    Capture, Hearing, JobPlan, Piece, ProcessInput, Program, RunCommand, StartProcess, TerminalSize,
};
use tokio::sync::mpsc;

use super::force::ForceError;
use super::job::{Job, JobEnd, JobNote, JobState, RequestKey, milliseconds, shown};
use super::link::LinkError;
use super::live::{InUse, LiveSession};
use super::measure::Baseline;
use super::run_command::RunInShell;
use super::run_process::RunProcess;
use super::{SessionError, Sessions};

/// Pieces of output that wait for a slow reader; then the command is not read any further.
const EVENTS_IN_FLIGHT: usize = 16;
/// How long a sandbox may take to end once its runner has gone.
const LOSS_PATIENCE: Duration = Duration::from_secs(1);

/// What is to be run, and how.
#[derive(Debug)]
pub(crate) struct ExecOptions {
    pub(crate) kind: ProcessKind,
    pub(crate) name: Option<String>,
    pub(crate) work: Work,
    /// Variables on top of the session's.
    pub(crate) environment: Vec<(String, String)>,
    /// Where it begins.
    pub(crate) directory: Option<String>,
    /// How long it may run, from its start; none is for ever.
    pub(crate) timeout: Option<Duration>,
    /// What is kept of its output, of each stream.
    pub(crate) capture: Capture,
    /// Whether standard error is a stream of its own.
    pub(crate) separate: bool,
    /// Whether its text is shown as it was written.
    pub(crate) raw_output: bool,
    /// What makes a request that is sent twice one exec.
    pub(crate) key: Option<RequestKey>,
    pub(crate) audience: Audience,
}

/// What carries it out.
#[derive(Debug)]
pub(crate) enum Work {
    /// A persistent shell.
    Shell { name: String, command: String, input: Option<Vec<u8>> },
    /// A process of its own.
    Process { program: Program, input: ProcessInput, terminal: Option<TerminalSize> },
}

/// Who listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// A client that gets everything, and whose going ends the command.
    Client,
    /// Nobody: it runs until its end, whoever comes and goes.
    Nobody,
    /// Nobody yet: it waits, once as much is kept as may be, for the first to come.
    Awaited,
}

/// What happens while something runs. An end is the last event.
#[derive(Debug)]
pub(crate) enum ExecEvent {
    /// It wrote something.
    Output(Piece),
    /// It has ended, by itself or not.
    End(Arc<JobEnd>),
    /// It could not be run, or its sandbox has gone.
    Failure(ExecFailure),
}

/// Whether something was begun by this request.
#[derive(Debug)]
pub(crate) enum Begun {
    /// It was, and this is what happens.
    Now(mpsc::Receiver<ExecEvent>),
    /// By an earlier one with the same key.
    Before,
}

/// What kept something from running to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExecFailure {
    /// The session could not run it.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// It could not be ended.
    #[error("failed to end the command")]
    Force(#[from] ForceError),
    /// The key belongs to another request.
    #[error(
        "the Idempotency-Key {key:?} was used with another body in this session; send the same body again, or use a new key"
    )]
    KeyReused {
        /// Which key.
        key: String,
    },
    /// There are as many processes or shells as the runner takes.
    #[error("the session runs as many processes and shells as it may; end some (GET …/processes lists them)")]
    Busy,
    /// The image has no shell.
    #[error(
        "the image of this session has no shell (looked for {tried}), so it takes no `cmd`; give the program and its arguments as `argv`"
    )]
    NoShell {
        /// Where one was looked for.
        tried: String,
    },
    /// Shell after shell ended before it took the command.
    #[error("the shell ended again and again before it took the command")]
    ShellKeepsEnding,
}

impl Work {
    /// As lists show it.
    fn shown(&self) -> String {
        match self {
            Self::Shell { command, .. } => shown(command),
            Self::Process { program: Program::ShellText(text), .. } => shown(text),
            Self::Process { program: Program::Arguments(arguments), .. } => shown(&arguments.join(" ")),
            Self::Process { program: Program::Shell, .. } => "shell".to_owned(),
        }
    }
}

impl ExecOptions {
    fn note(&self) -> JobNote {
        let (shell, tty) = match &self.work {
            Work::Shell { name, .. } => (Some(name.clone()), false),
            Work::Process { terminal, .. } => (None, terminal.is_some()),
        };
        JobNote {
            kind: self.kind,
            name: self.name.clone(),
            command: self.work.shown(),
            shell,
            tty,
            raw_output: self.raw_output,
            key: self.key.clone(),
            separate: self.separate,
            head: self.capture.head,
            tail: self.capture.tail,
            started_at: super::now(),
            timeout_ms: self.timeout.map(milliseconds),
            group: 0,
            baseline: Baseline::default(),
            end: None,
        }
    }

    /// What the runner is asked for.
    fn into_task(self, id: ExecId) -> Task {
        let plan = JobPlan {
            job: id.number(),
            note: Vec::new(),
            capture: self.capture,
            separate: self.separate,
            hearing: match self.audience {
                Audience::Client => Hearing::Paced,
                Audience::Nobody => Hearing::EndOnly,
                Audience::Awaited => Hearing::Awaited,
            },
        };
        let (environment, directory) = (self.environment, self.directory);
        match self.work {
            Work::Shell { name: shell, command, input } => {
                let generation = 0;
                Task::Command(RunCommand { plan, shell, generation, command, environment, directory, input })
            }
            Work::Process { program, input, terminal } => {
                Task::Process(StartProcess { plan, program, environment, directory, input, terminal })
            }
        }
    }
}

/// What a runner is asked for, but for what is known only when its turn has come.
enum Task {
    Command(RunCommand),
    Process(StartProcess),
}

impl Sessions {
    /// Runs something in a session. A command has its place in the queue of its shell when this returns. Events come until
    /// the end; a client that drops the receiver stops it. Where its key is known, the job that has it is returned, and its
    /// end is to be waited for.
    ///
    /// # Errors
    /// [`ExecFailure::KeyReused`], or [`SessionError::Random`].
    pub(crate) async fn exec(
        &self,
        session: Arc<LiveSession>,
        options: ExecOptions,
    ) -> Result<(Arc<Job>, Begun), ExecFailure> {
        let job = Arc::new(Job::new(draw_id()?, options.note(), JobState::Queued));
        let (events, receiver) = mpsc::channel(EVENTS_IN_FLIGHT);
        if let Some(known) = session.jobs.add(Arc::clone(&job)) {
            let same = known.note().key == options.key;
            let key = options.key.map(|key| key.key).unwrap_or_default();
            return if same { Ok((known, Begun::Before)) } else { Err(ExecFailure::KeyReused { key }) };
        }
        let (audience, limit) = (options.audience, options.timeout);
        let running = Running { sessions: self.clone(), session, job: Arc::clone(&job), events, audience };
        match options.into_task(job.id) {
            Task::Process(process) => {
                tokio::spawn(async move {
                    let result = RunProcess { running: &running, process, limit }.carry_out().await;
                    running.conclude(result).await;
                });
            }
            Task::Command(command) => {
                let mut turn = Box::pin(running.session.shell(&command.shell).lock_owned());
                // Asking once takes the place. The task below may begin later than that of a command that comes after this.
                let first = poll_fn(|context| Poll::Ready(turn.as_mut().poll(context))).await;
                tokio::spawn(async move {
                    let in_use = InUse::new(&running.session);
                    let slot = match first {
                        Poll::Ready(slot) => slot,
                        Poll::Pending => tokio::select! {
                            slot = turn => slot,
                            () = running.events.closed(), if audience == Audience::Client => return running.give_up(),
                            () = running.job.cancelled.notified() => {
                                return running.conclude(Ok(JobEnd::before_it_began())).await;
                            }
                        },
                    };
                    let result = RunInShell { running: &running, command, limit }.carry_out(slot).await;
                    drop(in_use);
                    running.conclude(result).await;
                });
            }
        }
        Ok((job, Begun::Now(receiver)))
    }
}

/// Something that runs, with those whom it concerns.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) sessions: Sessions,
    pub(super) session: Arc<LiveSession>,
    pub(super) job: Arc<Job>,
    pub(super) events: mpsc::Sender<ExecEvent>,
    pub(super) audience: Audience,
}

impl Running {
    /// Who gets the output, and ends it by going.
    pub(super) fn client(&self) -> Option<&mpsc::Sender<ExecEvent>> {
        (self.audience == Audience::Client).then_some(&self.events)
    }

    /// Gives up something that still waited, and that nobody wants any more.
    fn give_up(self) {
        self.job.set(JobState::Failed);
        self.session.jobs.forget(self.job.id);
    }

    /// Tells the end to whoever waits for it.
    pub(super) async fn conclude(self, result: Result<JobEnd, ExecFailure>) {
        let cwd = result.as_ref().ok().and_then(|end| end.cwd.as_deref());
        let main = self.job.note().shell.as_deref() == Some(sandkasten_protocol::MAIN_SHELL);
        self.sessions.note_use(&self.session, cwd.filter(|_| main));
        let metrics = self.sessions.metrics();
        let event = match result {
            Ok(end) => {
                if self.job.note().kind == ProcessKind::Exec {
                    metrics.exec_ended(end.verdict.reason.as_str(), end.duration);
                }
                let end = Arc::new(end);
                self.job.set(JobState::Ended(Arc::clone(&end)));
                ExecEvent::End(end)
            }
            Err(failure) => {
                metrics.exec_failed();
                self.job.set(JobState::Failed);
                // Nothing is left of it to ask about, and its key is free.
                self.session.jobs.forget(self.job.id);
                ExecEvent::Failure(failure)
            }
        };
        // The receiver may be gone; then nobody wants to know.
        self.events.send(event).await.ok();
    }

    /// Says why the session cannot be used, where it cannot.
    pub(super) fn check_session(&self) -> Result<(), ExecFailure> {
        match self.session.end_status() {
            None => Ok(()),
            Some(status) => Err(SessionError::NotRunning { id: self.session.id.clone(), status }.into()),
        }
    }

    /// Reads the counters of the session's limits, now that the job has begun.
    ///
    /// # Errors
    /// [`ExecFailure`].
    pub(super) async fn look_at_limits(&self) -> Result<(), ExecFailure> {
        let mut baseline = self.job.note().baseline;
        let looked = baseline.look(&self.session.cgroup).map_err(SessionError::from);
        self.explain_loss(looked).await?;
        self.job.note().baseline = baseline;
        Ok(())
    }

    /// Explains why something that was to be killed could not be.
    ///
    /// # Errors
    /// [`ExecFailure`].
    pub(super) async fn explain_force<T>(&self, result: Result<T, ForceError>) -> Result<T, ExecFailure> {
        self.check_session()?;
        match result {
            Err(ForceError::Link(error)) => self.explain_loss(Err(error.into())).await,
            Err(ForceError::Renew(error)) => self.explain_loss(Err(error.into())).await,
            result => Ok(result?),
        }
    }

    /// Turns a failure of a sandbox that has meanwhile ended into that end.
    pub(super) async fn explain_loss<T>(&self, result: Result<T, SessionError>) -> Result<T, ExecFailure> {
        let error = match result {
            Ok(value) => return Ok(value),
            Err(SessionError::Link(LinkError::Busy)) => return Err(ExecFailure::Busy),
            Err(SessionError::Link(LinkError::NoShell { tried })) => {
                return Err(ExecFailure::NoShell { tried });
            }
            Err(error) => error,
        };
        let session = Arc::clone(&self.session);
        // A runner that has closed its sockets is about to end.
        let ended = tokio::task::spawn_blocking(move || session.process.ends_within(LOSS_PATIENCE)).await;
        let status = self.session.end_status();
        match status.or_else(|| ended.is_ok_and(|ended| ended).then_some(SessionStatus::Crashed)) {
            Some(status) => Err(SessionError::NotRunning { id: self.session.id.clone(), status }.into()),
            None => Err(error.into()),
        }
    }
}

fn draw_id() -> Result<ExecId, SessionError> {
    let mut bytes = [0_u8; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|source| SessionError::Random { source: source.into() })?;
    Ok(ExecId::from_number(u64::from_be_bytes(bytes)))
}
