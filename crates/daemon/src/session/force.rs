//! Ending a command that does not end by itself, while its shell lives on.
//!
//! Interrupts first, then a kill, and each time the shell before the rest, as a terminal's interrupt would reach it: a shell
//! that knows of an interrupt takes a child's death by SIGINT, and only that, as a reason to give up the rest of its
//! command line. Both at once would not do: a bash that is interrupted just as it has reaped a child forgets the child's
//! end. Only a shell that goes on after all of that is killed as well, and a fresh one takes its place.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use sandkasten_isolation::host::ProcessError;
use sandkasten_isolation::host::cgroup::{GroupError, ProcessGroup};
use sandkasten_protocol::{Finished, Incoming, Reply};
use tokio::time::timeout;

use super::link::{Link, LinkError};
use super::live::LiveSession;
use super::shell_slot::{RenewError, ShellSlot};

/// What is sent in each round, and how long the shell may then take to come back. A second interrupt, because the first
/// may meet a child that has just ended by itself, which a shell takes as a reason to go on. A shell that outlasts the
/// last round hangs in something that would hold up every later command as well, such as a trap.
const ROUNDS: [(Signal, Duration); 3] = [
    (Signal::INT, Duration::from_millis(250)),
    (Signal::INT, Duration::from_millis(250)),
    (Signal::KILL, Duration::from_millis(250)),
];
/// How long the shell is alone with its interrupt. Enough to take it in, and for a loop of builtins to end by it.
const HEAD_START: Duration = Duration::from_millis(20);
/// How long a killed shell may take to be replaced. Only a bound on a hang.
const REPLACEMENT: Duration = Duration::from_secs(20);

/// Why a command could not be ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForceError {
    /// Its processes could not be signalled.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// Its shell could not be interrupted.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The runner has gone, and with it the sandbox.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The shell that took another's place could not be found out.
    #[error(transparent)]
    Renew(#[from] RenewError),
    /// The command has ended before it was looked at.
    #[error("no command is running")]
    NothingRuns,
    /// The runner says nothing, although the shell was killed.
    #[error("the runner did not report the end of a killed shell")]
    Silent,
    /// A task of the daemon ended early.
    #[error("a task of the daemon ended early")]
    Task {
        /// Why.
        source: tokio::task::JoinError,
    },
}

/// Ends the command that runs in one of a session's shells, and says how it ended and whether the shell had to be replaced.
/// The slot then holds the shell there is.
///
/// # Errors
/// [`ForceError`]; the session is then better destroyed.
pub(super) async fn end_command(
    session: &Arc<LiveSession>,
    slot: &mut ShellSlot,
    link: &mut Link,
) -> Result<(Finished, bool), ForceError> {
    let Some(group) = slot.group(&session.groups) else { return Err(ForceError::NothingRuns) };
    let finished = match interrupt(&group, slot, link).await? {
        Some(finished) => finished,
        None => {
            blocking(&group, |group| group.signal(Signal::KILL, None)).await?;
            timeout(REPLACEMENT, await_end(link)).await.map_err(|_| ForceError::Silent)??
        }
    };
    let replaced = finished.generation != slot.generation();
    if replaced {
        // The new shell may be in the same group; it is not to be taken for what the command has left.
        slot.renew(session).await?;
    }
    // What the command had sent into the background, with or without a new session.
    let shell = slot.pid();
    blocking(&group, move |group| group.kill_others(shell)).await?;
    Ok((finished, replaced))
}

/// Goes through the rounds until the command has ended; none where it outlasts them.
async fn interrupt(
    group: &ProcessGroup,
    slot: &ShellSlot,
    link: &mut Link,
) -> Result<Option<Finished>, ForceError> {
    let shell = slot.pid();
    for (signal, patience) in ROUNDS {
        slot.interrupt()?;
        if let Ok(ended) = timeout(HEAD_START, await_end(link)).await {
            return ended.map(Some);
        }
        blocking(group, move |group| group.signal(signal, shell)).await?;
        if let Ok(ended) = timeout(patience, await_end(link)).await {
            return ended.map(Some);
        }
    }
    Ok(None)
}

async fn blocking(
    group: &ProcessGroup,
    work: impl FnOnce(&ProcessGroup) -> Result<(), GroupError> + Send + 'static,
) -> Result<(), ForceError> {
    let group = group.clone();
    let done = tokio::task::spawn_blocking(move || work(&group)).await;
    Ok(done.map_err(|source| ForceError::Task { source })??)
}

/// Reads until the runner reports the end. Output that comes on the way is behind the deadline and dropped here; the runner
/// keeps it.
async fn await_end(link: &mut Link) -> Result<Finished, ForceError> {
    loop {
        match link.next().await? {
            Incoming::Output(_) => {}
            Incoming::Reply(Reply::Finished(finished)) => return Ok(finished),
            // Something had kept the shell from running the command at all, and it has ended.
            Incoming::Reply(Reply::ShellChanged) => return Ok(Finished::default()),
            Incoming::Reply(Reply::NoSuchJob) => return Err(ForceError::NothingRuns),
            Incoming::Reply(_) => return Err(LinkError::Unexpected.into()),
        }
    }
}
