//! What a test is asked for by the environment: more of it, or another seed.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

/// The number in a variable, where there is one.
///
/// # Panics
/// Where it is no number.
#[must_use]
pub fn asked(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}; it has to be a whole number")))
}

/// The seed in `SANDKASTEN_E2E_SEED`, or a new one.
///
/// # Panics
/// Where it is no number.
#[must_use]
pub fn seed() -> u64 {
    asked("SANDKASTEN_E2E_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
        now.as_secs() ^ u64::from(now.subsec_nanos())
    })
}
