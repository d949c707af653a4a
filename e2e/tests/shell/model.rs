//! What the shell of a session is after each command, as far as the commands after it can tell.

use std::collections::BTreeSet;

use crate::piece::Interrupt;
use crate::shells::Shell;

/// Everything that lives as long as one shell, and the directory, which a fresh one keeps.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) shell: Shell,
    /// `None` where the last command may have changed it.
    pub(crate) directory: Option<String>,
    /// Whether the directory was removed under the shell: programs complain of that as they start.
    pub(crate) homeless: bool,
    pub(crate) variables: [Option<String>; 2],
    pub(crate) options: BTreeSet<char>,
    pub(crate) long_options: BTreeSet<&'static str>,
    pub(crate) aliased: bool,
    pub(crate) function: Option<u8>,
    pub(crate) shadowed: BTreeSet<&'static str>,
    pub(crate) mask: u32,
    /// A trap at the end of the shell, and the status it sets.
    pub(crate) exit_trap: Option<Option<u8>>,
    pub(crate) interrupt: Interrupt,
    /// Whether a job runs for which `wait` would wait for ever.
    pub(crate) long_job: bool,
}

/// What may be true of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Is(i32),
    Failure,
    Any,
    TimedOut,
    AnyOrTimedOut,
}

/// What the output has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Output {
    Exactly(String),
    Contains(String),
    /// A shell may word its complaint as it likes, but not go on after it.
    Without(&'static str),
    Any,
}

/// Whether the shell is the same one afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    Goes,
    /// It goes on unless it ends at failures.
    GoesUnlessStrict,
    Ends,
    Unknown,
}

/// What has to come of a command.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    pub(crate) command: String,
    pub(crate) status: Status,
    pub(crate) output: Output,
    pub(crate) life: Life,
}

impl State {
    pub(crate) fn of_fresh_shell(shell: Shell, directory: Option<String>) -> Self {
        Self {
            shell,
            directory,
            homeless: false,
            variables: [None, None],
            options: BTreeSet::new(),
            long_options: BTreeSet::new(),
            aliased: false,
            function: None,
            shadowed: BTreeSet::new(),
            mask: 0o022,
            exit_trap: None,
            interrupt: Interrupt::Default,
            long_job: false,
        }
    }

    pub(crate) fn is_strict(&self) -> bool {
        self.options.contains(&'e')
    }

    /// What is true whatever the command was: a failure ends a strict shell, a trace is in between the output.
    pub(crate) fn adjust(&self, mut expected: Expected) -> Expected {
        if self.is_strict() {
            self.end_at_failure(&mut expected);
        } else if expected.life == Life::GoesUnlessStrict {
            expected.life = Life::Goes;
        }
        if self.homeless
            && let Output::Exactly(output) = expected.output
        {
            expected.output = Output::Contains(output);
        }
        if self.options.contains(&'x') {
            expected.output = match expected.output {
                Output::Exactly(output) | Output::Contains(output) => Output::Contains(output),
                Output::Without(_) | Output::Any => Output::Any,
            };
        }
        expected
    }

    /// What `set -e` makes of a command. A trap for the end has its say then; ways to end the shell count with it by themselves.
    fn end_at_failure(&self, expected: &mut Expected) {
        let ended = match (expected.life, expected.status) {
            (Life::Ends, _) | (Life::Goes, Status::Is(0)) => return,
            (Life::Goes, Status::Is(_)) => Life::Ends,
            _ => Life::Unknown,
        };
        expected.life = ended;
        let Some(trap) = self.exit_trap else { return };
        expected.status = match (expected.status, trap) {
            (Status::Is(_), Some(code)) if ended == Life::Ends => Status::Is(code.into()),
            (Status::Is(_), None) if ended == Life::Ends => expected.status,
            (Status::Is(_) | Status::Failure, _) => Status::Any,
            (other, _) => other,
        };
        if let Output::Exactly(output) = &expected.output {
            expected.output = Output::Contains(output.clone());
        }
    }
}
