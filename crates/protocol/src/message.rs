//! What the two sides say to each other.

use serde::{Deserialize, Serialize};

/// The version of this protocol. A change of any message raises it.
pub const VERSION: u16 = 1;

/// What the daemon asks for; the first and only frame it sends on a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Asks for the state of the session. The answer is [`Reply::Description`], with the sandbox's root directory and
    /// the shell's process descriptor.
    Describe,
    /// Asks how the command ends that an earlier daemon has left running. The rest of its output and [`Reply::Finished`]
    /// follow; [`Reply::NothingRuns`] where there is none.
    Follow,
    /// Runs a command in the shell. Output frames follow, then [`Reply::Finished`] or another final reply.
    Run(RunCommand),
}

/// A command for the shell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunCommand {
    /// Which shell the daemon has made ready; if it has been replaced meanwhile, nothing runs.
    pub generation: u64,
    /// The shell text.
    pub command: String,
    /// How many bytes of output are sent at most; the rest is read and dropped. None sends all.
    pub output_limit: Option<u64>,
}

/// What the runner answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The state of the session.
    Description {
        /// The runner's [`VERSION`].
        version: u16,
        /// Counts the shells of the session; the first is 1.
        generation: u64,
        /// The shell's working directory.
        cwd: String,
    },
    /// The command has ended.
    Finished(Finished),
    /// Another shell has taken the place of the one the daemon named; nothing ran.
    ShellChanged,
    /// A command is running already; nothing ran.
    Busy,
    /// No command is running.
    NothingRuns,
    /// The command could not be run.
    Failed {
        /// Why, down to the kernel's reason.
        reason: String,
    },
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// Its exit status; 128 + N after death by signal N.
    pub status: i32,
    /// The shell's working directory, asked of the kernel.
    pub cwd: String,
    /// Whether output beyond the limit was dropped.
    pub truncated: bool,
    /// Counts the shells of the session; more than before where the command ended its shell.
    pub generation: u64,
}

/// A frame from the runner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// What the command wrote, in order.
    Output(Vec<u8>),
    /// Anything else.
    Reply(Reply),
}
