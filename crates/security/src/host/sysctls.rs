//! Settings of the kernel that matter where something has got out of a sandbox, or for other users of the host. Sandboxes
//! do not rest on them: what they would allow is refused there by the filter, the missing capabilities and `/proc`.

use std::fs;

use crate::{Finding, Part};

/// One setting and what it should be at least, or at most.
struct Sysctl {
    key: &'static str,
    want: Want,
    why: &'static str,
}

#[derive(Clone, Copy)]
enum Want {
    AtLeast(i64),
    AtMost(i64),
}

const fn at_least(key: &'static str, value: i64, why: &'static str) -> Sysctl {
    Sysctl { key, want: Want::AtLeast(value), why }
}

const fn at_most(key: &'static str, value: i64, why: &'static str) -> Sysctl {
    Sysctl { key, want: Want::AtMost(value), why }
}

/// Linux Documentation/admin-guide/sysctl.
const SYSCTLS: [Sysctl; 15] = [
    at_least("kernel.unprivileged_bpf_disabled", 1, "users without privileges load programs into the kernel"),
    at_least("net.core.bpf_jit_harden", 1, "compiled BPF programs can be sprayed with constants"),
    at_least("kernel.perf_event_paranoid", 2, "users without privileges measure the kernel"),
    at_least("kernel.kptr_restrict", 1, "addresses of the kernel are shown"),
    at_least("kernel.dmesg_restrict", 1, "users without privileges read the kernel's log"),
    at_least("kernel.randomize_va_space", 2, "addresses of programs are not random"),
    at_least("kernel.yama.ptrace_scope", 1, "processes of one user read each other's memory"),
    at_most(
        "vm.unprivileged_userfaultfd",
        0,
        "users without privileges stop the kernel in the middle of a copy",
    ),
    at_most(
        "kernel.unprivileged_userns_clone",
        0,
        "users without privileges make namespaces in which they hold every capability",
    ),
    at_least("vm.mmap_min_addr", 65_536, "null pointers of the kernel can be given content"),
    at_most("dev.tty.legacy_tiocsti", 0, "programs type into the terminals that they are shown on"),
    at_least("fs.protected_symlinks", 1, "links in /tmp lead programs of others astray"),
    at_least("fs.protected_hardlinks", 1, "files of others can be linked to"),
    at_least("fs.protected_fifos", 1, "FIFOs in /tmp are opened for others"),
    at_least("fs.protected_regular", 1, "files in /tmp are opened for others"),
];

pub(super) fn check() -> Vec<Finding> {
    SYSCTLS
        .iter()
        .map(|sysctl| {
            let path = format!("/proc/sys/{}", sysctl.key.replace('.', "/"));
            judge(sysctl, fs::read_to_string(path).ok().as_deref())
        })
        .collect()
}

/// A setting that the kernel does not have is about something that it does not have either.
fn judge(sysctl: &Sysctl, value: Option<&str>) -> Finding {
    let Sysctl { key, want, why } = sysctl;
    let (wanted, sign) = match want {
        Want::AtLeast(wanted) => (*wanted, "at least"),
        Want::AtMost(wanted) => (*wanted, "at most"),
    };
    let advice = format!("sysctl -w {key}={wanted}, and put it into /etc/sysctl.d");
    let Some(value) = value else {
        return Finding::ok(Part::Host, "sysctl", key, "this kernel has no such setting");
    };
    let value = value.trim();
    let holds = value.parse::<i64>().is_ok_and(|value| match want {
        Want::AtLeast(wanted) => value >= *wanted,
        Want::AtMost(wanted) => value <= *wanted,
    });
    if holds {
        Finding::ok(Part::Host, "sysctl", key, value)
    } else {
        let detail = format!("{value}, should be {sign} {wanted}: {why}");
        Finding::warn(Part::Host, "sysctl", key, detail, &advice)
    }
}

#[cfg(test)]
mod tests {
    use super::{at_least, at_most, judge};
    use crate::Verdict;

    #[test]
    fn settings_are_compared_in_their_direction() {
        let least = at_least("a.b", 1, "something");
        assert_eq!(judge(&least, Some("2\n")).verdict, Verdict::Ok);
        assert_eq!(judge(&least, Some("0\n")).verdict, Verdict::Warn);
        assert_eq!(judge(&least, Some("what")).verdict, Verdict::Warn);
        assert_eq!(judge(&least, None).verdict, Verdict::Ok);
        let most = at_most("a.b", 0, "something");
        assert_eq!(judge(&most, Some("0")).verdict, Verdict::Ok);
        assert_eq!(judge(&most, Some("1")).verdict, Verdict::Warn);
    }
}
