//! Claims about the calls that are refused by their arguments, written without the table.

use super::instruction::Answer;
use super::probe::{Filter, GARBAGE, named};
use super::profile::SeccompProfile::{Mvp, Strict};

#[test]
fn clone_into_a_new_namespace_is_refused_in_strict_whatever_surrounds_the_flag() {
    let strict = Filter::new(Strict);
    let flags = [
        0x0002_0000_u64, // CLONE_NEWNS
        0x0200_0000,     // CLONE_NEWCGROUP
        0x0400_0000,     // CLONE_NEWUTS
        0x0800_0000,     // CLONE_NEWIPC
        0x1000_0000,     // CLONE_NEWUSER
        0x2000_0000,     // CLONE_NEWPID
        0x4000_0000,     // CLONE_NEWNET
        0x0000_0080,     // CLONE_NEWTIME
    ];
    for flag in flags {
        for surroundings in [0, 0x11, GARBAGE, GARBAGE | 0x11, 0x003D_0F00, !0] {
            strict.answers(&named("clone", &[flag | surroundings]), Answer::NotPermitted);
            Filter::new(Mvp).answers(&named("clone", &[flag | surroundings]), Answer::Allow);
        }
    }
    for bit in (0..32).map(|bit| 1_u64 << bit).filter(|bit| !flags.contains(bit)) {
        strict.answers(&named("clone", &[bit]), Answer::Allow);
        strict.answers(&named("clone", &[bit | GARBAGE]), Answer::Allow);
    }
}

#[test]
fn threads_and_processes_can_be_made() {
    let thread = 0x003D_0F00; // As glibc calls it.
    let musl_thread = 0x007D_0F00;
    let go_thread = 0x0005_0F00;
    let fork = 0x0120_0011;
    let vfork = 0x4111;
    for filter in Filter::both() {
        for flags in [thread, musl_thread, go_thread, fork, vfork, 0x11] {
            filter.answers(&named("clone", &[flags, 0x7F00_0000_0000]), Answer::Allow);
        }
    }
    Filter::new(Strict).answers(&named("clone3", &[0x7F00_0000_0000, 88]), Answer::NotImplemented);
    Filter::new(Mvp).answers(&named("clone3", &[0x7F00_0000_0000, 88]), Answer::Allow);
}

#[test]
fn requests_that_type_into_terminals_or_load_modules_are_refused_on_their_low_half() {
    for filter in Filter::both() {
        for high in [0, GARBAGE, 1 << 32, 0xFFFF_FFFF_0000_0000] {
            for request in [0x5412, 0x541C, 0x5423, 0x8940, 0x8941, 0x8982, 0x8983, 0x89A0, 0x89A1] {
                filter.answers(&named("ioctl", &[0, request | high]), Answer::NotPermitted);
            }
            // TCGETS, TIOCSCTTY, TIOCGWINSZ, FIONREAD, TIOCGPTN, FIOCLEX, FS_IOC_GETFLAGS, SIOCGIFCONF, SIOCGIFFLAGS.
            for request in [0x5401, 0x540E, 0x5413, 0x541B, 0x8004_5430, 0x5451, 0x8008_6601, 0x8912, 0x8913]
            {
                filter.answers(&named("ioctl", &[0x5412, request | high, 0x5412]), Answer::Allow);
            }
        }
    }
}

#[test]
fn socket_families_are_an_allow_list() {
    const STREAM: u64 = 1;
    for filter in Filter::both() {
        for family in 0..64_u64 {
            for high in [0, GARBAGE] {
                let answer =
                    if matches!(family, 1 | 2 | 10 | 16) { Answer::Allow } else { Answer::NotPermitted };
                filter.answers(&named("socket", &[family | high, STREAM, 0]), answer);
                let answer = if family == 1 { Answer::Allow } else { Answer::NotPermitted };
                filter.answers(&named("socketpair", &[family | high, STREAM, 0]), answer);
            }
        }
        for family in [u64::from(u32::MAX), 0x8000_0001, 0x0001_0002] {
            filter.answers(&named("socket", &[family, STREAM, 0]), Answer::NotPermitted);
        }
    }
}

#[test]
fn sockets_of_every_family_type_and_protocol_are_answered_as_the_table_says() {
    for filter in Filter::both() {
        for family in 0..64 {
            for kind in 0..16 {
                for flags in [0, 0x800, 0x80000, GARBAGE] {
                    for protocol in [0, 1, 6, 17, 12, 16, 132, 255, GARBAGE, GARBAGE | 6] {
                        filter.answers_as_the_table(&named("socket", &[family, kind | flags, protocol]));
                    }
                }
            }
        }
    }
}

#[test]
fn netlink_is_for_routes_only() {
    for filter in Filter::both() {
        for kind in [2, 3, 3 | 0x80000] {
            filter.answers(&named("socket", &[16, kind, 0]), Answer::Allow);
            filter.answers(&named("socket", &[16, kind, GARBAGE]), Answer::Allow);
            for protocol in 1..32 {
                filter.answers(&named("socket", &[16, kind, protocol]), Answer::NotPermitted);
            }
        }
    }
}

#[test]
fn raw_and_packet_sockets_are_refused_on_internet_families() {
    const FLAGS: [u64; 4] = [0, 0x800, 0x80000, 0x80800 | GARBAGE];
    for filter in Filter::both() {
        for family in [2, 10] {
            for flags in FLAGS {
                for kind in [3, 4, 5, 6, 10] {
                    filter.answers(&named("socket", &[family, kind | flags, 0]), Answer::NotPermitted);
                }
                for kind in [1, 2] {
                    filter.answers(&named("socket", &[family, kind | flags, 6]), Answer::Allow);
                }
            }
        }
    }
}

#[test]
fn protocols_of_internet_families_are_an_allow_list() {
    for filter in Filter::both() {
        for family in [2, 10] {
            for protocol in (0..600_u64).chain([0x7FFF_FFFF, 0x8000_0006, 0xFFFF_FFFF]) {
                let answer =
                    if [0, 1, 6, 17, 58].contains(&protocol) { Answer::Allow } else { Answer::NotPermitted };
                for kind in [1, 2, 2 | 0x80000] {
                    filter.answers(&named("socket", &[family, kind, protocol]), answer);
                    filter.answers(&named("socket", &[family, kind, protocol | GARBAGE]), answer);
                }
            }
        }
    }
}

#[test]
fn no_other_protocol_is_put_under_a_connection_in_strict() {
    let strict = Filter::new(Strict);
    for garbage in [0, GARBAGE] {
        let call = named("setsockopt", &[3, 6 | garbage, 31 | garbage]);
        strict.answers(&call, Answer::NotPermitted);
        Filter::new(Mvp).answers(&call, Answer::Allow);
        // TCP_NODELAY, TCP_CONGESTION, SO_REUSEADDR, and the same number on other levels.
        for (level, option) in [(6, 1), (6, 13), (1, 2), (1, 31), (0, 31), (41, 31)] {
            let call = named("setsockopt", &[3, level | garbage, option | garbage]);
            strict.answers(&call, Answer::Allow);
        }
    }
}

#[test]
fn only_harmless_personalities_are_let_through() {
    for filter in Filter::both() {
        for harmless in [0, 8, 0x2_0000, 0x2_0008, 0x4_0000, 0xFFFF_FFFF, u64::MAX] {
            filter.answers(&named("personality", &[harmless]), Answer::Allow);
        }
        // MMAP_PAGE_ZERO, ADDR_COMPAT_LAYOUT, READ_IMPLIES_EXEC, PER_SVR4, and mixtures.
        for harmful in [0x10_0000, 0x20_0000, 0x40_0000, 0x10_0001, 0x44_0000, 1, 0xFFFF_FFFE] {
            filter.answers(&named("personality", &[harmful]), Answer::NotPermitted);
        }
    }
}

#[test]
fn device_nodes_are_refused_in_strict_and_other_nodes_are_made() {
    let strict = Filter::new(Strict);
    for (kind, answer) in [
        (0o020_000, Answer::NotPermitted),
        (0o060_000, Answer::NotPermitted),
        (0, Answer::Allow),
        (0o010_000, Answer::Allow),
        (0o100_000, Answer::Allow),
        (0o140_000, Answer::Allow),
    ] {
        for mode in [kind, kind | 0o644, kind | 0o4755, kind | 0o644 | GARBAGE, kind | 0x7_0000] {
            strict.answers(&named("mknodat", &[0xFF9C, 0, mode, 0x103]), answer);
            #[cfg(target_arch = "x86_64")]
            strict.answers(&named("mknod", &[0, mode, 0x103]), answer);
        }
    }
}
