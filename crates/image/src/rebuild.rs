//! Puts the archive of a layer together again, from its files and from the record of all else (`unpack/record.rs`).
//!
//! Whoever reads it to its end has to compare the hash: files of a layer may have been changed by hand, or replaced by a later
//! entry of the same archive.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};

use crate::beneath;
use crate::unpack::{CONTENTS, LITERAL};

/// Paths in a record come from our own hand, but a damaged one must not make us take all memory.
const LONGEST_PATH: u64 = 8192;

/// The archive of a layer, as it was.
pub(crate) struct Rebuilt {
    root: OwnedFd,
    record: zstd::Decoder<'static, BufReader<File>>,
    piece: Piece,
}

enum Piece {
    Literal(u64),
    Contents(File, u64),
    End,
}

impl Rebuilt {
    /// Begins with the directory of a layer and its record.
    pub(crate) fn new(root: OwnedFd, record: File) -> io::Result<Self> {
        Ok(Self { root, record: zstd::Decoder::new(record)?, piece: Piece::Literal(0) })
    }

    /// Reads what the next piece is.
    fn advance(&mut self) -> io::Result<()> {
        let mut kind = [0];
        if self.record.read(&mut kind)? == 0 {
            self.piece = Piece::End;
            return Ok(());
        }
        self.piece = match kind[0] {
            LITERAL => Piece::Literal(self.number()?),
            CONTENTS => {
                let length = self.number()?;
                if length > LONGEST_PATH {
                    return Err(damaged("a path is too long"));
                }
                let mut path = vec![0; usize::try_from(length).map_err(io::Error::other)?];
                self.record.read_exact(&mut path)?;
                let size = self.number()?;
                let file = beneath::open_regular(self.root.as_fd(), &path)?;
                // What has been added to its end would not be read.
                if file.metadata()?.len() != size {
                    return Err(damaged("a file has another length than it had"));
                }
                Piece::Contents(file, size)
            }
            _ => return Err(damaged("there is a piece of an unknown kind")),
        };
        Ok(())
    }

    fn number(&mut self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.record.read_exact(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
}

impl Read for Rebuilt {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let (source, left): (&mut dyn Read, &mut u64) = match &mut self.piece {
                Piece::End => return Ok(0),
                Piece::Literal(0) | Piece::Contents(_, 0) => {
                    self.advance()?;
                    continue;
                }
                Piece::Literal(left) => (&mut self.record, left),
                Piece::Contents(file, left) => (file, left),
            };
            let most = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
            let count = source.read(&mut buffer[..most])?;
            if count == 0 && most > 0 {
                return Err(damaged("a file is shorter than it was"));
            }
            *left -= count as u64;
            return Ok(count);
        }
    }
}

fn damaged(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
