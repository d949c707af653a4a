//! A running sandbox as the kernel shows it from outside, against what was promised of it.

mod cgroups;
mod identity;
mod mounts;
mod namespaces;
mod network;
mod process;
mod rlimits;
mod sandbox;

use std::io;

use sandkasten_api::session::{Session, SessionStats};
use sandkasten_daemon::config::Config;

pub(crate) use self::sandbox::Sandbox;
use crate::{Finding, Part, Verdict};

const ADVICE: &str =
    "do not run hostile code on this host; report it as SECURITY.md says, with the output of this command";

/// Checks everything that can be read of a sandbox. Blocking: reads some dozens of small files.
pub(crate) fn check(
    config: &Config,
    sandbox: &Sandbox,
    described: &Session,
    stats: &SessionStats,
) -> io::Result<Vec<Finding>> {
    let mut findings = identity::check(config, sandbox)?;
    findings.extend(namespaces::check(sandbox)?);
    findings.extend(mounts::check(config, sandbox)?);
    findings.extend(rlimits::check(sandbox)?);
    findings.extend(network::check(sandbox)?);
    findings.extend(cgroups::check(config, sandbox, stats)?);
    findings.push(landlock(described));
    Ok(findings)
}

/// Checks that two sandboxes have nothing in common.
pub(crate) fn compare(one: &Sandbox, other: &Sandbox) -> Vec<Finding> {
    let mut findings = vec![identity::compare(one, other)];
    findings.extend(namespaces::compare(one, other));
    findings
}

/// Checks that nothing is left of a sandbox that was destroyed.
pub(crate) fn nothing_left(id: &str, before: &Sandbox) -> Finding {
    let mut left: Vec<String> =
        before.alive().into_iter().map(|process| format!("process {}", process.pid)).collect();
    left.extend(cgroups::left_of(id));
    judge("clean-up", "nothing is left of a destroyed session", left.join(", "), "no process, no cgroup")
}

/// The kernel told the runner when it took the rules; the attacks count them.
fn landlock(described: &Session) -> Finding {
    let abi = described.isolation.as_ref().map_or(0, |isolation| isolation.landlock_abi);
    if abi > 0 {
        Finding::ok(Part::Sandbox, "landlock", "landlock rules", format!("ABI {abi}"))
    } else {
        Finding::warn(
            Part::Sandbox,
            "landlock",
            "landlock rules",
            "this kernel has no landlock: the other layers stand alone",
            "boot a kernel with landlock, among the lsm= of its command line",
        )
    }
}

/// Makes a finding of what is wrong; nothing is where the text is empty.
fn judge(group: &str, name: &str, wrong: impl Into<String>, right: impl Into<String>) -> Finding {
    let wrong = wrong.into();
    if wrong.is_empty() {
        Finding::new(Part::Sandbox, group, name, Verdict::Ok, right, "")
    } else {
        Finding::new(Part::Sandbox, group, name, Verdict::Fail, wrong, ADVICE)
    }
}
