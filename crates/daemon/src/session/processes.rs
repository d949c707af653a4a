//! What can be done with the execs and processes of a session once they have been started.

use std::sync::Arc;

use rustix::process::Signal;
use sandkasten_api::id::ExecId;
use sandkasten_api::process::ProcessKind;
use sandkasten_isolation::host::cgroup::GroupError;
use sandkasten_protocol::{
    Attach, Capture, Captured, Hearing, Incoming, Input, Piece, Reply, Request, Stream, TerminalSize,
};
use tokio::sync::mpsc;

use super::exec::{Begun, ExecEvent, ExecFailure, ExecOptions};
use super::job::{Job, JobState};
use super::link::{Link, LinkError, ask};
use super::live::{LiveSession, MAX_FOLLOWERS};
use super::{SessionError, Sessions};

/// Pieces of a log that wait for a slow reader.
const PIECES_IN_FLIGHT: usize = 16;

/// Why something could not be done with a process.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    /// The session has none of this id, or not any more.
    #[error("the session has no exec or process {id}; the last 128 that have ended are kept")]
    NotFound {
        /// Which one.
        id: ExecId,
    },
    /// It has ended, or has not begun.
    #[error("{id} is not running")]
    NotRunning {
        /// Which one.
        id: ExecId,
    },
    /// Its standard input is closed.
    #[error(
        "the standard input of {id} is closed; start it with \"stdin\": true, or with a tty, to give it input"
    )]
    InputClosed {
        /// Which one.
        id: ExecId,
    },
    /// It does not read what it is given.
    #[error(
        "{id} does not read its standard input: 1 MiB waits for it already; try again when it has read some"
    )]
    InputFull {
        /// Which one.
        id: ExecId,
    },
    /// As many clients follow processes of the session as may.
    #[error("{MAX_FOLLOWERS} clients follow processes of this session already; try again when one has gone")]
    TooManyFollowers,
    /// It has no terminal.
    #[error("{id} has no terminal, or has ended")]
    NoTerminal {
        /// Which one.
        id: ExecId,
    },
    /// The session failed.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// Its processes could not be signalled.
    #[error(transparent)]
    Group(#[from] GroupError),
}

impl From<LinkError> for ProcessError {
    fn from(error: LinkError) -> Self {
        Self::Session(error.into())
    }
}

/// What comes of a log that is followed.
#[derive(Debug)]
pub(crate) enum LogEvent {
    /// Something was written.
    Output(Piece),
    /// The process has ended, and this was all.
    End,
    /// The rest cannot be had.
    Failure(ProcessError),
}

/// How a client listens to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listening {
    /// To what there is by now.
    Once,
    /// To the end; what it does not take in time it misses.
    Free,
    /// To the end; the process waits for it.
    Paced,
}

/// A process that is followed.
#[derive(Debug)]
pub(crate) struct Following {
    /// How many bytes each stream had had when it began.
    pub(crate) written: [u64; 2],
    pub(crate) events: mpsc::Receiver<LogEvent>,
}

/// Output of a process without a gap.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) bytes: Vec<u8>,
    /// The place of the first byte.
    pub(crate) offset: u64,
}

impl Log {
    /// The place behind the last byte.
    pub(crate) fn next_offset(&self) -> u64 {
        self.offset.saturating_add(self.bytes.len() as u64)
    }

    /// Adds a piece that follows; what is behind a gap is left out.
    fn add(&mut self, piece: &Piece) {
        if self.bytes.is_empty() {
            self.offset = piece.offset;
        }
        if piece.offset == self.next_offset() {
            self.bytes.extend_from_slice(&piece.bytes);
        }
    }
}

impl LiveSession {
    /// Finds an exec or process.
    ///
    /// # Errors
    /// [`ProcessError::NotFound`].
    pub(crate) fn job(&self, id: ExecId) -> Result<Arc<Job>, ProcessError> {
        self.jobs.find(id).ok_or(ProcessError::NotFound { id })
    }
}

impl Sessions {
    /// Starts a process that runs until its end, whoever comes and goes. It runs when this returns, or has ended already.
    ///
    /// # Errors
    /// [`ExecFailure`], where it could not be started.
    pub(crate) async fn start_process(
        &self,
        session: Arc<LiveSession>,
        options: ExecOptions,
    ) -> Result<Arc<Job>, ExecFailure> {
        let (job, begun) = self.exec(session, options).await?;
        if let (JobState::Failed, Begun::Now(mut events)) = (job.begun().await, begun)
            && let Some(ExecEvent::Failure(failure)) = events.recv().await
        {
            return Err(failure);
        }
        Ok(job)
    }

    /// Sends a signal to everything that an exec or process has started; to the shell that carries a command out, nothing
    /// but an interrupt.
    ///
    /// # Errors
    /// [`ProcessError::NotRunning`], or the kernel's.
    pub(crate) async fn signal(
        &self,
        session: &Arc<LiveSession>,
        job: &Job,
        signal: Signal,
    ) -> Result<(), ProcessError> {
        if !matches!(job.state(), JobState::Running) {
            return Err(ProcessError::NotRunning { id: job.id });
        }
        let spared = job.shell_pid().filter(|_| signal != Signal::INT);
        let group = session.groups.get(job.note().group);
        blocking(move || group.signal(signal, spared)).await?;
        self.note_use(session, None);
        Ok(())
    }

    /// Ends an exec or process with everything that it has started, and returns when it has ended. Of a process that has
    /// ended by itself, what it left in the background is ended.
    ///
    /// # Errors
    /// [`ProcessError`].
    pub(crate) async fn cancel(&self, session: &Arc<LiveSession>, job: &Job) -> Result<(), ProcessError> {
        if !job.has_ended() {
            job.cancelled.notify_one();
            job.ended().await;
        } else if job.note().kind != ProcessKind::Exec {
            let group = session.groups.get(job.note().group);
            match blocking(move || group.kill_others(None)).await {
                Err(ProcessError::Group(GroupError::Path(error)))
                    if error.source.kind() == std::io::ErrorKind::NotFound => {}
                result => result?,
            }
        }
        self.note_use(session, None);
        Ok(())
    }

    /// Gives bytes to the standard input of a process, if there is room for them now.
    ///
    /// # Errors
    /// [`ProcessError`].
    pub(crate) async fn give_input(
        &self,
        session: &Arc<LiveSession>,
        job: &Job,
        bytes: Vec<u8>,
        close: bool,
    ) -> Result<(), ProcessError> {
        if job.has_ended() {
            return Err(ProcessError::NotRunning { id: job.id });
        }
        let input = Input { job: job.id.number(), bytes, close, wait: false };
        taken(job, self.ask(session, Request::Input(input)).await?)
    }

    /// Gives bytes to the standard input of a process as soon as there is room for them. Who drops this before it returns
    /// takes back what was not given yet.
    ///
    /// # Errors
    /// [`ProcessError`].
    pub(crate) async fn feed_input(
        &self,
        session: &Arc<LiveSession>,
        job: &Job,
        bytes: Vec<u8>,
        close: bool,
    ) -> Result<(), ProcessError> {
        let input = Input { job: job.id.number(), bytes, close, wait: true };
        let mut link = Link::open(&session.socket, &Request::Input(input)).await?;
        self.note_use(session, None);
        match link.next().await? {
            Incoming::Reply(reply) => taken(job, reply),
            Incoming::Output(_) => Err(LinkError::Unexpected.into()),
        }
    }

    /// Tells the terminal of a process its size.
    ///
    /// # Errors
    /// [`ProcessError`].
    pub(crate) async fn resize(
        &self,
        session: &Arc<LiveSession>,
        job: &Job,
        size: TerminalSize,
    ) -> Result<(), ProcessError> {
        match self.ask(session, Request::Resize { job: job.id.number(), size }).await? {
            Reply::Done => Ok(()),
            Reply::NoSuchJob => Err(ProcessError::NoTerminal { id: job.id }),
            _ => Err(LinkError::Unexpected.into()),
        }
    }

    async fn ask(&self, session: &Arc<LiveSession>, request: Request) -> Result<Reply, ProcessError> {
        let asked = Arc::clone(session);
        let reply = tokio::task::spawn_blocking(move || ask(&asked.socket, &request)).await;
        self.note_use(session, None);
        Ok(reply.map_err(|source| SessionError::Task { source })??)
    }

    /// Returns what is kept of what an exec or process has written so far, of each stream.
    ///
    /// # Errors
    /// [`ProcessError::NotFound`] where it is not kept any more.
    pub(crate) async fn output(
        &self,
        session: &Arc<LiveSession>,
        job: &Job,
    ) -> Result<[Captured; 2], ProcessError> {
        let mut captured = [Captured::new(job.capture()), Captured::new(job.capture())];
        if matches!(job.state(), JobState::Queued) {
            return Ok(captured);
        }
        let pieces = self.pieces(session, job, 0, |piece| {
            let captured = &mut captured[piece.stream.index()];
            captured.push_at(piece.offset, &piece.bytes)
        });
        pieces.await?;
        Ok(captured)
    }

    /// Returns what is kept of a stream from an offset on, up to the first gap: what is behind that is asked for next.
    ///
    /// # Errors
    /// [`ProcessError::NotFound`] where it is not kept any more.
    pub(crate) async fn log(
        &self,
        session: &Arc<LiveSession>,
        job: &Job,
        since: u64,
        stream: Stream,
    ) -> Result<Log, ProcessError> {
        let mut log = Log { bytes: Vec::new(), offset: since };
        if !matches!(job.state(), JobState::Queued) {
            let Capture { head, tail } = job.capture();
            let most = head.saturating_add(tail);
            let pieces = self.pieces(session, job, since, |piece| {
                if piece.stream == stream {
                    log.add(&piece);
                }
                // A sound runner keeps no more.
                log.bytes.len() as u64 <= most
            });
            pieces.await?;
        }
        Ok(log)
    }

    /// Takes what is kept from an offset on, piece by piece, for as long as `take` says that it is sound.
    async fn pieces(
        &self,
        session: &Arc<LiveSession>,
        job: &Job,
        since: u64,
        mut take: impl FnMut(Piece) -> bool,
    ) -> Result<(), ProcessError> {
        let mut link = self.attach(session, job, since, Listening::Once).await?;
        loop {
            match next_log_event(&mut link, job).await {
                LogEvent::Output(piece) => {
                    if !take(piece) {
                        return Err(LinkError::Unexpected.into());
                    }
                }
                LogEvent::End => return Ok(()),
                LogEvent::Failure(error) => return Err(error),
            }
        }
    }

    /// Follows what a process writes, from an offset on, until it ends or the receiver is dropped.
    ///
    /// # Errors
    /// [`ProcessError`], where there is nothing to follow.
    pub(crate) async fn follow_output(
        &self,
        session: &Arc<LiveSession>,
        job: &Arc<Job>,
        since: u64,
        listening: Listening,
    ) -> Result<Following, ProcessError> {
        if matches!(job.state(), JobState::Queued) {
            return Err(ProcessError::NotRunning { id: job.id });
        }
        let place = Arc::clone(&session.followers).try_acquire_owned();
        let place = place.map_err(|_| ProcessError::TooManyFollowers)?;
        let mut link = self.attach(session, job, since, listening).await?;
        let written = match link.next().await? {
            Incoming::Reply(Reply::Attached { written }) => written,
            Incoming::Reply(Reply::NoSuchJob) => return Err(ProcessError::NotFound { id: job.id }),
            _ => return Err(LinkError::Unexpected.into()),
        };
        let (events, receiver) = mpsc::channel(PIECES_IN_FLIGHT);
        let job = Arc::clone(job);
        tokio::spawn(async move {
            let _place = place;
            loop {
                let event = tokio::select! {
                    event = next_log_event(&mut link, &job) => event,
                    () = events.closed() => return,
                };
                let last = !matches!(event, LogEvent::Output(_));
                if events.send(event).await.is_err() || last {
                    return;
                }
            }
        });
        Ok(Following { written, events: receiver })
    }

    async fn attach(
        &self,
        session: &Arc<LiveSession>,
        job: &Job,
        since: u64,
        listening: Listening,
    ) -> Result<Link, ProcessError> {
        let (follow, hearing) = match listening {
            Listening::Once => (false, Hearing::Free),
            Listening::Free => (true, Hearing::Free),
            Listening::Paced => (true, Hearing::Paced),
        };
        let attach = Attach { job: job.id.number(), from: [since; 2], follow, hearing };
        self.note_use(session, None);
        Ok(Link::open(&session.socket, &Request::Attach(attach)).await?)
    }
}

/// What the runner says of input.
fn taken(job: &Job, reply: Reply) -> Result<(), ProcessError> {
    match reply {
        Reply::Done => Ok(()),
        Reply::Full => Err(ProcessError::InputFull { id: job.id }),
        Reply::NoSuchJob => Err(ProcessError::InputClosed { id: job.id }),
        _ => Err(LinkError::Unexpected.into()),
    }
}

async fn next_log_event(link: &mut Link, job: &Job) -> LogEvent {
    match link.next().await {
        Ok(Incoming::Output(piece)) => LogEvent::Output(piece),
        Ok(Incoming::Reply(Reply::Finished(_) | Reply::Running { .. })) => LogEvent::End,
        Ok(Incoming::Reply(Reply::NoSuchJob)) => LogEvent::Failure(ProcessError::NotFound { id: job.id }),
        Ok(Incoming::Reply(_)) => LogEvent::Failure(LinkError::Unexpected.into()),
        Err(error) => LogEvent::Failure(error.into()),
    }
}

async fn blocking(
    work: impl FnOnce() -> Result<(), GroupError> + Send + 'static,
) -> Result<(), ProcessError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|source| SessionError::Task { source })??)
}
