//! What every sandbox is configured to be.

use sandkasten_daemon::config::{Config, NetworkMode, SeccompProfile};

use super::finding;
use crate::{Finding, Verdict};

pub(super) fn check(config: &Config) -> Vec<Finding> {
    vec![seccomp(config), root(config), network(config), workspace(config)]
}

fn seccomp(config: &Config) -> Finding {
    let name = "seccomp profile";
    match config.security.seccomp {
        SeccompProfile::Strict => finding(name, Verdict::Ok, "strict", ""),
        SeccompProfile::Mvp => finding(
            name,
            Verdict::Warn,
            "mvp: refuses the known dangerous calls, but neither calls of future kernels nor calls that change namespaces",
            "set security.seccomp to strict, unless a program needs what it refuses",
        ),
        SeccompProfile::Off => finding(
            name,
            Verdict::Fail,
            "off: every call of the kernel can be reached",
            "set security.seccomp to strict; off is for debugging alone",
        ),
    }
}

fn root(config: &Config) -> Finding {
    let name = "read-only root filesystem";
    if config.defaults.readonly_rootfs {
        finding(name, Verdict::Ok, "writes outside of the writable mounts fail", "")
    } else {
        finding(
            name,
            Verdict::Warn,
            "programs of the image can be replaced within a session, for as long as it lives",
            "set defaults.readonly_rootfs to true",
        )
    }
}

fn network(config: &Config) -> Finding {
    let name = "network mode";
    match config.defaults.network_mode {
        NetworkMode::None => finding(name, Verdict::Ok, "none: loopback alone", ""),
        mode => finding(
            name,
            Verdict::Warn,
            format!("{mode}: code in sandboxes can reach others, and send out what it sees"),
            "set defaults.network_mode to none",
        ),
    }
}

fn workspace(config: &Config) -> Finding {
    let name = "persistent workspaces";
    if config.workspace.enabled && config.workspace.persist_by_default {
        finding(
            name,
            Verdict::Warn,
            "what one session leaves is there for the next one by default",
            "set workspace.persist_by_default to false",
        )
    } else {
        finding(name, Verdict::Ok, "nothing outlives a session unless a request asks for it", "")
    }
}

#[cfg(test)]
mod tests {
    use sandkasten_daemon::config::{Config, SeccompProfile};

    use super::check;
    use crate::Verdict;

    #[test]
    fn the_defaults_are_the_hardened_ones() {
        let findings = check(&Config::default());
        assert!(findings.iter().all(|finding| finding.verdict == Verdict::Ok), "{findings:#?}");
    }

    #[test]
    fn without_a_filter_the_check_fails() {
        for (profile, expected) in
            [(SeccompProfile::Off, Verdict::Fail), (SeccompProfile::Mvp, Verdict::Warn)]
        {
            let mut config = Config::default();
            config.security.seccomp = profile;
            assert_eq!(check(&config)[0].verdict, expected);
        }
    }

    #[test]
    fn what_is_laxer_than_it_could_be_is_warned_of() {
        let mut config = Config::default();
        config.defaults.readonly_rootfs = false;
        config.workspace.enabled = true;
        config.workspace.persist_by_default = true;
        let verdicts: Vec<_> = check(&config).into_iter().map(|finding| finding.verdict).collect();
        assert_eq!(verdicts, [Verdict::Ok, Verdict::Warn, Verdict::Ok, Verdict::Warn]);
    }
}
