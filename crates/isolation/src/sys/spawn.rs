//! Starting a program inside the sandbox: a fork of the single-threaded runner, then execve(2).

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::clone::CLONE_INTO_CGROUP;
use super::inherited::close_on_exec_from;
use super::{process_exit, seccomp_filter, signals};
use crate::seccomp::Instruction;

/// A program to start, with everything the child does before the exec.
pub(crate) struct Spawn<'a> {
    /// Absolute paths inside the sandbox: the first that can be executed is.
    pub(crate) programs: &'a [CString],
    pub(crate) arguments: &'a [CString],
    pub(crate) environment: &'a [CString],
    /// v1 `tasks` files, opened by the daemon, that the child writes itself into. A thread that moves itself, and only
    /// itself, takes no lock that stops the host's forks; single-threaded as it is, it moves the whole process.
    pub(crate) tasks: &'a [OwnedFd],
    /// The v2 process group.
    pub(crate) group: Group<'a>,
    /// The seccomp filter, where the caller has none yet that would be inherited.
    pub(crate) filter: Option<&'a [Instruction]>,
    /// Which descriptor becomes which number; all others close.
    pub(crate) descriptors: &'a [(BorrowedFd<'a>, RawFd)],
    /// Whose working directory it has.
    pub(crate) directory: Directory<'a>,
    /// Whether descriptor 0 becomes its controlling terminal.
    pub(crate) terminal: bool,
    /// The user and group that the child becomes; both are the runner's saved ids, or it has the capabilities to choose.
    pub(crate) user: u32,
    pub(crate) sandbox_group: u32,
    /// The supplementary groups; none are left as they are where the runner cannot set them.
    pub(crate) groups: Option<&'a [u32]>,
}

/// How the child gets into its v2 cgroup.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Group<'a> {
    /// There is none.
    None,
    /// Started in it: clone3(2) `CLONE_INTO_CGROUP`, since Linux 5.7, by the cgroup's directory. Where cgroup namespaces
    /// are delegation boundaries (the mount option `nsdelegate`, which systemd sets), the kernel refuses that with ENOENT
    /// to a caller whose namespace holds only its own cgroup. Then the child is moved by `procs`: for a write, the
    /// namespace of the opener counts, and that is the daemon's (Linux 5.17, e57457641613).
    Into { directory: BorrowedFd<'a>, procs: BorrowedFd<'a> },
    /// Moved to it, by its `cgroup.procs`.
    Join(BorrowedFd<'a>),
}

/// The working directory of a started process. Its umask is 022; with the directory, it shares that as well.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Directory<'a> {
    /// The caller's own, before and after the exec (`CLONE_FS`): that is how the runner knows a shell's directory
    /// without asking it.
    Shared,
    /// This one, as its user may enter it.
    Own(&'a CString),
}

/// What the child failed at before it became the program, as the byte it reports.
pub(crate) const STEPS: [&str; 8] = [
    "join the session's cgroup",
    "start a new session",
    "become the sandbox user",
    "arrange descriptors",
    "take the terminal",
    ENTER_STEP,
    "install the seccomp filter",
    EXECUTE_STEP,
];

/// The step of changing to the program's directory.
pub(crate) const ENTER_STEP: &str = "change to the directory";
/// The step of the exec itself.
pub(crate) const EXECUTE_STEP: &str = "execute the program";

/// Starts the program and returns its process id and descriptor. Returns once the exec has happened, or with the name of
/// the step that failed.
pub(crate) fn spawn(spawn: &Spawn<'_>) -> Result<(i32, OwnedFd), (&'static str, io::Error)> {
    let arguments = pointers(spawn.arguments);
    let environment = pointers(spawn.environment);
    let (reader, low_writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|error| ("make a pipe", error.into()))?;
    let above_targets = spawn.descriptors.iter().map(|(_, number)| number + 1).max().unwrap_or(3).max(3);
    let writer = rustix::io::fcntl_dupfd_cloexec(&low_writer, above_targets)
        .map_err(|error| ("make a pipe", error.into()))?;
    drop(low_writer);
    let mut pidfd: RawFd = -1;
    let (pid, procs) = match fork_into(spawn, &mut pidfd) {
        Ok(forked) => forked,
        Err(error) => return Err(("fork", error)),
    };
    if pid == 0 {
        let (step, error) = become_program(spawn, procs, &arguments, &environment);
        let report = [step, u8::try_from(error).unwrap_or(u8::MAX)];
        let written = rustix::io::write(&writer, &report);
        process_exit::exit_now(if written.is_ok() { 126 } else { 127 });
    }
    drop(writer);
    // SAFETY: the kernel has just made this descriptor for this process.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    let pid = i32::try_from(pid).map_err(|_| ("fork", io::Error::from_raw_os_error(libc::ERANGE)))?;
    let mut report = [0_u8; 2];
    match rustix::io::retry_on_intr(|| rustix::io::read(&reader, &mut report)) {
        Ok(0) => Ok((pid, pidfd)),
        Ok(_) => {
            let step = STEPS.get(usize::from(report[0])).copied().unwrap_or("start the program");
            Err((step, io::Error::from_raw_os_error(i32::from(report[1]))))
        }
        Err(error) => Err(("hear from the child", error.into())),
    }
}

/// Forks, and says which `cgroup.procs` the child has still to join.
fn fork_into<'a>(spawn: &Spawn<'a>, pidfd: &mut RawFd) -> io::Result<(libc::c_long, Option<BorrowedFd<'a>>)> {
    let shared = if matches!(spawn.directory, Directory::Shared) { libc::CLONE_FS } else { 0 };
    let (directory, mut procs) = match spawn.group {
        Group::None => (None, None),
        Group::Into { directory, .. } => (Some(directory), None),
        Group::Join(procs) => (None, Some(procs)),
    };
    let mut pid = fork(shared, directory, pidfd);
    if let Group::Into { procs: moved_by, .. } = spawn.group
        && pid < 0
        && io::Error::last_os_error().raw_os_error() == Some(libc::ENOENT)
    {
        procs = Some(moved_by);
        pid = fork(shared, None, pidfd);
    }
    if pid < 0 { Err(io::Error::last_os_error()) } else { Ok((pid, procs)) }
}

/// Forks: without CLONE_VM and without a stack of its own, the child is a copy of the calling process.
fn fork(shared: libc::c_int, directory: Option<BorrowedFd<'_>>, pidfd: &mut RawFd) -> libc::c_long {
    let flags = shared | libc::CLONE_PIDFD;
    if let Some(directory) = directory {
        // SAFETY: all-zero is a valid value of that plain struct of numbers.
        let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
        arguments.flags = u64::from(flags.cast_unsigned()) | CLONE_INTO_CGROUP;
        arguments.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
        arguments.pidfd = std::ptr::from_mut(pidfd).addr() as u64;
        arguments.cgroup = u64::from(directory.as_raw_fd().cast_unsigned());
        // SAFETY: the arguments are live and their size is given; the runner is single-threaded, so the child may run
        // ordinary code; the kernel writes the descriptor to `pidfd`.
        return unsafe {
            libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<libc::clone_args>())
        };
    }
    // SAFETY: as above, by the older call, which the seccomp filter lets through.
    unsafe {
        libc::syscall(
            libc::SYS_clone,
            flags | libc::SIGCHLD,
            std::ptr::null::<u8>(),
            std::ptr::from_mut(pidfd),
            std::ptr::null::<u8>(),
            0,
        )
    }
}

fn pointers(texts: &[CString]) -> Vec<*const libc::c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
}

/// Runs in the child; returns only on failure, with the index into [`STEPS`] and the error number.
fn become_program(
    spawn: &Spawn<'_>,
    procs: Option<BorrowedFd<'_>>,
    arguments: &[*const libc::c_char],
    environment: &[*const libc::c_char],
) -> (u8, i32) {
    let number = |error: io::Error| error.raw_os_error().unwrap_or(libc::EIO);
    for cgroup in spawn.tasks.iter().map(AsFd::as_fd).chain(procs) {
        if let Err(error) = rustix::io::write(cgroup, b"0") {
            return (0, error.raw_os_error());
        }
    }
    if let Err(error) = rustix::process::setsid() {
        return (1, error.raw_os_error());
    }
    if let Err(error) = become_user(spawn.user, spawn.sandbox_group, spawn.groups) {
        return (2, number(error));
    }
    if let Err(error) = arrange_descriptors(spawn.descriptors) {
        return (3, number(error));
    }
    // SAFETY: an integer argument only; the child leads a session that has no terminal yet (ioctl_tty(2), TIOCSCTTY).
    if spawn.terminal && unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) } < 0 {
        return (4, number(io::Error::last_os_error()));
    }
    // Where the caller's own is shared, a process before may have changed it.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    if let Directory::Own(path) = spawn.directory
        && let Err(error) = rustix::process::chdir(path)
    {
        return (5, error.raw_os_error());
    }
    signals::reset_all();
    if let Some(filter) = spawn.filter
        && let Err(error) = seccomp_filter::install_filter(filter)
    {
        return (6, number(error));
    }
    (7, number(execute_first(spawn.programs, arguments, environment)))
}

/// Executes the first program that can be, as execvp(3) goes through `PATH`: one that is not there, or may not be
/// executed, does not end the search. Returns only on failure.
fn execute_first(
    programs: &[CString],
    arguments: &[*const libc::c_char],
    environment: &[*const libc::c_char],
) -> io::Error {
    let mut error = io::Error::from_raw_os_error(libc::ENOENT);
    for program in programs {
        // SAFETY: the arrays are NULL-terminated and point into strings that the caller keeps alive.
        unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
        let failed = io::Error::last_os_error();
        match failed.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) => {}
            Some(libc::EACCES) => error = failed,
            _ => return failed,
        }
    }
    error
}

/// Changes all ids of the process; raw calls, because the runner has no other threads to keep in step.
fn become_user(user: u32, group: u32, groups: Option<&[u32]>) -> io::Result<()> {
    // SAFETY: integer arguments, and a slice of ids with its length.
    let result = unsafe {
        if let Some(groups) = groups
            && libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) != 0
        {
            -1
        } else if libc::syscall(libc::SYS_setresgid, group, group, group) == 0 {
            libc::syscall(libc::SYS_setresuid, user, user, user)
        } else {
            -1
        }
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn arrange_descriptors(descriptors: &[(BorrowedFd<'_>, RawFd)]) -> io::Result<()> {
    let highest = descriptors.iter().map(|(_, number)| *number).max().unwrap_or(2).max(2);
    // SAFETY: descriptor duplication in the child's own table; sources are first moved above every target, so that no
    // target overwrites a source that is still needed.
    unsafe {
        let mut raised = Vec::with_capacity(descriptors.len());
        for (source, target) in descriptors {
            let copy = libc::fcntl(source.as_raw_fd(), libc::F_DUPFD_CLOEXEC, highest + 1);
            if copy < 0 {
                return Err(io::Error::last_os_error());
            }
            raised.push((copy, *target));
        }
        close_on_exec_from(0)?;
        for (copy, target) in raised {
            if libc::dup2(copy, target) < 0 {
                return Err(io::Error::last_os_error());
            }
        }
    }
    Ok(())
}

/// Reaps one ended child without blocking and returns its id, its status, 128 + N after death by signal N, and N.
pub(crate) fn reap() -> io::Result<Option<(i32, i32, Option<i32>)>> {
    let mut status = 0;
    // SAFETY: `status` is valid for the call.
    match unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG | libc::__WALL) } {
        0 => Ok(None),
        pid if pid > 0 && libc::WIFSIGNALED(status) => {
            let signal = libc::WTERMSIG(status);
            Ok(Some((pid, 128 + signal, Some(signal))))
        }
        pid if pid > 0 => Ok(Some((pid, libc::WEXITSTATUS(status), None))),
        _ => Err(io::Error::last_os_error()),
    }
}
