//! How long the tests wait on this machine.
//!
//! Their bounds are for a usual host. `SANDKASTEN_E2E_PATIENCE` is by how much this one is slower, a whole number: an emulated
//! machine is. It stretches bounds on hangs and the time that something is given to happen; nothing that is asserted
//! otherwise gets weaker by it.

use std::env;
use std::sync::LazyLock;
use std::time::Duration;

static FACTOR: LazyLock<u32> = LazyLock::new(|| {
    let Ok(text) = env::var("SANDKASTEN_E2E_PATIENCE") else { return 1 };
    let factor = text.parse().ok().filter(|factor| *factor >= 1);
    factor
        .unwrap_or_else(|| panic!("SANDKASTEN_E2E_PATIENCE is {text:?}; it has to be a whole number from 1"))
});

/// The same time on this machine.
#[must_use]
pub fn patience(usual: Duration) -> Duration {
    usual * *FACTOR
}

/// The same milliseconds on this machine, for timeouts of the API.
#[must_use]
pub fn patience_ms(usual: u64) -> u64 {
    usual * u64::from(*FACTOR)
}
