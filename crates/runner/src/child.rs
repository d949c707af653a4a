//! A process that the runner starts for a job of its own: what it executes, and what it is connected to.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;
use sandkasten_isolation::enter::{self, Entered, SpawnError};
use sandkasten_isolation::plan::SandboxPlan;
use sandkasten_protocol::{Input, ProcessInput, Program, Reply, StartProcess, TerminalSize};

use crate::connection::Connection;
use crate::dialect::Dialect;
use crate::outlet::Origin;
use crate::shell::{self, ShellError};
use crate::supply::Supply;

/// What a program is told of its terminal: the kind that every other today understands.
const TERMINAL_TYPE: &str = "xterm-256color";
/// The user, the host and the directory.
const BASH_PROMPT: &str = r"\u@\h:\w\$ ";

/// A running process of its own.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: i32,
    pub(crate) supply: Option<Supply>,
    /// Where it has one.
    pub(crate) terminal: Option<OwnedFd>,
    /// Input that there is no room for yet, with who is to hear that it was taken.
    pub(crate) waiting: VecDeque<WaitingInput>,
    /// How it ended, once it has.
    pub(crate) exit: Option<(i32, Option<i32>)>,
}

/// Input whose connection is answered once there is room for it.
#[derive(Debug)]
pub(crate) struct WaitingInput {
    /// Tells it from others there are or were.
    pub(crate) number: u64,
    pub(crate) connection: Connection,
    pub(crate) input: Input,
}

/// Why a process was not started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// A pipe or terminal could not be made.
    #[error("failed to {what}")]
    Channel {
        /// What was tried.
        what: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The image has no shell.
    #[error(transparent)]
    Shell(#[from] ShellError),
    /// The program did not start.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
}

impl StartError {
    /// What a shell would say and return in the place of a program that is not there, where it is the caller's mistake.
    pub(crate) fn as_exit(&self) -> Option<(String, i32)> {
        let (what, source, missing) = match self {
            Self::Spawn(SpawnError::Execute { program, source }) => (program, source, 127),
            Self::Spawn(SpawnError::Directory { directory, source }) => (directory, source, 126),
            _ => return None,
        };
        let not_there = source.raw_os_error() == Some(Errno::NOENT.raw_os_error());
        let reason = if not_there { "not found".to_owned() } else { plain(source) };
        Some((format!("sandkasten: {what}: {reason}\n"), if not_there { missing } else { 126 }))
    }
}

/// The kernel's words without Rust's "(os error 13)".
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// The runner's ends of the outputs of a process.
pub(crate) type Outputs = Vec<(OwnedFd, Origin)>;

/// The ends that the process gets, and those that the runner keeps.
struct Channels {
    input: OwnedFd,
    outputs: Vec<OwnedFd>,
    kept: Outputs,
    supply: Option<Supply>,
    terminal: Option<OwnedFd>,
}

impl Child {
    /// Starts a process in `group`, the file of a cgroup that the daemon has opened.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    pub(crate) fn start(
        plan: &SandboxPlan,
        entered: &Entered,
        request: &StartProcess,
        group: BorrowedFd<'_>,
    ) -> Result<(Self, Outputs), StartError> {
        let environment = environment(plan, request);
        let (programs, arguments) = resolve(plan, &request.program, &environment)?;
        let channels = match request.terminal {
            Some(size) => Channels::over_terminal(size)?,
            None => Channels::over_pipes(&request.input, request.plan.separate)?,
        };
        let error_output = channels.outputs.last().unwrap_or(&channels.input);
        let output = channels.outputs.first().unwrap_or(&channels.input);
        let process = enter::StartProcess {
            programs: &programs,
            arguments: &arguments,
            environment: &environment,
            descriptors: &[(channels.input.as_fd(), 0), (output.as_fd(), 1), (error_output.as_fd(), 2)],
            directory: Some(request.directory.as_deref().unwrap_or(&plan.working_directory)),
            group: Some(group),
            terminal: channels.terminal.is_some(),
        }
        .spawn(entered)?;
        let Channels { kept, mut supply, terminal, .. } = channels;
        if let (Some(supply), ProcessInput::Bytes(bytes)) = (&mut supply, &request.input) {
            // Nothing waits yet, so there is room.
            supply.give(bytes, true).ok();
        }
        let waiting = VecDeque::new();
        Ok((Self { pid: process.pid, supply, terminal, waiting, exit: None }, kept))
    }

    /// Gives bytes to its standard input. On a terminal the end is the character that says so: termios(3), `VEOF`.
    pub(crate) fn give(&mut self, bytes: &[u8], close: bool) -> Reply {
        const END_OF_TRANSMISSION: u8 = 4;
        let Some(supply) = self.supply.as_mut().filter(|supply| supply.is_open()) else {
            return Reply::NoSuchJob;
        };
        let given = match (close, &self.terminal) {
            (true, Some(_)) => supply.give(&[bytes, &[END_OF_TRANSMISSION]].concat(), false),
            _ => supply.give(bytes, close),
        };
        if given.is_ok() { Reply::Done } else { Reply::Full }
    }

    /// Tells the terminal its size.
    ///
    /// # Errors
    /// The kernel's, or that there is no terminal.
    pub(crate) fn resize(&self, size: TerminalSize) -> io::Result<()> {
        let terminal = self.terminal.as_ref().ok_or(Errno::NOTTY)?;
        Ok(rustix::termios::tcsetwinsize(terminal, window(size))?)
    }
}

impl Channels {
    fn over_pipes(input: &ProcessInput, separate: bool) -> Result<Self, StartError> {
        let failed = |what| move |source: Errno| StartError::Channel { what, source: source.into() };
        let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(failed("make a pipe"));
        let still =
            |end: &OwnedFd| rustix::io::ioctl_fionbio(end, true).map_err(failed("make a pipe non-blocking"));
        let (input, supply) = if *input == ProcessInput::Closed {
            let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
            (null.map_err(failed("open /dev/null"))?, None)
        } else {
            let (theirs, ours) = pipe()?;
            still(&ours)?;
            (theirs, Some(Supply::new(ours)))
        };
        let (mut outputs, mut kept) = (Vec::new(), Vec::new());
        for _ in 0..if separate { 2 } else { 1 } {
            let (ours, theirs) = pipe()?;
            still(&ours)?;
            outputs.push(theirs);
            kept.push((ours, Origin::Pipe));
        }
        Ok(Self { input, outputs, kept, supply, terminal: None })
    }

    fn over_terminal(size: TerminalSize) -> Result<Self, StartError> {
        let failed = |what| move |source: Errno| StartError::Channel { what, source: source.into() };
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = rustix::pty::openpt(flags).map_err(failed("open a terminal"))?;
        rustix::pty::unlockpt(&ours).map_err(failed("unlock a terminal"))?;
        let input =
            rustix::pty::ioctl_tiocgptpeer(&ours, flags).map_err(failed("open a terminal's other end"))?;
        rustix::termios::tcsetwinsize(&ours, window(size)).map_err(failed("tell a terminal its size"))?;
        rustix::io::ioctl_fionbio(&ours, true).map_err(failed("make a terminal non-blocking"))?;
        let copy = || rustix::io::fcntl_dupfd_cloexec(&ours, 3).map_err(failed("duplicate a terminal"));
        let (sink, terminal) = (copy()?, copy()?);
        Ok(Self {
            input,
            outputs: Vec::new(),
            kept: vec![(ours, Origin::Terminal)],
            supply: Some(Supply::new(sink)),
            terminal: Some(terminal),
        })
    }
}

const fn window(size: TerminalSize) -> Winsize {
    Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 }
}

/// What a process finds in its environment: what a terminal needs is there unless the session or the request says otherwise.
fn environment(plan: &SandboxPlan, request: &StartProcess) -> Vec<String> {
    let mut defaults = Vec::new();
    if request.terminal.is_some() {
        defaults.push(format!("TERM={TERMINAL_TYPE}"));
    }
    // Bash's own says no more than its version. Other shells would show the escapes as they are.
    if request.program == Program::Shell && matches!(shell::choose(plan), Ok((_, Dialect::Bash))) {
        defaults.push(format!("PS1={BASH_PROMPT}"));
    }
    let session: Vec<(String, String)> = plan
        .environment
        .iter()
        .filter(|variable| request.terminal.is_none() || !variable.starts_with("TERM="))
        .filter_map(|variable| variable.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    merge(&merge(&defaults, &session), &request.environment)
}

/// The session's variables with others on top.
fn merge(session: &[String], on_top: &[(String, String)]) -> Vec<String> {
    let name_of = |variable: &str| variable.split('=').next().unwrap_or_default().to_owned();
    let kept = session.iter().filter(|variable| !on_top.iter().any(|(name, _)| *name == name_of(variable)));
    kept.cloned().chain(on_top.iter().map(|(name, value)| format!("{name}={value}"))).collect()
}

/// Where the program may be, and its arguments.
fn resolve(
    plan: &SandboxPlan,
    program: &Program,
    environment: &[String],
) -> Result<(Vec<String>, Vec<String>), ShellError> {
    Ok(match program {
        Program::Arguments(arguments) => {
            let name = arguments.first().map_or("", String::as_str);
            (candidates(name, environment), arguments.clone())
        }
        Program::ShellText(text) => {
            let (path, dialect) = shell::choose(plan)?;
            (vec![path.to_owned()], vec![dialect.name().to_owned(), "-c".to_owned(), text.clone()])
        }
        Program::Shell => {
            let (path, dialect) = shell::choose(plan)?;
            (vec![path.to_owned()], vec![dialect.name().to_owned(), "-i".to_owned()])
        }
    })
}

fn candidates(name: &str, environment: &[String]) -> Vec<String> {
    if name.contains('/') {
        return vec![name.to_owned()];
    }
    let path = environment.iter().rev().find_map(|variable| variable.strip_prefix("PATH="));
    let directories = path.unwrap_or("/usr/local/bin:/usr/bin:/bin").split(':');
    directories
        .map(|directory| if directory.is_empty() { "." } else { directory })
        .map(|directory| format!("{directory}/{name}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{candidates, merge};

    #[test]
    fn the_last_value_of_a_variable_counts_and_is_there_once() {
        let session = ["A=1".to_owned(), "AB=2".to_owned()];
        assert_eq!(merge(&session, &[("A".into(), "x=y".into())]), ["AB=2", "A=x=y"]);
    }

    #[test]
    fn a_name_without_a_slash_is_looked_for_in_path() {
        let environment = ["PATH=/a::/b".to_owned()];
        assert_eq!(candidates("ls", &environment), ["/a/ls", "./ls", "/b/ls"]);
        assert_eq!(candidates("./ls", &environment), ["./ls"]);
    }
}
