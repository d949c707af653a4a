//! The persistent shell of a session: a real interactive shell without a terminal, and the three channels to it.
//!
//! Commands go in over a packet socket that is the shell's standard input: one line a packet, so that a line is read
//! only when all before it have been carried out. A command is a file that the shell sources, with its output on a FIFO
//! of its own. The exit status comes back over a second packet socket, on a descriptor that is closed while a command
//! runs; the kernel stamps each message with its sender's process id, and only the shell's own counts.
//!
//! An interactive shell is what makes `cd`, aliases, `${x:?}` and interrupted commands behave as if typed. See
//! docs/adr/0002-persistent-shell.md.

use std::cell::Cell;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::event::epoll;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Access, Mode, OFlags};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketFlags, SocketType,
    recvmsg, socketpair,
};
use sandkasten_isolation::enter::{Entered, SpawnError, StartProcess, peer_has_read_all};
use sandkasten_isolation::error_chain;
use sandkasten_isolation::plan::{CONTROL_DIRECTORY, SandboxPlan, ShellPreference};
use sandkasten_protocol::Reply;

use crate::dialect::{Dialect, Secrets};
use crate::last_words::LastWords;
use crate::report::Report;
use crate::waiting_place::{self, WaitingPlace};

/// A bound on a shell that hangs before it reads its first line; a start takes a millisecond or two.
const START_SECONDS: i64 = 15;

/// Where a shell is started.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'a> {
    /// In the runner's own working directory, which it shares, and in the session's first process group.
    Main,
    /// Elsewhere.
    Beside {
        /// The directory it starts in.
        directory: &'a str,
        /// The file by which it joins its process group.
        group: Option<BorrowedFd<'a>>,
    },
}

/// How the streams of a command are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wiring {
    /// Standard error has a FIFO of its own.
    pub(crate) separate: bool,
    /// Standard input is a file.
    pub(crate) input: bool,
}

/// A command file, and how a shell is to carry it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    /// Part of the names of the command's files.
    pub(crate) number: u64,
    /// What the command finds in `$?`: where that is a failure, file `s<last_status>` returns it.
    pub(crate) last_status: i32,
    pub(crate) wiring: Wiring,
    /// Whether the file does something before it sources the command, with words that a function may be about.
    pub(crate) introduced: bool,
}

/// A running shell.
#[derive(Debug)]
pub(crate) struct Shell {
    dialect: Dialect,
    program: &'static str,
    pid: i32,
    descriptor: OwnedFd,
    input: OwnedFd,
    report: OwnedFd,
    consumption: OwnedFd,
    /// Where it is not safe for it to wait at its standard input.
    waiting_place: Option<WaitingPlace>,
    /// Where it runs the trap of its end without the redirections of the command that ended it.
    last_words: Option<LastWords>,
    /// Whether a function is about a word of our lines.
    covered: Cell<bool>,
    /// Whether it took the lines that it begins with.
    has_first_lines: bool,
}

/// Why there is no shell.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShellError {
    /// The image has none.
    #[error("found no shell in the image: looked for {tried}")]
    Missing {
        /// The paths.
        tried: String,
    },
    /// A socket or descriptor could not be made.
    #[error("failed to make a channel to the shell")]
    Channel {
        /// The kernel's reason.
        source: io::Error,
    },
    /// The program did not start.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// The program started, but took no command.
    #[error("started {program}, but it took no command: {reason}")]
    Mute {
        /// Which program.
        program: String,
        /// What happened instead.
        reason: &'static str,
    },
}

impl From<ShellError> for Reply {
    fn from(error: ShellError) -> Self {
        match error {
            ShellError::Missing { tried } => Self::NoShell { tried },
            error => Self::Failed { reason: error_chain(&error) },
        }
    }
}

impl Shell {
    /// Starts the shell that the plan prefers, or the other one, and waits until it has carried out a first line.
    ///
    /// # Errors
    /// [`ShellError`].
    pub(crate) fn start(plan: &SandboxPlan, entered: &Entered, place: Place<'_>) -> Result<Self, ShellError> {
        let shell = Self::spawn(plan, entered, place)?;
        shell.await_first_line()?;
        Ok(shell)
    }

    /// Starts it, and waits for nothing. It takes commands once it has been [waited for](Self::await_first_line).
    ///
    /// # Errors
    /// [`ShellError`].
    pub(crate) fn spawn(plan: &SandboxPlan, entered: &Entered, place: Place<'_>) -> Result<Self, ShellError> {
        let (directory, group) = match place {
            Place::Main => (None, None),
            Place::Beside { directory, group } => (Some(directory), group),
        };
        let (program, dialect) = choose(plan)?;
        let channel = |error: rustix::io::Errno| ShellError::Channel { source: error.into() };
        let packets = || socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
        let ((input, their_input), (report, their_report)) =
            (packets().map_err(channel)?, packets().map_err(channel)?);
        rustix::net::sockopt::set_socket_passcred(&report, true).map_err(channel)?;
        let null =
            rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).map_err(channel)?;
        let consumption = watch_consumption(&input).map_err(channel)?;
        let process = StartProcess {
            programs: &[program.to_owned()],
            arguments: &dialect.arguments(),
            environment: &plan.environment,
            descriptors: &[
                (their_input.as_fd(), 0),
                (null.as_fd(), 1),
                (null.as_fd(), 2),
                (their_report.as_fd(), dialect.report_descriptor()),
            ],
            directory,
            group,
            terminal: false,
        }
        .spawn(entered)?;
        drop((their_input, their_report));
        let pid = process.pid;
        let (waiting_place, last_words) = match dialect {
            Dialect::Bash => (None, None),
            Dialect::Posix => {
                let fifos = fifos_of_posix(entered, program, pid);
                let (waiting_place, last_words) = fifos.map_err(|source| ShellError::Channel { source })?;
                (waiting_place, Some(last_words))
            }
        };
        let descriptor = process.descriptor;
        let mut shell = Self {
            dialect,
            program,
            pid,
            descriptor,
            input,
            report,
            consumption,
            waiting_place,
            last_words,
            covered: Cell::new(false),
            has_first_lines: false,
        };
        let lines = [
            dialect.start_up().to_owned(),
            format!("{}=0", Secrets::START.status()),
            dialect.report_line(Secrets::START),
        ];
        // One that has ended already is told of by whoever waits for it: it was started all the same.
        shell.has_first_lines = shell.send(&lines).is_ok();
        Ok(shell)
    }

    fn mute(&self, reason: &'static str) -> ShellError {
        ShellError::Mute { program: self.program.to_owned(), reason }
    }

    /// Waits until it has carried out its first line. Blocks for a millisecond or two.
    ///
    /// # Errors
    /// [`ShellError::Mute`].
    pub(crate) fn await_first_line(&self) -> Result<(), ShellError> {
        if !self.has_first_lines {
            return Err(self.mute("it closed its input"));
        }
        let timeout = Timespec { tv_sec: START_SECONDS, tv_nsec: 0 };
        let mut watched =
            [PollFd::new(&self.report, PollFlags::IN), PollFd::new(&self.descriptor, PollFlags::IN)];
        match rustix::io::retry_on_intr(|| poll(&mut watched, Some(&timeout))) {
            Ok(0) => return Err(self.mute("nothing came back in time")),
            Ok(_) => {}
            Err(_) => return Err(self.mute("it could not be waited for")),
        }
        match self.receive_report() {
            Ok(Some(Report { nonce: 0, status: 0 })) => Ok(()),
            Ok(_) => Err(self.mute("it ended, or answered with something else")),
            Err(_) => Err(self.mute("its answer could not be read")),
        }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The shell's process id in the sandbox.
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// The shell's process descriptor.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    pub(crate) fn last_words(&self) -> Option<&LastWords> {
        self.last_words.as_ref()
    }

    pub(crate) fn last_words_mut(&mut self) -> Option<&mut LastWords> {
        self.last_words.as_mut()
    }

    /// Becomes readable when the shell has reported.
    pub(crate) fn report_descriptor(&self) -> BorrowedFd<'_> {
        self.report.as_fd()
    }

    /// Becomes readable when the shell has read a line.
    pub(crate) fn consumption_descriptor(&self) -> BorrowedFd<'_> {
        self.consumption.as_fd()
    }

    /// Makes the shell carry out command file `c<number>` with its output on FIFO `o<number>`, and then report.
    pub(crate) fn run(&self, order: Order, secrets: Secrets) -> io::Result<()> {
        if order.introduced && self.covered.get() {
            return self.run_uncovered(order, secrets);
        }
        self.send(&self.lines(order, secrets))
    }

    /// The same with every function out of the way that a command may have defined over the words of our lines.
    pub(crate) fn run_uncovered(&self, order: Order, secrets: Secrets) -> io::Result<()> {
        self.covered.set(false);
        let mut lines = self.dialect.uncover_lines(secrets);
        lines.extend(self.lines(order, secrets));
        self.send(&lines)
    }

    fn lines(&self, order: Order, secrets: Secrets) -> Vec<String> {
        let Order { number, last_status, wiring, .. } = order;
        let source = self.dialect.source_word(self.covered.get());
        let report = self.dialect.report_descriptor();
        let file = |kind| format!("{CONTROL_DIRECTORY}/{kind}{number}");
        let (command, output) = (file("c"), file("o"));
        let errors = if wiring.separate { file("e") } else { "&1".to_owned() };
        let input = if wiring.input { file("i") } else { "/dev/null".to_owned() };
        // On the left of `||` a failure sets `$?`, and neither `set -e` nor an ERR trap minds it.
        let remind = match last_status {
            0 => String::new(),
            status => format!("{source} {CONTROL_DIRECTORY}/s{status} || "),
        };
        let status = secrets.status();
        let begin = self.last_words.as_ref().map(|words| words.begin(wiring.separate)).unwrap_or_default();
        let end = self.last_words.as_ref().map_or("", |_| LastWords::end());
        let mut lines = vec![
            format!("{begin}{remind}{source} {command} >{output} 2>{errors} <{input} {report}>&-"),
            format!("{status}=$?"),
            // Something may have read the line before in the shell's stead.
            format!("{status}=${{{status}-$?}}{end}"),
        ];
        if self.covered.get() {
            lines.extend(self.dialect.bare_report_lines(secrets));
        } else {
            lines.push(self.dialect.report_line(secrets));
        }
        lines
    }

    /// Asks once more for a report, in a way that no function can be about; from now on, every report.
    pub(crate) fn ask_again(&self, secrets: Secrets) -> io::Result<()> {
        self.covered.set(true);
        let status = secrets.status();
        let mut lines = vec![format!("{status}=${{{status}-$?}}")];
        lines.extend(self.dialect.bare_report_lines(secrets));
        self.send(&lines)
    }

    /// Closes the shell's input, upon which it exits.
    pub(crate) fn close_input(&self) -> io::Result<()> {
        rustix::net::shutdown(&self.input, rustix::net::Shutdown::Both)?;
        if let Some(place) = &self.waiting_place {
            place.close();
        }
        Ok(())
    }

    /// Whether the shell has read every line that was sent, and so carried out all but the last.
    pub(crate) fn has_read_all(&self) -> io::Result<bool> {
        let mut events =
            [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }];
        let instant = Timespec { tv_sec: 0, tv_nsec: 0 };
        // Takes the edge away; what it says is asked anew below.
        epoll::wait(&self.consumption, &mut events[..], Some(&instant))?;
        peer_has_read_all(self.input.as_fd())
    }

    /// Takes one report, if the shell has made one. Messages that other processes have written to the same socket, or
    /// that are no report, are dropped. Never blocks.
    pub(crate) fn receive_report(&self) -> io::Result<Option<Report>> {
        loop {
            let mut bytes = [0_u8; 512];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1), ScmRights(1))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
            let message =
                match recvmsg(&self.report, &mut [io::IoSliceMut::new(&mut bytes)], &mut control, flags) {
                    Ok(message) => message,
                    Err(rustix::io::Errno::AGAIN) => return Ok(None),
                    Err(error) => return Err(error.into()),
                };
            let from_shell = control.drain().any(|item| match item {
                RecvAncillaryMessage::ScmCredentials(sender) => sender.pid.as_raw_nonzero().get() == self.pid,
                _ => false,
            });
            if message.bytes == 0 {
                return Ok(None);
            }
            if let Some(report) = Report::find_in(bytes.get(..message.bytes).unwrap_or_default())
                && from_shell
            {
                return Ok(Some(report));
            }
        }
    }

    /// Sends lines and one more, which is read only when they have been carried out: what tells a report that is missing
    /// from one that is late.
    fn send(&self, lines: &[String]) -> io::Result<()> {
        let last = self.waiting_place.as_ref().map(WaitingPlace::line).unwrap_or_default();
        for line in lines.iter().chain([&last]) {
            let line = format!("{line}\n");
            rustix::net::send(&self.input, line.as_bytes(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?;
        }
        // Not before: a shell that reads at its standard input has to find all of them there.
        if let Some(place) = &self.waiting_place {
            place.end();
        }
        Ok(())
    }
}

/// What a shell needs that is not bash.
fn fifos_of_posix(
    entered: &Entered,
    program: &str,
    pid: i32,
) -> io::Result<(Option<WaitingPlace>, LastWords)> {
    let control = Rc::new(entered.control.try_clone()?);
    let waits = waiting_place::is_needed_by(program);
    let waiting_place = waits.then(|| WaitingPlace::new(&control, pid)).transpose()?;
    Ok((waiting_place, LastWords::new(&control, pid)?))
}

/// An epoll instance that becomes readable each time the peer of `input` reads a packet: the kernel then wakes writers,
/// also where there was room before.
fn watch_consumption(input: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    let watcher = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let flags = epoll::EventFlags::OUT | epoll::EventFlags::ET;
    epoll::add(&watcher, input, epoll::EventData::new_u64(0), flags)?;
    Ok(watcher)
}

/// Finds the image's shell.
///
/// # Errors
/// [`ShellError::Missing`].
pub(crate) fn choose(plan: &SandboxPlan) -> Result<(&'static str, Dialect), ShellError> {
    const BASH: [(&str, Dialect); 2] = [("/bin/bash", Dialect::Bash), ("/usr/bin/bash", Dialect::Bash)];
    const POSIX: [(&str, Dialect); 2] = [("/bin/sh", Dialect::Posix), ("/usr/bin/sh", Dialect::Posix)];
    let candidates: Vec<_> = match plan.shell {
        ShellPreference::Bash => BASH.into_iter().chain(POSIX).collect(),
        ShellPreference::Sh => POSIX.into_iter().chain(BASH).collect(),
    };
    let tried = || candidates.iter().map(|(path, _)| *path).collect::<Vec<_>>().join(", ");
    candidates
        .iter()
        .find(|(path, _)| rustix::fs::access(*path, Access::EXEC_OK).is_ok())
        .copied()
        .ok_or_else(|| ShellError::Missing { tried: tried() })
}
