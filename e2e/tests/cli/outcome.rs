//! What a command of the binary left: its exit status and what it said.

use std::process::{Command, Output, Stdio};

use sandkasten_e2e::TestDaemon;

/// The end of a command.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// Runs a command of the binary against a daemon.
    pub(crate) fn of(daemon: &TestDaemon, arguments: &[&str]) -> Self {
        Self::from(daemon.command(arguments))
    }

    /// The standard output of a command that must succeed, without its last line break.
    pub(crate) fn output(daemon: &TestDaemon, arguments: &[&str]) -> String {
        let outcome = Self::of(daemon, arguments);
        assert_eq!(outcome.code, Some(0), "{arguments:?}: {outcome:?}");
        outcome.stdout.trim_end_matches('\n').to_owned()
    }

    /// Checks that it failed with this status, and said what, why and what to do without touching standard output.
    pub(crate) fn failed(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        assert!(!self.stderr.contains("panicked") && !self.stderr.contains('\u{1b}'), "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in {self:?}");
        }
    }
}

impl From<Command> for Outcome {
    fn from(mut command: Command) -> Self {
        command.stdin(Stdio::null()).output().expect("the binary runs").into()
    }
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}
