//! What the sequences consist of: one piece is one command.

/// One command, before it is text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Bytes to standard output.
    Print(Vec<u8>),
    /// Standard output and standard error in turn.
    Alternate(Vec<u8>),
    /// So many bytes and no line break.
    LongLine(usize),
    /// Lines of a here-document through a program.
    HereDocument(Vec<String>),
    /// Bytes through a pipeline.
    Pipe(Vec<u8>),
    /// A pipeline whose first part fails.
    FailingPipe,
    /// A status, and the way to get it.
    Status(Way, u8),
    /// A way for the shell to end.
    End(End),
    /// `break` without a loop.
    Break,
    /// Text that is no command.
    Broken(&'static str),
    /// A value for one of the variables.
    Assign(usize, String),
    /// A variable that nobody has set.
    Undefined,
    /// A variable, read-only from now on, and then written to.
    WriteReadOnly,
    /// A read-only variable of a name that our own lines might use.
    ReadOnly(&'static str),
    /// The definition of the alias, and its use.
    Alias,
    /// See [`Alias`](Self::Alias).
    UseAlias,
    /// The definition of the function, with what it returns.
    Define(u8),
    /// The call of it.
    Call,
    /// A function of the name of a builtin.
    Shadow(&'static str),
    /// `set -x` or `set +x`.
    Option(char, bool),
    /// `set -o` of a name, which not every shell has.
    LongOption(&'static str, bool),
    /// `umask`.
    Mask(u32),
    /// `ulimit` with arguments.
    Limit(&'static str),
    /// `cd`.
    Go(&'static str),
    /// `cd` into a directory that is removed.
    Vanish,
    /// A variable that changes how the shell works: `IFS`, `PATH`, locales.
    Environment(&'static str),
    /// A trap that changes nothing.
    IdleTrap(&'static str),
    /// A trap for the end of the shell, which may set its status.
    ExitTrap(Option<u8>),
    /// What SIGINT does.
    InterruptTrap(Interrupt),
    /// SIGINT for the shell itself.
    Interrupt,
    /// Redirections of the shell itself, and what the command prints then.
    Redirect(&'static str, &'static str),
    /// The shell closes descriptors of its own.
    Close(Vec<u8>),
    /// A job in the background that ends soon.
    ShortJob,
    /// A job in the background that outlives the test.
    LongJob,
    /// Processes in the background that print.
    Noise,
    /// `wait`.
    Wait,
    /// `read` from standard input.
    Read,
    /// `stty`.
    Terminal,
    /// What only bash has and whose result is its own.
    OfBash(&'static str),
    /// A command that runs past its timeout.
    TimeOut(&'static str),
}

/// A way to a status that leaves the shell alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Subshell,
    Child,
    Function,
    Return,
}

/// A way for the shell to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Exit(u8),
    ExitInFunction(u8),
    Exec(u8),
    Kill,
    HangUp,
}

/// What SIGINT does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupt {
    Default,
    Ignored,
    Caught,
}

/// A piece and the route that it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) piece: Piece,
    pub(crate) streamed: bool,
}
