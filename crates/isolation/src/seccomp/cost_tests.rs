//! Claims about what the filter costs. The figures of a real machine, and why the search is not weighted, are in
//! docs/seccomp.md.

use super::expected::expected;
use super::instruction::Answer;
use super::numbers::NATIVE_ARCHITECTURE;
use super::probe::{Filter, argument_lists, call};
use super::rule::Rule;
use super::table::entries;

const I386: u32 = 0x4000_0003;
const X32_BIT: u32 = 0x4000_0000;

/// The calls that busy programs make all the time.
const HOT_CALLS: &[(&str, libc::c_long)] = &[
    ("read", libc::SYS_read),
    ("write", libc::SYS_write),
    ("close", libc::SYS_close),
    ("fstat", libc::SYS_fstat),
    ("lseek", libc::SYS_lseek),
    ("pread64", libc::SYS_pread64),
    ("writev", libc::SYS_writev),
    ("mmap", libc::SYS_mmap),
    ("munmap", libc::SYS_munmap),
    ("mprotect", libc::SYS_mprotect),
    ("brk", libc::SYS_brk),
    ("madvise", libc::SYS_madvise),
    ("rt_sigaction", libc::SYS_rt_sigaction),
    ("rt_sigprocmask", libc::SYS_rt_sigprocmask),
    ("rt_sigreturn", libc::SYS_rt_sigreturn),
    ("futex", libc::SYS_futex),
    ("sched_yield", libc::SYS_sched_yield),
    ("clock_nanosleep", libc::SYS_clock_nanosleep),
    ("epoll_pwait", libc::SYS_epoll_pwait),
    ("epoll_ctl", libc::SYS_epoll_ctl),
    ("ppoll", libc::SYS_ppoll),
    ("pselect6", libc::SYS_pselect6),
    ("openat", libc::SYS_openat),
    ("newfstatat", libc::SYS_newfstatat),
    ("faccessat", libc::SYS_faccessat),
    ("statx", libc::SYS_statx),
    ("getdents64", libc::SYS_getdents64),
    ("readlinkat", libc::SYS_readlinkat),
    ("recvfrom", libc::SYS_recvfrom),
    ("sendto", libc::SYS_sendto),
    ("recvmsg", libc::SYS_recvmsg),
    ("sendmsg", libc::SYS_sendmsg),
    ("accept4", libc::SYS_accept4),
    ("connect", libc::SYS_connect),
    ("execve", libc::SYS_execve),
    ("wait4", libc::SYS_wait4),
    ("exit_group", libc::SYS_exit_group),
    ("clock_gettime", libc::SYS_clock_gettime),
    ("getrandom", libc::SYS_getrandom),
    ("pipe2", libc::SYS_pipe2),
    ("dup3", libc::SYS_dup3),
    ("fcntl", libc::SYS_fcntl),
    ("rseq", libc::SYS_rseq),
    ("getpid", libc::SYS_getpid),
    ("gettid", libc::SYS_gettid),
    #[cfg(target_arch = "x86_64")]
    ("open", libc::SYS_open),
    #[cfg(target_arch = "x86_64")]
    ("stat", libc::SYS_stat),
    #[cfg(target_arch = "x86_64")]
    ("access", libc::SYS_access),
    #[cfg(target_arch = "x86_64")]
    ("poll", libc::SYS_poll),
    #[cfg(target_arch = "x86_64")]
    ("epoll_wait", libc::SYS_epoll_wait),
    #[cfg(target_arch = "x86_64")]
    ("vfork", libc::SYS_vfork),
];

fn number(of: libc::c_long) -> u32 {
    of.try_into().expect("a number is small")
}

/// Where the kernel keeps no record of calls that always pass, they take this many.
#[test]
fn hot_calls_pass_within_twelve_instructions() {
    for filter in Filter::both() {
        for &(name, of) in HOT_CALLS {
            let outcome = filter.run(&call(number(of), &[u64::MAX; 6]));
            assert_eq!(outcome.value, Answer::Allow.value(), "{name}");
            assert!(outcome.steps <= 12, "{}: {name} takes {} instructions", filter.profile, outcome.steps);
        }
    }
}

/// Where it keeps one, they take none.
#[test]
fn the_kernel_can_see_that_hot_calls_always_pass() {
    for filter in Filter::both() {
        for &(name, of) in HOT_CALLS {
            assert!(filter.program.is_always_allowed(NATIVE_ARCHITECTURE, number(of)), "{name}");
        }
    }
}

/// These look at arguments, so that the program runs each time.
#[test]
fn calls_that_are_judged_by_their_arguments_pass_within_few_instructions() {
    const TCGETS: u64 = 0x5401;
    const THREAD: u64 = 0x003D_0F00;
    for filter in Filter::both() {
        for (name, of, arguments, most) in [
            ("ioctl", libc::SYS_ioctl, [0, TCGETS, 0], 20),
            ("clone", libc::SYS_clone, [THREAD, 0, 0], 14),
            ("setsockopt", libc::SYS_setsockopt, [3, 6, 1], 16),
            ("socketpair", libc::SYS_socketpair, [1, 1, 0], 14),
            ("socket", libc::SYS_socket, [1, 1, 0], 26),
            ("socket", libc::SYS_socket, [2, 1, 6], 30),
            ("personality", libc::SYS_personality, [0xFFFF_FFFF, 0, 0], 20),
            ("mknodat", libc::SYS_mknodat, [0, 0, 0o10_644], 16),
        ] {
            let outcome = filter.run(&call(number(of), &arguments));
            assert_eq!(outcome.value, Answer::Allow.value(), "{name}");
            assert!(outcome.steps <= most, "{}: {name} takes {}", filter.profile, outcome.steps);
        }
    }
}

#[test]
fn every_answer_comes_within_thirty_two_instructions() {
    let lists = argument_lists();
    for filter in Filter::both() {
        let numbers = (0..700).chain([X32_BIT, u32::MAX]);
        let longest = numbers
            .flat_map(|number| lists.iter().map(move |arguments| call(number, arguments)))
            .map(|call| filter.run(&call).steps)
            .max();
        assert!(longest <= Some(32), "{}: {longest:?}", filter.profile);
    }
}

#[test]
fn the_kernel_can_see_which_calls_always_pass() {
    for filter in Filter::both() {
        for number in 0..512 {
            let rule = entries()
                .find(|entry| entry.number == number && entry.applies_in(filter.profile))
                .map(|entry| entry.rule);
            let passes = expected(filter.profile, &call(number, &[])) == Answer::Allow;
            let always = passes && !matches!(rule, Some(Rule::DenyIf(_)));
            assert_eq!(filter.program.is_always_allowed(NATIVE_ARCHITECTURE, number), always, "{number}");
            assert!(!filter.program.is_always_allowed(I386, number), "{number}");
        }
    }
}
