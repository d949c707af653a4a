//! What `sandkasten security` checks: that a configuration is a sound one, that the host does its part, and, on a sandbox
//! that is started for it, that the kernel has in force what is promised, and that it holds under attack.
//!
//! Every check is a [`Finding`]. Nothing here prints, and nothing takes the daemon's word for what the kernel can be
//! asked.
#![forbid(unsafe_code)]

mod canary;
pub mod configuration;
mod finding;
pub mod host;
mod report;
mod running;

pub use canary::{CanaryError, check_canary};
pub use finding::{Finding, Part, Verdict};
pub use report::SecurityReport;

/// The program that attacks a sandbox from inside.
static ATTACKS: &[u8] = include_bytes!(env!("SANDKASTEN_ATTACKS_PATH"));
