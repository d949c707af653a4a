//! Control groups of sessions: limits, usage, and telling the processes of one exec from those of another.
//!
//! The host's layout is found out, not configured: every controller is taken from where it is (v2 or v1), and process
//! groups from the v2 hierarchy where there is one, with or without controllers, else from the v1 freezer.

mod hierarchy;
mod layout;
mod process_group;
mod session;
mod usage;

pub use layout::{Controller, DetectError, Layout, Version};
pub use process_group::{GroupError, ProcessGroup};
pub use session::{CgroupError, FIRST_PROCESS_GROUP, Limits, SessionCgroup};
pub use usage::{Refusals, RunnerOomKills, Usage};
