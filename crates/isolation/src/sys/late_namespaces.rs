//! Namespaces that a process enters after it has started: unshare(2).

use std::io;

use rustix::thread::UnshareFlags;

/// Gives the calling process a new cgroup namespace, rooted at the cgroups it is in, and its children a new time
/// namespace.
pub(crate) fn unshare_cgroup_and_time() -> io::Result<()> {
    // SAFETY: neither flag changes what the process shares of its descriptor table or memory.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWCGROUP | UnshareFlags::NEWTIME) }
        .map_err(Into::into)
}
