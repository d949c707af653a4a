//! PID 1 of a sandbox is out of reach for what it supervises.

use sandkasten_e2e::{with_config, with_daemon};

/// Tries every way to the memory, the files and the limits of PID 1, and prints those that work.
const REACH: &str = "\
import ctypes, errno, os, resource
libc = ctypes.CDLL(None, use_errno=True)
def attempt(name, call, *arguments):
    try:
        call(*arguments)
        print(name)
    except PermissionError:
        pass
    except OSError as error:
        # A read-only /proc says so before it looks at permissions.
        if error.errno != errno.EROFS: print(name, error)
def system(name, *arguments):
    def call():
        if libc[name](*arguments) < 0: raise OSError(ctypes.get_errno(), name)
    attempt(name, call)
for name in ('mem', 'environ', 'maps', 'smaps', 'auxv', 'stack', 'syscall', 'io', 'pagemap', 'personality',
             'map_files', 'fd', 'fdinfo', 'numa_maps', 'clear_refs'):
    path = '/proc/1/' + name
    if not os.path.lexists(path): continue
    if os.path.isdir(path):
        attempt(name, os.listdir, path)
    else:
        attempt(name, lambda p: open(p, 'rb').read(1), path)
        attempt('write ' + name, lambda p: os.open(p, os.O_WRONLY), path)
def timers():
    # Some kernels (Debian's 6.1) show everybody the timers of a process, as they show /proc/1/stat. This one has none.
    if not open('/proc/1/timers').read(): raise PermissionError
if os.path.lexists('/proc/1/timers'): attempt('timers', timers)
for name in ('root', 'exe', 'cwd', 'ns/mnt', 'ns/user', 'ns/pid', 'ns/net'):
    attempt('readlink ' + name, os.readlink, '/proc/1/' + name)
    attempt('open ' + name, lambda p: os.open(p, os.O_RDONLY), '/proc/1/' + name)
attempt('list root', os.listdir, '/proc/1/root/')
attempt('prlimit', resource.prlimit, 1, resource.RLIMIT_NOFILE, (1, 1))
attempt('prlimit read', resource.prlimit, 1, resource.RLIMIT_NOFILE)
attempt('setpriority', os.setpriority, os.PRIO_PROCESS, 1, 19)
attempt('affinity', os.sched_setaffinity, 1, [0])
attempt('scheduler', os.sched_setscheduler, 1, os.SCHED_BATCH, os.sched_param(0))
PTRACE_ATTACH, PTRACE_SEIZE = 16, 0x4206
system('ptrace', PTRACE_ATTACH, 1, 0, 0)
system('ptrace', PTRACE_SEIZE, 1, 0, 0)
buffer = ctypes.create_string_buffer(64)
class Part(ctypes.Structure):
    _fields_ = [('base', ctypes.c_void_p), ('length', ctypes.c_size_t)]
local, remote = Part(ctypes.addressof(buffer), 64), Part(0x400000, 64)
system('process_vm_readv', 1, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
system('process_vm_writev', 1, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
descriptor = os.pidfd_open(1)
for target in range(16):
    system('syscall', 438, descriptor, target, 0)
print('end')";

#[test]
fn pid_1_cannot_be_read_traced_or_limited() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        assert_eq!(session.python(REACH).await, "end", "what works before the end");
    });
}

#[test]
fn pid_1_cannot_be_read_traced_or_limited_without_the_filter_either() {
    with_config("security:\n  seccomp: \"off\"", async |daemon| {
        let session = daemon.session().await;
        assert_eq!(session.python(REACH).await, "end", "what works before the end");
    });
}

#[test]
fn pid_1_survives_every_signal() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let send = "\
import os, signal
before = open('/proc/1/stat').read().split()[21]
for round in range(3):
    for number in range(1, 65):
        try: os.kill(1, number)
        except OSError: pass
        try: signal.pidfd_send_signal(os.pidfd_open(1), number)
        except OSError: pass
print(before == open('/proc/1/stat').read().split()[21])";
        session.exec("KEPT=yes").await;
        assert_eq!(session.python(send).await, "True");
        assert_eq!(session.output("echo $KEPT").await, "yes");
        // It still does its work: it reaps what it inherits.
        assert_eq!(
            session.output("(sleep 0 & sleep 0 &); sleep 0.2; ps -eo stat= | grep -c Z; true").await,
            "0"
        );
    });
}

#[test]
fn nothing_in_the_sandbox_listens_for_commands() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let connect = "\
import os, socket
found = []
for line in open('/proc/net/unix').read().splitlines()[1:]:
    fields = line.split(None, 7)
    listening = int(fields[3], 16) & 0x10000
    if listening or len(fields) > 7: found.append(line)
for directory, _, names in os.walk('/run'):
    for name in names:
        client = socket.socket(socket.AF_UNIX)
        try: client.connect(os.path.join(directory, name)); found.append(name)
        except OSError: pass
print(found)";
        assert_eq!(session.python(connect).await, "[]");
    });
}
