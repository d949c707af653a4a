//! Refused calls as they can be tried without doing harm where they are let through.
//!
//! Each refused call, and each combination of arguments that is, is tried with arguments that fail, or change nothing
//! but the process that tries: null or invalid pointers, descriptor -1, flags that do not exist. So an attempt says
//! what the filter does, on whichever machine and as whichever user it is made. The one trace that may stay, outside of
//! any sandbox, is a module that the kernel loads for a rare kind of socket.

use super::profile::SeccompProfile;
use super::rule::Entry;
use super::table::entries;

/// A way into the kernel. The same call has another number on each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The `syscall` instruction, with the native number.
    Native,
    /// `int 0x80`, with the number of 32-bit programs.
    Compatible,
    /// The `syscall` instruction, with the number of the x32 ABI.
    X32,
}

impl Way {
    /// All ways, the native one first.
    pub const ALL: [Self; 3] = [Self::Native, Self::Compatible, Self::X32];
}

/// A call that a filter refuses, with arguments that make it harmless. Can only be had from [`attempts`]: what makes
/// it safe to carry out is that the table is looked through.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// The refused call.
    pub entry: &'static Entry,
    /// What of the call is tried, where only some of its arguments are refused; empty for the call as a whole.
    pub meaning: &'static str,
    compatible: Option<u32>,
    pub(crate) arguments: [u64; 6],
}

impl Attempt {
    /// Returns the number of the call on a way, or none where it does not exist there.
    #[must_use]
    pub fn number(&self, way: Way) -> Option<u32> {
        match way {
            Way::Native => Some(self.entry.number),
            Way::Compatible => self.compatible,
            Way::X32 => Some(X32_BIT | x32_number(self.entry)),
        }
    }
}

/// Returns what can be tried of everything that a profile refuses, call by call.
pub fn attempts(profile: SeccompProfile) -> impl Iterator<Item = Attempt> {
    entries().filter(move |entry| entry.applies_in(profile)).flat_map(|entry| {
        let tries = TRIES.iter().filter(move |tried| tried.call == entry.name);
        tries.flat_map(move |tried| {
            tried.arguments.iter().map(move |&(meaning, arguments)| Attempt {
                entry,
                meaning,
                compatible: tried.compatible,
                arguments,
            })
        })
    })
}

/// `__X32_SYSCALL_BIT` of `asm/unistd.h`.
const X32_BIT: u32 = 0x4000_0000;

/// Most calls have their native number there, those with pointers inside of structures one of their own:
/// `arch/x86/entry/syscalls/syscall_64.tbl`.
fn x32_number(entry: &Entry) -> u32 {
    match entry.name {
        "ioctl" => 514,
        "ptrace" => 521,
        "kexec_load" => 528,
        "move_pages" => 533,
        "process_vm_readv" => 539,
        "process_vm_writev" => 540,
        "setsockopt" => 541,
        _ => entry.number,
    }
}

/// How one call is tried: by name, because the table of refused calls knows nothing of this.
struct Try {
    call: &'static str,
    /// The number of 32-bit programs: `arch/x86/entry/syscalls/syscall_32.tbl`.
    compatible: Option<u32>,
    arguments: &'static [(&'static str, [u64; 6])],
}

/// Every bit: descriptor -1, a flag or a command that does not exist.
const NONE: u64 = u64::MAX;
/// Process-wide keyring number -3, `KEY_SPEC_SESSION_KEYRING`.
const SESSION_KEYRING: u64 = u64::MAX - 2;
/// What a caller may leave in the half of an argument that the kernel does not read.
const GARBAGE: u64 = 0xDEAD_BEEF_0000_0000;
const SIGCHLD: u64 = 17;

const fn whole(call: &'static str, compatible: u32, arguments: &'static [(&'static str, [u64; 6])]) -> Try {
    Try { call, compatible: Some(compatible), arguments }
}

const fn native_only(call: &'static str, arguments: &'static [(&'static str, [u64; 6])]) -> Try {
    Try { call, compatible: None, arguments }
}

/// Every argument zero.
const NULLS: &[(&str, [u64; 6])] = &[("", [0; 6])];
/// The first argument invalid, all others zero.
const INVALID: &[(&str, [u64; 6])] = &[("", [NONE, 0, 0, 0, 0, 0])];

const TRIES: &[Try] = &[
    // A null pointer turns accounting off; this one points nowhere.
    whole("acct", 51, &[("", [1, 0, 0, 0, 0, 0])]),
    whole("add_key", 286, &[("", [0, 0, 0, 0, SESSION_KEYRING, 0])]),
    whole("bpf", 357, INVALID),
    whole("chroot", 61, NULLS),
    whole("clock_settime", 264, NULLS),
    whole("delete_module", 129, NULLS),
    whole("fanotify_init", 338, INVALID),
    whole("finit_module", 350, &[("", [NONE, 0, NONE, 0, 0, 0])]),
    whole("fsconfig", 431, &[("", [NONE, NONE, 0, 0, 0, 0])]),
    whole("fsmount", 432, INVALID),
    whole("fsopen", 430, NULLS),
    whole("fspick", 433, INVALID),
    whole("init_module", 128, NULLS),
    whole("io_uring_enter", 426, INVALID),
    whole("io_uring_register", 427, INVALID),
    whole("io_uring_setup", 425, NULLS),
    whole(
        "ioctl",
        54,
        &[
            ("TIOCSTI", [NONE, 0x5412, 0, 0, 0, 0]),
            ("TIOCSTI with a high half", [NONE, GARBAGE | 0x5412, 0, 0, 0, 0]),
            ("TIOCLINUX", [NONE, 0x541C, 0, 0, 0, 0]),
            ("TIOCSETD", [NONE, 0x5423, 0, 0, 0, 0]),
            ("SIOCSIFBR", [NONE, 0x8941, 0, 0, 0, 0]),
            ("SIOCBRADDBR", [NONE, 0x89A0, 0, 0, 0, 0]),
            ("SIOCSIFVLAN", [NONE, 0x8983, 0, 0, 0, 0]),
        ],
    ),
    whole("ioperm", 101, &[("", [0, 1, 0, 0, 0, 0])]),
    whole("iopl", 110, NULLS),
    whole("kcmp", 349, NULLS),
    native_only("kexec_file_load", &[("", [NONE, NONE, 0, 0, NONE, 0])]),
    // No segments at all would take away what the host has loaded.
    whole("kexec_load", 283, &[("", [0, NONE, 0, 0, 0, 0])]),
    whole("keyctl", 288, &[("", [0, SESSION_KEYRING, 0, 0, 0, 0])]),
    whole("lookup_dcookie", 253, NULLS),
    whole("migrate_pages", 294, NULLS),
    whole("mount", 21, NULLS),
    whole("mount_setattr", 442, INVALID),
    whole("move_mount", 429, &[("", [NONE, 0, NONE, 0, 4, 0])]),
    whole("move_pages", 317, NULLS),
    whole("name_to_handle_at", 341, &[("", [NONE, 0, 0, 0, NONE, 0])]),
    whole("nfsservctl", 169, NULLS),
    whole("open_by_handle_at", 342, INVALID),
    whole("open_tree", 428, INVALID),
    whole("open_tree_attr", 467, INVALID),
    whole("perf_event_open", 336, &[("", [0, 0, NONE, NONE, 0, 0])]),
    whole(
        "personality",
        136,
        &[
            ("READ_IMPLIES_EXEC", [0x40_0000, 0, 0, 0, 0, 0]),
            ("READ_IMPLIES_EXEC with a high half", [GARBAGE | 0x40_0000, 0, 0, 0, 0, 0]),
        ],
    ),
    whole("pidfd_getfd", 438, INVALID),
    whole("pivot_root", 217, NULLS),
    whole("process_madvise", 440, INVALID),
    whole("process_vm_readv", 347, NULLS),
    whole("process_vm_writev", 348, NULLS),
    // PTRACE_PEEKTEXT of no process; request 0 would make the parent a tracer.
    whole("ptrace", 26, &[("", [1, 0, 0, 0, 0, 0])]),
    whole("quotactl", 131, INVALID),
    whole("quotactl_fd", 443, &[("", [NONE, NONE, 0, 0, 0, 0])]),
    // Without the two magic numbers it fails.
    whole("reboot", 88, NULLS),
    whole("request_key", 287, &[("", [0, 0, 0, SESSION_KEYRING, 0, 0])]),
    whole("settimeofday", 79, NULLS),
    whole(
        "socket",
        359,
        &[
            ("AF_VSOCK", [40, 1, 0, 0, 0, 0]),
            ("AF_VSOCK with a high half", [GARBAGE | 40, 1, 0, 0, 0, 0]),
            ("AF_ALG", [38, 5, 0, 0, 0, 0]),
            ("AF_PACKET", [17, 3, 0x300, 0, 0, 0]),
            ("AF_KEY", [15, 3, 2, 0, 0, 0]),
            ("AF_BLUETOOTH", [31, 1, 0, 0, 0, 0]),
            ("AF_TIPC", [30, 1, 0, 0, 0, 0]),
            ("NETLINK_AUDIT", [16, 3, 9, 0, 0, 0]),
            ("NETLINK_NETFILTER", [16, 3, 12, 0, 0, 0]),
            ("raw AF_INET", [2, 3, 1, 0, 0, 0]),
            ("raw AF_INET6", [10, 3, 58, 0, 0, 0]),
            ("SCTP", [2, 1, 132, 0, 0, 0]),
            ("SCTP by IPv6", [10, 1, 132, 0, 0, 0]),
            ("MPTCP", [2, 1, 262, 0, 0, 0]),
            ("UDP-Lite", [2, 2, 136, 0, 0, 0]),
        ],
    ),
    whole("setsockopt", 366, &[("TCP_ULP", [NONE, 6, 31, 0, 0, 0])]),
    whole("socketpair", 360, &[("AF_TIPC", [30, 1, 0, 0, 0, 0])]),
    whole("swapoff", 115, NULLS),
    whole("swapon", 87, NULLS),
    // SYSLOG_ACTION_SIZE_BUFFER, which only tells a number.
    whole("syslog", 103, &[("", [10, 0, 0, 0, 0, 0])]),
    whole("umount2", 52, NULLS),
    // UFFD_USER_MODE_ONLY, which needs no privilege.
    whole("userfaultfd", 374, &[("", [1, 0, 0, 0, 0, 0])]),
    // Has no arguments; whoever tries it leaves its terminal before.
    whole("vhangup", 111, NULLS),
    whole("_sysctl", 149, NULLS),
    whole("afs_syscall", 137, NULLS),
    whole(
        "clone",
        120,
        &[
            ("CLONE_NEWUSER", [0x1000_0000 | SIGCHLD, 0, 0, 0, 0, 0]),
            ("CLONE_NEWUSER with a high half", [GARBAGE | 0x1000_0000 | SIGCHLD, 0, 0, 0, 0, 0]),
            ("CLONE_NEWNS", [0x2_0000 | SIGCHLD, 0, 0, 0, 0, 0]),
            ("CLONE_NEWPID", [0x2000_0000 | SIGCHLD, 0, 0, 0, 0, 0]),
            ("CLONE_NEWNET", [0x4000_0000 | SIGCHLD, 0, 0, 0, 0, 0]),
            ("CLONE_NEWIPC", [0x0800_0000 | SIGCHLD, 0, 0, 0, 0, 0]),
            ("CLONE_NEWUTS", [0x0400_0000 | SIGCHLD, 0, 0, 0, 0, 0]),
            ("CLONE_NEWCGROUP", [0x0200_0000 | SIGCHLD, 0, 0, 0, 0, 0]),
        ],
    ),
    whole("clone3", 435, NULLS),
    whole("create_module", 127, NULLS),
    whole("get_kernel_syms", 130, NULLS),
    whole("listns", 470, NULLS),
    whole("memfd_secret", 447, NULLS),
    whole(
        "mknod",
        14,
        &[
            ("character device", [0, 0o020_666, 0x103, 0, 0, 0]),
            ("block device", [0, 0o060_666, 0x800, 0, 0, 0]),
        ],
    ),
    whole(
        "mknodat",
        297,
        &[
            ("character device", [NONE, 0, 0o020_666, 0x103, 0, 0]),
            ("block device", [NONE, 0, 0o060_666, 0x800, 0, 0]),
        ],
    ),
    whole("modify_ldt", 123, NULLS),
    whole("query_module", 167, NULLS),
    native_only("security", NULLS),
    whole("set_mempolicy_home_node", 450, &[("", [0, 0, NONE, NONE, 0, 0])]),
    whole("setdomainname", 121, &[("", [0, 1, 0, 0, 0, 0])]),
    whole("sethostname", 74, &[("", [0, 1, 0, 0, 0, 0])]),
    whole("setns", 346, INVALID),
    // Counts the file systems.
    whole("sysfs", 135, &[("", [3, 0, 0, 0, 0, 0])]),
    native_only("tuxcall", NULLS),
    whole(
        "unshare",
        310,
        &[
            ("CLONE_NEWUSER", [0x1000_0000, 0, 0, 0, 0, 0]),
            ("CLONE_NEWNS", [0x2_0000, 0, 0, 0, 0, 0]),
            ("CLONE_NEWPID", [0x2000_0000, 0, 0, 0, 0, 0]),
            ("CLONE_NEWNET", [0x4000_0000, 0, 0, 0, 0, 0]),
            ("CLONE_NEWIPC", [0x0800_0000, 0, 0, 0, 0, 0]),
            ("CLONE_NEWUTS", [0x0400_0000, 0, 0, 0, 0, 0]),
            ("CLONE_NEWCGROUP", [0x0200_0000, 0, 0, 0, 0, 0]),
            ("CLONE_NEWTIME", [0x80, 0, 0, 0, 0, 0]),
        ],
    ),
    whole("uselib", 86, NULLS),
    whole("ustat", 62, NULLS),
    whole("vserver", 273, NULLS),
];

#[cfg(test)]
mod tests {
    use super::{TRIES, Way, attempts};
    use crate::seccomp::evaluate::{Call, Outcome};
    use crate::seccomp::instruction::Answer;
    use crate::seccomp::numbers::NATIVE_ARCHITECTURE;
    use crate::seccomp::probe::Filter;
    use crate::seccomp::profile::SeccompProfile::{self, Mvp, Strict};
    use crate::seccomp::rule::{Clause, Relation, Rule};
    use crate::seccomp::table::entries;

    /// `AUDIT_ARCH_I386` of `linux/audit.h`.
    const I386: u32 = 0x4000_0003;

    fn matches(clause: &Clause, arguments: &[u64; 6]) -> bool {
        clause.comparisons.iter().all(|comparison| {
            let compared = arguments[usize::from(comparison.argument)] & u64::from(comparison.mask);
            let listed = comparison.values.iter().any(|&value| u64::from(value) == compared);
            listed == (comparison.relation == Relation::OneOf)
        })
    }

    #[test]
    fn every_refused_call_and_combination_is_tried() {
        for entry in entries() {
            let tried: Vec<_> = attempts(Strict).filter(|attempt| attempt.entry.name == entry.name).collect();
            assert!(!tried.is_empty(), "{} is never tried", entry.name);
            if let Rule::DenyIf(clauses) = entry.rule {
                for clause in clauses {
                    let meant = tried.iter().any(|attempt| matches(clause, &attempt.arguments));
                    assert!(meant, "{}: {} is never tried", entry.name, clause.meaning);
                }
            }
        }
    }

    #[test]
    fn nothing_is_tried_that_is_not_refused() {
        for tried in TRIES {
            assert!(entries().any(|entry| entry.name == tried.call), "{} is not in the table", tried.call);
        }
        let allowed = |profile: SeccompProfile| {
            let filter = Filter::new(profile);
            attempts(profile).any(|attempt| {
                Way::ALL.into_iter().any(|way| {
                    let Some(number) = attempt.number(way) else { return false };
                    let architecture = if way == Way::Compatible { I386 } else { NATIVE_ARCHITECTURE };
                    let Outcome { value, .. } =
                        filter.run(&Call { architecture, number, arguments: attempt.arguments });
                    value == Answer::Allow.value()
                })
            })
        };
        assert!(!allowed(Mvp) && !allowed(Strict));
    }

    #[test]
    fn the_lax_profile_is_tried_on_what_it_refuses_alone() {
        assert!(attempts(Mvp).all(|attempt| attempt.entry.from == Mvp));
        assert!(attempts(SeccompProfile::Off).next().is_none());
    }
}
