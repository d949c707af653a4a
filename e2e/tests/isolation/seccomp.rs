//! The filter answers each dangerous call, in each profile, and it is the filter that does: without it the same calls
//! reach the kernel.
#![cfg(target_arch = "x86_64")]

use std::collections::BTreeMap;

use sandkasten_e2e::{TestSession, with_config};

const EPERM: i32 = 1;
const ENOSPC: i32 = 28;
const ENOSYS: i32 = 38;

/// Makes each call in a process of its own and prints its name and error number, 0 for none.
const CALLS: &str = r"
import ctypes, os, pty, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
libc.ioctl.restype = ctypes.c_int
GARBAGE = 0xDEADBEEF00000000
def signed(value): return ctypes.c_long(value & 0xFFFFFFFFFFFFFFFF)
def report(name, call):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        ctypes.set_errno(0)
        result = call()
        os.write(writer, str(ctypes.get_errno() if result < 0 else 0).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    print(name, os.read(reader, 8).decode() or 'dead', flush=True)
    os.close(reader)
def system(name, number, *arguments):
    report(name, lambda: libc.syscall(signed(number), *map(signed, arguments)))
def clone(flags):
    result = libc.syscall(signed(56), signed(flags | 17), signed(0), signed(0), signed(0), signed(0))
    if result == 0: libc._exit(0)
    return result
class Part(ctypes.Structure):
    _fields_ = [('base', ctypes.c_void_p), ('length', ctypes.c_size_t)]
source, target = ctypes.create_string_buffer(64), ctypes.create_string_buffer(64)
address = ctypes.addressof
read_from, write_to = Part(address(source), 8), Part(address(target), 8)
here = ctypes.create_string_buffer(b'/workspace')
AT_FDCWD = -100

system('bpf', 321, 0, 0, 0)
system('perf_event_open', 298, 0, 0, -1, -1, 0)
system('userfaultfd', 323, 1)
system('io_uring_setup', 425, 0, 0)
system('io_uring_enter', 426, -1, 0, 0, 0, 0)
system('io_uring_register', 427, -1, 0, 0, 0)
system('init_module', 175, 0, 0, 0)
system('finit_module', 313, -1, 0, 0)
system('delete_module', 176, 0, 0)
system('kexec_load', 246, 0, 0, 0, 0)
system('kexec_file_load', 320, -1, -1, 0, 0, 0)
system('reboot', 169, 0, 0, 0, 0)
system('keyctl', 250, 0, -3, 1)
system('add_key', 248, 0, 0, 0, 0, -3)
system('request_key', 249, 0, 0, 0, -3)
system('syslog', 103, 10, 0, 0)
system('acct', 163, 0)
system('quotactl', 179, 0, 0, 0, 0)
system('quotactl_fd', 443, -1, 0, 0, 0)
system('swapon', 167, 0, 0)
system('swapoff', 168, 0)
system('settimeofday', 164, 0, 0)
system('clock_settime', 227, 0, 0)
system('fanotify_init', 300, 0x200, 0)
system('iopl', 172, 3)
system('ioperm', 173, 0, 1, 1)
kind = ctypes.create_string_buffer(b'tmpfs')
system('mount', 165, address(kind), address(here), address(kind), 0, 0)
system('umount2', 166, address(here), 0)
system('pivot_root', 155, 0, 0)
system('chroot', 161, address(here))
system('fsopen', 430, 0, 0)
system('fsconfig', 431, -1, 0, 0, 0, 0)
system('fsmount', 432, -1, 0, 0)
system('fspick', 433, -1, 0, 0)
system('move_mount', 429, -1, 0, -1, 0, 4)
system('open_tree', 428, AT_FDCWD, address(here), 0)
system('open_tree_attr', 467, AT_FDCWD, address(here), 0, 0, 0)
system('mount_setattr', 442, -1, 0, 0, 0, 0)
system('name_to_handle_at', 303, AT_FDCWD, address(here), 0, 0, 0)
system('open_by_handle_at', 304, -1, 0, 0)
system('ptrace', 101, 0, 0, 0, 0)
system('process_vm_readv', 310, os.getpid(), address(write_to), 1, address(read_from), 1, 0)
system('process_vm_writev', 311, os.getpid(), address(write_to), 1, address(read_from), 1, 0)
system('pidfd_getfd', 438, -1, 0, 0)
system('kcmp', 312, os.getpid(), os.getpid(), 0, 1, 1)
system('process_madvise', 440, -1, 0, 0, 0, 0)
system('move_pages', 279, 0, 0, 0, 0, 0, 0)
system('migrate_pages', 256, 0, 0, 0, 0)
system('personality', 135, 0x400000)
system('personality_garbage', 135, GARBAGE | 0x400000)
system('vhangup', 153)

def sock(name, family, kind, protocol=0):
    system(name, 41, family, kind, protocol)
sock('vsock', 40, 1)
sock('alg', 38, 5)
sock('packet', 17, 3, 0x300)
sock('bluetooth', 31, 1)
sock('netlink_audit', 16, 3, 9)
sock('netlink_netfilter', 16, 3, 12)
sock('vsock_garbage', GARBAGE | 40, 1)
sock('raw', 2, 3, 1)
sock('raw_six', 10, 3, 58)
sock('raw_flags', 2, 3 | 0x80000, 1)
sock('seqpacket', 2, 5)
sock('sctp', 2, 1, 132)
sock('sctp_garbage', 2, 1, GARBAGE | 132)
sock('l2tp', 2, 2, 115)
sock('udplite_six', 10, 2, 136)
sock('smc', 2, 1, 256)
sock('mptcp', 2, 1, 262)
sock('ok_tcp', 2, 1, 6)
sock('ok_udp_six', 10, 2, 17)
sock('ok_unix', 1, 1)
sock('ok_inet', 2, 1)
sock('ok_inet_six', 10, 2)
sock('ok_netlink_route', 16, 3, 0)

stream, argument = socket.socket(), ctypes.create_string_buffer(64)
argument.value = b'tls'
system('tcp_ulp', 54, stream.fileno(), 6, 31, address(argument), 3)
system('tcp_ulp_garbage', 54, stream.fileno(), GARBAGE | 6, GARBAGE | 31, address(argument), 3)
system('ok_tcp_nodelay', 54, stream.fileno(), 6, 1, address(ctypes.create_string_buffer(4)), 4)
for name, request in [('siocgifbr', 0x8940), ('siocbraddbr', 0x89A0), ('siocgifvlan', 0x8982),
                      ('siocsifvlan', 0x8983), ('siocsifvlan_garbage', GARBAGE | 0x8983)]:
    system(name, 16, stream.fileno(), request, 0)
system('ok_siocgifconf', 16, stream.fileno(), 0x8912, address(ctypes.create_string_buffer(64)))

def on_terminal(request):
    def call():
        os.setsid()
        controller, terminal = pty.openpty()
        libc.ioctl(terminal, 0x540E, 0)
        ctypes.set_errno(0)
        return libc.syscall(signed(16), signed(terminal), signed(request), signed(address(source)))
    return call
report('tiocsti', on_terminal(0x5412))
report('tiocsti_garbage', on_terminal(GARBAGE | 0x5412))
report('tiocsti_high', on_terminal(1 << 32 | 0x5412))
report('tioclinux', on_terminal(0x541C))
report('tiocsetd', on_terminal(0x5423))
report('ok_tiocgwinsz', on_terminal(0x5413))

NAMESPACES = {'mnt': 0x20000, 'cgroup': 0x2000000, 'uts': 0x4000000, 'ipc': 0x8000000, 'user': 0x10000000,
              'pid': 0x20000000, 'net': 0x40000000}
for kind, flag in NAMESPACES.items():
    system('unshare_' + kind, 272, flag)
    report('clone_' + kind, lambda: clone(flag))
system('unshare_garbage', 272, GARBAGE | 0x10000000)
report('clone_garbage', lambda: clone(GARBAGE | 0x10000000))
report('clone_both', lambda: clone(0x10020000))
report('ok_clone', lambda: clone(0))
system('setns', 308, -1, 0)
system('sethostname', 170, address(here), 1)
system('setdomainname', 171, address(here), 1)
system('modify_ldt', 154, 0, address(target), 0)
system('memfd_secret', 447, 0)
system('ustat', 136, 0, 0)
system('sysfs', 139, 3)
system('clone3', 435, 0, 0)
system('x32_getpid', 0x40000000 | 39)
system('x32_ptrace', 0x40000000 | 521, 0, 0, 0, 0)
system('x32_unshare', 0x40000000 | 272, 0x10000000)
system('alias_ptrace', 521, 0, 0, 0, 0)
system('future', 511)
";

/// Refused by the profile `strict` alone.
const STRICT_ONLY: [&str; 9] = [
    "setns",
    "sethostname",
    "setdomainname",
    "modify_ldt",
    "memfd_secret",
    "ustat",
    "sysfs",
    "tcp_ulp",
    "tcp_ulp_garbage",
];

/// What an unprivileged process may do on any kernel that has the call: only the filter can answer these with `EPERM`.
const REACHABLE: [&str; 40] = [
    "io_uring_enter",
    "io_uring_register",
    "keyctl",
    "fsconfig",
    "open_tree",
    "name_to_handle_at",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "pidfd_getfd",
    "kcmp",
    "process_madvise",
    "move_pages",
    "migrate_pages",
    "personality",
    "personality_garbage",
    "vsock",
    "vsock_garbage",
    "alg",
    "seqpacket",
    "sctp",
    "sctp_garbage",
    "l2tp",
    "udplite_six",
    "smc",
    "mptcp",
    "tcp_ulp",
    "tcp_ulp_garbage",
    "siocgifbr",
    "siocgifvlan",
    "siocsifvlan",
    "siocsifvlan_garbage",
    "tiocsti_garbage",
    "unshare_user",
    "unshare_garbage",
    "clone_user",
    "clone_garbage",
    "setns",
    "modify_ldt",
    "sysfs",
];

async fn answers(session: &TestSession) -> BTreeMap<String, i32> {
    let printed = session.python(CALLS).await;
    let parse = |line: &str| {
        let (name, number) = line.split_once(' ').expect("a name and a number");
        (name.to_owned(), number.parse().unwrap_or_else(|_| panic!("no error number: {line}")))
    };
    let answers: BTreeMap<String, i32> = printed.lines().map(parse).collect();
    assert!(answers.len() > 100, "all calls were made: {printed}");
    answers
}

fn is_namespace_call(name: &str) -> bool {
    name.starts_with("unshare_") || name.starts_with("clone_")
}

#[test]
fn strict_refuses_every_dangerous_call_and_new_namespace() {
    with_config("security:\n  seccomp: strict", async |daemon| {
        let session = daemon.session().await;
        for (name, number) in answers(&session).await {
            let expected = match name.as_str() {
                "clone3" | "future" => ENOSYS,
                name if name.starts_with("ok_") => 0,
                _ => EPERM,
            };
            assert_eq!(number, expected, "{name}");
        }
    });
}

#[test]
fn mvp_refuses_the_same_calls_except_those_that_change_namespaces() {
    with_config("security:\n  seccomp: mvp", async |daemon| {
        let session = daemon.session().await;
        assert_eq!(session.output("grep ^Seccomp: /proc/self/status").await, "Seccomp:\t2");
        let answers = answers(&session).await;
        for (name, number) in &answers {
            match name.as_str() {
                "clone3" => assert!(![EPERM, ENOSYS].contains(number), "{name} {number}"),
                "future" => assert_eq!(*number, ENOSYS),
                "unshare_user" | "clone_user" | "clone_both" | "clone_garbage" | "unshare_garbage" => {
                    assert_ne!(*number, EPERM, "{name}");
                }
                // Without a user namespace around them the kernel itself refuses.
                name if is_namespace_call(name) || STRICT_ONLY.contains(&name) => {}
                name if name.starts_with("ok_") => assert_eq!(*number, 0, "{name}"),
                _ => assert_eq!(*number, EPERM, "{name}"),
            }
        }
        for name in ["setns", "modify_ldt", "sysfs", "tcp_ulp"] {
            assert_ne!(answers[name], EPERM, "{name} is for strict to refuse");
        }
    });
}

#[test]
fn without_the_filter_the_same_calls_reach_the_kernel() {
    with_config("security:\n  seccomp: \"off\"", async |daemon| {
        let session = daemon.session().await;
        assert_eq!(session.output("grep ^Seccomp: /proc/self/status").await, "Seccomp:\t0");
        let answers = answers(&session).await;
        for name in REACHABLE {
            assert_ne!(answers[name], EPERM, "{name} proves nothing about the filter");
        }
        assert_ne!(answers["clone3"], ENOSYS);
        // What the other layers keep shut stays shut.
        for name in ["mount", "umount2", "chroot", "reboot", "packet", "raw", "sethostname"] {
            assert_eq!(answers[name], EPERM, "{name}");
        }
    });
}

#[test]
fn without_the_filter_the_kernel_still_refuses_a_user_namespace() {
    with_config("security:\n  seccomp: \"off\"", async |daemon| {
        let session = daemon.session().await;
        assert_eq!(session.output("cat /proc/sys/user/max_user_namespaces").await, "0");
        let answers = answers(&session).await;
        for name in ["unshare_user", "clone_user", "clone_garbage", "clone_both"] {
            assert_eq!(answers[name], ENOSPC, "{name}");
        }
    });
}
