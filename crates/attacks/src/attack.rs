//! One attack, and the list of all.

use sandkasten_attacks::{Outcome, Target};
use sandkasten_isolation::seccomp::Way;

use crate::{
    calls, devices, files, host, identity, landlock_layers, network, proc_files, resources, supervisor,
};

/// Something that a sandbox must not let happen.
pub(crate) struct Attack {
    /// What it is about, for the listing.
    pub(crate) group: &'static str,
    /// What is tried; no two have the same name.
    pub(crate) name: String,
    pub(crate) act: Act,
}

/// How an attack is carried out.
pub(crate) enum Act {
    /// A refused call is made on each way into the kernel, in a process for each.
    Call(&'static str),
    /// A function is run in a process of its own.
    Once(Box<dyn Fn(&Target) -> Outcome>),
    /// As above; death by `SIGKILL` is how the kernel refuses it.
    Killed(Box<dyn Fn(&Target) -> Outcome>),
}

impl Attack {
    pub(crate) fn once(
        group: &'static str,
        name: impl Into<String>,
        act: impl Fn(&Target) -> Outcome + 'static,
    ) -> Self {
        Self { group, name: name.into(), act: Act::Once(Box::new(act)) }
    }

    pub(crate) fn killed(
        group: &'static str,
        name: impl Into<String>,
        act: impl Fn(&Target) -> Outcome + 'static,
    ) -> Self {
        Self { group, name: name.into(), act: Act::Killed(Box::new(act)) }
    }
}

/// Every attack on the target, in the order of the listing.
pub(crate) fn all(target: &Target) -> Vec<Attack> {
    let mut attacks = calls::attacks(target);
    attacks.extend(identity::attacks());
    attacks.extend(supervisor::attacks());
    attacks.extend(files::attacks(target));
    attacks.extend(proc_files::attacks());
    attacks.extend(devices::attacks());
    attacks.extend(network::attacks());
    attacks.extend(host::attacks());
    attacks.extend(landlock_layers::attacks());
    attacks.extend(resources::attacks(target));
    attacks.push(supervisor::last());
    attacks
}

/// How a way into the kernel is called in names of trials.
pub(crate) fn way_word(way: Way) -> &'static str {
    match way {
        Way::Native => "syscall",
        Way::Compatible => "int 0x80",
        Way::X32 => "x32",
    }
}
