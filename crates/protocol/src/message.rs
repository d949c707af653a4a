//! What the two sides say to each other.

use serde::{Deserialize, Serialize};

/// The version of this protocol. A change of any message raises it.
pub const VERSION: u16 = 3;

/// The most bytes of the daemon's note on a job.
pub const MAX_NOTE_BYTES: usize = 6 << 10;

/// What the daemon asks for; the first and only frame it sends on a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Asks for the state of the session. The answer is [`Reply::Description`], with the sandbox's root directory.
    Describe,
    /// Asks for a shell, which is started where there is none. The answer is [`Reply::Shell`], with its process
    /// descriptor.
    Shell(FindShell),
    /// Runs a command in a shell. Output follows, then [`Reply::Finished`] or another final reply.
    Run(RunCommand),
    /// Starts a process of its own, in the cgroup whose file comes with the request. [`Reply::Started`] follows, then as
    /// for a command.
    Start(StartProcess),
    /// Asks for what a job has written, and for its end. [`Reply::Attached`] comes first, then output, then as for a command.
    Attach(Attach),
    /// Gives bytes to the standard input of a process.
    Input(Input),
    /// Tells the terminal of a process its size. The answer is [`Reply::Done`].
    Resize {
        /// Which process.
        job: u64,
        /// The new size.
        size: TerminalSize,
    },
    /// Replaces the daemon's note on a job. The answer is [`Reply::Done`].
    Note {
        /// Which job.
        job: u64,
        /// At most [`MAX_NOTE_BYTES`].
        note: Vec<u8>,
    },
}

/// Which shell is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindShell {
    /// Its name; the session's first is called [`MAIN_SHELL`].
    pub name: String,
    /// The directory that a new one starts in; ignored for the main shell, which stays where its predecessor was.
    pub directory: Option<String>,
}

/// The name of the shell that every session has.
pub const MAIN_SHELL: &str = "main";

/// What of a job's output is kept until somebody asks for it, of each stream apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// How many of the first bytes.
    pub head: u64,
    /// How many of the last ones.
    pub tail: u64,
}

/// What every job has, whichever way it is run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobPlan {
    /// Its number, drawn by the daemon.
    pub job: u64,
    /// What the daemon wants to know about it later; opaque to the runner. At most [`MAX_NOTE_BYTES`].
    pub note: Vec<u8>,
    /// What is kept of its output.
    pub capture: Capture,
    /// Whether standard output and error are two streams.
    pub separate: bool,
    /// How the connection that starts it hears its output.
    pub hearing: Hearing,
}

/// How a connection hears the output of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hearing {
    /// All of it: the job waits while the connection does not take it.
    #[default]
    Paced,
    /// As much as is kept until the connection takes it.
    Free,
    /// Nothing but its end.
    EndOnly,
    /// Nothing but its end. Once as much has been written as is kept, the job waits for a first connection that hears it.
    Awaited,
}

/// A command for a shell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunCommand {
    /// What every job has.
    pub plan: JobPlan,
    /// Which shell.
    pub shell: String,
    /// Which of the shells of that name the daemon has made ready; if it has been replaced meanwhile, nothing runs.
    pub generation: u64,
    /// The shell text.
    pub command: String,
    /// Variables that the command gets on top of the shell's, and the shell does not keep.
    pub environment: Vec<(String, String)>,
    /// The directory to change to first.
    pub directory: Option<String>,
    /// What it reads from its standard input; nothing where there is none.
    pub input: Option<Vec<u8>>,
}

/// A process of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartProcess {
    /// What every job has.
    pub plan: JobPlan,
    /// What is to be executed.
    pub program: Program,
    /// Variables on top of the session's.
    pub environment: Vec<(String, String)>,
    /// The directory it starts in; the session's first one where there is none.
    pub directory: Option<String>,
    /// What its standard input is.
    pub input: ProcessInput,
    /// The size of its terminal, where it has one. Standard output and error are then one stream.
    pub terminal: Option<TerminalSize>,
}

/// What a process executes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Program {
    /// The session's kind of shell, with this text.
    ShellText(String),
    /// The session's kind of shell, interactive.
    Shell,
    /// These arguments; the first names the program, and is looked for in `PATH` where it holds no slash.
    Arguments(Vec<String>),
}

/// The standard input of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProcessInput {
    /// At its end from the start.
    Closed,
    /// These bytes, then the end.
    Bytes(Vec<u8>),
    /// What [`Request::Input`] gives.
    Open,
}

/// How many characters a terminal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// Which output of a job is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    /// Which job.
    pub job: u64,
    /// The first byte of each stream. What is not kept any more is skipped.
    pub from: [u64; 2],
    /// Whether to stay until the job ends; else [`Reply::Running`] ends what there is so far.
    pub follow: bool,
    /// How this connection hears it.
    pub hearing: Hearing,
}

/// Bytes for a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Which process.
    pub job: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Whether its standard input is at its end behind them.
    pub close: bool,
    /// Whether the answer comes once there is room for them, instead of [`Reply::Full`].
    pub wait: bool,
}

/// What the runner answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The state of the session.
    Description {
        /// The runner's [`VERSION`].
        version: u16,
        /// The main shell's working directory.
        cwd: String,
        /// Its jobs, those that have ended included as long as they are kept, oldest first.
        jobs: Vec<JobState>,
    },
    /// A shell.
    Shell {
        /// Counts the shells of this name; the first is 1.
        generation: u64,
    },
    /// A process was started, or has ended at once because its program is not there.
    Started,
    /// The connection hears the job from now on.
    Attached {
        /// How many bytes each stream has had by now.
        written: [u64; 2],
    },
    /// The job has ended.
    Finished(Finished),
    /// The job goes on, and this is what it had written.
    Running {
        /// How many bytes each stream has had.
        written: [u64; 2],
    },
    /// Another shell has taken the place of the one the daemon named; nothing ran.
    ShellChanged,
    /// The shell is running a command already, or too many jobs are; nothing ran.
    Busy,
    /// There is no such job, or none that can do this.
    NoSuchJob,
    /// It was done.
    Done,
    /// Too much waits to be read by the process already; nothing was taken.
    Full,
    /// It could not be done.
    Failed {
        /// Why, down to the kernel's reason.
        reason: String,
    },
    /// The image has no shell, which this needs; nothing ran.
    NoShell {
        /// Where one was looked for.
        tried: String,
    },
}

/// One job, as the session's description has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobState {
    /// Its number.
    pub job: u64,
    /// The daemon's note.
    pub note: Vec<u8>,
    /// How it ended, once it has.
    pub finished: Option<Finished>,
}

/// How a job ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// Its exit status; 128 + N after death by signal N.
    pub status: i32,
    /// The signal it died by, where the runner has seen that itself.
    pub signal: Option<i32>,
    /// The main shell's working directory, asked of the kernel; none for other shells and processes.
    pub cwd: Option<String>,
    /// How many bytes each stream has had in all.
    pub written: [u64; 2],
    /// Counts the shells of the command's name; more than before where the command ended its shell.
    pub generation: u64,
}

/// One of a job's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Stream {
    /// Standard output; with standard error where they are not separate.
    Output = 0,
    /// Standard error.
    Error = 1,
}

impl Stream {
    /// Returns the place of the stream in a pair.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// A piece of a job's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Which stream.
    pub stream: Stream,
    /// How many bytes of that stream came before. More than expected where some were not kept.
    pub offset: u64,
    /// What was written.
    pub bytes: Vec<u8>,
}

/// A frame from the runner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// What a job wrote, in order.
    Output(Piece),
    /// Anything else.
    Reply(Reply),
}
