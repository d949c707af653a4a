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

    /// Lets it end with what has been written by now, whatever comes while it is read.
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
            let end = self.snapshot.map_or(u64::MAX, |written| written[stream.index()]);
            while !self.connection.is_congested() {
                let Some((offset, bytes)) = captured.read(self.at[stream.index()], PIECE_BYTES) else {
                    break;
                };
                let left = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
                let bytes = bytes.get(..left).unwrap_or(bytes);
                if bytes.is_empty() {
                    break;
                }
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

#[cfg(test)]
mod tests {
    use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, socketpair};
    use sandkasten_protocol::{Capture, Captured, Decoder, Hearing, Incoming, Reply, Stream};

    use super::{Reader, Served};
    use crate::connection::Connection;

    #[test]
    fn a_snapshot_ends_where_it_was_taken_however_much_is_written_while_it_is_read() {
        const KEPT: u64 = 1 << 20;
        let pair = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::NONBLOCK, None);
        let (ours, theirs) = pair.expect("a pair");
        let mut captured = Captured::new(Capture { head: 0, tail: KEPT });
        captured.push(&vec![b'a'; 700_000]);
        let mut reader = Reader::new(1, Connection::new(ours), [0, 0], Hearing::Free);
        reader = reader.ending_at([captured.written(), 0]);
        let (mut decoder, mut buffer, mut heard) = (Decoder::default(), vec![0; 50_000], 0_u64);
        let mut rounds = 0;
        while !matches!(reader.feed([(Stream::Output, &captured)].into_iter()), Served::Done) {
            rounds += 1;
            assert!(rounds < 100, "it follows what is written later");
            // More comes each time than is read.
            captured.push(&[b'b'; 60_000]);
            let (count, _) = rustix::net::recv(&theirs, &mut buffer, RecvFlags::DONTWAIT).expect("something");
            decoder.push(&buffer[..count]);
        }
        assert!(rounds > 3, "the socket took all at once");
        assert_eq!(reader.last_reply(None), Some(Reply::Running { written: [700_000, 0] }));
        drop(reader);
        while let Ok((count, _)) = rustix::net::recv(&theirs, &mut buffer, RecvFlags::DONTWAIT)
            && count > 0
        {
            decoder.push(&buffer[..count]);
        }
        while let Some(frame) = decoder.next_incoming().expect("sound frames") {
            let Incoming::Output(piece) = frame else { panic!("{frame:?}") };
            heard = piece.offset + piece.bytes.len() as u64;
            assert!(piece.bytes.iter().all(|byte| *byte == b'a'), "what was written later");
        }
        assert!(heard <= 700_000, "{heard}");
    }
}
