//! All processes of one sandbox, found by their cgroup and not by what the daemon says.

use std::fs;
use std::io;

use super::process::Process;

/// The processes of a session, the supervisor first.
#[derive(Debug, Clone)]
pub(crate) struct Sandbox {
    pub(crate) processes: Vec<Process>,
    pub(crate) id: String,
}

impl Sandbox {
    /// Finds the processes of a session. Blocking.
    pub(crate) fn find(id: &str) -> io::Result<Self> {
        let mut processes = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
            // One that has just ended has no file any more.
            let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
            if cgroups.lines().any(|line| line.split('/').any(|part| part == id)) {
                processes.extend(Process::read(pid));
            }
        }
        processes.sort_by_key(|process| process.inner_pid);
        if processes.first().is_some_and(|process| process.inner_pid == 1) {
            Ok(Self { processes, id: id.to_owned() })
        } else {
            Err(io::Error::other(format!("session {id} has no supervisor: {processes:?}")))
        }
    }

    /// The supervisor.
    pub(crate) fn supervisor(&self) -> io::Result<&Process> {
        self.processes.first().ok_or_else(|| io::Error::other("a sandbox without processes"))
    }

    /// Everything but the supervisor.
    pub(crate) fn commands(&self) -> &[Process] {
        self.processes.get(1..).unwrap_or_default()
    }

    /// Those that still live.
    pub(crate) fn alive(&self) -> Vec<&Process> {
        self.processes.iter().filter(|process| process.is_alive()).collect()
    }

    /// Says of each process what is wrong with it, and joins that.
    pub(crate) fn each(&self, wrong: impl Fn(&Process) -> io::Result<Option<String>>) -> io::Result<String> {
        let mut found = Vec::new();
        for process in &self.processes {
            if let Some(wrong) = wrong(process)? {
                found.push(format!("{}: {wrong}", process.role()));
            }
        }
        Ok(found.join("; "))
    }
}
