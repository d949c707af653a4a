//! A mapping of one owner on disk to one user of a session, for mounts.
//!
//! mount_setattr(2) takes a mapping in the form of a user namespace: an id on disk is an id inside of it, and what the
//! mount shows is the id of the host that stands for it. The namespace of a sandbox maps 0 to 65,535, which is right for
//! layers; one owner for everything needs a namespace of its own. It has no process: a runner without a plan keeps it
//! open until it is mapped, and is then ended.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::{PathError, ProcessError, RunnerImage, SandboxProcess};
use crate::sys::clone::{self, Launch};

/// Descriptors for the child are kept above the numbers it gives them.
const ABOVE_AGREED_NUMBERS: i32 = 16;

/// Why an owner could not be mapped.
#[derive(Debug, thiserror::Error)]
pub enum MapOwnerError {
    /// A descriptor could not be made.
    #[error("failed to {what} for the id mapping of a workspace")]
    Descriptor {
        /// What was tried.
        what: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The namespace was refused.
    #[error("failed to make a user namespace for the id mapping of a workspace")]
    Clone {
        /// The kernel's reason.
        source: io::Error,
    },
    /// The maps could not be written, or the namespace not be opened.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The process that kept it open could not be ended.
    #[error("failed to end the process that kept an id mapping open")]
    End {
        /// Why.
        source: ProcessError,
    },
}

/// Returns a user namespace in which `on_disk` is the uid and gid `shown` of the host, and no other id is anything.
/// Blocking, for the start of a process.
///
/// # Errors
/// [`MapOwnerError`]; nothing is left then.
pub(super) fn map_owner(runner: &RunnerImage, on_disk: u32, shown: u32) -> Result<OwnedFd, MapOwnerError> {
    let failed =
        |what| move |source: rustix::io::Errno| MapOwnerError::Descriptor { what, source: source.into() };
    let raise = |descriptor: BorrowedFd<'_>| {
        rustix::io::fcntl_dupfd_cloexec(descriptor, ABOVE_AGREED_NUMBERS)
            .map_err(failed("duplicate a descriptor"))
    };
    // The other end: the process waits for a plan as long as it is open, and would end with it.
    let (_ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(failed("make a socket"))?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(failed("open /dev/null"))?;
    let (executable, setup, null) = (raise(runner.as_fd())?, raise(theirs.as_fd())?, raise(null.as_fd())?);
    drop(theirs);
    let (pid, descriptor) = clone::launch(&Launch {
        cgroup: None,
        namespaces: libc::CLONE_NEWUSER,
        executable: executable.as_fd(),
        setup: setup.as_fd(),
        listener: null.as_fd(),
        null: null.as_fd(),
    })
    .map_err(|(_, source)| MapOwnerError::Clone { source })?;
    let process = SandboxProcess::from_child(pid, descriptor);
    let mapped = map_ids(pid, &format!("{on_disk} {shown} 1\n"));
    let ended = process.kill_and_wait();
    // The first failure says more.
    let namespace = mapped?;
    ended.map_err(|source| MapOwnerError::End { source })?;
    Ok(namespace)
}

/// Writes the uid and the gid map of a process that has just started in a user namespace, and returns that namespace, which
/// carries the mapping for mounts. The lines are those of user_namespaces(7).
pub(super) fn map_ids(pid: i32, map: &str) -> Result<OwnedFd, PathError> {
    for file in ["uid_map", "gid_map"] {
        let path = PathBuf::from(format!("/proc/{pid}/{file}"));
        fs::write(&path, map).map_err(PathError::of("write to", &path))?;
    }
    let path = PathBuf::from(format!("/proc/{pid}/ns/user"));
    rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(PathError::of("open", &path))
}
