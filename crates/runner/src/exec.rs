//! One command from its start to its last byte: the command file, the FIFO, the limit, and the flow to the daemon.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps, mknodat, openat, unlinkat};
use sandkasten_protocol::{RunCommand, encode_output};

use crate::connection::Connection;
use crate::shell::Secrets;

/// The time of access of a command file that nothing has read.
const NEVER_READ: i64 = 1;

/// More than any shell says about a line that it does not carry out.
const MAX_EARLY_BYTES: usize = 64 << 10;

/// How a command ended, before its output has been read to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ending {
    status: i32,
    /// Bytes that were in the FIFO when the command ended: those are its output, and no later ones.
    remaining: u64,
}

/// A command that the shell carries out.
#[derive(Debug)]
pub(crate) struct Exec {
    pub(crate) number: u64,
    pub(crate) secrets: Secrets,
    /// Which of the session's shells it was given to.
    pub(crate) generation: u64,
    /// None once the daemon has gone: the command goes on, its output is dropped.
    pub(crate) connection: Option<Connection>,
    /// Whether the report has been asked for again.
    pub(crate) asked_again: bool,
    output: OwnedFd,
    output_ended: bool,
    allowance: Option<u64>,
    truncated: bool,
    /// What was written before anything had read the command file: the command's first words, or a complaint of a shell
    /// that does not run it and will be replaced.
    early: Option<Vec<u8>>,
    /// Once it was, it stays so.
    was_read: bool,
    ending: Option<Ending>,
}

/// Which step of preparing a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepareError {
    /// No random number could be drawn.
    #[error("failed to draw a random number")]
    Random {
        /// The kernel's reason.
        source: io::Error,
    },
    /// The command file could not be written.
    #[error("failed to write the command file")]
    Command {
        /// The kernel's reason.
        source: io::Error,
    },
    /// The FIFO could not be made.
    #[error("failed to make the output FIFO")]
    Fifo {
        /// The kernel's reason.
        source: io::Error,
    },
}

impl Exec {
    /// Writes the command file and makes the FIFO, both in the runner's own directory. Their modes are set explicitly,
    /// because the umask is the shell's.
    ///
    /// # Errors
    /// [`PrepareError`]; nothing is left behind.
    pub(crate) fn prepare(
        number: u64,
        command: &RunCommand,
        connection: Connection,
        control: &OwnedFd,
    ) -> Result<Self, (PrepareError, Connection)> {
        let prepared =
            Secrets::draw().map_err(|source| PrepareError::Random { source }).and_then(|secrets| {
                write_command(control, number, &command.command)
                    .map_err(|source| PrepareError::Command { source })?;
                let output = make_fifo(control, number).map_err(|source| PrepareError::Fifo { source })?;
                Ok((secrets, output))
            });
        match prepared {
            Ok((secrets, output)) => Ok(Self {
                number,
                generation: command.generation,
                secrets,
                connection: Some(connection),
                asked_again: false,
                output,
                output_ended: false,
                allowance: command.output_limit,
                truncated: false,
                early: Some(Vec::new()),
                was_read: false,
                ending: None,
            }),
            Err(error) => {
                remove_files(control, number);
                Err((error, connection))
            }
        }
    }

    pub(crate) fn output_descriptor(&self) -> BorrowedFd<'_> {
        self.output.as_fd()
    }

    /// Whether there is output to read and somewhere to put it.
    pub(crate) fn wants_output(&self) -> bool {
        !self.output_ended && !self.connection.as_ref().is_some_and(Connection::is_congested)
    }

    pub(crate) fn truncated(&self) -> bool {
        self.truncated
    }

    /// Notes that the command has ended, with what is in the FIFO now as the rest of its output.
    pub(crate) fn end(&mut self, status: i32) {
        if self.ending.is_none() {
            let remaining = rustix::io::ioctl_fionread(&self.output).unwrap_or(0);
            self.ending = Some(Ending { status, remaining });
        }
    }

    /// The status, once the command has ended and all its output is on its way.
    pub(crate) fn ended(&self) -> Option<i32> {
        let ending = self.ending?;
        let drained = self.output_ended || ending.remaining == 0;
        let congested = self.connection.as_ref().is_some_and(Connection::is_congested);
        (drained && !congested).then_some(ending.status)
    }

    /// Whether nothing has the output open any more.
    pub(crate) fn output_ended(&self) -> bool {
        self.output_ended
    }

    /// Whether the command has ended, with or without output left to read.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// Whether anything has read the command file: where nothing has, the command did not run, whatever was reported.
    pub(crate) fn was_read(&mut self, control: &OwnedFd) -> bool {
        if !self.was_read {
            let status = rustix::fs::statat(control, format!("c{}", self.number), AtFlags::SYMLINK_NOFOLLOW);
            self.was_read = status.is_ok_and(|status| status.st_atime != NEVER_READ);
        }
        self.was_read
    }

    /// Reads once from the FIFO and passes it on as far as the limit allows.
    pub(crate) fn pump(&mut self, buffer: &mut [u8], control: &OwnedFd) {
        let most = self.ending.map_or(u64::MAX, |ending| ending.remaining);
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = buffer.get_mut(..most).unwrap_or_default();
        match rustix::io::read(&self.output, &mut *buffer) {
            Ok(0) => self.output_ended = true,
            Ok(count) => {
                if let Some(ending) = &mut self.ending {
                    ending.remaining = ending.remaining.saturating_sub(count as u64);
                }
                let bytes = buffer.get(..count).unwrap_or_default();
                if let Some(early) = &mut self.early {
                    early.extend_from_slice(bytes);
                    self.release(control);
                } else {
                    self.pass_on(bytes);
                }
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(_) => self.output_ended = true,
        }
    }

    /// Passes on what was held back, once the command file has been read.
    fn release(&mut self, control: &OwnedFd) {
        if self.early.as_ref().is_some_and(|early| early.len() > MAX_EARLY_BYTES) || self.was_read(control) {
            let early = self.early.take().unwrap_or_default();
            self.pass_on(&early);
        }
    }

    fn pass_on(&mut self, bytes: &[u8]) {
        let wanted = self.allowance.map_or(bytes.len(), |allowance| {
            usize::try_from(allowance).unwrap_or(usize::MAX).min(bytes.len())
        });
        self.truncated |= wanted < bytes.len();
        if let Some(allowance) = &mut self.allowance {
            *allowance = allowance.saturating_sub(wanted as u64);
        }
        if wanted == 0 {
            return;
        }
        let framed = encode_output(bytes.get(..wanted).unwrap_or_default());
        if let (Some(connection), Ok(frame)) = (&mut self.connection, framed)
            && connection.send(&frame).is_err()
        {
            self.connection = None;
        }
    }

    /// Sends what the daemon had no room for.
    pub(crate) fn flush(&mut self) {
        if self.connection.as_mut().is_some_and(|connection| connection.flush().is_err()) {
            self.connection = None;
        }
    }

    /// Takes the command apart: the connection for the last reply, and the FIFO if something may still write to it.
    pub(crate) fn dismantle(self, control: &OwnedFd) -> (Option<Connection>, Option<OwnedFd>) {
        remove_files(control, self.number);
        (self.connection, (!self.output_ended).then_some(self.output))
    }
}

/// Makes the file that returns `status` to the shell that sources it, where it is not there yet.
pub(crate) fn write_status(control: &OwnedFd, status: i32) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    match openat(control, format!("s{status}"), flags, Mode::from_raw_mode(0o600)) {
        Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(file) => {
            rustix::io::write(&file, format!("return {status}\n").as_bytes())?;
            Ok(rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644))?)
        }
    }
}

fn write_command(control: &OwnedFd, number: u64, command: &str) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = openat(control, format!("c{number}"), flags, Mode::from_raw_mode(0o600))?;
    let mut rest = command.as_bytes();
    while !rest.is_empty() {
        let written = rustix::io::write(&file, rest)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644))?;
    // Behind the time of modification, so that the first read moves it also where access times are relative: mount(8),
    // `relatime`.
    let never = Timespec { tv_sec: NEVER_READ, tv_nsec: 0 };
    let now = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
    rustix::fs::futimens(&file, &Timestamps { last_access: never, last_modification: now })?;
    Ok(())
}

fn make_fifo(control: &OwnedFd, number: u64) -> io::Result<OwnedFd> {
    let name = format!("o{number}");
    let mode = Mode::from_raw_mode(0o622);
    mknodat(control, &name, FileType::Fifo, mode, 0)?;
    rustix::fs::chmodat(control, &name, mode, AtFlags::empty())?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    openat(control, &name, flags, Mode::empty()).map_err(Into::into)
}

/// Removes both files; one that is not there is none to remove.
fn remove_files(control: &OwnedFd, number: u64) {
    for kind in ["c", "o"] {
        unlinkat(control, format!("{kind}{number}"), AtFlags::empty()).ok();
    }
}
