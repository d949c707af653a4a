//! Writes down how an archive was made, so that it can be put together again byte for byte from the unpacked files.
//!
//! A layer is named by the hash of its archive, and no two programs write the same archive of the same files. So all that is
//! in an archive but the contents of its files is kept: about a hundredth of it. The form is that of the reader in
//! [`crate::rebuild`]: a sequence of pieces, compressed by zstd. Each piece begins with a byte that says what it is, and
//! lengths of eight bytes, little end first.

use std::fs::File;
use std::io::{self, BufWriter, Write};

/// A piece of literal bytes: their number, and they themselves.
pub(crate) const LITERAL: u8 = 0;
/// A piece that is the contents of a file: the length of its path, its path, and the number of bytes.
pub(crate) const CONTENTS: u8 = 1;
/// Headers of many entries compress well even so.
const LEVEL: i32 = 3;
/// Literal bytes are gathered up to here.
const MOST_LITERAL: usize = 64 * 1024;

/// Writes one record.
pub(crate) struct Recorder {
    output: zstd::Encoder<'static, BufWriter<File>>,
    literal: Vec<u8>,
    /// How many of the next bytes are the contents of a file.
    contents: u64,
}

impl Recorder {
    /// Begins a record in an empty file.
    pub(crate) fn new(file: File) -> io::Result<Self> {
        let output = zstd::Encoder::new(BufWriter::new(file), LEVEL)?;
        Ok(Self { output, literal: Vec::new(), contents: 0 })
    }

    /// Says that the next `size` bytes are the contents of the file at `path`.
    pub(super) fn contents(&mut self, path: &[u8], size: u64) -> io::Result<()> {
        self.flush_literal()?;
        self.contents = size;
        self.output.write_all(&[CONTENTS])?;
        self.output.write_all(&(path.len() as u64).to_le_bytes())?;
        self.output.write_all(path)?;
        self.output.write_all(&size.to_le_bytes())
    }

    /// Takes the next bytes of the archive.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        let skipped = self.contents.min(bytes.len() as u64);
        self.contents -= skipped;
        let rest = bytes.get(usize::try_from(skipped).unwrap_or(bytes.len())..).unwrap_or_default();
        self.literal.extend_from_slice(rest);
        if self.literal.len() >= MOST_LITERAL { self.flush_literal() } else { Ok(()) }
    }

    /// Ends the record. What is written is on the disk once the file system is synced.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.flush_literal()?;
        self.output.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(())
    }

    fn flush_literal(&mut self) -> io::Result<()> {
        if self.literal.is_empty() {
            return Ok(());
        }
        self.output.write_all(&[LITERAL])?;
        self.output.write_all(&(self.literal.len() as u64).to_le_bytes())?;
        self.output.write_all(&self.literal)?;
        self.literal.clear();
        Ok(())
    }
}
