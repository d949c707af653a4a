//! Calls that make, enter or rename namespaces.

use libc::{
    CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER, CLONE_NEWUTS,
};

use super::super::numbers::LISTNS;
use super::super::profile::SeccompProfile::Strict;
use super::super::rule::{Clause, Comparison, Entry, absent, deny, deny_if};

/// The flags that put a new process into new namespaces.
///
/// `CLONE_NEWTIME` is among them although clone(2) cannot take it: the bit lies in the byte that holds the
/// exit signal there. No signal is as high as 128, so that refusing the bit refuses nothing useful.
const NEW_NAMESPACES: u32 = (CLONE_NEWNS
    | CLONE_NEWCGROUP
    | CLONE_NEWUTS
    | CLONE_NEWIPC
    | CLONE_NEWUSER
    | CLONE_NEWPID
    | CLONE_NEWNET
    | libc::CLONE_NEWTIME)
    .cast_unsigned();

pub(super) const ENTRIES: &[Entry] = &[
    deny("setns", libc::SYS_setns, Strict)
        .because("enters the namespaces of another process")
        .missed_by("nsenter, container tools"),
    deny("unshare", libc::SYS_unshare, Strict)
        .because("a new user namespace holds all capabilities, and opens most of the kernel to its owner")
        .missed_by("unshare, container tools, bubblewrap, the namespace sandbox of Chromium"),
    deny_if(
        "clone",
        libc::SYS_clone,
        Strict,
        &[Clause { meaning: "any CLONE_NEW* flag", comparisons: &[Comparison::any_bit(0, NEW_NAMESPACES)] }],
    )
    .because("a new user namespace holds all capabilities, and opens most of the kernel to its owner")
    .missed_by("container tools, bubblewrap, the namespace sandbox of Chromium; threads and fork work"),
    // With clone(2) open to namespaces there is nothing to gain from closing this one, so that mvp leaves it.
    absent("clone3", libc::SYS_clone3, Strict)
        .because("its flags are in memory, out of a filter's sight; C libraries then use clone instead")
        .missed_by("programs that start processes directly in a cgroup; threads and fork work"),
    deny("listns", LISTNS, Strict)
        .because("tells which namespaces exist on the machine; since Linux 6.19")
        .missed_by("recent lsns, which reads /proc instead"),
    deny("sethostname", libc::SYS_sethostname, Strict)
        .because("changes a namespace that the daemon set up")
        .missed_by("hostname with an argument, container tools"),
    deny("setdomainname", libc::SYS_setdomainname, Strict)
        .because("changes a namespace that the daemon set up")
        .missed_by("domainname with an argument"),
];
