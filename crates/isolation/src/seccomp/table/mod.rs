//! The table of refused calls, a file per topic.
//!
//! A call is listed if it reaches kernel code that no ordinary program needs, or reaches out of the sandbox.
//! Most of the listed calls need a capability that sandboxes do not have; the filter is the second lock.

mod kernel;
mod mounts;
mod namespaces;
mod obsolete;
mod processes;
mod sockets;

use super::rule::Entry;

/// Returns every refused call, topic by topic; the order carries no meaning.
///
/// Some calls are absent on purpose:
/// - adjtimex, clock_adjtime: programs read the clock's state with them. What they are to do is in memory,
///   where a filter cannot look, and the kernel asks for `CAP_SYS_TIME` before it changes anything.
/// - mbind, set_mempolicy, get_mempolicy: numerical libraries and the JVM place their own memory with them.
/// - statmount, listmount: they tell what `/proc/self/mountinfo` tells, and recent versions of libmount use
///   them.
/// - splice, vmsplice, io_setup and its kin: copying tools, web servers and databases use them, on their own memory.
/// - seccomp, prctl and the Landlock calls: browsers and others confine themselves further. A later filter
///   cannot lift an `EPERM` of this one, not even one that asks a user-space listener.
/// - capset, setuid, kill, sched_setattr, prlimit64 and the like: the kernel's own checks are exact.
/// - uretprobe, uprobe: the kernel puts them into a process that the host traces, which must not die of it.
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    [
        kernel::ENTRIES,
        mounts::ENTRIES,
        processes::ENTRIES,
        sockets::ENTRIES,
        namespaces::ENTRIES,
        obsolete::ENTRIES,
    ]
    .into_iter()
    .flatten()
}
