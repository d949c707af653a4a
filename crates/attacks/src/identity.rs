//! Becoming somebody else: ids, capabilities, and the limits of a process.

use std::fs;
use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setpriority_process, setrlimit};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, Gid, Uid, capabilities, capabilities_secure_bits,
    capability_is_in_bounding_set, configure_capability_in_ambient_set, no_new_privs, set_capabilities,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};
use sandkasten_attacks::Outcome;

use crate::attack::Attack;

const GROUP: &str = "identity";

pub(crate) fn attacks() -> Vec<Attack> {
    let root = (Uid::ROOT, Gid::ROOT);
    vec![
        Attack::once(GROUP, "become root", move |_| {
            outcome(set_thread_res_uid(root.0, root.0, root.0), "became user 0")
        }),
        Attack::once(GROUP, "become group root", move |_| {
            outcome(set_thread_res_gid(root.1, root.1, root.1), "became group 0")
        }),
        Attack::once(GROUP, "join other groups", move |_| {
            outcome(set_thread_groups(&[root.1]), "set its supplementary groups")
        }),
        Attack::once(GROUP, "hold a capability", |_| hold()),
        Attack::once(GROUP, "raise capabilities", |_| {
            outcome(set_capabilities(None, one()), "raised CAP_CHOWN in three sets")
        }),
        Attack::once(GROUP, "keep a capability over exec", |_| keep_over_exec()),
        Attack::once(GROUP, "find a capability in the bounding set", |_| find_in_bounding_set()),
        Attack::once(GROUP, "unlock the secure bits", |_| unlock()),
        Attack::once(GROUP, "gain privileges by a program's setuid bit", |_| gain_by_exec()),
        Attack::once(GROUP, "take a higher priority", |_| {
            outcome(setpriority_process(None, -10), "took priority -10")
        }),
        Attack::once(GROUP, "raise the limit of open files", |_| raise(Resource::Nofile, 1 << 20)),
        Attack::once(GROUP, "raise the limit of locked memory", |_| raise(Resource::Memlock, 1 << 30)),
        Attack::once(GROUP, "raise the limit of real-time priority", |_| raise(Resource::Rtprio, 50)),
        Attack::once(GROUP, "raise the limit of core files", |_| raise(Resource::Core, 1 << 30)),
        Attack::once(GROUP, "find the daemon's environment", |_| find_environment()),
        Attack::once(GROUP, "find an open descriptor", |_| find_descriptor()),
    ]
}

fn outcome(result: rustix::io::Result<()>, breach: &str) -> Outcome {
    match result {
        Ok(()) => Outcome::Breach(breach.to_owned()),
        Err(error) => Outcome::Denied(error.to_string()),
    }
}

/// One that root has on every host.
fn one() -> CapabilitySets {
    let one = CapabilitySet::CHOWN;
    CapabilitySets { effective: one, permitted: one, inheritable: one }
}

fn hold() -> Outcome {
    match capabilities(None) {
        Ok(sets) if (sets.effective | sets.permitted | sets.inheritable).is_empty() => {
            Outcome::Denied("there is none in any set".to_owned())
        }
        Ok(sets) => {
            Outcome::Breach(format!("holds {:?}", sets.effective | sets.permitted | sets.inheritable))
        }
        Err(error) => Outcome::Breach(format!("the sets cannot be read: {error}")),
    }
}

fn keep_over_exec() -> Outcome {
    let inheritable = capabilities(None).and_then(|sets| {
        set_capabilities(None, CapabilitySets { inheritable: sets.permitted | CapabilitySet::CHOWN, ..sets })
    });
    let raised = inheritable.and_then(|()| configure_capability_in_ambient_set(CapabilitySet::CHOWN, true));
    outcome(raised, "raised CAP_CHOWN in the ambient set")
}

fn find_in_bounding_set() -> Outcome {
    for number in 0..64_u32 {
        match capability_is_in_bounding_set(CapabilitySet::from_bits_retain(1 << number)) {
            Ok(true) => return Outcome::Breach(format!("capability {number} is in the bounding set")),
            Ok(false) => {}
            // The first number that the kernel does not know.
            Err(rustix::io::Errno::INVAL) if number > 0 => break,
            Err(error) => return Outcome::Breach(format!("the bounding set cannot be read: {error}")),
        }
    }
    Outcome::Denied("it is empty".to_owned())
}

fn unlock() -> Outcome {
    let needed = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
        | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    match capabilities_secure_bits() {
        Ok(bits) if bits.contains(needed) => Outcome::Denied("all are set and locked".to_owned()),
        Ok(bits) => Outcome::Breach(format!("only {bits:?} are set")),
        Err(error) => Outcome::Breach(format!("the secure bits cannot be read: {error}")),
    }
}

fn gain_by_exec() -> Outcome {
    match no_new_privs() {
        Ok(true) => Outcome::Denied("no_new_privs is set, for good".to_owned()),
        Ok(false) => Outcome::Breach("no_new_privs is not set".to_owned()),
        Err(error) => Outcome::Breach(format!("no_new_privs cannot be read: {error}")),
    }
}

fn raise(resource: Resource, to: u64) -> Outcome {
    let before = getrlimit(resource);
    let unlimited = before.maximum.is_none_or(|maximum| maximum >= to);
    if unlimited {
        return Outcome::Breach(format!("the limit is {:?} already", before.maximum));
    }
    outcome(setrlimit(resource, Rlimit { current: Some(to), maximum: Some(to) }), "raised the limit")
}

fn find_environment() -> Outcome {
    let own = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
    match own.into_iter().find(|name| name.starts_with("SANDKASTEN_")) {
        Some(name) => Outcome::Breach(format!("the variable {name} is set")),
        None => Outcome::Denied("no variable of it is set".to_owned()),
    }
}

/// Looks at what came over the exec: this program opens with close-on-exec.
fn find_descriptor() -> Outcome {
    match leaked() {
        Ok(leaked) if leaked.is_empty() => {
            Outcome::Denied("only standard input, output and error are open".to_owned())
        }
        Ok(leaked) => Outcome::Breach(format!("{} is open", leaked.join(", "))),
        Err(error) => Outcome::Breach(format!("/proc/self/fd cannot be read: {error}")),
    }
}

fn leaked() -> io::Result<Vec<String>> {
    let mut leaked = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let number = entry.file_name().to_string_lossy().into_owned();
        // The listing itself has a descriptor, which is closed when it is looked at.
        let target = fs::read_link(entry.path()).unwrap_or_default();
        if !matches!(number.as_str(), "0" | "1" | "2")
            && !target.starts_with(format!("/proc/{}/fd", std::process::id()))
        {
            leaked.push(format!("{number} ({})", target.display()));
        }
    }
    Ok(leaked)
}
