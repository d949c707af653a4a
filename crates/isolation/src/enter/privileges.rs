//! Identity and privilege: what the runner is while it builds, and how it gives all of it up.
//!
//! The runner ends with three different user ids: real and effective 0 of its namespace, saved 1000. A process may
//! change among its own three ids without any capability (setresuid(2)), so its children can become user 1000, while
//! nothing that runs as user 1000 matches the runner's real or effective id.

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, Gid, Uid, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_capabilities_secure_bits, set_no_new_privs,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use crate::controls::{Control, Controls};
use crate::plan::{SANDBOX_ID, SandboxPlan};

/// Which privilege could not be given up.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegesError {
    /// A resource limit could not be set.
    #[error("failed to limit {resource}")]
    Limit {
        /// Which one.
        resource: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The secure bits could not be locked.
    #[error("failed to lock the secure bits")]
    SecureBits {
        /// The kernel's reason.
        source: io::Error,
    },
    /// A capability could not be removed from the bounding set.
    #[error("failed to remove capability {number} from the bounding set")]
    Bounding {
        /// Its number.
        number: u32,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The ids could not be set.
    #[error("failed to set the runner's ids")]
    Ids {
        /// The kernel's reason.
        source: io::Error,
    },
    /// The other capability sets could not be emptied.
    #[error("failed to empty the capability sets")]
    Capabilities {
        /// The kernel's reason.
        source: io::Error,
    },
    /// `no_new_privs` could not be set.
    #[error("failed to set no_new_privs")]
    NoNewPrivileges {
        /// The kernel's reason.
        source: io::Error,
    },
    /// The runner could not be closed to inspection.
    #[error("failed to make the runner undumpable")]
    Undumpable {
        /// The kernel's reason.
        source: io::Error,
    },
}

/// Becomes uid 0 of the user namespace, which the daemon has mapped by now, with no supplementary groups.
pub(super) fn become_namespace_root(controls: Controls) -> io::Result<()> {
    set_thread_groups(if controls.keep(Control::SupplementaryGroups) { &[] } else { &[Gid::ROOT] })?;
    set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)?;
    set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)?;
    Ok(())
}

/// Sets the limits that every process of the sandbox inherits; never above what the daemon has itself.
pub(super) fn limit_resources(plan: &SandboxPlan) -> Result<(), PrivilegesError> {
    // A core limit of 0 stops core files but not a `|program` in core_pattern; 1 stops both: core(5).
    let limits = [
        (Resource::Core, "core", 1, 1),
        (Resource::Nofile, "nofile", 1024.min(plan.open_files), plan.open_files),
        (Resource::Memlock, "memlock", 64 << 10, 64 << 10),
        (Resource::Msgqueue, "msgqueue", 819_200, 819_200),
        (Resource::Rtprio, "rtprio", 0, 0),
        (Resource::Nice, "nice", 0, 0),
        (Resource::Stack, "stack", 8 << 20, 64 << 20),
    ];
    for (resource, name, soft, hard) in limits {
        let ceiling = getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let hard = ceiling.min(hard);
        setrlimit(resource, Rlimit { current: Some(hard.min(soft)), maximum: Some(hard) })
            .map_err(|source| PrivilegesError::Limit { resource: name, source: source.into() })?;
    }
    Ok(())
}

/// Gives up every capability for good, for this process and all to come, and closes it to inspection.
pub(super) fn drop_all(controls: Controls) -> Result<(), PrivilegesError> {
    let bits = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_SETUID_FIXUP
        | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
        | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    if controls.keep(Control::SecureBits) {
        set_capabilities_secure_bits(bits)
            .map_err(|source| PrivilegesError::SecureBits { source: source.into() })?;
    }
    if controls.keep(Control::BoundingSet) {
        narrow_bounding_set(CapabilitySet::empty())?;
    }
    clear_ambient_capability_set()
        .map_err(|source| PrivilegesError::Capabilities { source: source.into() })?;
    let ids = |source: rustix::io::Errno| PrivilegesError::Ids { source: source.into() };
    let real = if controls.keep(Control::SupervisorIds) { 0 } else { SANDBOX_ID };
    set_thread_res_gid(Gid::from_raw(real), Gid::ROOT, Gid::from_raw(SANDBOX_ID)).map_err(ids)?;
    set_thread_res_uid(Uid::from_raw(real), Uid::ROOT, Uid::from_raw(SANDBOX_ID)).map_err(ids)?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    if controls.keep(Control::Capabilities) {
        set_capabilities(None, none)
            .map_err(|source| PrivilegesError::Capabilities { source: source.into() })?;
    }
    if controls.keep(Control::NoNewPrivileges) {
        set_no_new_privs(true)
            .map_err(|source| PrivilegesError::NoNewPrivileges { source: source.into() })?;
    }
    // Last, because a change of ids sets it anew. Keeps /proc/1, ptrace and process_vm_* shut.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|source| PrivilegesError::Undumpable { source: source.into() })
}

/// What root may do while an image is built, in its own user namespace: what installing software needs. Nothing of it reaches
/// a mount, a device, a network or another process's memory.
const BUILDING: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID);
/// What the runner has beyond that and its commands can never have, since the bounding set lacks it. It is worth nothing in a
/// user namespace; but a process may look into another one of its own user only if it has all of that one's capabilities:
/// `cap_ptrace_access_check` in the kernel's security/commoncap.c.
const RUNNER_ALONE: CapabilitySet = CapabilitySet::WAKE_ALARM;

/// Gives up everything for good but what root needs to build an image, and closes the process to inspection. Commands are
/// started as the user of the plan; root has what is left, and every other user nothing.
pub(super) fn keep_for_building() -> Result<(), PrivilegesError> {
    let bits = CapabilitiesSecureBits::KEEP_CAPS_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    set_capabilities_secure_bits(bits)
        .map_err(|source| PrivilegesError::SecureBits { source: source.into() })?;
    narrow_bounding_set(BUILDING)?;
    clear_ambient_capability_set()
        .map_err(|source| PrivilegesError::Capabilities { source: source.into() })?;
    let kept = BUILDING | RUNNER_ALONE;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).map_err(|source| PrivilegesError::Capabilities { source: source.into() })?;
    set_no_new_privs(true).map_err(|source| PrivilegesError::NoNewPrivileges { source: source.into() })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|source| PrivilegesError::Undumpable { source: source.into() })
}

/// Removes every capability but those in `kept` that the running kernel knows, also those younger than this program.
fn narrow_bounding_set(kept: CapabilitySet) -> Result<(), PrivilegesError> {
    for number in 0..64_u32 {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if kept.contains(capability) {
            continue;
        }
        match remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            Err(rustix::io::Errno::INVAL) if number > 0 => return Ok(()),
            Err(source) => return Err(PrivilegesError::Bounding { number, source: source.into() }),
        }
    }
    Ok(())
}
