//! The start of a session's first shell, which goes on while the session is written down and its client is told.

use std::sync::Arc;

use sandkasten_isolation::host::{SandboxProcess, ShellStart};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::shell_slot::ShellSlot;
use super::{LiveSession, SessionError};

/// A shell that does not take commands yet. It holds the shell's lock, so that commands wait for it in their order.
#[derive(Debug)]
pub(super) struct ShellBoot {
    slot: OwnedMutexGuard<ShellSlot>,
    start: ShellStart,
}

impl ShellBoot {
    /// Takes over the shell of a sandbox that has just been started, if it has one, and what is left of its start.
    pub(super) fn begin(
        shell: Option<SandboxProcess>,
        start: Option<ShellStart>,
    ) -> (Arc<Mutex<ShellSlot>>, Option<Self>) {
        let slot = Arc::new(Mutex::new(ShellSlot::first(shell)));
        // Nobody else knows the lock yet.
        let held = Arc::clone(&slot).try_lock_owned().ok();
        let boot = held.zip(start).map(|(slot, start)| Self { slot, start });
        (slot, boot)
    }

    /// Waits until the shell takes commands. Blocking.
    ///
    /// # Errors
    /// [`SessionError::Launch`] where it takes none.
    pub(super) fn wait(self) -> Result<(), SessionError> {
        Ok(self.start.wait()?)
    }

    /// Does the same for a session that is there already. A shell that takes no commands is forgotten: the next command asks the runner for another, and is
    /// told why there is none. Blocking.
    pub(super) fn finish(mut self, session: &LiveSession) {
        let Err(error) = self.start.wait() else { return };
        self.slot.forget_process();
        if session.end_status().is_none() && session.process.is_alive() {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(session = %session.id, error, "the first shell of a session takes no commands");
        }
    }
}
