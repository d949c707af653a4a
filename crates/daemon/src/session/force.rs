//! Ending a command that does not end by itself, while its shell lives on.
//!
//! An interrupt first, to the command and to the shell, as a terminal would send it: a shell takes a child's death by
//! SIGINT, and only that, as a reason to give up the rest of its command line. Then kills. Only a shell that goes on
//! after all of that is killed as well, and a fresh one takes its place.

use std::time::Duration;

use rustix::process::Signal;
use sandkasten_isolation::host::cgroup::{GroupError, ProcessGroup};
use sandkasten_protocol::{Finished, Incoming, Reply};
use tokio::time::timeout;

use super::link::{Link, LinkError};

/// What is sent in each round, and how long the shell may then take to come back. A second interrupt, because the first
/// may meet a child that has just ended by itself, which a shell takes as a reason to go on. A shell that outlasts the
/// last round hangs in something that would hold up every later command as well, such as a trap.
const ROUNDS: [(Signal, Duration); 3] = [
    (Signal::INT, Duration::from_millis(250)),
    (Signal::INT, Duration::from_millis(250)),
    (Signal::KILL, Duration::from_millis(250)),
];
/// How long a killed shell may take to be replaced. Only a bound on a hang.
const REPLACEMENT: Duration = Duration::from_secs(20);

/// Why a command could not be ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForceError {
    /// Its processes could not be signalled.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// The runner has gone, and with it the sandbox.
    #[error(transparent)]
    Link(#[from] LinkError),
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

/// Ends the command whose processes are in `group` and returns how the runner saw it end.
///
/// # Errors
/// [`ForceError`]; the session is then better destroyed.
pub(super) async fn end_command(
    group: &ProcessGroup,
    shell: i32,
    link: &mut Link,
) -> Result<Finished, ForceError> {
    let mut finished = None;
    for (signal, patience) in ROUNDS {
        blocking(group, move |group| group.signal(signal, Some((shell, Some(Signal::INT)))).map(drop))
            .await?;
        if let Ok(ended) = timeout(patience, await_end(link)).await {
            finished = Some(ended?);
            break;
        }
    }
    let finished = match finished {
        Some(finished) => finished,
        None => {
            blocking(group, |group| group.signal(Signal::KILL, None).map(drop)).await?;
            timeout(REPLACEMENT, await_end(link)).await.map_err(|_| ForceError::Silent)??
        }
    };
    // What the command had sent into the background, with or without a new session.
    blocking(group, move |group| group.kill_others(Some(shell))).await?;
    Ok(finished)
}

async fn blocking(
    group: &ProcessGroup,
    work: impl FnOnce(&ProcessGroup) -> Result<(), GroupError> + Send + 'static,
) -> Result<(), ForceError> {
    let group = group.clone();
    let done = tokio::task::spawn_blocking(move || work(&group)).await;
    Ok(done.map_err(|source| ForceError::Task { source })??)
}

/// Reads until the runner reports the end; output that comes on the way is behind the deadline and dropped.
async fn await_end(link: &mut Link) -> Result<Finished, ForceError> {
    loop {
        match link.next().await? {
            Incoming::Output(_) => {}
            Incoming::Reply(Reply::Finished(finished)) => return Ok(finished),
            Incoming::Reply(Reply::NothingRuns) => return Err(ForceError::NothingRuns),
            Incoming::Reply(_) => return Err(LinkError::Unexpected.into()),
        }
    }
}
