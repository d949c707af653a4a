//! Passing on what a runner sends while a job runs.

use std::time::Instant;

use sandkasten_protocol::{Finished, Incoming, Piece, Reply};
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep_until;

use super::exec::ExecEvent;
use super::link::{Link, LinkError};

/// Why nothing more is read.
#[derive(Debug)]
pub(super) enum Relayed {
    /// The job has ended.
    Finished(Finished),
    /// Nothing ran: the shell is another one.
    ShellChanged,
    /// The job goes on.
    Interrupted(Interruption),
}

/// Why the output of a job that goes on is no longer read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interruption {
    /// Its time has run out.
    Deadline,
    /// Its client has gone, or somebody has cancelled it.
    Cancelled,
}

/// Passes output on until the job ends, its time runs out, it is cancelled, or its client has gone. Without a client, what
/// comes is dropped.
///
/// # Errors
/// [`LinkError`], where the runner has gone or sends what it must not.
pub(super) async fn relay(
    link: &mut Link,
    client: Option<&mpsc::Sender<ExecEvent>>,
    cancelled: &Notify,
    deadline: Option<Instant>,
) -> Result<Relayed, LinkError> {
    let interrupted = async {
        let client_gone = async {
            match client {
                Some(events) => events.closed().await,
                None => std::future::pending().await,
            }
        };
        let out_of_time = async {
            match deadline {
                Some(deadline) => sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = out_of_time => Interruption::Deadline,
            () = client_gone => Interruption::Cancelled,
            () = cancelled.notified() => Interruption::Cancelled,
        }
    };
    tokio::pin!(interrupted);
    let mut offsets = [0_u64; 2];
    loop {
        let frame = tokio::select! {
            biased;
            frame = link.next() => frame?,
            interruption = &mut interrupted => return Ok(Relayed::Interrupted(interruption)),
        };
        match frame {
            Incoming::Output(piece) => {
                let behind = piece.offset.checked_add(piece.bytes.len() as u64);
                let expected = &mut offsets[piece.stream.index()];
                match behind {
                    Some(behind) if piece.offset >= *expected => *expected = behind,
                    _ => return Err(LinkError::Unexpected),
                }
                // What nobody wants is waited for as well: with a runner that floods, a frame is always there first.
                tokio::select! {
                    () = pass_on(client, piece) => {}
                    interruption = &mut interrupted => return Ok(Relayed::Interrupted(interruption)),
                }
            }
            Incoming::Reply(Reply::Finished(finished)) => return Ok(Relayed::Finished(finished)),
            Incoming::Reply(Reply::ShellChanged) => return Ok(Relayed::ShellChanged),
            Incoming::Reply(Reply::Busy) => return Err(LinkError::Busy),
            Incoming::Reply(Reply::Failed { reason }) => return Err(LinkError::Refused { reason }),
            Incoming::Reply(_) => return Err(LinkError::Unexpected),
        }
    }
}

/// Sends a piece of output, if there is any and anybody wants it.
async fn pass_on(client: Option<&mpsc::Sender<ExecEvent>>, piece: Piece) {
    match client {
        // A client that has gone is noticed by whoever watches for that.
        Some(events) if !piece.bytes.is_empty() => drop(events.send(ExecEvent::Output(piece)).await),
        _ => tokio::task::yield_now().await,
    }
}

#[cfg(test)]
mod tests;
