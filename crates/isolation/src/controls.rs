//! The controls of a sandbox, by name, and a switch for tests that turns single ones off.
//!
//! Every build has all of them in force: [`Controls`] is then a type without content, and [`Controls::keep`] is `true`.
//! Only the feature `weaken`, which tests of `sandkasten security` ask for and no binary is built with, gives it a
//! value: each check must be seen to fail without what it checks.

use serde::{Deserialize, Serialize};

#[cfg(feature = "weaken")]
use crate::seccomp::Instruction;

/// One control that can be turned off for a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Control {
    /// A System V IPC namespace of its own.
    IpcNamespace,
    /// A host name of its own.
    UtsNamespace,
    /// A network of its own.
    NetworkNamespace,
    /// A cgroup namespace of its own.
    CgroupNamespace,
    /// Clocks of its own.
    TimeNamespace,
    /// Host ids of its own, and no others.
    UidRange,
    /// No supplementary groups.
    SupplementaryGroups,
    /// An empty bounding set.
    BoundingSet,
    /// No capabilities of the runner.
    Capabilities,
    /// Locked secure bits.
    SecureBits,
    /// `no_new_privs`. The filter and landlock cannot be had without it, and are off as well.
    NoNewPrivileges,
    /// Another real user for PID 1 than for commands.
    SupervisorIds,
    /// The landlock rules.
    Landlock,
    /// The seccomp filter.
    Filter,
    /// The filter's check of the architecture.
    FilterArchitecture,
    /// A read-only root filesystem.
    RootReadOnly,
    /// `nosuid` of the root filesystem.
    RootNosuid,
    /// `nodev` of the root filesystem.
    RootNodev,
    /// `nosuid` of the writable mounts.
    TmpfsNosuid,
    /// `nodev` of the writable mounts.
    TmpfsNodev,
    /// Bounds of the writable mounts, in bytes.
    TmpfsSize,
    /// Bounds of the writable mounts, in files.
    TmpfsInodes,
    /// A read-only `/proc`.
    ProcReadOnly,
    /// What is hidden of `/proc`.
    ProcMasks,
    /// No user namespaces inside.
    UserNamespaceLimit,
    /// The host's mounts cut off.
    HostRootDetached,
    /// The list of devices.
    DeviceList,
    /// A read-only `/dev`.
    DevicesReadOnly,
    /// The resource limits of processes.
    ResourceLimits,
    /// No descriptors but the standard ones.
    Descriptors,
    /// The memory limit.
    MemoryLimit,
    /// The limit of processes.
    PidsLimit,
    /// The limit of CPU time.
    CpuLimit,
}

/// Which controls are in force.
#[cfg(not(feature = "weaken"))]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Controls(());

#[cfg(not(feature = "weaken"))]
impl Controls {
    /// Whether a control is in force: always.
    #[must_use]
    pub const fn keep(self, _: Control) -> bool {
        true
    }
}

/// Which controls are in force.
#[cfg(feature = "weaken")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Controls {
    off: Option<Control>,
}

#[cfg(feature = "weaken")]
impl Controls {
    /// All but one.
    #[must_use]
    pub const fn without(control: Control) -> Self {
        Self { off: Some(control) }
    }

    /// Whether a control is in force.
    #[must_use]
    pub fn keep(self, control: Control) -> bool {
        self.off != Some(control)
    }

    /// Lets calls of other architectures through a compiled filter where its check is off.
    pub fn weaken_filter(self, filter: &mut [Instruction]) {
        // The first return is what a wrong architecture gets.
        let refusal = filter.iter_mut().find(|instruction| instruction.is_return());
        if let Some(refusal) = refusal.filter(|_| !self.keep(Control::FilterArchitecture)) {
            refusal.k = libc::SECCOMP_RET_ALLOW;
        }
    }
}
