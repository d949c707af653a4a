//! Why a sandbox died under its session, as far as the kernel tells.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sandkasten_isolation::host::ProcessEnd;
use sandkasten_isolation::host::cgroup::RunnerOomKills;

use super::{LiveSession, Sessions};

/// How long a sandbox may take to end after its runner has closed its sockets. What takes longer is killed.
const END_PATIENCE: Duration = Duration::from_millis(500);
const SIGKILL: i32 = 9;

impl Sessions {
    /// Says why a sandbox has ended by itself, for people. Blocks for as long as that takes, which is bounded.
    pub(super) fn crash_reason(&self, session: &LiveSession) -> String {
        if !session.process.ends_within(END_PATIENCE) {
            return "its runner hung up".to_owned();
        }
        match session.process.end() {
            Some(ProcessEnd::Signalled { signal: SIGKILL }) if self.ran_out_of_memory(session) => {
                "out of memory".to_owned()
            }
            Some(ProcessEnd::Signalled { signal }) => format!("PID 1 was killed by signal {signal}"),
            Some(ProcessEnd::Exited { status }) => format!("PID 1 ended with status {status}"),
            None => "PID 1 ended".to_owned(),
        }
    }

    /// Whether the kernel has killed this runner for lack of memory. Where runners share a cgroup, as in v1, each kill explains
    /// one end.
    fn ran_out_of_memory(&self, session: &LiveSession) -> bool {
        match session.cgroup.runner_oom_kills() {
            Ok(RunnerOomKills::Own(kills)) => kills > 0,
            Ok(RunnerOomKills::Shared(kills)) => {
                let one_more = |explained| (explained < kills).then_some(explained + 1);
                let explained = &self.inner.explained_oom_kills;
                explained.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).is_ok()
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(session = %session.id, error, "whether memory ran out cannot be told");
                false
            }
        }
    }
}
