//! What only `probe` asks of the kernel: a short-lived process that tries the runner's steps in new namespaces, and
//! two calls that are made on nothing.
//!
//! The process is a fork without an exec, made by a program that may have threads: it makes system calls and nothing
//! else. It does not allocate, takes no lock, and cannot panic.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MountPropagationFlags, mount_change};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags, SocketType,
};
use rustix::thread::{Gid, Uid, UnshareFlags};

use super::mount_calls::{attach, new_filesystem, pivot};
use super::{interface, process_exit, seccomp_filter, signals};
use crate::seccomp::Instruction;

/// What the process tries, in this order; each is reported once, or never where an earlier one it builds on failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Step {
    NamespaceRoot,
    Network,
    Loopback,
    Ipc,
    Uts,
    Cgroup,
    Time,
    Mount,
    Devpts,
    Proc,
    Tmpfs,
    Attach,
    Overlay,
    WritableOverlay,
    Pivot,
    Filter,
    /// All has been tried.
    Done,
}

/// How many steps there are.
pub(crate) const STEPS: usize = Step::Done as usize + 1;

/// The namespaces that the process starts in; it makes the others itself, one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartIn {
    NewUserAndPid,
    NewUser,
}

/// Starts the process and returns its id and descriptor. It waits at `theirs` for one byte, with which a mount may
/// come that becomes a layer; then it sends two bytes for each step, the step and the error number or 0. It ends by
/// itself when `ours` is closed; `ours` and `theirs` are the ends of one socket pair.
pub(crate) fn start_trial(
    start_in: StartIn,
    ours: BorrowedFd<'_>,
    theirs: BorrowedFd<'_>,
    filter: &[Instruction],
) -> io::Result<(i32, OwnedFd)> {
    let pid_namespace = match start_in {
        StartIn::NewUserAndPid => libc::CLONE_NEWPID,
        StartIn::NewUser => 0,
    };
    let flags = libc::CLONE_PIDFD | libc::CLONE_NEWUSER | pid_namespace | libc::SIGCHLD;
    let mut pidfd: RawFd = -1;
    // No handler of this program may run in the copy.
    let mask = signals::block_all()?;
    // SAFETY: without CLONE_VM and with a null stack this is fork(2): the child has a copy of all memory, in which
    // other threads may hold locks for ever. It only runs `act`, which makes system calls and takes no lock, and then
    // _exit. The kernel writes the descriptor to `pidfd`.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone,
            libc::c_long::from(flags),
            std::ptr::null::<u8>(),
            &raw mut pidfd,
            std::ptr::null::<u8>(),
            0_usize,
        )
    };
    if pid == 0 {
        let acted = act(ours.as_raw_fd(), theirs, filter);
        process_exit::exit_now(i32::from(acted.is_none()));
    }
    let clone_error = io::Error::last_os_error();
    let restored = signals::restore(&mask);
    if pid < 0 {
        return Err(clone_error);
    }
    // SAFETY: the kernel has just made this descriptor for this process (CLONE_PIDFD, since Linux 5.2).
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    restored?;
    Ok((i32::try_from(pid).map_err(io::Error::other)?, pidfd))
}

/// Marks no descriptor at all close-on-exec: close_range(2), since Linux 5.9, this flag since 5.11.
pub(crate) fn close_range_on_nothing() -> io::Result<()> {
    const ABOVE_ALL: libc::c_uint = libc::c_uint::MAX - 1;
    // SAFETY: no descriptor has so high a number, and the flag closes none. By number, for musl has no function for it.
    let result = unsafe {
        libc::syscall(libc::SYS_close_range, ABOVE_ALL, ABOVE_ALL, libc::CLOSE_RANGE_CLOEXEC.cast_signed())
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Asks whether filters may answer with an error number: seccomp(2), `SECCOMP_GET_ACTION_AVAIL`, since Linux 4.14.
pub(crate) fn filters_can_refuse() -> io::Result<()> {
    let action: u32 = libc::SECCOMP_RET_ERRNO;
    // SAFETY: the operation only reads the 32-bit action, which lives until the call returns.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Runs in the child. `None` means that nobody waits for it, or that it could not become root of its namespace.
fn act(parents_end: RawFd, socket: BorrowedFd<'_>, filter: &[Instruction]) -> Option<()> {
    // SAFETY: closes the child's own copy of a number that nothing in the child uses; the parent's stays open.
    unsafe { libc::close(parents_end) };
    let layer = wait_for_go(socket)?;
    report(socket, Step::NamespaceRoot, become_root())?;
    let network = report(socket, Step::Network, unshare(UnshareFlags::NEWNET));
    if network.is_some() {
        report(socket, Step::Loopback, bring_loopback_up());
    }
    report(socket, Step::Ipc, unshare(UnshareFlags::NEWIPC));
    report(socket, Step::Uts, unshare(UnshareFlags::NEWUTS));
    report(socket, Step::Cgroup, unshare(UnshareFlags::NEWCGROUP));
    report(socket, Step::Time, unshare(UnshareFlags::NEWTIME));
    let private = unshare(UnshareFlags::NEWNS)
        .and_then(|()| mount_change(c"/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE));
    if report(socket, Step::Mount, private).is_some() {
        try_mounts(socket, layer);
    }
    report(socket, Step::Filter, install(filter));
    report(socket, Step::Done, Ok(()))
}

/// Waits until the parent has mapped the ids, and takes the layer that it may send along.
fn wait_for_go(socket: BorrowedFd<'_>) -> Option<Option<OwnedFd>> {
    let mut byte = [0_u8];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let message =
        rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, flags).ok()?;
    if message.bytes == 0 {
        return None;
    }
    Some(control.drain().find_map(|item| match item {
        RecvAncillaryMessage::ScmRights(mut rights) => rights.next(),
        _ => None,
    }))
}

/// Tells the parent how a step ended and returns what it made.
fn report<T>(socket: BorrowedFd<'_>, step: Step, result: rustix::io::Result<T>) -> Option<T> {
    let (made, number) = match result {
        Ok(made) => (Some(made), 0),
        Err(error) => (None, error.raw_os_error()),
    };
    rustix::io::write(socket, &[step as u8, u8::try_from(number).unwrap_or(u8::MAX)]).ok()?;
    made
}

fn become_root() -> rustix::io::Result<()> {
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)?;
    rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)
}

fn unshare(namespace: UnshareFlags) -> rustix::io::Result<()> {
    // SAFETY: only namespace flags come here; none changes what the process shares of its descriptors or memory.
    unsafe { rustix::thread::unshare_unsafe(namespace) }
}

fn bring_loopback_up() -> rustix::io::Result<()> {
    let socket =
        rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    interface::bring_loopback_up(socket.as_fd()).map_err(number)
}

fn install(filter: &[Instruction]) -> rustix::io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    seccomp_filter::install_filter(filter).map_err(number)
}

fn number(error: io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

/// Tries the mounts of a sandbox in the mount namespace of this process; `None` where one failed that others need.
fn try_mounts(socket: BorrowedFd<'_>, layer: Option<OwnedFd>) -> Option<()> {
    let safe = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let no_programs = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let terminals = [(c"ptmxmode", c"0666"), (c"mode", c"0620"), (c"gid", c"5")];
    report(socket, Step::Devpts, new_filesystem(c"devpts", &terminals, no_programs));
    let read_only = safe | MountAttrFlags::MOUNT_ATTR_NOEXEC | MountAttrFlags::MOUNT_ATTR_RDONLY;
    report(socket, Step::Proc, new_filesystem(c"proc", &[], read_only));
    let options = [(c"size", c"1048576"), (c"nr_inodes", c"64"), (c"mode", c"0755")];
    let scratch = report(socket, Step::Tmpfs, new_filesystem(c"tmpfs", &options, safe))?;
    report(socket, Step::Attach, attach_scratch(&scratch))?;
    let Some(layer) = layer else {
        return report(socket, Step::Pivot, pivot(&scratch));
    };
    let overlay = report(socket, Step::Overlay, stack(&layer, safe | MountAttrFlags::MOUNT_ATTR_RDONLY))?;
    report(socket, Step::WritableOverlay, stack_writable(safe));
    report(socket, Step::Pivot, attach(&overlay, c"r").and_then(|()| pivot(&overlay)))
}

/// Puts the scratch tmpfs over the root directory of this mount namespace, which is only left through `pivot`, and
/// makes the directories of the other steps in it.
fn attach_scratch(scratch: &OwnedFd) -> rustix::io::Result<()> {
    attach(scratch, c"/")?;
    rustix::process::fchdir(scratch)?;
    [c"s", c"l", c"r", c"u", c"w"].iter().try_for_each(|name| rustix::fs::mkdir(*name, Mode::RWXU))
}

/// Stacks the layer under a directory of the scratch tmpfs, as the runner does with its own.
fn stack(layer: &OwnedFd, attributes: MountAttrFlags) -> rustix::io::Result<OwnedFd> {
    attach(layer, c"l")?;
    new_filesystem(c"overlay", &[(c"lowerdir", c"s:l"), (c"userxattr", c"")], attributes)
}

fn stack_writable(attributes: MountAttrFlags) -> rustix::io::Result<()> {
    let options = [(c"lowerdir", c"s:l"), (c"userxattr", c""), (c"upperdir", c"u"), (c"workdir", c"w")];
    let root = new_filesystem(c"overlay", &options, attributes)?;
    rustix::fs::mkdirat(&root, c"sandkasten-probe", Mode::RWXU)
}
