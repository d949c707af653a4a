//! What a shell prints as it ends.
//!
//! dash and busybox give up the redirections of the file that they source before they run the trap of an `exit` in it. So
//! the output of the shell itself is on FIFOs of its own while it carries a command out, and if it ends, what is there is
//! the end of the command's output.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use sandkasten_isolation::plan::CONTROL_DIRECTORY;

use crate::fifo::{Fifo, Use};

/// The most that is kept of each stream; a trap that prints more is not blocked.
const MAX_BYTES: usize = 64 << 10;

/// Standard output and standard error of a shell, outside of the commands that it carries out.
#[derive(Debug)]
pub(crate) struct LastWords {
    streams: [(Fifo, Vec<u8>); 2],
}

impl LastWords {
    /// Makes the FIFOs for the shell with this process id, which no other shell has as long as this is kept.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn new(control: &Rc<OwnedFd>, pid: i32) -> io::Result<Self> {
        let stream =
            |kind| Ok::<_, io::Error>((Fifo::new(control, format!("{kind}{pid}"), Use::Write)?, Vec::new()));
        Ok(Self { streams: [stream('x')?, stream('y')?] })
    }

    /// The beginning of the line that carries a command out. `exec` cannot be defined over in a POSIX shell.
    pub(crate) fn begin(&self, separate: bool) -> String {
        let [(output, _), (error, _)] = &self.streams;
        let error = if separate { error.path() } else { "&1".to_owned() };
        format!(r"\exec >{} 2>{error}; ", output.path())
    }

    /// The end of a line behind it, which is carried out whatever became of the first.
    pub(crate) fn end() -> &'static str {
        r"; \exec >/dev/null 2>&1"
    }

    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.streams.iter().map(|(fifo, _)| fifo.as_fd())
    }

    /// Reads what there is, once from each.
    pub(crate) fn pump(&mut self, buffer: &mut [u8]) {
        for (fifo, said) in &mut self.streams {
            let count = fifo.read(buffer).min(MAX_BYTES.saturating_sub(said.len()));
            said.extend_from_slice(buffer.get(..count).unwrap_or_default());
        }
    }

    /// Forgets what was said: the shell has carried the command out and goes on, so this was a trace or a prompt.
    pub(crate) fn forget(&mut self, buffer: &mut [u8]) {
        self.pump(buffer);
        self.streams.iter_mut().for_each(|(_, said)| said.clear());
    }

    /// What the shell has said at its end, after the trace of the line that carried command `number` out.
    pub(crate) fn take(&mut self, number: u64, buffer: &mut [u8]) -> [Vec<u8>; 2] {
        // What is in a FIFO is no more than a buffer takes.
        self.pump(buffer);
        let trace = format!(". {CONTROL_DIRECTORY}/c{number}\n");
        self.streams.each_mut().map(|(_, said)| behind(std::mem::take(said), trace.as_bytes()))
    }

    /// Ends at which what the trap has left in the background can be heard.
    pub(crate) fn readers(&self) -> impl Iterator<Item = OwnedFd> {
        self.streams.iter().filter_map(|(fifo, _)| fifo.reader().ok())
    }
}

/// What comes behind a text, or everything where that is not in it.
fn behind(mut bytes: Vec<u8>, text: &[u8]) -> Vec<u8> {
    if let Some(place) = bytes.windows(text.len()).position(|window| window == text) {
        bytes.drain(..place + text.len());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::behind;

    #[test]
    fn a_trace_is_cut_off_with_all_before_it() {
        assert_eq!(behind(b"+ exec\n+ . /c1\nbye\n".to_vec(), b". /c1\n"), b"bye\n");
        assert_eq!(behind(b"bye\n".to_vec(), b". /c1\n"), b"bye\n");
        assert_eq!(behind(Vec::new(), b". /c1\n"), b"");
    }
}
