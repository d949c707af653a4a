//! Calls that reach into other processes, terminals or memory placement.

use super::super::profile::SeccompProfile::{Mvp, Strict};
use super::super::rule::{Clause, Comparison, Entry, deny, deny_if};

// From `asm-generic/ioctls.h`; the libc crate gives them another type on each C library.
const TIOCSTI: u32 = 0x5412;
const TIOCLINUX: u32 = 0x541C;
const TIOCSETD: u32 = 0x5423;

// From `linux/sockios.h`.
const SIOCGIFBR: u32 = 0x8940;
const SIOCSIFBR: u32 = 0x8941;
const SIOCGIFVLAN: u32 = 0x8982;
const SIOCSIFVLAN: u32 = 0x8983;
const SIOCBRADDBR: u32 = 0x89A0;
const SIOCBRDELBR: u32 = 0x89A1;

/// Requests that reach into terminals, and those for which the kernel loads a module before it asks who wants it.
const REQUESTS: &[u32] =
    &[TIOCSTI, TIOCLINUX, TIOCSETD, SIOCGIFBR, SIOCSIFBR, SIOCGIFVLAN, SIOCSIFVLAN, SIOCBRADDBR, SIOCBRDELBR];

// From `linux/personality.h`.
const PER_LINUX: u32 = 0;
const PER_LINUX32: u32 = 8;
const UNAME26: u32 = 0x0002_0000;
const ADDR_NO_RANDOMIZE: u32 = 0x0004_0000;
/// Asks for the personality and changes nothing.
const QUERY: u32 = u32::MAX;

pub(super) const ENTRIES: &[Entry] = &[
    deny("ptrace", libc::SYS_ptrace, Mvp)
        .because(
            "reads and steers other processes of the same user; before Linux 4.8 a tracer passed filters by",
        )
        .missed_by("gdb, strace, LeakSanitizer"),
    deny("process_vm_readv", libc::SYS_process_vm_readv, Mvp)
        .because("reads the memory of other processes, ptrace by another name")
        .missed_by("py-spy, debuggers"),
    deny("process_vm_writev", libc::SYS_process_vm_writev, Mvp)
        .because("writes the memory of other processes, ptrace by another name")
        .missed_by("debuggers, some MPI transports, which have a fallback"),
    deny("pidfd_getfd", libc::SYS_pidfd_getfd, Mvp)
        .because("takes open files out of other processes, ptrace by another name")
        .missed_by("debuggers, CRIU"),
    deny("kcmp", libc::SYS_kcmp, Mvp)
        .because("tells which kernel objects two processes share, and the order in which those lie in memory")
        .missed_by("CRIU, Mesa with several GPU contexts"),
    deny("process_madvise", libc::SYS_process_madvise, Mvp)
        .because("pages out or drops the memory of other processes")
        .missed_by("low-memory daemons, jemalloc with batched advice, which has a fallback"),
    deny("move_pages", libc::SYS_move_pages, Mvp)
        .because("moves memory between nodes, and tells on which node each page lies")
        .missed_by("numactl, the JVM with UseNUMA"),
    deny("migrate_pages", libc::SYS_migrate_pages, Mvp)
        .because("moves all memory of a process between nodes")
        .missed_by("numactl"),
    deny("set_mempolicy_home_node", libc::SYS_set_mempolicy_home_node, Strict)
        .because("a new call with next to no users; the older memory policy calls stay possible")
        .missed_by("programs written for memory tiers"),
    deny_if(
        "ioctl",
        libc::SYS_ioctl,
        Mvp,
        &[Clause {
            meaning: "requests TIOCSTI, TIOCLINUX, TIOCSETD, SIOCGIFBR, SIOCSIFBR, SIOCBRADDBR, SIOCBRDELBR, \
                      SIOCGIFVLAN and SIOCSIFVLAN",
            comparisons: &[Comparison::one_of(1, REQUESTS)],
        }],
    )
    .because(
        "TIOCSTI types into a terminal, and TIOCLINUX pastes on a console, for whoever reads there \
         (CVE-2017-5226); TIOCSETD loads line disciplines, which were exploited (CVE-2017-2636), and the requests \
         of bridges and VLANs load these modules for anybody",
    )
    .missed_by("programs that push characters back into a terminal, pppd, slattach, brctl, vconfig"),
    deny_if(
        "personality",
        libc::SYS_personality,
        Mvp,
        &[Clause {
            meaning: "all but the query, PER_LINUX, PER_LINUX32, UNAME26 and ADDR_NO_RANDOMIZE",
            comparisons: &[Comparison::none_of(
                0,
                &[PER_LINUX, PER_LINUX32, UNAME26, UNAME26 | PER_LINUX32, ADDR_NO_RANDOMIZE, QUERY],
            )],
        }],
    )
    .because("brings back old behaviour of memory mappings, such as executable data and a mapped page zero")
    .missed_by("emulators of other Unix systems; setarch -R and the sanitizers work"),
];
