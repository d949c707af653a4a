//! A shell by its name: the process there is now, and what outlives it.

use std::os::fd::BorrowedFd;

use sandkasten_isolation::enter::Entered;
use sandkasten_isolation::plan::SandboxPlan;
use sandkasten_protocol::MAIN_SHELL;

use crate::shell::{Place, Shell, ShellError};

/// A shell that commands are given to.
#[derive(Debug)]
pub(crate) struct NamedShell {
    pub(crate) name: String,
    /// None while none could be started; each request tries again.
    pub(crate) shell: Option<Shell>,
    /// Counts its processes; the first is 1.
    pub(crate) generation: u64,
    /// The status of its last command, which the next one finds in `$?`.
    pub(crate) last_status: i32,
    /// The command it carries out.
    pub(crate) job: Option<u64>,
}

impl NamedShell {
    pub(crate) fn main(shell: Option<Shell>) -> Self {
        let generation = u64::from(shell.is_some());
        Self { name: MAIN_SHELL.to_owned(), shell, generation, last_status: 0, job: None }
    }

    /// A name that has no process yet.
    pub(crate) fn new(name: String) -> Self {
        Self { name, shell: None, generation: 0, last_status: 0, job: None }
    }

    pub(crate) fn is_main(&self) -> bool {
        self.name == MAIN_SHELL
    }

    /// Whether `pid` is its process.
    pub(crate) fn is_process(&self, pid: i32) -> bool {
        self.shell.as_ref().is_some_and(|shell| shell.pid() == pid)
    }

    /// Starts a process where there is none: the main shell's where the last one was, whose working directory the runner
    /// shares; any other's in `directory`.
    ///
    /// # Errors
    /// [`ShellError`].
    pub(crate) fn ensure(
        &mut self,
        plan: &SandboxPlan,
        entered: &Entered,
        directory: Option<&str>,
        group: Option<BorrowedFd<'_>>,
    ) -> Result<(), ShellError> {
        if self.shell.is_some() {
            return Ok(());
        }
        let directory = directory.unwrap_or(&plan.working_directory);
        let place = if self.is_main() { Place::Main } else { Place::Beside { directory, group } };
        self.shell = Some(Shell::start(plan, entered, place)?);
        self.generation += 1;
        self.last_status = 0;
        Ok(())
    }
}
