//! Claims about the table itself.

use std::collections::BTreeSet;

use super::numbers::{ALIASES, FIRST_UNKNOWN, UNASSIGNED};
use super::profile::SeccompProfile::{Mvp, Off, Strict};
use super::rule::{Comparison, Rule};
use super::table::entries;

#[test]
fn names_and_numbers_are_unique() {
    let count = entries().count();
    assert_eq!(entries().map(|entry| entry.name).collect::<BTreeSet<_>>().len(), count);
    assert_eq!(entries().map(|entry| entry.number).collect::<BTreeSet<_>>().len(), count);
}

#[test]
fn every_entry_says_why_it_is_there_and_who_would_miss_it() {
    for entry in entries() {
        assert!(entry.reason.len() >= 20, "{}: why?", entry.name);
        assert!(entry.missed_by.len() >= 4, "{}: missed by whom?", entry.name);
        assert!(!entry.reason.ends_with('.') && !entry.missed_by.ends_with('.'), "{}", entry.name);
    }
}

#[test]
fn no_entry_applies_without_a_profile() {
    assert!(entries().all(|entry| entry.from > Off && entry.applies_in(Strict) && !entry.applies_in(Off)));
}

#[test]
fn no_entry_has_a_number_that_is_no_call() {
    for entry in entries() {
        assert!(entry.number < FIRST_UNKNOWN, "{}", entry.name);
        assert!(
            !ALIASES.iter().chain(UNASSIGNED).any(|range| range.contains(&entry.number)),
            "{}",
            entry.name
        );
    }
}

#[test]
fn every_comparison_can_both_hold_and_fail() {
    for comparison in comparisons() {
        assert!(comparison.argument < 6, "{comparison:?}");
        assert!(!comparison.values.is_empty(), "{comparison:?}");
        assert!(comparison.values.iter().all(|value| value & !comparison.mask == 0), "{comparison:?}");
        let values: BTreeSet<_> = comparison.values.iter().collect();
        assert_eq!(values.len(), comparison.values.len(), "{comparison:?}");
    }
}

fn comparisons() -> impl Iterator<Item = &'static Comparison> {
    entries()
        .flat_map(|entry| match entry.rule {
            Rule::DenyIf(clauses) => {
                assert!(!clauses.is_empty(), "{}", entry.name);
                clauses
            }
            Rule::Deny | Rule::Absent => &[],
        })
        .flat_map(|clause| {
            assert!(!clause.meaning.is_empty() && !clause.comparisons.is_empty(), "{clause:?}");
            clause.comparisons
        })
}

/// The promise of the security guide, and the calls that do the same by another name.
#[test]
fn the_mvp_profile_lists_the_calls_known_from_kernel_attacks() {
    let promised = [
        "bpf",
        "userfaultfd",
        "perf_event_open",
        "ptrace",
        "init_module",
        "finit_module",
        "delete_module",
        "kexec_load",
        "kexec_file_load",
        "keyctl",
        "add_key",
        "request_key",
        "mount",
        "umount2",
        "pivot_root",
        "swapon",
        "swapoff",
        "reboot",
        "acct",
        "quotactl",
        "quotactl_fd",
        "settimeofday",
        "clock_settime",
        "syslog",
        "open_by_handle_at",
        "name_to_handle_at",
        "nfsservctl",
        "lookup_dcookie",
        "vhangup",
        "process_vm_readv",
        "process_vm_writev",
        "kcmp",
        "pidfd_getfd",
        "process_madvise",
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
        "fsopen",
        "fsconfig",
        "fsmount",
        "fspick",
        "move_mount",
        "open_tree",
        "open_tree_attr",
        "mount_setattr",
        "chroot",
        "fanotify_init",
        "move_pages",
        "migrate_pages",
    ];
    for name in promised {
        let entry =
            entries().find(|entry| entry.name == name).unwrap_or_else(|| panic!("{name} is not listed"));
        assert!(entry.applies_in(Mvp) && matches!(entry.rule, Rule::Deny), "{entry:?}");
    }
}

/// The profile is a list of what is refused, and still no call may come to pass unseen.
#[cfg(target_arch = "x86_64")]
#[test]
fn strict_lets_as_many_calls_pass_as_were_looked_at() {
    let refused = |number: u32| {
        entries().any(|entry| entry.number == number && !matches!(entry.rule, Rule::DenyIf(_)))
            || ALIASES.iter().chain(UNASSIGNED).any(|range| range.contains(&number))
    };
    assert_eq!((0..2048).filter(|&number| !refused(number)).count(), 314);
}

/// A wrong number would silently open a call, so that some are written a second time.
#[cfg(target_arch = "x86_64")]
#[test]
fn numbers_are_those_of_the_kernel() {
    let known = [
        ("ioctl", 16),
        ("socket", 41),
        ("socketpair", 53),
        ("clone", 56),
        ("ptrace", 101),
        ("syslog", 103),
        ("mknod", 133),
        ("personality", 135),
        ("modify_ldt", 154),
        ("pivot_root", 155),
        ("mount", 165),
        ("umount2", 166),
        ("create_module", 174),
        ("get_kernel_syms", 177),
        ("query_module", 178),
        ("mknodat", 259),
        ("unshare", 272),
        ("perf_event_open", 298),
        ("open_by_handle_at", 304),
        ("setns", 308),
        ("process_vm_readv", 310),
        ("kcmp", 312),
        ("finit_module", 313),
        ("kexec_file_load", 320),
        ("bpf", 321),
        ("userfaultfd", 323),
        ("io_uring_setup", 425),
        ("open_tree", 428),
        ("fsconfig", 431),
        ("clone3", 435),
        ("pidfd_getfd", 438),
        ("mount_setattr", 442),
        ("memfd_secret", 447),
        ("open_tree_attr", 467),
        ("listns", 470),
    ];
    for (name, number) in known {
        assert_eq!(
            entries().find(|entry| entry.name == name).map(|entry| entry.number),
            Some(number),
            "{name}"
        );
    }
}

#[cfg(target_arch = "aarch64")]
#[test]
fn numbers_are_those_of_the_kernel() {
    let known = [
        ("ioctl", 29),
        ("mknodat", 33),
        ("mount", 40),
        ("unshare", 97),
        ("ptrace", 117),
        ("socket", 198),
        ("clone", 220),
        ("setns", 268),
        ("bpf", 280),
        ("kexec_file_load", 294),
        ("io_uring_setup", 425),
        ("clone3", 435),
        ("open_tree_attr", 467),
    ];
    for (name, number) in known {
        assert_eq!(
            entries().find(|entry| entry.name == name).map(|entry| entry.number),
            Some(number),
            "{name}"
        );
    }
}
