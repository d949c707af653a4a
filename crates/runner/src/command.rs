//! A command that a shell carries out: its files in the runner's own directory, and what tells whether it ran.

use std::fmt::Write as _;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps, openat, unlinkat};
use sandkasten_isolation::plan::CONTROL_DIRECTORY;
use sandkasten_protocol::RunCommand;

use crate::dialect::{Dialect, Secrets};
use crate::fifo::{self, Use, make_fifo};
use crate::shell::{Order, Shell, Wiring};

/// The time of access of a command file that nothing has read.
const NEVER_READ: i64 = 1;

/// A command, given to a shell.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) secrets: Secrets,
    /// The place of its shell.
    pub(crate) shell: usize,
    /// Which of the shells of that name it was given to.
    pub(crate) generation: u64,
    /// How its shell is to carry it out.
    order: Order,
    /// Whether the shell has been made to carry it out again, because it had not.
    given_again: bool,
    /// Whether the report has been asked for again.
    pub(crate) asked_again: bool,
    /// Its exit status, once it has ended.
    pub(crate) status: Option<i32>,
    /// Once it was, it stays so.
    was_read: bool,
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
    /// A file of the command could not be written.
    #[error("failed to write the command's file {name}")]
    File {
        /// Which file.
        name: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A FIFO could not be made.
    #[error("failed to make the output FIFO {name}")]
    Fifo {
        /// Which one.
        name: String,
        /// The kernel's reason.
        source: io::Error,
    },
}

impl Command {
    /// Writes the command's files and makes its FIFOs, one for each stream, all in the runner's own directory. Their modes
    /// are set explicitly, because the umask is the shell's.
    ///
    /// # Errors
    /// [`PrepareError`]; nothing is left behind.
    pub(crate) fn prepare(
        number: u64,
        last_status: i32,
        shell: usize,
        dialect: Dialect,
        command: &RunCommand,
        control: &OwnedFd,
    ) -> Result<(Self, Vec<OwnedFd>), PrepareError> {
        let prepared = write_all(number, dialect, command, control);
        if prepared.is_err() {
            remove_files(control, number);
        }
        let (secrets, outputs) = prepared?;
        let generation = command.generation;
        let wiring = Wiring { separate: command.plan.separate, input: command.input.is_some() };
        let order = Order { number, last_status, wiring, introduced: is_introduced(command) };
        let prepared = Self {
            secrets,
            shell,
            generation,
            order,
            given_again: false,
            asked_again: false,
            status: None,
            was_read: false,
        };
        Ok((prepared, outputs))
    }

    /// Counts the commands of the session; part of the names of its files.
    pub(crate) fn number(&self) -> u64 {
        self.order.number
    }

    /// Gives it to its shell. A shell that takes no input is about to end; its end will be the command's.
    pub(crate) fn give(&self, shell: &Shell) {
        shell.run(self.order, self.secrets).ok();
    }

    /// Gives it to its shell once more, which has not read it, and returns the new ends of its outputs; `None` where it had
    /// its second chance, or where that cannot be given.
    pub(crate) fn give_again(&mut self, shell: &Shell, control: &OwnedFd) -> Option<Vec<OwnedFd>> {
        if self.given_again {
            return None;
        }
        // What the lines before have shown is no secret any more.
        let secrets = Secrets::draw().ok()?;
        let ends = output_names(self.order.number, self.order.wiring.separate)
            .map(|name| fifo::open(control, &name, OFlags::RDONLY));
        let ends = ends.collect::<Result<_, _>>().ok()?;
        (self.secrets, self.given_again, self.asked_again) = (secrets, true, false);
        shell.run_uncovered(self.order, secrets).ok()?;
        Some(ends)
    }

    /// Whether anything has read the command file: where nothing has, the command did not run, whatever was reported.
    pub(crate) fn was_read(&mut self, control: &OwnedFd) -> bool {
        if !self.was_read {
            let status =
                rustix::fs::statat(control, format!("c{}", self.order.number), AtFlags::SYMLINK_NOFOLLOW);
            self.was_read = status.is_ok_and(|status| status.st_atime != NEVER_READ);
        }
        self.was_read
    }
}

fn write_all(
    number: u64,
    dialect: Dialect,
    command: &RunCommand,
    control: &OwnedFd,
) -> Result<(Secrets, Vec<OwnedFd>), PrepareError> {
    let secrets = Secrets::draw().map_err(|source| PrepareError::Random { source })?;
    let write = |kind: &str, bytes: &[u8]| {
        let name = format!("{kind}{number}");
        write_file(control, &name, bytes).map_err(|source| PrepareError::File { name, source })
    };
    if let Some(input) = &command.input {
        write("i", input)?;
    }
    let file = match introduce(number, dialect, command) {
        None => write("c", command.command.as_bytes())?,
        Some(introduction) => {
            write("u", command.command.as_bytes())?;
            write("c", introduction.as_bytes())?
        }
    };
    mark_unread(&file).map_err(|source| PrepareError::File { name: format!("c{number}"), source })?;
    let fifo = |name: String| {
        make_fifo(control, &name, Use::Write, OFlags::RDONLY)
            .map_err(|source| PrepareError::Fifo { name, source })
    };
    Ok((secrets, output_names(number, command.plan.separate).map(fifo).collect::<Result<_, _>>()?))
}

/// The names of the FIFOs of a command.
fn output_names(number: u64, separate: bool) -> impl Iterator<Item = String> {
    let kinds: &[&str] = if separate { &["o", "e"] } else { &["o"] };
    kinds.iter().map(move |kind| format!("{kind}{number}"))
}

fn is_introduced(command: &RunCommand) -> bool {
    !command.environment.is_empty() || command.directory.is_some()
}

/// What a shell carries out in the place of a command that has variables or a directory of its own: it changes there as if
/// `cd` had been typed, and sources the command with variables that last no longer.
fn introduce(number: u64, dialect: Dialect, command: &RunCommand) -> Option<String> {
    if !is_introduced(command) {
        return None;
    }
    // A special builtin keeps its assignments in a POSIX shell; by way of `command` it is none.
    let word = match dialect {
        Dialect::Bash => r"\builtin",
        Dialect::Posix => r"\command",
    };
    let mut text = String::new();
    if let Some(directory) = &command.directory {
        writeln!(text, r"CDPATH= {word} cd -- {} || \return", quote(directory)).ok();
    }
    for (name, value) in &command.environment {
        write!(text, "{name}={} ", quote(value)).ok();
    }
    writeln!(text, "{word} . {CONTROL_DIRECTORY}/u{number}").ok();
    Some(text)
}

/// Quotes a text so that a shell takes it as it is.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Makes the file that returns `status` to the shell that sources it, where it is not there yet.
pub(crate) fn write_status(control: &OwnedFd, status: i32) -> io::Result<()> {
    match write_file(control, &format!("s{status}"), format!("return {status}\n").as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result.map(|_| ()),
    }
}

fn write_file(control: &OwnedFd, name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = openat(control, name, flags, Mode::from_raw_mode(0o600))?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = rustix::io::write(&file, rest)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644))?;
    Ok(file)
}

/// Sets the time of access behind the time of modification, so that the first read moves it also where access times are
/// relative: mount(8), `relatime`.
fn mark_unread(file: &OwnedFd) -> io::Result<()> {
    let never = Timespec { tv_sec: NEVER_READ, tv_nsec: 0 };
    let now = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
    Ok(rustix::fs::futimens(file, &Timestamps { last_access: never, last_modification: now })?)
}

/// Removes the files of a command; one that is not there is none to remove.
pub(crate) fn remove_files(control: &OwnedFd, number: u64) {
    for kind in ["c", "u", "i", "o", "e"] {
        unlinkat(control, format!("{kind}{number}"), AtFlags::empty()).ok();
    }
}

#[cfg(test)]
mod tests {
    use sandkasten_protocol::RunCommand;

    use super::introduce;
    use crate::dialect::Dialect;

    #[test]
    fn variables_and_directory_are_taken_as_they_are() {
        let command = RunCommand {
            environment: vec![("A".into(), "it's $HOME\n".into()), ("B".into(), String::new())],
            directory: Some("/a b'".into()),
            ..RunCommand::default()
        };
        assert_eq!(
            introduce(7, Dialect::Bash, &command).expect("there is something to do"),
            "CDPATH= \\builtin cd -- '/a b'\\''' || \\return\n\
             A='it'\\''s $HOME\n' B='' \\builtin . /run/sandkasten/u7\n"
        );
        assert_eq!(introduce(7, Dialect::Posix, &RunCommand::default()), None);
    }
}
