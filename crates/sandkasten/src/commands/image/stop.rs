//! Ctrl-C during work on an image: heard on the runtime, and looked at by what blocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::cli_error::CliError;
use crate::interrupt::{Interrupt, Interrupts};

/// Whether the work is to end.
pub(crate) struct Stop {
    go_on: Arc<AtomicBool>,
    told: watch::Receiver<Option<Interrupt>>,
}

impl Stop {
    /// Listens from now on. Called within the runtime.
    pub(super) fn listen() -> Result<Self, CliError> {
        let mut interrupts = Interrupts::listen()?;
        let (tell, told) = watch::channel(None);
        let go_on = Arc::new(AtomicBool::new(true));
        let flag = Arc::clone(&go_on);
        Handle::current().spawn(async move {
            let interrupt = interrupts.next().await;
            flag.store(false, Ordering::Relaxed);
            tell.send_replace(Some(interrupt));
            // Later ones change nothing: the end is under way.
            while !tell.is_closed() {
                interrupts.next().await;
            }
        });
        Ok(Self { go_on, told })
    }

    pub(super) fn go_on(&self) -> &AtomicBool {
        &self.go_on
    }

    /// What asked for the end, if something has.
    pub(super) fn interrupt(&self) -> Option<Interrupt> {
        *self.told.borrow()
    }

    /// Waits until the work is to end.
    pub(super) async fn wait(&self) {
        let mut told = self.told.clone();
        if told.wait_for(Option::is_some).await.is_err() {
            // Nobody listens any more, which only the end of the runtime does.
            std::future::pending::<()>().await;
        }
    }
}
