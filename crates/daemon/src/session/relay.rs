//! Passing on what a runner sends while a command runs, within the command's limits. The runner is told the limits too;
//! that it keeps them is not relied on.

use std::time::Instant;

use sandkasten_protocol::{Finished, Incoming, Reply};
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use super::exec::ExecEvent;
use super::link::{Link, LinkError};

/// Why nothing more is read.
#[derive(Debug)]
pub(super) enum Relayed {
    /// The command has ended.
    Finished(Finished),
    /// Nothing ran: the shell is another one.
    ShellChanged,
    /// The command goes on.
    Interrupted(Interruption),
}

/// Why the output of a command that goes on is no longer read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interruption {
    /// Its time has run out.
    Deadline,
    /// Its client has gone.
    Cancelled,
}

/// Passes output on until the command ends, its time runs out, or nobody wants it any more.
///
/// # Errors
/// [`LinkError`], where the runner has gone or sends what it must not.
pub(super) async fn relay(
    link: &mut Link,
    events: &mpsc::Sender<ExecEvent>,
    deadline: Instant,
    limit: Option<u64>,
) -> Result<Relayed, LinkError> {
    let deadline = sleep_until(deadline.into());
    tokio::pin!(deadline);
    let mut allowance = Allowance { left: limit, exceeded: false };
    loop {
        let frame = tokio::select! {
            biased;
            frame = link.next() => frame?,
            () = &mut deadline => return Ok(Relayed::Interrupted(Interruption::Deadline)),
            () = events.closed() => return Ok(Relayed::Interrupted(Interruption::Cancelled)),
        };
        match frame {
            // What is over the limit is waited for as well: with a runner that floods, a frame is always there first.
            Incoming::Output(bytes) => tokio::select! {
                sent = pass_on(events, allowance.cut(bytes)) => if sent.is_err() {
                    return Ok(Relayed::Interrupted(Interruption::Cancelled));
                },
                () = &mut deadline => return Ok(Relayed::Interrupted(Interruption::Deadline)),
            },
            Incoming::Reply(Reply::Finished(finished)) => {
                let truncated = finished.truncated || allowance.exceeded;
                return Ok(Relayed::Finished(Finished { truncated, ..finished }));
            }
            Incoming::Reply(Reply::ShellChanged) => return Ok(Relayed::ShellChanged),
            Incoming::Reply(Reply::Failed { reason }) => return Err(LinkError::Refused { reason }),
            Incoming::Reply(_) => return Err(LinkError::Unexpected),
        }
    }
}

/// Sends a piece of output, if there is any, and says whether anybody still wants it.
async fn pass_on(events: &mpsc::Sender<ExecEvent>, bytes: Vec<u8>) -> Result<(), ()> {
    if bytes.is_empty() {
        tokio::task::yield_now().await;
        return if events.is_closed() { Err(()) } else { Ok(()) };
    }
    events.send(ExecEvent::Output(bytes)).await.map_err(|_| ())
}

/// How much output may still be passed on; none is all.
struct Allowance {
    left: Option<u64>,
    exceeded: bool,
}

impl Allowance {
    fn cut(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        let Some(left) = &mut self.left else { return bytes };
        let most = usize::try_from(*left).unwrap_or(usize::MAX);
        self.exceeded |= bytes.len() > most;
        bytes.truncate(most);
        *left = left.saturating_sub(bytes.len() as u64);
        bytes
    }
}

#[cfg(test)]
mod tests;
