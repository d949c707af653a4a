//! What every sandbox is given, whatever it is to be: its devices, and the ways into its cgroups.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::cgroup::SessionCgroup;
use super::{DeviceTree, LaunchError};
use crate::controls::Controls;
use crate::plan::CgroupDescriptors;

/// The descriptors of one sandbox that no plan has a say in, so that they can be made ahead of time. They serve for one start.
#[derive(Debug)]
pub struct Fittings {
    devices: OwnedFd,
    session_tasks: Vec<OwnedFd>,
    runner_tasks: Vec<OwnedFd>,
    process_group: Vec<OwnedFd>,
    /// The v2 cgroup that the runner is started in, where there is that hierarchy.
    runner_directory: Option<OwnedFd>,
}

impl Fittings {
    /// Makes them for a sandbox in `cgroup`, which has been made. Blocking; needs root of the host.
    ///
    /// # Errors
    /// [`LaunchError::Devices`] or [`LaunchError::Path`].
    pub fn new(controls: Controls, cgroup: &SessionCgroup) -> Result<Self, LaunchError> {
        Ok(Self {
            devices: DeviceTree::new(controls)?.into_mount(),
            session_tasks: cgroup.open_session_tasks()?,
            runner_tasks: cgroup.open_runner_tasks()?,
            process_group: cgroup.open_first_process_group()?.map_or_else(Vec::new, Vec::from),
            runner_directory: cgroup.open_runner_directory()?,
        })
    }

    pub(super) fn devices(&self) -> BorrowedFd<'_> {
        self.devices.as_fd()
    }

    pub(super) fn runner_directory(&self) -> Option<BorrowedFd<'_>> {
        self.runner_directory.as_ref().map(AsFd::as_fd)
    }

    /// How many descriptors of each kind [`cgroups`](Self::cgroups) returns.
    pub(super) fn cgroup_counts(&self) -> CgroupDescriptors {
        CgroupDescriptors {
            session_tasks: self.session_tasks.len(),
            runner_tasks: self.runner_tasks.len(),
            process_group: self.process_group.len(),
        }
    }

    /// What the runner enters cgroups by, in the order of a handover.
    pub(super) fn cgroups(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.session_tasks.iter().chain(&self.runner_tasks).chain(&self.process_group).map(AsFd::as_fd)
    }
}
