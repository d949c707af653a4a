//! Calls without users: removed from the kernel, never implemented, or long replaced.

#[cfg(target_arch = "x86_64")]
use super::super::numbers::{CREATE_MODULE, GET_KERNEL_SYMS, QUERY_MODULE};
use super::super::profile::SeccompProfile::Mvp;
#[cfg(target_arch = "x86_64")]
use super::super::profile::SeccompProfile::Strict;
use super::super::rule::{Entry, deny};

pub(super) const ENTRIES: &[Entry] = &[
    deny("nfsservctl", libc::SYS_nfsservctl, Mvp)
        .because("administered the NFS server of the kernel; removed in Linux 3.1")
        .missed_by("NFS servers older than Linux 3.1"),
    #[cfg(target_arch = "x86_64")]
    deny("uselib", libc::SYS_uselib, Strict)
        .because("loads a.out libraries; its loader was exploited (CVE-2004-1235)")
        .missed_by("libc 4 and 5 programs"),
    #[cfg(target_arch = "x86_64")]
    deny("ustat", libc::SYS_ustat, Strict)
        .because("tells about a file system by device number, whether it is visible in the sandbox or not")
        .missed_by("programs older than statfs(2)"),
    #[cfg(target_arch = "x86_64")]
    deny("sysfs", libc::SYS_sysfs, Strict)
        .because("tells which file systems the kernel has; replaced by /proc/filesystems")
        .missed_by("programs older than /proc"),
    #[cfg(target_arch = "x86_64")]
    deny("_sysctl", libc::SYS__sysctl, Strict)
        .because("changes kernel parameters around the read-only /proc/sys; removed in Linux 5.5")
        .missed_by("programs older than /proc/sys"),
    #[cfg(target_arch = "x86_64")]
    deny("create_module", CREATE_MODULE, Strict).because(MODULES).missed_by("modutils for Linux 2.4"),
    #[cfg(target_arch = "x86_64")]
    deny("get_kernel_syms", GET_KERNEL_SYMS, Strict).because(MODULES).missed_by("modutils for Linux 2.4"),
    #[cfg(target_arch = "x86_64")]
    deny("query_module", QUERY_MODULE, Strict).because(MODULES).missed_by("modutils for Linux 2.4"),
    #[cfg(target_arch = "x86_64")]
    deny("afs_syscall", libc::SYS_afs_syscall, Strict).because(RESERVED).missed_by("OpenAFS before /proc"),
    #[cfg(target_arch = "x86_64")]
    deny("tuxcall", libc::SYS_tuxcall, Strict).because(RESERVED).missed_by("the TUX web server"),
    #[cfg(target_arch = "x86_64")]
    deny("security", libc::SYS_security, Strict).because(RESERVED).missed_by("security modules before 2.6"),
    #[cfg(target_arch = "x86_64")]
    deny("vserver", libc::SYS_vserver, Strict).because(RESERVED).missed_by("Linux-VServer tools"),
];

#[cfg(target_arch = "x86_64")]
const MODULES: &str = "loaded kernel modules, or listed them; removed in Linux 2.6";

#[cfg(target_arch = "x86_64")]
const RESERVED: &str =
    "a number kept for an interface that never came into the kernel, only into patched ones";
