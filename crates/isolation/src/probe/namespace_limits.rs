//! How many namespaces root may make: namespaces(7), "The /proc/sys/user directory".

use std::fs;

use super::Feature;
use super::check::{Check, Finding, Need};

const LIMITS: Check = Check {
    name: "namespace limits",
    need: Need::Required,
    why: "one namespace of each kind for every session",
    advice: "raise the sysctls named user.max_*_namespaces above the number of sessions wanted",
};

const KINDS: [&str; 8] = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"];

pub(super) fn features() -> Vec<Feature> {
    let limits = KINDS.map(|kind| {
        let text = fs::read_to_string(format!("/proc/sys/user/max_{kind}_namespaces"));
        (kind, text.ok().and_then(|text| text.trim().parse().ok()))
    });
    vec![LIMITS.found(judge(&limits))]
}

/// A limit that does not exist limits nothing; that the kind is missing is told elsewhere.
fn judge(limits: &[(&str, Option<u64>)]) -> Finding {
    let forbidden: Vec<String> = limits
        .iter()
        .filter(|(_, limit)| *limit == Some(0))
        .map(|(kind, _)| format!("user.max_{kind}_namespaces"))
        .collect();
    if !forbidden.is_empty() {
        return Err(format!("{} = 0", forbidden.join(", ")));
    }
    match limits.iter().filter_map(|(_, limit)| *limit).min() {
        Some(smallest) => Ok(format!("at most {smallest} of a kind")),
        None => Ok("none set".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::judge;

    #[test]
    fn the_smallest_limit_is_told() {
        let limits = [("user", Some(96_365)), ("mnt", Some(5)), ("time", None)];
        assert_eq!(judge(&limits), Ok("at most 5 of a kind".into()));
    }

    #[test]
    fn a_limit_of_zero_is_named() {
        let limits = [("user", Some(0)), ("mnt", Some(5)), ("net", Some(0))];
        assert_eq!(judge(&limits), Err("user.max_user_namespaces, user.max_net_namespaces = 0".into()));
    }
}
