//! The eight kinds of namespaces, each made in the trial process.

use std::fs;
use std::path::Path;

use super::Feature;
use super::check::{Check, Finding, Need};
use super::trial::{Outcome, Trial};
use crate::plan::RANGE_IDS;
use crate::sys::probe_calls::Step;

const USER: Check = Check {
    name: "user namespaces",
    need: Need::Required,
    why: "giving root inside a sandbox no power over the host",
    advice: "use a kernel with CONFIG_USER_NS, and set the sysctl user.max_user_namespaces well above 0",
};

const ID_MAPPING: Check = Check {
    name: "id mapping",
    need: Need::Required,
    why: "giving every session host ids of its own",
    advice: "run the daemon in the host's own user namespace, with CAP_SETUID and CAP_SETGID",
};

const PID: Check = Check {
    name: "pid namespaces",
    need: Need::Required,
    why: "hiding the host's processes, and ending all of a session's at once",
    advice: "use a kernel with CONFIG_PID_NS, and set the sysctl user.max_pid_namespaces well above 0",
};

const MOUNT: Check = Check {
    name: "mount namespaces",
    need: Need::Required,
    why: "giving every sandbox a file tree of its own",
    advice: "set the sysctl user.max_mnt_namespaces well above 0",
};

const NETWORK: Check = Check {
    name: "network namespaces",
    need: Need::Required,
    why: "cutting sandboxes off the host's network",
    advice: "use a kernel with CONFIG_NET_NS, and set the sysctl user.max_net_namespaces well above 0",
};

const LOOPBACK: Check = Check {
    name: "loopback interface",
    need: Need::Required,
    why: "connections of a sandbox with itself",
    advice: "use a kernel with CONFIG_INET",
};

const IPC: Check = Check {
    name: "ipc namespaces",
    need: Need::Required,
    why: "keeping shared memory and message queues of sessions apart",
    advice: "use a kernel with CONFIG_IPC_NS, and set the sysctl user.max_ipc_namespaces well above 0",
};

const UTS: Check = Check {
    name: "uts namespaces",
    need: Need::Required,
    why: "giving every sandbox a host name of its own",
    advice: "use a kernel with CONFIG_UTS_NS, and set the sysctl user.max_uts_namespaces well above 0",
};

const CGROUP: Check = Check {
    name: "cgroup namespaces",
    need: Need::Required,
    why: "hiding the host's control groups",
    advice: "use Linux 4.6 or newer, and set the sysctl user.max_cgroup_namespaces well above 0",
};

const TIME: Check = Check {
    name: "time namespaces",
    need: Need::Required,
    why: "hiding how long the host has been up",
    advice: "use Linux 5.6 or newer with CONFIG_TIME_NS; user.max_time_namespaces must be well above 0",
};

pub(super) fn features(trial: &Trial) -> Vec<Feature> {
    let made = |outcome: &Outcome, file: &str| made(outcome, exists(file), file);
    vec![
        USER.found(made(&trial.user_namespace(), "user")),
        ID_MAPPING.found(mapped(&trial.id_mapping(), &trial.step(Step::NamespaceRoot))),
        PID.found(made(&trial.pid_namespace(), "pid")),
        MOUNT.found(made(&trial.step(Step::Mount), "mnt")),
        NETWORK.found(made(&trial.step(Step::Network), "net")),
        LOOPBACK.found(trial.step(Step::Loopback).map(|()| "brought one up".into())),
        IPC.found(made(&trial.step(Step::Ipc), "ipc")),
        UTS.found(made(&trial.step(Step::Uts), "uts")),
        CGROUP.found(made(&trial.step(Step::Cgroup), "cgroup")),
        TIME.found(made(&trial.step(Step::Time), "time")),
    ]
}

/// Whether the kernel knows a kind of namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Yes,
    No,
}

fn exists(file: &str) -> Known {
    let link = Path::new("/proc/self/ns").join(file);
    if fs::symlink_metadata(link).is_ok() { Known::Yes } else { Known::No }
}

fn made(outcome: &Outcome, known: Known, file: &str) -> Finding {
    match (outcome, known) {
        (Ok(()), _) => Ok("made one".into()),
        (Err(_), Known::No) => Err(format!("this kernel is built without them: no /proc/self/ns/{file}")),
        (Err(reason), Known::Yes) => Err(reason.clone()),
    }
}

fn mapped(mapping: &Outcome, root: &Outcome) -> Finding {
    mapping.clone()?;
    root.clone().map_err(|reason| format!("becoming root of the namespace: {reason}"))?;
    Ok(format!("mapped {RANGE_IDS} ids and became root of the namespace"))
}

#[cfg(test)]
mod tests {
    use super::{Known, made, mapped};

    #[test]
    fn a_kind_that_the_kernel_lacks_is_told_from_a_refusal() {
        let refused = Err("No space left on device (os error 28)".to_owned());
        assert_eq!(made(&refused, Known::Yes, "time"), refused.clone().map(|()| String::new()));
        let text = made(&refused, Known::No, "time").expect_err("it is missing");
        assert!(text.contains("/proc/self/ns/time"), "{text}");
        assert!(made(&Ok(()), Known::Yes, "time").is_ok());
    }

    #[test]
    fn a_mapping_counts_only_with_its_root() {
        assert!(mapped(&Ok(()), &Ok(())).is_ok());
        assert_eq!(mapped(&Err("a".into()), &Err("b".into())), Err("a".into()));
        assert!(mapped(&Ok(()), &Err("b".into())).is_err());
    }
}
