//! What a daemon could leave behind on the host, counted from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sha2::{Digest, Sha256};

use crate::patience::patience;

/// Everything found that belongs to a daemon which should be gone.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Leaks {
    /// Processes in one of its cgroups.
    pub processes: Vec<i32>,
    /// Its cgroup directories.
    pub cgroups: Vec<PathBuf>,
    /// Mounts of the host below its data directory.
    pub mounts: Vec<String>,
    /// Sockets of runners: as files, and those that a runner still listens on without one. The latter are those of private
    /// daemons as well, whose cgroups are named after a directory that goes with them.
    pub sockets: Vec<PathBuf>,
}

impl Leaks {
    /// Looks for what belongs to the daemon of this data directory, or only to one of its sessions.
    #[must_use]
    pub fn find(data_dir: &Path, session: Option<&str>) -> Self {
        let instance = instance_name(&data_dir.join("run"));
        let mut leaks = Self::default();
        for root in hierarchies() {
            let ours = root.join(&instance);
            let start = session.map_or_else(|| ours.clone(), |session| ours.join(session));
            collect_cgroups(&start, &mut leaks);
        }
        // A process is in a cgroup of each hierarchy.
        leaks.processes.sort_unstable();
        leaks.processes.dedup();
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let directory = data_dir.to_string_lossy();
        leaks.mounts =
            mountinfo.lines().filter(|line| line.contains(&*directory)).map(str::to_owned).collect();
        let files = fs::read_dir(data_dir.join("run/s")).into_iter().flatten().flatten();
        let run = data_dir.join("run");
        let sockets = files.map(|entry| entry.path()).chain(listening(&run));
        let wanted = |path: &PathBuf| session.is_none_or(|session| path.to_string_lossy().contains(session));
        leaks.sockets = sockets.filter(wanted).collect();
        // The kernel lists one once for each connection as well.
        leaks.sockets.sort_unstable();
        leaks.sockets.dedup();
        leaks
    }

    /// Looks for what belongs to a daemon that is alive, without the one place that it has made ahead for its next sandbox: a socket and
    /// cgroups in which nothing has run. Two of them are a leak.
    #[must_use]
    pub fn beside_next_place(data_dir: &Path) -> Self {
        let mut leaks = Self::find(data_dir, None);
        if let Some(next) = leaks.next_place() {
            leaks.sockets.retain(|path| sandbox_of_socket(path).as_ref() != Some(&next));
            leaks.cgroups.retain(|path| path.iter().all(|part| *part != *next));
        }
        leaks
    }

    /// The name of the place that a daemon has made ahead for its next sandbox, where it has.
    #[must_use]
    pub fn next_place(&self) -> Option<String> {
        self.sockets.iter().filter_map(|path| sandbox_of_socket(path)).find(|id| self.is_empty_place(id))
    }

    /// Whether no process is in the cgroups of a session.
    fn is_empty_place(&self, id: &str) -> bool {
        let own = self.cgroups.iter().filter(|path| path.iter().any(|part| part == id));
        own.into_iter().all(|path| processes_of(path).is_empty())
    }

    /// Looks for cgroups and their processes of the private daemon that was process `pid`, whose run directory may be gone.
    #[must_use]
    pub fn of_private(data_dir: &Path, pid: u32) -> Self {
        let run = fs::canonicalize(data_dir.join("run")).unwrap_or_else(|_| data_dir.join("run"));
        let instance = instance_name(&run.join(format!("private-{pid}")));
        let mut leaks = Self::default();
        hierarchies().iter().for_each(|root| collect_cgroups(&root.join(&instance), &mut leaks));
        leaks
    }

    /// Looks for those of all private daemons whose run directories are there: of those that were killed, and that no next one has
    /// cleared away.
    #[must_use]
    pub fn of_all_private(data_dir: &Path) -> Self {
        let mut leaks = Self::default();
        for entry in fs::read_dir(data_dir.join("run")).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let pid = name.to_str().and_then(|name| name.strip_prefix("private-")?.parse().ok());
            if let Some(found) = pid.map(|pid| Self::of_private(data_dir, pid)) {
                leaks.processes.extend(found.processes);
                leaks.cgroups.extend(found.cgroups);
            }
        }
        leaks
    }

    /// Ends what a failed test left, so that it does not disturb the next.
    pub fn end(&self) {
        for pid in self.processes.iter().filter_map(|pid| Pid::from_raw(*pid)) {
            kill_process(pid, Signal::KILL).ok();
        }
        let deadline = Instant::now() + patience(Duration::from_secs(5));
        for cgroup in self.cgroups.iter().rev() {
            while fs::remove_dir(cgroup).is_err() && cgroup.exists() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(10));
            }
        }
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn sandbox_of_socket(path: &Path) -> Option<String> {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned())
}

/// The name of a daemon's cgroups, from its run directory.
#[must_use]
pub fn instance_name(run: &Path) -> String {
    let real = fs::canonicalize(run).unwrap_or_else(|_| run.to_owned());
    let digest = Sha256::digest(real.as_os_str().as_encoded_bytes());
    let short: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("sandkasten-{short}")
}

/// The sockets of runners below a run directory that something listens on, whether they still have a file or not.
fn listening(run: &Path) -> Vec<PathBuf> {
    let sockets = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let paths = sockets.lines().filter_map(|line| line.split_whitespace().nth(7)).map(PathBuf::from);
    let of_runner = |path: &Path| path.parent().is_some_and(|parent| parent.ends_with("s"));
    paths.filter(|path| path.starts_with(run) && of_runner(path)).collect()
}

/// The sandboxes whose end a daemon waits for, by their names: it has a second descriptor of their PID 1 for that, which is made when
/// the sandbox has been written down.
pub(crate) fn watched(daemon: u32, run: &Path) -> BTreeSet<String> {
    let mut descriptors = BTreeMap::<u32, usize>::new();
    for entry in fs::read_dir(format!("/proc/{daemon}/fdinfo")).into_iter().flatten().flatten() {
        let described = fs::read_to_string(entry.path()).unwrap_or_default();
        let pid = described.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
        if let Some(pid) = pid {
            *descriptors.entry(pid).or_default() += 1;
        }
    }
    let instance = instance_name(run);
    let watched = descriptors.into_iter().filter(|(_, count)| *count >= 2).map(|(pid, _)| pid);
    watched.filter_map(|pid| sandbox_of(pid, &instance)).collect()
}

/// The name of the sandbox that a process is PID 1 of, from its v2 cgroup, or else from any.
fn sandbox_of(pid: u32, instance: &str) -> Option<String> {
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let mut names = cgroups.lines().filter_map(|line| {
        let mut parts = line.split('/').skip_while(|part| *part != instance).skip(1);
        parts.next().filter(|name| *name != "runners").map(str::to_owned)
    });
    names.next_back()
}

/// Where cgroup hierarchies are mounted.
fn hierarchies() -> Vec<PathBuf> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mountinfo
        .lines()
        .filter(|line| line.contains(" - cgroup"))
        .filter_map(|line| line.split(' ').nth(4).map(PathBuf::from))
        .collect()
}

fn processes_of(cgroup: &Path) -> Vec<i32> {
    let processes = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    processes.lines().filter_map(|line| line.parse().ok()).collect()
}

fn collect_cgroups(directory: &Path, leaks: &mut Leaks) {
    if !directory.is_dir() {
        return;
    }
    leaks.cgroups.push(directory.to_owned());
    leaks.processes.extend(processes_of(directory));
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            collect_cgroups(&entry.path(), leaks);
        }
    }
}
