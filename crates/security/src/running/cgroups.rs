//! The cgroups of a sandbox: that everything is in them, and what they limit, as the kernel has it.

use std::fs;
use std::io;
use std::path::PathBuf;

use sandkasten_api::session::SessionStats;
use sandkasten_daemon::config::Config;

use super::judge;
use super::sandbox::Sandbox;
use crate::Finding;

const GROUP: &str = "cgroups";
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

pub(super) fn check(config: &Config, sandbox: &Sandbox, stats: &SessionStats) -> io::Result<Vec<Finding>> {
    let defaults = &config.defaults;
    let memory = defaults.mem_limit_mb << 20;
    let pids = u64::from(defaults.pids_limit);
    let wrong = |found: u64, wanted: u64| {
        if found == wanted {
            String::new()
        } else {
            format!("the kernel has {found}, configured is {wanted}")
        }
    };
    #[expect(clippy::cast_precision_loss, reason = "thousandths of at most 1024 cores")]
    let cpu = {
        let found = stats.cpu_limit_millis as f64 / 1_000.0;
        // The kernel takes whole microseconds of a tenth of a second.
        if (found - defaults.cpu_limit).abs() < 0.002 {
            String::new()
        } else {
            format!("the kernel has {found} cores, configured are {}", defaults.cpu_limit)
        }
    };
    Ok(vec![
        judge(GROUP, "memory limit", wrong(stats.memory_limit, memory), format!("{memory} bytes")),
        judge(GROUP, "process limit", wrong(stats.pids_limit, pids), format!("{pids}")),
        judge(GROUP, "cpu limit", cpu, format!("{} cores", defaults.cpu_limit)),
        membership(sandbox)?,
    ])
}

/// The supervisor is outside of the limits, so that a session at its limit can still be served and ended.
fn membership(sandbox: &Sandbox) -> io::Result<Finding> {
    let mut outside = Vec::new();
    for process in sandbox.commands() {
        let text = process.text("cgroup")?;
        for controller in CONTROLLERS {
            if !is_member(&text, controller, &sandbox.id) {
                outside.push(format!("{}: not for {controller}", process.role()));
            }
        }
    }
    Ok(judge(GROUP, "members", outside.join("; "), "shell and commands are in the session's"))
}

/// Reads `/proc/<pid>/cgroup`: a line for each hierarchy, cgroups(7). What v1 does not have is v2's, the line `0::`.
fn is_member(text: &str, controller: &str, id: &str) -> bool {
    let lines = || text.lines().map(|line| line.splitn(3, ':').collect::<Vec<_>>());
    let of_v1 =
        lines().find(|line| line.get(1).is_some_and(|list| list.split(',').any(|own| own == controller)));
    let line = of_v1.or_else(|| lines().find(|line| line.get(1) == Some(&"")));
    line.and_then(|line| line.get(2).copied()).is_some_and(|path| path.split('/').any(|part| part == id))
}

/// Finds directories of a session in any hierarchy.
pub(super) fn left_of(id: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut places = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(place) = places.pop() {
        for entry in fs::read_dir(&place).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if entry.file_name() == id {
                    found.push(entry.path().display().to_string());
                }
                places.push(entry.path());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::is_member;

    #[test]
    fn membership_is_read_for_both_versions() {
        let hybrid = "5:memory:/sandkasten-1/abc\n4:cpu,cpuacct:/sandkasten-1/abc\n3:pids:/\n0::/sandkasten-1/abc/x1\n";
        assert!(is_member(hybrid, "memory", "abc") && is_member(hybrid, "cpu", "abc"));
        assert!(!is_member(hybrid, "pids", "abc"));
        let pure = "0::/sandkasten-1/abc/work/x1\n";
        assert!(is_member(pure, "pids", "abc") && !is_member(pure, "pids", "ab"));
    }
}
