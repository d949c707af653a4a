//! A FIFO in the runner's own directory, which the shells open by its path.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, mknodat, openat, unlinkat};
use sandkasten_isolation::plan::CONTROL_DIRECTORY;

/// A FIFO that lasts as long as this. The runner's end never blocks, and is open for both, so that neither does the shell's
/// opening, and the FIFO has no end.
#[derive(Debug)]
pub(crate) struct Fifo {
    control: Rc<OwnedFd>,
    name: String,
    end: OwnedFd,
}

/// What the sandbox's processes may do with a FIFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Read,
    Write,
}

impl Fifo {
    /// Makes it.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn new(control: &Rc<OwnedFd>, name: String, theirs: Use) -> io::Result<Self> {
        let end = make_fifo(control, &name, theirs, OFlags::RDWR)?;
        Ok(Self { control: Rc::clone(control), name, end })
    }

    pub(crate) fn path(&self) -> String {
        format!("{CONTROL_DIRECTORY}/{}", self.name)
    }

    /// Reads once; nothing where there is nothing.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> usize {
        rustix::io::read(&self.end, buffer).unwrap_or(0)
    }

    /// Opens another end, for reading only, at which the FIFO ends with those that write to it.
    pub(crate) fn reader(&self) -> io::Result<OwnedFd> {
        open(&self.control, &self.name, OFlags::RDONLY)
    }
}

impl AsFd for Fifo {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.end.as_fd()
    }
}

impl Drop for Fifo {
    fn drop(&mut self) {
        unlinkat(&*self.control, &self.name, AtFlags::empty()).ok();
    }
}

/// Makes a FIFO and opens the runner's end of it, which never blocks.
///
/// # Errors
/// The kernel's; a FIFO may then be left.
pub(crate) fn make_fifo(control: &OwnedFd, name: &str, theirs: Use, ours: OFlags) -> io::Result<OwnedFd> {
    let mode = Mode::from_raw_mode(match theirs {
        Use::Read => 0o644,
        Use::Write => 0o622,
    });
    mknodat(control, name, FileType::Fifo, mode, 0)?;
    // The umask is the shell's.
    rustix::fs::chmodat(control, name, mode, AtFlags::empty())?;
    open(control, name, ours)
}

/// Opens an end of a FIFO that is there.
///
/// # Errors
/// The kernel's.
pub(crate) fn open(control: &OwnedFd, name: &str, access: OFlags) -> io::Result<OwnedFd> {
    let flags = access | OFlags::NONBLOCK | OFlags::CLOEXEC;
    openat(control, name, flags, Mode::empty()).map_err(Into::into)
}
