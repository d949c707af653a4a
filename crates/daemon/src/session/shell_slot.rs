//! The daemon's view of a session's shell: which process it is, and which group the next command's processes are in.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::process::Signal;
use sandkasten_isolation::host::cgroup::{FIRST_PROCESS_GROUP, ProcessGroup, SessionCgroup};
use sandkasten_isolation::host::{PathError, ProcessError, SandboxProcess};

use super::link::{Description, LinkError, describe};
use super::live::LiveSession;
use super::session_error::SessionError;

/// The shell of a session. Held by whoever runs a command.
#[derive(Debug)]
pub(crate) struct ShellSlot {
    process: SandboxProcess,
    generation: u64,
    /// The number of the group that the shell is in.
    group: Option<u64>,
    /// Groups of earlier commands that left something in the background.
    left: Vec<u64>,
    next_group: u64,
}

/// Whether the shell could be put into a group.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Prepared {
    /// The next command's processes will be in this group.
    Ready,
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
    /// A task of the daemon ended early.
    #[error("a task of the daemon ended early")]
    Task {
        /// Why.
        source: tokio::task::JoinError,
    },
}

impl ShellSlot {
    /// Takes over the shell of a sandbox that has just been started.
    pub(crate) fn first(shell: SandboxProcess) -> Self {
        Self {
            process: shell,
            generation: 1,
            // The runner starts the first shell in the first group.
            group: Some(FIRST_PROCESS_GROUP),
            left: Vec::new(),
            next_group: FIRST_PROCESS_GROUP + 1,
        }
    }

    /// Takes over the shell of a sandbox that an earlier daemon started. Blocking.
    ///
    /// # Errors
    /// [`SessionError`] where the shell has ended, is none of the sandbox, or its cgroup cannot be read.
    pub(crate) fn adopted(
        first: &SandboxProcess,
        shell: OwnedFd,
        generation: u64,
        cgroup: &SessionCgroup,
    ) -> Result<Self, SessionError> {
        let process = SandboxProcess::inside(first, shell)?;
        let mut left = cgroup.process_group_numbers()?;
        let next_group = left.iter().max().map_or(FIRST_PROCESS_GROUP, |highest| highest + 1);
        let mut group = None;
        for number in &left {
            if cgroup.process_group(*number).members()?.contains(&process.pid()) {
                group = Some(*number);
            }
        }
        left.retain(|number| Some(*number) != group && *number != FIRST_PROCESS_GROUP);
        Ok(Self { process, generation, group, left, next_group })
    }

    /// Asks the runner which shell there is now. A shell that has ended again is found out when the next command is
    /// prepared.
    ///
    /// # Errors
    /// [`RenewError`] where the runner does not answer.
    pub(super) async fn renew(&mut self, session: &Arc<LiveSession>) -> Result<(), RenewError> {
        let session = Arc::clone(session);
        let described = tokio::task::spawn_blocking(move || {
            let Description { generation, shell, .. } = describe(&session.socket)?;
            match SandboxProcess::inside(&session.process, shell) {
                Ok(process) => Ok(Some((generation, process))),
                Err(ProcessError::Ended) => Ok(None),
                Err(error) => Err(RenewError::from(error)),
            }
        });
        let described = described.await.map_err(|source| RenewError::Task { source })??;
        let Some((generation, process)) = described else { return Ok(()) };
        self.process = process;
        self.generation = generation;
        self.left.extend(self.group.filter(|number| *number != FIRST_PROCESS_GROUP));
        // Where the runner starts every shell; what earlier ones left there shows when the next command is prepared.
        self.group = Some(FIRST_PROCESS_GROUP);
        Ok(())
    }

    /// Interrupts the shell, and nothing else. Never blocks.
    ///
    /// # Errors
    /// [`ProcessError::Kill`].
    pub(super) fn interrupt(&self) -> Result<(), ProcessError> {
        self.process.signal(Signal::INT)
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// The shell's process id on the host.
    pub(crate) fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// Makes sure that the shell is alone in a group, so that what the next command starts can be told from what
    /// earlier ones left. A few small writes at most.
    ///
    /// # Errors
    /// The cgroup's.
    pub(super) fn prepare(&mut self, cgroup: &SessionCgroup) -> Result<Prepared, PathError> {
        if !self.process.is_alive() {
            return Ok(Prepared::ShellEnded);
        }
        if let Some(number) = self.group {
            let members = cgroup.process_group(number).members()?;
            if members.iter().all(|pid| *pid == self.pid()) {
                return Ok(Prepared::Ready);
            }
            // The first group stays for the shells to come.
            if number != FIRST_PROCESS_GROUP {
                self.left.push(number);
            }
        }
        let number = self.next_group;
        self.next_group += 1;
        let group = cgroup.process_group(number);
        group.create()?;
        self.group = Some(number);
        match group.add(self.pid()) {
            Ok(()) => {}
            Err(error) if error.source.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {
                return Ok(Prepared::ShellEnded);
            }
            Err(error) => return Err(error),
        }
        // Those that still hold something stay, and are tried again with the next.
        self.left.retain(|number| cgroup.process_group(*number).remove().is_err());
        Ok(Prepared::Ready)
    }

    /// The group that the current command's processes are in, once the shell has one.
    pub(crate) fn group(&self, cgroup: &SessionCgroup) -> Option<ProcessGroup> {
        self.group.map(|number| cgroup.process_group(number))
    }
}
