//! Limits and process groups: whether the control groups of this host can be used.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::Feature;
use super::check::{Check, Finding, Need};
use super::mount_table::Mount;
use crate::error_chain;
use crate::host::cgroup::{Controller, Layout, Version};

const CONTROLLERS: Check = Check {
    name: "cgroup controllers",
    need: Need::Required,
    why: "limiting the CPU time, memory and processes of every session",
    advice: "mount cgroup2 on /sys/fs/cgroup and boot with the controllers cpu, memory and pids enabled; some boards \
             need the boot parameter cgroup_enable=memory",
};

const ACCESS: Check = Check {
    name: "cgroup access",
    need: Need::Required,
    why: "making a control group for every session before anything runs in it",
    advice: "mount the control groups writable; in a container, use the host's cgroup namespace or give the daemon \
             an empty cgroup to work in",
};

const SWAP: Check = Check {
    name: "swap accounting",
    need: Need::Required,
    why: "keeping a session at its memory limit from going on in the host's swap",
    advice: "boot with swapaccount=1, or turn the host's swap off",
};

const FREEZING: Check = Check {
    name: "cgroup freezing",
    need: Need::Optional,
    why: "stopping the processes of a command while they are signalled, so that none forks away",
    advice: "use Linux 5.2 or newer for cgroup.freeze, 5.14 for cgroup.kill",
};

const PRESSURE: Check = Check {
    name: "pressure information",
    need: Need::Optional,
    why: "letting creates wait while programs of the host wait for memory, and seeing how long sessions wait for what",
    advice: "use a kernel with CONFIG_PSI, and boot with psi=1",
};

pub(super) fn features(mounts: &Result<Vec<Mount>, String>) -> Vec<Feature> {
    let detected = Layout::detect().map_err(|error| error_chain(&error));
    let untried = || Err("not tried: a controller is missing".to_owned());
    let layout = detected.as_ref().ok();
    let unified = mounts.as_deref().unwrap_or_default().iter().find(|mount| mount.filesystem == "cgroup2");
    let unified = unified.map(|mount| mount.point.as_path());
    vec![
        CONTROLLERS.found(detected.as_ref().map(Layout::describe).map_err(Clone::clone)),
        ACCESS.found(layout.map_or_else(untried, |layout| try_access(layout, unified))),
        SWAP.found(layout.map_or_else(untried, find_swap_accounting)),
        FREEZING.found(find_freezing(unified)),
        PRESSURE.found(read_pressure()),
    ]
}

fn try_access(layout: &Layout, unified: Option<&Path>) -> Finding {
    let places = Controller::REQUIRED.into_iter().chain([Controller::Freezer, Controller::CpuAccounting]);
    let mut roots: Vec<&Path> =
        places.filter_map(|controller| Some(layout.locate(controller)?.1)).chain(unified).collect();
    roots.sort_unstable();
    roots.dedup();
    for root in &roots {
        rustix::fs::access(*root, Access::WRITE_OK)
            .map_err(|error| format!("{} cannot be written to: {error}", root.display()))?;
    }
    if let Some(root) = unified {
        let wanted = Controller::REQUIRED
            .into_iter()
            .filter(|controller| matches!(layout.locate(*controller), Some((Version::V2, _))))
            .map(Controller::name);
        try_delegation(root, &wanted.collect::<Vec<_>>())?;
    }
    Ok(format!(
        "writable: {}",
        roots.iter().map(|root| root.display().to_string()).collect::<Vec<_>>().join(", ")
    ))
}

fn try_delegation(root: &Path, wanted: &[&str]) -> Result<(), String> {
    let read = |file: &str| {
        let path = root.join(file);
        fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let place = if root.join("cgroup.type").exists() { Place::Inner } else { Place::Root };
    judge_delegation(place, wanted, &read("cgroup.subtree_control")?, &read("cgroup.procs")?)
}

/// Where the mount of the v2 hierarchy shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The root of the hierarchy, which has no `cgroup.type`.
    Root,
    /// A cgroup further in, as in a container.
    Inner,
}

/// Whether controllers can be enabled for children: cgroups(7), "no internal processes".
fn judge_delegation(place: Place, wanted: &[&str], enabled: &str, processes: &str) -> Result<(), String> {
    let enabled: Vec<&str> = enabled.split_whitespace().collect();
    let lacking: Vec<&str> = wanted.iter().copied().filter(|name| !enabled.contains(name)).collect();
    if lacking.is_empty() || place == Place::Root || processes.trim().is_empty() {
        return Ok(());
    }
    let lacking = lacking.join(", ");
    Err(format!("processes live in the outermost cgroup, so {lacking} cannot be enabled for sessions"))
}

fn find_swap_accounting(layout: &Layout) -> Finding {
    let file = match layout.locate(Controller::Memory) {
        Some((Version::V1, root)) => existing([root.join("memory.memsw.limit_in_bytes")]),
        // The root of the hierarchy has no limits; any cgroup in it shows the file.
        Some((Version::V2, root)) => existing(with_children(root).map(|group| group.join("memory.swap.max"))),
        None => None,
    };
    judge_swap(file.as_deref(), &fs::read_to_string("/proc/swaps").unwrap_or_default())
}

fn judge_swap(file: Option<&Path>, swaps: &str) -> Finding {
    match (file.and_then(Path::file_name), swaps.lines().count()) {
        (Some(name), _) => Ok(name.to_string_lossy().into_owned()),
        // The table of swap devices begins with a heading.
        (None, 1) => Ok("none, and the host has no swap".into()),
        (None, _) => Err("the kernel does not account swap, and the host may swap".into()),
    }
}

fn find_freezing(unified: Option<&Path>) -> Finding {
    let Some(root) = unified else {
        return Err("no v2 hierarchy; the v1 freezer serves instead".into());
    };
    // Only the root of the hierarchy has no cgroup.events.
    let inner = with_children(root).find(|group| group.join("cgroup.events").exists());
    let has = |file: &str| inner.as_ref().is_some_and(|group| group.join(file).exists());
    let found = ["cgroup.freeze", "cgroup.kill"].into_iter().filter(|file| has(file)).collect::<Vec<_>>();
    let younger = root.join("cgroup.pressure");
    match (inner.is_some(), found.as_slice()) {
        (true, [freeze, kill]) => Ok(format!("{freeze} and {kill}")),
        (true, [only]) => Err(format!("{only} alone")),
        (true, _) => Err("neither cgroup.freeze nor cgroup.kill".into()),
        (false, _) if younger.exists() => {
            Ok("implied by cgroup.pressure; there is no cgroup yet to see it on".into())
        }
        (false, _) => Err("cannot be told: there is no cgroup yet to see it on".into()),
    }
}

/// Returns a cgroup and those right below it.
fn with_children(root: &Path) -> impl Iterator<Item = PathBuf> {
    let children = fs::read_dir(root).into_iter().flatten().flatten();
    let directories = children.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    std::iter::once(root.to_owned()).chain(directories.map(|entry| entry.path()))
}

fn existing(files: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    files.into_iter().find(|file| file.exists())
}

/// Reads all three, because a kernel that was booted without shows the files and refuses to read them.
fn read_pressure() -> Finding {
    for resource in ["cpu", "io", "memory"] {
        let path = format!("/proc/pressure/{resource}");
        fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    }
    Ok("cpu, io and memory".into())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{Place, find_freezing, judge_delegation, judge_swap};

    const HEADING: &str = "Filename\tType\tSize\tUsed\tPriority\n";

    #[test]
    fn swap_must_be_accounted_or_absent() {
        let file = Path::new("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes");
        assert_eq!(judge_swap(Some(file), ""), Ok("memory.memsw.limit_in_bytes".into()));
        assert!(judge_swap(None, HEADING).is_ok());
        assert!(judge_swap(None, &format!("{HEADING}/dev/sda2 partition 1 0 -2\n")).is_err());
        assert!(judge_swap(None, "").is_err());
    }

    #[test]
    fn processes_in_the_way_of_delegation_are_told() {
        let wanted = ["cpu", "memory"];
        assert!(judge_delegation(Place::Root, &wanted, "", "1\n").is_ok());
        assert!(judge_delegation(Place::Inner, &wanted, "", "").is_ok());
        assert!(judge_delegation(Place::Inner, &wanted, "cpu memory pids\n", "1\n").is_ok());
        let refused = judge_delegation(Place::Inner, &wanted, "cpu\n", "1\n");
        assert!(refused.is_err_and(|reason| reason.contains("memory") && !reason.contains("cpu")));
    }

    #[test]
    fn freezing_is_looked_for_in_a_cgroup_that_can_have_it() {
        let root = tempfile::tempdir().expect("a directory");
        assert!(find_freezing(Some(root.path())).is_err());
        fs::write(root.path().join("cgroup.pressure"), "").expect("a file");
        assert!(find_freezing(Some(root.path())).is_ok_and(|detail| detail.contains("implied")));
        let group = root.path().join("a.slice");
        fs::create_dir(&group).expect("a directory");
        for file in ["cgroup.events", "cgroup.freeze"] {
            fs::write(group.join(file), "").expect("a file");
        }
        assert_eq!(find_freezing(Some(root.path())), Err("cgroup.freeze alone".into()));
        fs::write(group.join("cgroup.kill"), "").expect("a file");
        assert!(find_freezing(Some(root.path())).is_ok());
        assert!(find_freezing(None).is_err());
    }
}
