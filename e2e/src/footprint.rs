//! What a daemon takes of the host while it runs: memory, threads, and what its descriptors hold.

use std::fs;
use std::path::Path;

use crate::leaks::{Leaks, instance_name};

/// Where the locks on ranges of user ids are, of all daemons of a host.
const LEASES: &str = "/run/sandkasten/uid-ranges";

/// A daemon at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footprint {
    /// Open descriptors, without the files of the database: its pool has as many connections as it just needed.
    pub descriptors: usize,
    /// Descriptors of namespaces.
    pub namespaces: usize,
    /// Descriptors of locks on ranges of user ids.
    pub leases: usize,
    /// Threads.
    pub threads: usize,
    /// Resident memory.
    pub memory_kib: u64,
}

impl Footprint {
    /// Looks at a running daemon.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        let process = Path::new("/proc").join(pid.to_string());
        let targets = targets(&process);
        let status = fs::read_to_string(process.join("status")).expect("a daemon runs");
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        Self {
            descriptors: targets.iter().filter(|target| !target.contains("/sandkasten.db")).count(),
            namespaces: targets.iter().filter(|target| target.starts_with("net:[")).count(),
            leases: targets.iter().filter(|target| target.starts_with(LEASES)).count(),
            threads: fs::read_dir(process.join("task")).map(Iterator::count).unwrap_or_default(),
            memory_kib: memory.trim().trim_end_matches(" kB").parse().expect("a size in KiB"),
        }
    }
}

/// What of the host's is in the hands of the sessions of a daemon, as far as it is not what these sessions and the next one need, in
/// words.
///
/// Finds more than [`Leaks`]: also single cgroups, locks on user ids, and processes that are in no cgroup yet.
#[must_use]
pub fn surplus(data_dir: &Path, daemon: u32, sessions: &[String]) -> Vec<String> {
    let mut surplus = Vec::new();
    let leaks = Leaks::find(data_dir, None);
    // The place of the next sandbox is nobody's yet. A second one would be surplus.
    let known = [sessions, leaks.next_place().as_slice()].concat();
    let instance = instance_name(&data_dir.join("run"));
    let is_known = |name: &str| known.iter().any(|sandbox| sandbox == name);
    for cgroup in &leaks.cgroups {
        let parent_is_ours = cgroup.parent().is_some_and(|parent| parent.ends_with(&instance));
        let name = cgroup.file_name().unwrap_or_default().to_string_lossy();
        if parent_is_ours && name != "runners" && !is_known(&name) {
            surplus.push(format!("cgroup {}", cgroup.display()));
        }
    }
    surplus.extend(leaks.mounts.iter().map(|mount| format!("mount {mount}")));
    for directory in ["run/s", "run/staging"] {
        for entry in fs::read_dir(data_dir.join(directory)).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !known.iter().any(|sandbox| name.contains(sandbox.as_str())) {
                surplus.push(format!("{directory}/{name}"));
            }
        }
    }
    surplus.extend(foreign_processes(data_dir, daemon, &instance, sessions));
    surplus
}

/// Processes that belong to the daemon, but to none of the sessions.
fn foreign_processes(data_dir: &Path, daemon: u32, instance: &str, sessions: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut leases = std::collections::BTreeSet::new();
    let directory = data_dir.to_string_lossy().into_owned();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if pid == daemon || pid == std::process::id() {
            continue;
        }
        let read = |name: &str| fs::read_to_string(process.path().join(name)).unwrap_or_default();
        let cgroups = read("cgroup");
        let is_ours = cgroups.contains(instance)
            || read("mountinfo").contains(&directory)
            || targets(&process.path()).iter().any(|target| target.starts_with(&directory));
        if !is_ours {
            continue;
        }
        // A runner is in no group of its session in every layout, but has its lease.
        let of_session = sessions.iter().any(|session| cgroups.contains(session.as_str()));
        let held: Vec<_> =
            targets(&process.path()).into_iter().filter(|target| target.starts_with(LEASES)).collect();
        if !of_session && held.is_empty() {
            found.push(format!("process {pid} ({})", read("comm").trim()));
        }
        leases.extend(held);
    }
    if leases.len() > sessions.len() {
        found.push(format!(
            "{} ranges of user ids for {} sessions: {leases:?}",
            leases.len(),
            sessions.len()
        ));
    }
    found
}

/// What the descriptors of a process are.
fn targets(process: &Path) -> Vec<String> {
    let descriptors = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    let targets = descriptors.filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
    targets.map(|target| target.to_string_lossy().into_owned()).collect()
}
