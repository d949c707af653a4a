//! Resource limits of processes, and what they have open.

use std::fs;
use std::io;

use super::judge;
use super::sandbox::Sandbox;
use crate::Finding;

const GROUP: &str = "resource limits";

/// The most that a hard limit may be, by its name in `/proc/<pid>/limits`: getrlimit(2). A core limit of 1 byte keeps the
/// kernel from starting the host's handler for cores, too: core(5).
const MOST: [(&str, u64); 6] = [
    ("Max core file size", 1),
    ("Max open files", 65_536),
    ("Max locked memory", 65_536),
    ("Max msgqueue size", 819_200),
    ("Max nice priority", 0),
    ("Max realtime priority", 0),
];

pub(super) fn check(sandbox: &Sandbox) -> io::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (name, most) in MOST {
        let wrong = sandbox.each(|process| {
            let limits = process.text("limits")?;
            let hard = hard_limit(&limits, name);
            Ok(hard.is_none_or(|hard| hard > most).then(|| format!("{hard:?}")))
        })?;
        findings.push(judge(GROUP, &name.to_lowercase(), wrong, format!("at most {most}")));
    }
    findings.push(descriptors(sandbox)?);
    Ok(findings)
}

/// None for "unlimited", and for a limit that is not there.
fn hard_limit(limits: &str, name: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The shell has its own channels; what it starts has standard input, output and error.
fn descriptors(sandbox: &Sandbox) -> io::Result<Finding> {
    let mut wrong = Vec::new();
    // The supervisor is the first, the shell the second.
    for process in sandbox.processes.iter().skip(2) {
        for entry in fs::read_dir(process.path("fd"))? {
            let name = entry?.file_name();
            let number = name.to_string_lossy();
            if !matches!(number.as_ref(), "0" | "1" | "2") {
                wrong.push(format!("{}: descriptor {number}", process.role()));
            }
        }
    }
    Ok(judge("descriptors", "descriptors of commands", wrong.join("; "), "standard input, output and error"))
}

#[cfg(test)]
mod tests {
    use super::hard_limit;

    #[test]
    fn hard_limits_are_the_second_number() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max open files            1024                 4096                 files     \n\
                      Max core file size        0                    unlimited            bytes     \n";
        assert_eq!(hard_limit(limits, "Max open files"), Some(4096));
        assert_eq!(hard_limit(limits, "Max core file size"), None);
        assert_eq!(hard_limit(limits, "Max nice priority"), None);
    }
}
