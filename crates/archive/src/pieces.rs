//! Archives in pieces, for those who hand them on: each piece is given to, or asked of, whoever is on the other side.

use std::io::{self, Read, Write};

const PIECE_BYTES: usize = 64 << 10;

/// Gathers what is written, and gives it on in pieces.
pub struct PieceWriter<F> {
    give: F,
    gathered: Vec<u8>,
}

impl<F: FnMut(Vec<u8>) -> io::Result<()>> PieceWriter<F> {
    /// Gives each piece to `give`, whose errors are those of the writing.
    pub fn new(give: F) -> Self {
        Self { give, gathered: Vec::new() }
    }
}

impl<F: FnMut(Vec<u8>) -> io::Result<()>> Write for PieceWriter<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        (self.give)(std::mem::take(&mut self.gathered))
    }
}

/// Reads what comes in pieces.
pub struct PieceReader<F> {
    ask: F,
    current: io::Cursor<Vec<u8>>,
}

impl<F: FnMut() -> Option<io::Result<Vec<u8>>>> PieceReader<F> {
    /// Asks for each piece; where there is none, the end is reached.
    pub fn new(ask: F) -> Self {
        Self { ask, current: io::Cursor::default() }
    }
}

impl<F: FnMut() -> Option<io::Result<Vec<u8>>>> Read for PieceReader<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.current.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            match (self.ask)() {
                Some(piece) => self.current = io::Cursor::new(piece?),
                None => return Ok(0),
            }
        }
    }
}
