//! Pieces between a thread that reads or writes and a task that waits for a client.

use std::io::{self, Read, Write};

use tokio::sync::mpsc::{Receiver, Sender};

use super::Piece;

const PIECE_BYTES: usize = 64 << 10;

/// Where an archive is written to.
pub(super) struct Outgoing<L> {
    pieces: Sender<Piece>,
    is_live: L,
    gathered: Vec<u8>,
}

impl<L: Fn() -> bool> Outgoing<L> {
    pub(super) fn new(pieces: Sender<Piece>, is_live: L) -> Self {
        Self { pieces, is_live, gathered: Vec::new() }
    }
}

impl<L: Fn() -> bool> Write for Outgoing<L> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !(self.is_live)() {
            return Err(io::Error::other("the session has ended"));
        }
        if self.gathered.is_empty() {
            return Ok(());
        }
        let piece = std::mem::take(&mut self.gathered);
        self.pieces.blocking_send(Ok(piece)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Where an archive is read from.
pub(super) struct Incoming {
    pieces: Receiver<Piece>,
    current: io::Cursor<Vec<u8>>,
}

impl Incoming {
    pub(super) fn new(pieces: Receiver<Piece>) -> Self {
        Self { pieces, current: io::Cursor::default() }
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.current.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            match self.pieces.blocking_recv() {
                Some(piece) => self.current = io::Cursor::new(piece?),
                None => return Ok(0),
            }
        }
    }
}
