//! What a process is to read from its standard input, until it has been written.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The most bytes that wait for a process that does not read.
const MAX_WAITING_BYTES: usize = 1 << 20;

/// The standard input of a process, or its terminal.
#[derive(Debug)]
pub(crate) struct Supply {
    /// None once it was closed.
    sink: Option<OwnedFd>,
    waiting: Vec<u8>,
    /// Closed behind what waits.
    closing: bool,
}

/// More waits than is kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Supply {
    /// `sink` must not block.
    pub(crate) fn new(sink: OwnedFd) -> Self {
        Self { sink: Some(sink), waiting: Vec::new(), closing: false }
    }

    /// The sink, as long as something waits for room in it.
    pub(crate) fn wants_room(&self) -> Option<BorrowedFd<'_>> {
        self.sink.as_ref().filter(|_| !self.waiting.is_empty()).map(AsFd::as_fd)
    }

    /// Whether it takes more.
    pub(crate) fn is_open(&self) -> bool {
        self.sink.is_some() && !self.closing
    }

    /// Adds bytes, and the end behind them.
    ///
    /// # Errors
    /// [`Full`], and then nothing was taken.
    pub(crate) fn give(&mut self, bytes: &[u8], close: bool) -> Result<(), Full> {
        if !self.waiting.is_empty() && self.waiting.len() + bytes.len() > MAX_WAITING_BYTES {
            return Err(Full);
        }
        self.waiting.extend_from_slice(bytes);
        self.closing |= close;
        self.write();
        Ok(())
    }

    /// Writes what there is room for. A process that does not read any more gets nothing more.
    pub(crate) fn write(&mut self) {
        let mut written = 0;
        while let Some(sink) = &self.sink
            && let Some(rest) = self.waiting.get(written..)
            && !rest.is_empty()
        {
            match rustix::io::write(sink, rest) {
                Ok(count) => written += count,
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => break,
                Err(_) => {
                    self.sink = None;
                    self.waiting.clear();
                    return;
                }
            }
        }
        self.waiting.drain(..written);
        if self.closing && self.waiting.is_empty() {
            self.sink = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::pipe::{PipeFlags, pipe_with};

    use super::{Full, Supply};

    #[test]
    fn what_a_process_does_not_read_is_bounded_and_kept_in_order() {
        let (reader, writer) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).expect("a pipe");
        let mut supply = Supply::new(writer);
        let whole: Vec<u8> = (0..=255).cycle().take(700_000).collect();
        supply.give(&whole, false).expect("it is kept");
        assert_eq!(supply.give(&whole, true), Err(Full));
        supply.give(b"end", true).expect("it is kept");
        assert!(!supply.is_open() && supply.wants_room().is_some());
        let (mut heard, mut buffer) = (Vec::new(), [0; 10_000]);
        loop {
            match rustix::io::read(&reader, &mut buffer) {
                Ok(0) => break,
                Ok(count) => heard.extend_from_slice(&buffer[..count]),
                Err(error) => assert_eq!(error, rustix::io::Errno::AGAIN),
            }
            supply.write();
        }
        assert!(heard == [whole.as_slice(), b"end"].concat());
        assert!(supply.wants_room().is_none());
    }

    #[test]
    fn a_process_that_has_closed_its_input_holds_nothing_up() {
        let (reader, writer) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).expect("a pipe");
        drop(reader);
        let mut supply = Supply::new(writer);
        supply.give(b"lost", false).expect("taken");
        assert!(supply.wants_room().is_none() && !supply.is_open());
    }
}
