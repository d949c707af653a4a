//! A connection that hears what a job writes, from some offset on, and how it ends.

use sandkasten_protocol::{Captured, Finished, Hearing, Reply, Stream, encode_output};

use crate::connection::Connection;

/// How much of the output goes into one frame.
const PIECE_BYTES: usize = 64 << 10;

/// A reader of a job.
#[derive(Debug)]
pub(crate) struct Reader {
    /// Tells it from the other readers there are or were.
    pub(crate) number: u64,
    pub(crate) connection: Connection,
    /// Whether the job has to wait for it.
    pub(crate) paced: bool,
    at: [u64; 2],
    /// Ends with what had been written when it came, and does not wait for the job's end.
    snapshot: Option<[u64; 2]>,
}

/// What became of a reader that was served.
#[derive(Debug)]
pub(crate) enum Served {
    /// It waits for more, or for room.
    Waits,
    /// It has everything.
    Done,
    /// The daemon has gone.
    Gone,
}

impl Reader {
    pub(crate) fn new(number: u64, connection: Connection, from: [u64; 2], hearing: Hearing) -> Self {
        let at = if matches!(hearing, Hearing::EndOnly | Hearing::Awaited) { [u64::MAX; 2] } else { from };
        Self { number, connection, paced: hearing == Hearing::Paced, at, snapshot: None }
    }

    /// Lets it end with what has been written by now.
    pub(crate) fn ending_at(self, written: [u64; 2]) -> Self {
        Self { snapshot: Some(written), ..self }
    }

    /// How many bytes of a stream it has not been given yet.
    pub(crate) fn behind(&self, stream: Stream, captured: &Captured) -> u64 {
        captured.written().saturating_sub(self.at[stream.index()])
    }

    /// Gives it what there is, as far as the socket takes it.
    pub(crate) fn feed<'a>(&mut self, streams: impl Iterator<Item = (Stream, &'a Captured)>) -> Served {
        if self.connection.flush().is_err() {
            return Served::Gone;
        }
        for (stream, captured) in streams {
            while !self.connection.is_congested() {
                let Some((offset, bytes)) = captured.read(self.at[stream.index()], PIECE_BYTES) else {
                    break;
                };
                self.at[stream.index()] = offset + bytes.len() as u64;
                match encode_output(stream, offset, bytes) {
                    Ok(frame) if self.connection.send(&frame).is_ok() => {}
                    _ => return Served::Gone,
                }
            }
        }
        if self.connection.is_congested() { Served::Waits } else { Served::Done }
    }

    /// Its last reply, where it has everything that there will be for it.
    pub(crate) fn last_reply(&self, finished: Option<&Finished>) -> Option<Reply> {
        let snapshot = self.snapshot.map(|written| Reply::Running { written });
        finished.map(|finished| Reply::Finished(finished.clone())).or(snapshot)
    }
}
