//! One stream of a job's output: where it comes from, what is kept of it, and when it is complete.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use sandkasten_protocol::Captured;

/// More than any shell says about a line that it does not carry out.
const MAX_HELD_BYTES: usize = 64 << 10;

/// What the bytes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A pipe or FIFO. What is in it when the job ends is the last of its output, and no later bytes.
    Pipe,
    /// The terminal of a process, which the kernel hangs up when the process ends: all of it is the job's.
    Terminal,
}

/// A stream of output.
#[derive(Debug)]
pub(crate) struct Outlet {
    /// None once nothing has the other end open any more, or nobody is to hear it.
    source: Option<OwnedFd>,
    origin: Origin,
    captured: Captured,
    /// What came before it was certain that it is this job's.
    held: Option<Vec<u8>>,
    /// Once the job has ended: how many bytes are still its output.
    remaining: Option<u64>,
    /// What comes behind everything else.
    last: Vec<u8>,
}

impl Outlet {
    /// `held` keeps what comes back until [`Outlet::release`].
    pub(crate) fn new(source: OwnedFd, origin: Origin, captured: Captured, held: bool) -> Self {
        Self {
            source: Some(source),
            origin,
            captured,
            held: held.then(Vec::new),
            remaining: None,
            last: Vec::new(),
        }
    }

    /// An outlet of a job that never ran, with what the runner has to say in its place.
    pub(crate) fn saying(mut captured: Captured, text: &str) -> Self {
        captured.push(text.as_bytes());
        Self { source: None, origin: Origin::Pipe, captured, held: None, remaining: None, last: Vec::new() }
    }

    pub(crate) fn captured(&self) -> &Captured {
        &self.captured
    }

    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.source.as_ref().map(AsFd::as_fd)
    }

    /// Whether nothing has the stream open any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.source.is_none()
    }

    /// Whether all that belongs to an ended job has been read.
    pub(crate) fn is_complete(&self) -> bool {
        self.source.is_none() || self.remaining == Some(0)
    }

    /// Whether something is held back.
    pub(crate) fn holds(&self) -> bool {
        self.held.as_ref().is_some_and(|held| !held.is_empty())
    }

    /// Whether so much is held back that it cannot be a shell's complaint.
    pub(crate) fn holds_too_much(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.len() > MAX_HELD_BYTES)
    }

    /// Listens at another end of the same stream, for a job that has not begun; what came before was not its own.
    pub(crate) fn begin_again(&mut self, source: OwnedFd) {
        (self.source, self.held) = (Some(source), Some(Vec::new()));
    }

    /// Notes that the job has ended.
    pub(crate) fn close(&mut self) {
        if let Some(source) = &self.source
            && self.remaining.is_none()
            && self.origin == Origin::Pipe
        {
            self.remaining = Some(rustix::io::ioctl_fionread(source).unwrap_or(0));
        }
    }

    /// Reads once.
    pub(crate) fn pump(&mut self, buffer: &mut [u8]) {
        let Some(source) = &self.source else { return };
        let most =
            usize::try_from(self.remaining.unwrap_or(u64::MAX)).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = buffer.get_mut(..most).unwrap_or_default();
        match rustix::io::read(source, &mut *buffer) {
            Ok(0) => self.source = None,
            Ok(count) => {
                if let Some(remaining) = &mut self.remaining {
                    *remaining = remaining.saturating_sub(count as u64);
                }
                let bytes = buffer.get(..count).unwrap_or_default();
                match &mut self.held {
                    Some(held) => held.extend_from_slice(bytes),
                    None => self.captured.push(bytes),
                }
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            // A terminal whose last process has gone says EIO: pty(7).
            Err(_) => self.source = None,
        }
    }

    /// Lets what was held back through, and everything from now on.
    pub(crate) fn release(&mut self) {
        if let Some(held) = self.held.take() {
            self.captured.push(&held);
        }
    }

    /// Keeps what is to come behind everything else.
    pub(crate) fn add_last(&mut self, bytes: Vec<u8>) {
        self.last = bytes;
    }

    /// Lets through what is left, once all has been read.
    pub(crate) fn conclude(&mut self) {
        self.release();
        self.captured.push(&std::mem::take(&mut self.last));
    }

    /// Stops listening, and returns the source if something may still write to it.
    pub(crate) fn retire(&mut self) -> Option<OwnedFd> {
        self.source.take()
    }
}
