//! The daemon's view of one of a session's shells: which process it is, and which group the next command's processes are in.

use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::process::Signal;
use sandkasten_isolation::host::cgroup::{FIRST_PROCESS_GROUP, ProcessGroup};
use sandkasten_isolation::host::{PathError, ProcessError, SandboxProcess};
use sandkasten_protocol::{FindShell, MAIN_SHELL};

use super::link::{FoundShell, LinkError, find_shell};
use super::live::LiveSession;
use super::process_groups::ProcessGroups;

/// A shell of a session. Held by whoever runs a command in it.
#[derive(Debug)]
pub(crate) struct ShellSlot {
    name: String,
    /// None before it was first asked for, and where it has ended again at once.
    process: Option<SandboxProcess>,
    generation: u64,
    /// The number of the group that the shell is in.
    group: Option<u64>,
    /// Where a shell starts that takes the place of one that is not the main one.
    directory: Option<String>,
}

/// Whether the shell could be put into a group.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Prepared {
    /// The next command's processes will be in this group.
    Ready(u64),
    /// The shell has ended; ask the runner for the new one.
    ShellEnded,
}

/// Why the shell that took another's place could not be found out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RenewError {
    /// The runner does not answer.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The process could not be handled.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// Its cgroup could not be handled.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A task of the daemon ended early.
    #[error("a task of the daemon ended early")]
    Task {
        /// Why.
        source: tokio::task::JoinError,
    },
}

impl ShellSlot {
    /// Takes over the main shell of a sandbox that has just been started; none where its image has none.
    pub(crate) fn first(shell: Option<SandboxProcess>) -> Self {
        let Some(shell) = shell else { return Self::absent(MAIN_SHELL) };
        Self {
            name: MAIN_SHELL.to_owned(),
            process: Some(shell),
            generation: 1,
            // The runner starts the first shell in the first group.
            group: Some(FIRST_PROCESS_GROUP),
            directory: None,
        }
    }

    /// Makes the next command ask the runner for another process.
    pub(super) fn forget_process(&mut self) {
        self.process = None;
    }

    /// A shell that is asked for when the first command comes.
    pub(super) fn absent(name: &str) -> Self {
        Self { name: name.to_owned(), process: None, generation: 0, group: None, directory: None }
    }

    /// Asks the runner which shell there is now. A shell that has ended again is found out when the next command is
    /// prepared.
    ///
    /// # Errors
    /// [`RenewError`] where the runner does not answer.
    pub(super) async fn renew(&mut self, session: &Arc<LiveSession>) -> Result<(), RenewError> {
        if let Some(number) = self.group.take() {
            session.groups.give_back_later(number);
        }
        self.process = None;
        let wanted = FindShell { name: self.name.clone(), directory: self.directory.clone() };
        let session = Arc::clone(session);
        let found = tokio::task::spawn_blocking(move || find(&session, wanted));
        if let Some((process, generation, group)) =
            found.await.map_err(|source| RenewError::Task { source })??
        {
            self.process = Some(process);
            self.generation = generation;
            self.group = Some(group);
        }
        Ok(())
    }

    /// Notes where the shell is, for the one that may take its place.
    pub(super) fn stay_in(&mut self, directory: Option<&str>) {
        self.directory = directory.map(ToOwned::to_owned);
    }

    /// Interrupts the shell, and nothing else. Never blocks.
    ///
    /// # Errors
    /// [`ProcessError::Kill`].
    pub(super) fn interrupt(&self) -> Result<(), ProcessError> {
        self.process.as_ref().map_or(Ok(()), |process| process.signal(Signal::INT))
    }

    /// Where the shell was when it was last looked at; never known of the main one.
    pub(super) fn directory(&self) -> Option<&str> {
        self.directory.as_deref()
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// The shell's process id on the host.
    pub(crate) fn pid(&self) -> Option<i32> {
        self.process.as_ref().map(SandboxProcess::pid)
    }

    /// Makes sure that the shell is alone in a group, so that what the next command starts can be told from what
    /// earlier ones left. A few small writes at most.
    ///
    /// # Errors
    /// The cgroup's.
    pub(super) fn prepare(&mut self, groups: &ProcessGroups) -> Result<Prepared, PathError> {
        let Some(process) = self.process.as_ref().filter(|process| process.is_alive()) else {
            return Ok(Prepared::ShellEnded);
        };
        let pid = process.pid();
        if let Some(number) = self.group {
            if groups.get(number).members()?.iter().all(|member| *member == pid) {
                return Ok(Prepared::Ready(number));
            }
            self.group = None;
            groups.give_back(number);
        }
        let number = groups.create()?;
        self.group = Some(number);
        match groups.get(number).add(pid) {
            Ok(()) => Ok(Prepared::Ready(number)),
            Err(error) if error.source.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {
                Ok(Prepared::ShellEnded)
            }
            Err(error) => Err(error),
        }
    }

    /// The group that the current command's processes are in, once the shell has one.
    pub(crate) fn group(&self, groups: &ProcessGroups) -> Option<ProcessGroup> {
        self.group.map(|number| groups.get(number))
    }
}

/// Asks for a shell, and finds out its group. None where it has ended again. Blocking.
fn find(session: &LiveSession, wanted: FindShell) -> Result<Option<(SandboxProcess, u64, u64)>, RenewError> {
    // The runner starts the main shell in the first group itself.
    let made = (wanted.name != MAIN_SHELL).then(|| session.groups.create_open()).transpose()?;
    let file = made.as_ref().map(|(_, file)| file.as_fd());
    let found = find_shell(&session.socket, wanted, file).map_err(RenewError::from);
    let process = found.and_then(|FoundShell { generation, shell }| {
        match SandboxProcess::inside(&session.process, shell) {
            Ok(process) => Ok(Some((process, generation))),
            Err(ProcessError::Ended) => Ok(None),
            Err(error) => Err(RenewError::from(error)),
        }
    });
    // One that was there already is in a group of its own.
    let group = match &process {
        Ok(Some((process, _))) => session.groups.find(process.pid())?,
        _ => None,
    };
    if let Some((number, _)) = made
        && group != Some(number)
    {
        session.groups.give_back(number);
    }
    Ok(process?.zip(group).map(|((process, generation), group)| (process, generation, group)))
}
