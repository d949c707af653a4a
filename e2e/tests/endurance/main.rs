//! What only shows after many rounds or under load: kills of the daemon at any moment, thousands of sessions, a session that
//! strains the host. The default is a sample of each; `make test-faults`, `make soak` and `make test-stress` are the whole.
#![expect(clippy::print_stdout, reason = "a test says what it has drawn or measured, and what it skips")]

mod faults;
mod load;
mod soak;
mod stress;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// These tests measure, or strain the host, and so run one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
