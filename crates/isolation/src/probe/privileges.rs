//! What the daemon itself must be allowed to do.

use std::fs;

use rustix::thread::CapabilitySet;

use super::Feature;
use super::check::{Check, Finding, Need};

const ROOT: Check = Check {
    name: "root",
    need: Need::Required,
    why: "mapping host ids, mounting, and limiting sessions",
    advice: "run the daemon as root of the host, not in a rootless container",
};

const CAPABILITIES: Check = Check {
    name: "capabilities",
    need: Need::Required,
    why: "each step of a start that is root's alone",
    advice: "start the daemon with these capabilities; under systemd, see CapabilityBoundingSet=",
};

/// The capabilities that the daemon uses: capabilities(7).
const NEEDED: [(CapabilitySet, &str, &str); 7] = [
    (CapabilitySet::SYS_ADMIN, "CAP_SYS_ADMIN", "mounts with mapped ids"),
    (CapabilitySet::SETUID, "CAP_SETUID", "mapping user ids"),
    (CapabilitySet::SETGID, "CAP_SETGID", "mapping group ids"),
    (CapabilitySet::MKNOD, "CAP_MKNOD", "device nodes"),
    (CapabilitySet::CHOWN, "CAP_CHOWN", "the owners of image files"),
    (CapabilitySet::DAC_OVERRIDE, "CAP_DAC_OVERRIDE", "image files of all owners"),
    (CapabilitySet::FOWNER, "CAP_FOWNER", "the modes of image files"),
];

pub(super) fn features() -> Vec<Feature> {
    let root = fs::read_to_string("/proc/self/uid_map")
        .map_err(|error| format!("/proc/self/uid_map: {error}"))
        .and_then(|map| judge_root(rustix::process::geteuid().as_raw(), &map));
    let effective = rustix::thread::capabilities(None)
        .map_err(|error| format!("capget: {error}"))
        .and_then(|sets| judge_capabilities(sets.effective));
    vec![ROOT.found(root), CAPABILITIES.found(effective)]
}

fn judge_root(uid: u32, map: &str) -> Finding {
    if uid != 0 {
        return Err(format!("running as user {uid}"));
    }
    let mut fields = map.split_whitespace();
    if (fields.next(), fields.next(), fields.next()) == (Some("0"), Some("0"), Some("4294967295")) {
        Ok("running as root".into())
    } else {
        Err("running as root of a user namespace, not of the host".into())
    }
}

fn judge_capabilities(effective: CapabilitySet) -> Finding {
    let lacking: Vec<String> = NEEDED
        .iter()
        .filter(|(capability, ..)| !effective.contains(*capability))
        .map(|(_, name, purpose)| format!("{name} ({purpose})"))
        .collect();
    if lacking.is_empty() {
        Ok(format!("all {} that are used", NEEDED.len()))
    } else {
        Err(format!("without {}", lacking.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use rustix::thread::CapabilitySet;

    use super::{judge_capabilities, judge_root};

    #[test]
    fn only_root_of_the_host_is_root() {
        let whole = "         0          0 4294967295\n";
        assert!(judge_root(0, whole).is_ok());
        assert_eq!(judge_root(1000, whole), Err("running as user 1000".into()));
        assert!(judge_root(0, "         0     100000      65536\n").is_err());
    }

    #[test]
    fn a_missing_capability_is_named_with_its_purpose() {
        assert!(judge_capabilities(CapabilitySet::all()).is_ok());
        let without = CapabilitySet::all() - CapabilitySet::MKNOD;
        assert_eq!(judge_capabilities(without), Err("without CAP_MKNOD (device nodes)".into()));
    }
}
