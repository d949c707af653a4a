//! Namespaces that a process enters after it has started: unshare(2).

use std::io;

use rustix::thread::UnshareFlags;

use crate::controls::{Control, Controls};

/// Gives the calling process a new cgroup namespace, rooted at the cgroups it is in, and its children a new time
/// namespace; either only where it is in force.
pub(crate) fn unshare_cgroup_and_time(controls: Controls) -> io::Result<()> {
    let wanted = [
        (Control::CgroupNamespace, UnshareFlags::NEWCGROUP),
        (Control::TimeNamespace, UnshareFlags::NEWTIME),
    ];
    let kept = wanted.into_iter().filter(|(control, _)| controls.keep(*control)).map(|(_, flag)| flag);
    // SAFETY: neither flag changes what the process shares of its descriptor table or memory.
    unsafe { rustix::thread::unshare_unsafe(kept.collect()) }.map_err(Into::into)
}
