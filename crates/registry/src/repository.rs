//! One repository of one registry, and trying again what may work the next time.

use std::sync::atomic::Ordering;

use crate::error::FetchError;
use crate::options::RegistryOptions;
use crate::reference::Reference;
use crate::transport::Transport;

/// The way to the images of one repository.
#[derive(Debug)]
pub(crate) struct Repository {
    pub(crate) transport: Transport,
}

impl Repository {
    /// Prepares to ask the registry that a reference names. Nothing is sent yet.
    pub(crate) fn new(reference: &Reference, options: RegistryOptions) -> Result<Self, FetchError> {
        Ok(Self { transport: Transport::new(reference, options)? })
    }

    /// Does something until it works or fails for good.
    pub(crate) async fn retrying<T, F: Future<Output = Result<T, FetchError>>>(
        &self,
        attempt: impl Fn() -> F,
    ) -> Result<T, FetchError> {
        let mut failures = 0;
        loop {
            match attempt().await {
                Err(error) => {
                    failures += 1;
                    self.pause(error, failures).await?;
                }
                done => return done,
            }
        }
    }

    /// Waits before another attempt; gives the error back where there is to be none.
    pub(crate) async fn pause(&self, error: FetchError, failures: u32) -> Result<(), FetchError> {
        let patience = &self.transport.options.patience;
        let hopeless = error.is_unreachable() && !self.transport.reached.load(Ordering::Relaxed);
        if hopeless || !error.is_transient() || failures >= patience.attempts {
            return Err(error);
        }
        let doubled = patience.pause.saturating_mul(1 << (failures - 1).min(6));
        tokio::time::sleep(error.retry_after().map_or(doubled, |asked| asked.max(doubled))).await;
        Ok(())
    }
}
