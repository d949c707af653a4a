//! Kernel numbers that the libc crate does not have on every target: calls, ranges of calls, architectures.
//!
//! The source of each is the kernel's `arch/x86/entry/syscalls/syscall_64.tbl` and `scripts/syscall.tbl`.

use std::ops::RangeInclusive;

use libc::c_long;

/// open_tree_attr(2), since Linux 6.15; the same number on all architectures.
pub(super) const OPEN_TREE_ATTR: c_long = 467;

/// listns(2), since Linux 6.19; the same number on all architectures.
pub(super) const LISTNS: c_long = 470;

/// The first number that no kernel known to the authors of the table has given to a call.
///
/// The last known one is 471, rseq_slice_yield(2), since Linux 7.0. Before raising this, read what the new
/// calls do, and enter those into the table that do more than the calls they replace.
pub(super) const FIRST_UNKNOWN: u32 = 472;

/// The number of a call that a tracer has cancelled; the kernel answers it with `ENOSYS` by itself.
pub(super) const CANCELLED: u32 = u32::MAX;

#[cfg(target_arch = "x86_64")]
pub(super) use self::x86_64::{
    ALIASES, CREATE_MODULE, GET_KERNEL_SYMS, NATIVE_ARCHITECTURE, QUERY_MODULE, UNASSIGNED,
};

#[cfg(target_arch = "aarch64")]
pub(super) use self::aarch64::{ALIASES, KEXEC_FILE_LOAD, NATIVE_ARCHITECTURE, UNASSIGNED};

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("the system call table is written for x86_64 and aarch64");

// The filter reads the low half of an argument at the lower address.
#[cfg(target_endian = "big")]
compile_error!("the system call filter is written for little-endian machines");

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use super::{CANCELLED, FIRST_UNKNOWN, RangeInclusive, c_long};

    /// `AUDIT_ARCH_X86_64` of `linux/audit.h`: what the kernel says of calls made with `syscall`.
    pub(in super::super) const NATIVE_ARCHITECTURE: u32 = 0xC000_003E;

    pub(in super::super) const CREATE_MODULE: c_long = 174;
    pub(in super::super) const GET_KERNEL_SYMS: c_long = 177;
    pub(in super::super) const QUERY_MODULE: c_long = 178;

    /// Numbers that no profile lets pass, because they are second names of calls in the table.
    ///
    /// From bit 30 on is the x32 ABI, which has the same architecture value as x86-64. 512 to 547 are the
    /// calls of x32 that differ from x86-64, among them ioctl, ptrace and process_vm_readv; kernels before
    /// 5.4 run them without bit 30 as well (Linux commit 6365b842aae4).
    pub(in super::super) const ALIASES: &[RangeInclusive<u32>] = &[512..=547, 0x4000_0000..=CANCELLED - 1];

    /// Numbers without a call: those after the last x86-64 one up to the common ones, and all future ones.
    ///
    /// 335 (uretprobe) and 336 (uprobe) are not among them: the kernel itself puts them into a process that
    /// the host traces, and a process that cannot make them dies.
    pub(in super::super) const UNASSIGNED: &[RangeInclusive<u32>] =
        &[337..=423, FIRST_UNKNOWN..=511, 548..=0x3FFF_FFFF];
}

#[cfg(target_arch = "aarch64")]
mod aarch64 {
    use super::{CANCELLED, FIRST_UNKNOWN, RangeInclusive, c_long};

    /// `AUDIT_ARCH_AARCH64` of `linux/audit.h`; 32-bit programs have another.
    pub(in super::super) const NATIVE_ARCHITECTURE: u32 = 0xC000_00B7;

    /// kexec_file_load(2), which the libc crate lacks for musl.
    pub(in super::super) const KEXEC_FILE_LOAD: c_long = 294;

    /// Second names of calls in the table: 64-bit ARM has none.
    pub(in super::super) const ALIASES: &[RangeInclusive<u32>] = &[];

    /// Numbers without a call: the block kept for architectures, the one for 32-bit times, and all future
    /// ones.
    pub(in super::super) const UNASSIGNED: &[RangeInclusive<u32>] =
        &[244..=259, 295..=423, FIRST_UNKNOWN..=CANCELLED - 1];
}
