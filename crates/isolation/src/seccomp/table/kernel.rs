//! Calls that change, observe or load code into the kernel, or administer the machine.

#[cfg(target_arch = "aarch64")]
use super::super::numbers::KEXEC_FILE_LOAD;
use super::super::profile::SeccompProfile::{Mvp, Strict};
use super::super::rule::{Entry, deny};
#[cfg(target_arch = "x86_64")]
use libc::SYS_kexec_file_load as KEXEC_FILE_LOAD;

pub(super) const ENTRIES: &[Entry] = &[
    deny("bpf", libc::SYS_bpf, Mvp)
        .because("loads programs into the kernel; errors in its verifier have often given root")
        .missed_by("bpftrace, bcc, bpftool"),
    deny("perf_event_open", libc::SYS_perf_event_open, Mvp)
        .because(
            "a large interface with a history of escalations; its counters are a fine-grained side channel",
        )
        .missed_by("perf, profilers with hardware counters"),
    deny("userfaultfd", libc::SYS_userfaultfd, Mvp)
        .because("stops the kernel in the middle of a copy, which turns narrow races into reliable exploits")
        .missed_by("live migration in QEMU, CRIU"),
    deny("io_uring_setup", libc::SYS_io_uring_setup, Mvp)
        .because("makes calls that this filter never sees, and is a steady source of escalations")
        .missed_by("programs with io_uring and no fallback; libuv, tokio and nginx fall back to epoll"),
    deny("io_uring_enter", libc::SYS_io_uring_enter, Mvp)
        .because("would use a ring that was received from elsewhere")
        .missed_by("nothing beyond io_uring_setup"),
    deny("io_uring_register", libc::SYS_io_uring_register, Mvp)
        .because("would use a ring that was received from elsewhere")
        .missed_by("nothing beyond io_uring_setup"),
    deny("init_module", libc::SYS_init_module, Mvp)
        .because("loads code into the kernel")
        .missed_by("modprobe, insmod"),
    deny("finit_module", libc::SYS_finit_module, Mvp)
        .because("loads code into the kernel")
        .missed_by("modprobe, insmod"),
    deny("delete_module", libc::SYS_delete_module, Mvp)
        .because("removes code from the kernel of all sandboxes and the host")
        .missed_by("rmmod"),
    deny("kexec_load", libc::SYS_kexec_load, Mvp).because("replaces the running kernel").missed_by("kexec"),
    deny("kexec_file_load", KEXEC_FILE_LOAD, Mvp).because("replaces the running kernel").missed_by("kexec"),
    deny("reboot", libc::SYS_reboot, Mvp)
        .because("stops the machine; in a process namespace it stops the sandbox behind the daemon's back")
        .missed_by("reboot, shutdown, init systems"),
    deny("keyctl", libc::SYS_keyctl, Mvp)
        .because("keyrings are not separated by all namespaces, and have had use-after-free escalations")
        .missed_by("keyutils, kinit with the KEYRING cache, fscrypt"),
    deny("add_key", libc::SYS_add_key, Mvp)
        .because("fills kernel memory that is counted per user, and reaches parsers of key formats")
        .missed_by("keyutils, fscrypt"),
    deny("request_key", libc::SYS_request_key, Mvp)
        .because("lets the kernel start a helper program outside of the sandbox")
        .missed_by("keyutils, network file systems"),
    deny("syslog", libc::SYS_syslog, Mvp)
        .because("reads and clears the kernel log, which holds addresses and the host's business")
        .missed_by("dmesg; the library function syslog(3) is another thing and works"),
    deny("acct", libc::SYS_acct, Mvp)
        .because("makes the kernel write a file on each exit of a process")
        .missed_by("accton"),
    deny("quotactl", libc::SYS_quotactl, Mvp)
        .because("changes the quotas that bound what sandboxes store")
        .missed_by("quota, repquota, setquota"),
    deny("quotactl_fd", libc::SYS_quotactl_fd, Mvp)
        .because("changes the quotas that bound what sandboxes store")
        .missed_by("quota, repquota, setquota"),
    deny("swapon", libc::SYS_swapon, Mvp)
        .because("gives the kernel a file to put everybody's memory into")
        .missed_by("swapon"),
    deny("swapoff", libc::SYS_swapoff, Mvp)
        .because("forces everybody's swapped memory back, which can exhaust the machine")
        .missed_by("swapoff"),
    deny("settimeofday", libc::SYS_settimeofday, Mvp)
        .because("sets the clock of the host and of all sandboxes")
        .missed_by("date --set, time daemons"),
    deny("clock_settime", libc::SYS_clock_settime, Mvp)
        .because("sets the clock of the host and of all sandboxes")
        .missed_by("date --set, time daemons"),
    deny("vhangup", libc::SYS_vhangup, Mvp)
        .because("cuts a terminal off from its processes")
        .missed_by("getty"),
    deny("fanotify_init", libc::SYS_fanotify_init, Mvp)
        .because("watches whole mounts, and with permission events holds up other processes")
        .missed_by("fatrace, virus scanners; inotify works"),
    deny("lookup_dcookie", libc::SYS_lookup_dcookie, Mvp)
        .because("turns kernel cookies into host paths")
        .missed_by("oprofile before 1.0"),
    #[cfg(target_arch = "x86_64")]
    deny("iopl", libc::SYS_iopl, Mvp)
        .because("gives direct access to the machine's ports")
        .missed_by("X servers without kernel drivers, flashrom"),
    #[cfg(target_arch = "x86_64")]
    deny("ioperm", libc::SYS_ioperm, Mvp)
        .because("gives direct access to the machine's ports")
        .missed_by("hwclock --directisa, flashrom"),
    #[cfg(target_arch = "x86_64")]
    deny("modify_ldt", libc::SYS_modify_ldt, Strict)
        .because("installs processor segments; the code behind it is old, subtle, and was exploited before")
        .missed_by("16-bit programs in Wine, DOSEMU"),
    deny("memfd_secret", libc::SYS_memfd_secret, Strict)
        .because("cuts pages out of the kernel's direct map, which slows the whole machine and stays so")
        .missed_by("key stores that ask for secret memory; they have a fallback for older kernels"),
];
