//! What a sandbox keeps apart, seen from inside and from the host: one file a topic.

mod descriptors;
mod devices;
mod filesystem;
mod foreign_calls;
mod identity;
mod landlock;
mod limits;
mod namespaces;
mod network;
mod privileges;
mod procfs;
mod programs;
mod seccomp;
mod supervisor;
mod tmpfs;

use std::collections::BTreeSet;

use sandkasten_e2e::{TestDaemon, TestSession};

/// The host ids of everything that runs in a session but its PID 1: the shell and what commands have started.
fn processes(daemon: &TestDaemon, session: &TestSession) -> BTreeSet<i32> {
    let mut processes: BTreeSet<i32> =
        daemon.leaks(Some(session.id.as_str())).processes.into_iter().collect();
    processes.remove(&supervisor(daemon, session));
    processes
}

/// The host id of a session's PID 1.
fn supervisor(daemon: &TestDaemon, session: &TestSession) -> i32 {
    daemon.traces(session.id.as_str()).first_process()
}
