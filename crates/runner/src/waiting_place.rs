//! Where a shell waits for its next line, if it must not wait at its standard input.
//!
//! Busybox reads what it is typed by fgets(3) where there is no terminal. When a job in the background ends, SIGCHLD
//! interrupts that, and the shell takes it for the end of its input. A file that it sources it reads by read(2), which it
//! begins anew. So it sources a FIFO in which there is nothing until its next lines are all there.

use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::rc::Rc;

use crate::fifo::{Fifo, Use};

/// Ends the waiting, as the first line of a file that is sourced.
const END: &[u8] = b"return\n";

/// Two FIFOs, in which the shell waits in turn: an end that it did not need, because a signal had ended its waiting, then
/// does not end the next.
#[derive(Debug)]
pub(crate) struct WaitingPlace {
    fifos: [Fifo; 2],
    /// Which one the last line named.
    current: Cell<Option<usize>>,
}

impl WaitingPlace {
    /// Makes one for the shell with this process id, which no other shell has as long as this is kept.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn new(control: &Rc<OwnedFd>, pid: i32) -> io::Result<Self> {
        let fifo = |place| Fifo::new(control, format!("w{pid}{place}"), Use::Read);
        Ok(Self { fifos: [fifo('a')?, fifo('b')?], current: Cell::new(None) })
    }

    /// The line that makes the shell wait in the FIFO that it has not waited in last; to be sent before [`end`](Self::end).
    pub(crate) fn line(&self) -> String {
        let Some(fifo) = self.fifos.get(self.next()) else { return String::new() };
        // Takes away an end that was not needed.
        fifo.read(&mut [0; 64]);
        format!(r"\. {}", fifo.path())
    }

    /// Ends the waiting that was asked for before the last [`line`](Self::line), which is in force from now on.
    pub(crate) fn end(&self) {
        self.close();
        self.current.set(Some(self.next()));
    }

    /// Ends the waiting that the last [`line`](Self::line) asked for, for good.
    pub(crate) fn close(&self) {
        if let Some(fifo) = self.current.get().and_then(|current| self.fifos.get(current)) {
            // It was empty, so there is room.
            rustix::io::write(fifo, END).ok();
        }
    }

    fn next(&self) -> usize {
        1 - self.current.get().unwrap_or_default()
    }
}

/// Whether a program of the image is busybox: a link to a file of that name, or the same file as `/bin/busybox`.
pub(crate) fn is_needed_by(program: &str) -> bool {
    let target = std::fs::canonicalize(program).ok();
    let named = target
        .as_deref()
        .and_then(Path::file_name)
        .is_some_and(|name| name.to_string_lossy().starts_with("busybox"));
    let file = |path: &str| std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    named || file(program).is_some_and(|found| file("/bin/busybox") == Some(found))
}
