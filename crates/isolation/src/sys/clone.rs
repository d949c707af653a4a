//! Starting the runner in new namespaces: clone3(2) with `CLONE_VM | CLONE_VFORK`, then execveat(2).
//!
//! Sharing memory until the exec makes the cost independent of the daemon's size, and no page of the daemon is ever
//! copied into the sandbox. The child runs a handful of raw calls on a stack of its own, with all signals blocked.

use std::ffi::c_void;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::inherited::close_on_exec_from;
use super::signals;

/// The number under which the runner finds the socket of the set-up handshake.
pub(crate) const SETUP_DESCRIPTOR: RawFd = 3;
/// The number under which the runner finds its listening socket.
pub(crate) const LISTENER_DESCRIPTOR: RawFd = 4;

/// clone3(2), since Linux 5.7; wider than the type that libc gives it.
pub(super) const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

const STACK_BYTES: usize = 64 * 1024;

/// What the child needs; every descriptor is above the agreed numbers and close-on-exec.
pub(crate) struct Launch<'a> {
    /// The runner, a sealed memory file.
    pub(crate) executable: BorrowedFd<'a>,
    /// Becomes [`SETUP_DESCRIPTOR`].
    pub(crate) setup: BorrowedFd<'a>,
    /// Becomes [`LISTENER_DESCRIPTOR`].
    pub(crate) listener: BorrowedFd<'a>,
    /// Becomes standard input, output and error.
    pub(crate) null: BorrowedFd<'a>,
    /// The v2 cgroup that the runner is started in, where there is that hierarchy.
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
    /// The namespaces that are new, as `CLONE_NEW*` flags.
    pub(crate) namespaces: libc::c_int,
}

/// The step at which the child failed before it became the runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LaunchStep {
    Clone,
    Descriptors,
    Capabilities,
    Execute,
}

struct Shared {
    executable: RawFd,
    setup: RawFd,
    listener: RawFd,
    null: RawFd,
    failure: Option<(LaunchStep, i32)>,
}

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct CapabilityWords {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Starts the runner as PID 1 of new namespaces and returns its process id and
/// descriptor once it has been executed. Blocks the calling thread until then.
pub(crate) fn launch(launch: &Launch<'_>) -> Result<(i32, OwnedFd), (LaunchStep, io::Error)> {
    let mut shared = Shared {
        executable: launch.executable.as_raw_fd(),
        setup: launch.setup.as_raw_fd(),
        listener: launch.listener.as_raw_fd(),
        null: launch.null.as_raw_fd(),
        failure: None,
    };
    // SAFETY: `become_runner` takes a `Shared`, and makes system calls alone.
    let started = unsafe {
        start_sharing_memory(launch.namespaces, launch.cgroup, become_runner, (&raw mut shared).cast())
    };
    let (pid, pidfd) = started.map_err(|error| (LaunchStep::Clone, error))?;
    if let Some((step, error)) = shared.failure {
        reap(pid);
        return Err((step, io::Error::from_raw_os_error(error)));
    }
    Ok((pid, pidfd))
}

/// Waits for the end of a child that has failed to become a program, which has exited.
pub(super) fn reap(pid: i32) {
    // SAFETY: plain wait for a child of this process; nothing is written.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
}

/// What a child runs with its argument; what it returns is its exit status.
pub(super) type Entry = extern "C" fn(*mut c_void) -> i32;

/// Starts a process in new namespaces, and in a v2 cgroup where one is given, that shares this one's memory and runs `entry` on a
/// stack of its own. Returns its id and descriptor once it has executed a program or exited; blocks the calling thread until then.
///
/// # Safety
/// `entry` must be sound with `shared`, and make system calls alone: no allocation, no lock, no unwinding.
pub(super) unsafe fn start_sharing_memory(
    namespaces: libc::c_int,
    cgroup: Option<BorrowedFd<'_>>,
    entry: Entry,
    shared: *mut c_void,
) -> io::Result<(i32, OwnedFd)> {
    let mut stack = vec![0_u8; STACK_BYTES];
    let mask = signals::block_all()?;
    let mut pidfd: RawFd = -1;
    let mut arguments = clone_arguments(&mut stack, &mut pidfd, namespaces, cgroup);
    // SAFETY: the stack is live until the child has executed or exited, because CLONE_VFORK suspends this thread until
    // then; the caller answers for the rest.
    let pid = unsafe { clone3(&mut arguments, entry, shared) };
    let restored = signals::restore(&mask);
    let pid = match i32::try_from(pid) {
        Ok(pid) if pid > 0 => pid,
        Ok(error) => return Err(io::Error::from_raw_os_error(-error)),
        Err(_) => return Err(io::Error::from_raw_os_error(libc::ERANGE)),
    };
    // SAFETY: the kernel has just made this descriptor for this process (CLONE_PIDFD, since Linux 5.2).
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    restored?;
    Ok((pid, pidfd))
}

fn clone_arguments(
    stack: &mut [u8],
    pidfd: &mut RawFd,
    namespaces: libc::c_int,
    cgroup: Option<BorrowedFd<'_>>,
) -> libc::clone_args {
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | namespaces;
    // SAFETY: all-zero is a valid value of that plain struct of numbers.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = u64::from(flags.cast_unsigned());
    arguments.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    arguments.pidfd = std::ptr::from_mut(pidfd).addr() as u64;
    // The ABI wants the stack aligned to 16 bytes; the kernel starts at its upper end.
    let bottom = stack.as_mut_ptr().addr().next_multiple_of(16);
    let end = stack.as_mut_ptr().addr() + stack.len();
    arguments.stack = bottom as u64;
    arguments.stack_size = ((end - bottom) & !15) as u64;
    if let Some(cgroup) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = u64::from(cgroup.as_raw_fd().cast_unsigned());
    }
    arguments
}

/// Calls clone3(2) with a stack for the child, on which `entry` then runs; libc has no wrapper for it. Returns
/// the process id, or a negative error number.
///
/// # Safety
/// The stack in `arguments` and `shared` must stay live until the child has executed or exited.
#[cfg(target_arch = "x86_64")]
unsafe fn clone3(arguments: &mut libc::clone_args, entry: Entry, shared: *mut c_void) -> i64 {
    let result: i64;
    // SAFETY: the parent falls through to the label with every register but the named ones as before. The child runs on
    // its own stack, calls a C function with its argument, and never comes back here.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "mov edi, eax",
            "mov eax, {exit}",
            "syscall",
            "ud2",
            "2:",
            exit = const libc::SYS_exit_group,
            inlateout("rax") libc::SYS_clone3 => result,
            in("rdi") std::ptr::from_mut(arguments),
            in("rsi") size_of::<libc::clone_args>(),
            in("r12") shared,
            in("r13") entry,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

#[cfg(not(target_arch = "x86_64"))]
compile_error!(
    "only x86_64 is supported so far: starting the runner takes a few instructions for each architecture"
);

/// Runs in the child, in the daemon's memory: no allocation, no lock, no unwinding.
extern "C" fn become_runner(argument: *mut c_void) -> i32 {
    // SAFETY: the parent passes a pointer to a `Shared` that outlives the child's use of it.
    let shared = unsafe { &mut *argument.cast::<Shared>() };
    let step = match arrange_descriptors(shared) {
        Err(()) => LaunchStep::Descriptors,
        Ok(()) => match raise_ambient_capabilities() {
            Err(()) => LaunchStep::Capabilities,
            Ok(()) => {
                let arguments = [c"sandkasten-runner".as_ptr(), std::ptr::null()];
                let environment = [std::ptr::null::<libc::c_char>()];
                // SAFETY: both arrays are NULL-terminated and live; the descriptor is the runner's memory file.
                unsafe {
                    libc::syscall(
                        libc::SYS_execveat,
                        shared.executable,
                        c"".as_ptr(),
                        arguments.as_ptr(),
                        environment.as_ptr(),
                        libc::AT_EMPTY_PATH,
                    );
                }
                LaunchStep::Execute
            }
        },
    };
    // SAFETY: errno is this thread's own; the parent is suspended and shares it.
    let error = unsafe { *libc::__errno_location() };
    shared.failure = Some((step, error));
    127
}

fn arrange_descriptors(shared: &Shared) -> Result<(), ()> {
    let wanted = [
        (shared.null, 0),
        (shared.null, 1),
        (shared.null, 2),
        (shared.setup, SETUP_DESCRIPTOR),
        (shared.listener, LISTENER_DESCRIPTOR),
    ];
    for (from, to) in wanted {
        // SAFETY: plain descriptor duplication in the child's own table (no CLONE_FILES).
        if unsafe { libc::dup2(from, to) } < 0 {
            return Err(());
        }
    }
    // Everything else, whatever its owner forgot.
    close_on_exec_from(5).map_err(|_| ())
}

/// Keeps the capabilities of the new user namespace over the exec: its ids are not mapped yet, so the exec would drop
/// them for lack of a root user. capabilities(7), "Ambient".
fn raise_ambient_capabilities() -> Result<(), ()> {
    const VERSION_3: u32 = 0x2008_0522;
    let mut header = CapabilityHeader { version: VERSION_3, pid: 0 };
    let mut words = [CapabilityWords { effective: 0, permitted: 0, inheritable: 0 }; 2];
    // SAFETY: header and words have the layout that version 3 of the interface reads and writes.
    unsafe {
        if libc::syscall(libc::SYS_capget, &raw mut header, words.as_mut_ptr()) < 0 {
            return Err(());
        }
        for word in &mut words {
            word.inheritable = word.permitted;
        }
        if libc::syscall(libc::SYS_capset, &raw mut header, words.as_ptr()) < 0 {
            return Err(());
        }
    }
    for capability in 0..64_u64 {
        let [low, high] = words;
        let permitted = u64::from(low.permitted) | u64::from(high.permitted) << 32;
        if permitted & (1 << capability) == 0 {
            continue;
        }
        // SAFETY: integer arguments only.
        if unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, capability, 0, 0) } < 0 {
            return Err(());
        }
    }
    Ok(())
}
