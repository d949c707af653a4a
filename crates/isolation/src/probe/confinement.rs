//! What holds a sandboxed process down besides namespaces: seccomp and the security modules.

use std::fs;

use super::Feature;
use super::check::{Check, Finding, Need};
use super::trial::{Outcome, Trial};
use crate::sys::landlock_version;
use crate::sys::probe_calls::{Step, filters_can_refuse};

const SECCOMP: Check = Check {
    name: "seccomp filters",
    need: Need::Required,
    why: "refusing sandboxes the system calls that reach into the kernel",
    advice: "use a kernel with CONFIG_SECCOMP_FILTER",
};

const LANDLOCK: Check = Check {
    name: "landlock",
    need: Need::Optional,
    why: "a second fence around writable places, and around signals",
    advice: "use Linux 6.12 or newer with CONFIG_SECURITY_LANDLOCK, and name landlock in the boot parameter lsm=",
};

const APPARMOR: Check = Check {
    name: "apparmor",
    need: Need::Optional,
    why: "nothing, as long as it lets the daemon make user namespaces",
    advice: "set the sysctl kernel.apparmor_restrict_unprivileged_userns to 0, or give the daemon a profile",
};

const RESTRICTION: &str = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";

pub(super) fn features(trial: &Trial) -> Vec<Feature> {
    let asked = filters_can_refuse().map_err(|error| error.to_string());
    let landlock = landlock_version::abi().map_err(|error| error.to_string());
    let restriction = fs::read_to_string(RESTRICTION).ok();
    vec![
        SECCOMP.found(judge_seccomp(&asked, &trial.step(Step::Filter))),
        LANDLOCK.found(judge_landlock(landlock)),
        APPARMOR.found(judge_apparmor(restriction.as_deref(), &trial.user_namespace())),
    ]
}

fn judge_seccomp(asked: &Outcome, installed: &Outcome) -> Finding {
    asked.clone().map_err(|reason| format!("filters cannot answer with an error number: {reason}"))?;
    installed.clone().map_err(|reason| format!("the strict filter: {reason}"))?;
    Ok("installed the strict one on a process".into())
}

/// ABI 6, of Linux 6.12, brought the scopes for signals and abstract sockets.
fn judge_landlock(abi: Result<u32, String>) -> Finding {
    match abi? {
        0 => Err("not built in, or not enabled at boot".into()),
        abi @ 1..6 => Ok(format!("ABI {abi}: files; signals and abstract sockets need ABI 6, of Linux 6.12")),
        abi => Ok(format!("ABI {abi}: files, signals and abstract sockets")),
    }
}

fn judge_apparmor(restriction: Option<&str>, user_namespace: &Outcome) -> Finding {
    match (restriction.map(str::trim), user_namespace) {
        (None | Some("0"), _) => Ok("user namespaces are not restricted".into()),
        (_, Ok(())) => Ok("restricts the user namespaces of unprivileged programs, not the daemon's".into()),
        (_, Err(_)) => Err("restricts the user namespaces of unprivileged programs".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::{judge_apparmor, judge_landlock, judge_seccomp};

    #[test]
    fn landlock_is_told_with_what_its_abi_covers() {
        assert!(judge_landlock(Ok(0)).is_err());
        assert!(judge_landlock(Ok(5)).is_ok_and(|detail| detail.contains("need ABI 6")));
        assert_eq!(judge_landlock(Ok(6)), Ok("ABI 6: files, signals and abstract sockets".into()));
    }

    #[test]
    fn seccomp_needs_the_question_and_the_filter() {
        assert!(judge_seccomp(&Ok(()), &Ok(())).is_ok());
        assert!(judge_seccomp(&Err("a".into()), &Ok(())).is_err());
        assert!(judge_seccomp(&Ok(()), &Err("b".into())).is_err());
    }

    #[test]
    fn a_restriction_matters_only_where_it_bites() {
        assert!(judge_apparmor(None, &Err("x".into())).is_ok());
        assert!(judge_apparmor(Some("0\n"), &Ok(())).is_ok());
        assert!(judge_apparmor(Some("1\n"), &Ok(())).is_ok());
        assert!(judge_apparmor(Some("1\n"), &Err("x".into())).is_err());
    }
}
