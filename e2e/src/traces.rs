//! What a live session consists of on the host, noted while it lives and looked for afterwards.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::leaks::{Leaks, instance_name};

/// The kernel objects of one session.
#[derive(Debug, Clone)]
pub struct Traces {
    data_dir: PathBuf,
    session: String,
    /// Process ids, with the start time that tells a later process of the same number apart.
    processes: BTreeSet<(i32, String)>,
    /// Namespaces as the kernel names them: `net:[4026531840]`.
    namespaces: BTreeSet<String>,
}

impl Traces {
    pub(crate) fn of(data_dir: &Path, session: &str) -> Self {
        let mut traces = Self {
            data_dir: data_dir.to_owned(),
            session: session.to_owned(),
            processes: BTreeSet::new(),
            namespaces: BTreeSet::new(),
        };
        let host = namespaces("self");
        for pid in members(data_dir, session) {
            traces.namespaces.extend(namespaces(&pid.to_string()).difference(&host).cloned());
            traces.processes.extend(start_time(pid).map(|started| (pid, started)));
        }
        traces
    }

    /// The host's number of the sandbox's PID 1.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn first_process(&self) -> i32 {
        let is_first = |pid: &i32| namespaced_ids(*pid).is_some_and(|ids| ids.len() == 2 && ids[1] == 1);
        self.processes.iter().map(|(pid, _)| *pid).find(is_first).expect("a sandbox has a PID 1")
    }

    /// The host's numbers of all its processes.
    pub fn processes(&self) -> impl Iterator<Item = i32> {
        self.processes.iter().map(|(pid, _)| *pid)
    }

    /// The namespaces of the session that are not the host's.
    #[must_use]
    pub fn namespaces(&self) -> &BTreeSet<String> {
        &self.namespaces
    }

    /// What of the session is still on the host, in words.
    #[must_use]
    pub fn remaining(&self) -> Vec<String> {
        let mut remaining = Vec::new();
        for (pid, started) in &self.processes {
            if start_time(*pid).as_ref() == Some(started) {
                remaining.push(format!("process {pid}"));
            }
        }
        for holder in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let pid = holder.file_name().to_string_lossy().into_owned();
            if !pid.bytes().all(|byte| byte.is_ascii_digit()) || self.is_of_others(&holder.path()) {
                continue;
            }
            let held: BTreeSet<String> =
                namespaces(&pid).union(&links(&holder.path().join("fd"))).cloned().collect();
            for namespace in held.intersection(&self.namespaces) {
                remaining.push(format!("namespace {namespace}, held by process {pid}"));
            }
            let mounts = fs::read_to_string(holder.path().join("mountinfo")).unwrap_or_default();
            if mounts.contains(&self.session) {
                remaining.push(format!("a mount, seen by process {pid}"));
            }
        }
        let leaks = Leaks::find(&self.data_dir, Some(&self.session));
        if !leaks.is_empty() {
            remaining.push(format!("{leaks:?}"));
        }
        remaining.extend(entries_named(&self.data_dir, &self.session));
        remaining
    }
}

impl Traces {
    /// Whether a process is of another session, or is another test's daemon. The kernel gives the number of a namespace that
    /// has ended to the next that is made, and that may be theirs.
    fn is_of_others(&self, process: &Path) -> bool {
        let read = |name: &str| {
            String::from_utf8_lossy(&fs::read(process.join(name)).unwrap_or_default()).into_owned()
        };
        let ours = instance_name(&self.data_dir.join("run"));
        for line in read("cgroup").lines() {
            let mut names = line.split('/').skip_while(|name| !name.starts_with("sandkasten-"));
            let (instance, session) = (names.next(), names.next());
            let of_session = session.is_none_or(|name| name == self.session);
            if instance.is_some_and(|name| name != ours || !of_session) {
                return true;
            }
        }
        let config = self.data_dir.with_file_name("sandkasten.yaml");
        let command = read("cmdline");
        let mut arguments = command.split('\0').skip_while(|argument| *argument != "--config").skip(1);
        arguments.next().is_some_and(|path| Path::new(path) != config)
    }
}

/// The processes of a session: what its cgroups hold, and the runner, which may be kept apart from them.
fn members(data_dir: &Path, session: &str) -> BTreeSet<i32> {
    let mut members: BTreeSet<i32> = Leaks::find(data_dir, Some(session)).processes.into_iter().collect();
    let parents: Vec<i32> = members.iter().filter_map(|pid| parent(*pid)).collect();
    members.extend(parents.into_iter().filter(|pid| namespaced_ids(*pid).is_some_and(|ids| ids.len() == 2)));
    members
}

/// Files and directories below the data directory that are called after a session.
fn entries_named(directory: &Path, session: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().contains(session) {
            found.push(entry.path().display().to_string());
        }
        // The layers of images hold no sessions, but many files.
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_directory && entry.file_name() != "layers" {
            found.extend(entries_named(&entry.path(), session));
        }
    }
    found
}

fn namespaces(pid: &str) -> BTreeSet<String> {
    links(&Path::new("/proc").join(pid).join("ns"))
}

/// The targets of the links in a directory that name kernel objects.
fn links(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let targets = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    targets
        .map(|target| target.to_string_lossy().into_owned())
        .filter(|target| target.contains(":["))
        .collect()
}

/// The numbers of a process from the host's namespace to its own.
fn namespaced_ids(pid: i32) -> Option<Vec<i32>> {
    let ids = status_field(pid, "NSpid:")?;
    Some(ids.split_whitespace().filter_map(|id| id.parse().ok()).collect())
}

fn parent(pid: i32) -> Option<i32> {
    status_field(pid, "PPid:")?.trim().parse().ok()
}

fn status_field(pid: i32, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned)
}

/// When a process was started, in clock ticks since boot: proc_pid_stat(5).
fn start_time(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_whitespace().nth(19).map(str::to_owned)
}
