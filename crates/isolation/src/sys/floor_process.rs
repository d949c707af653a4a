//! The process of the kernel's floor: the least that the kernel has to do for a sandbox, and nothing of ours.
//!
//! It shares the memory of the program that measures until it executes the program of its layer: it makes system calls and
//! nothing else.

use std::convert::Infallible;
use std::ffi::{CStr, c_void};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MountPropagationFlags, UnmountFlags, mount_change, unmount};

use super::clone::{self, start_sharing_memory};
use super::mount_calls::{attach, new_filesystem, pivot};

/// What becomes the root of the process, and runs in it.
pub(crate) struct FloorRoot<'a> {
    /// The layer under its overlay, attached nowhere.
    pub(crate) layer: BorrowedFd<'a>,
    /// Its `/dev`, attached nowhere, with a directory `pts`.
    pub(crate) devices: BorrowedFd<'a>,
    /// The program of the layer, by its path inside.
    pub(crate) program: &'a CStr,
}

/// What the process does, as the byte that says where it failed.
pub(crate) const STEPS: [&str; 8] = [
    "clone into new namespaces",
    "map its own ids",
    "make the mount tree private",
    "make the tmpfs of the assembly",
    "stack the layer under an overlay",
    "fill /dev, /tmp and /proc",
    "change the root",
    "execute the program",
];

struct Shared<'a> {
    root: Option<&'a FloorRoot<'a>>,
    failure: Option<(usize, i32)>,
}

/// Starts the process and returns its id and descriptor once it has executed its program, or, where it has no root, exited.
/// Blocks the calling thread until then. A failure names the step of [`STEPS`]; nothing is left of the process then.
pub(crate) fn start(
    namespaces: libc::c_int,
    root: Option<&FloorRoot<'_>>,
) -> Result<(i32, OwnedFd), (&'static str, io::Error)> {
    let mut shared = Shared { root, failure: None };
    // SAFETY: `run` takes a `Shared`, and makes system calls alone.
    let started = unsafe { start_sharing_memory(namespaces, None, run, (&raw mut shared).cast()) };
    let (pid, descriptor) = started.map_err(|source| (STEPS[0], source))?;
    if let Some((step, number)) = shared.failure {
        clone::reap(pid);
        let step = STEPS.get(step).copied().unwrap_or("start");
        return Err((step, io::Error::from_raw_os_error(number)));
    }
    Ok((pid, descriptor))
}

extern "C" fn run(argument: *mut c_void) -> i32 {
    // SAFETY: the parent passes a pointer to a `Shared` that outlives the child's use of it.
    let shared = unsafe { &mut *argument.cast::<Shared<'_>>() };
    let Some(root) = shared.root else { return 0 };
    match become_program(root) {
        Err((step, error)) => shared.failure = Some((step, error.raw_os_error())),
    }
    127
}

/// Returns only on failure, with the index into [`STEPS`].
fn become_program(root: &FloorRoot<'_>) -> Result<Infallible, (usize, Errno)> {
    let failed = |step: usize| move |error: Errno| (step, error);
    map_own_ids().map_err(failed(1))?;
    mount_change(c"/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE).map_err(failed(2))?;
    // Kept open: what becomes of the directory that it is attached to does not matter.
    let _scratch = make_scratch().map_err(failed(3))?;
    let overlay = stack(root).map_err(failed(4))?;
    populate(root).map_err(failed(5))?;
    pivot(&overlay)
        .and_then(|()| unmount(c".", UnmountFlags::DETACH))
        .and_then(|()| rustix::process::chdir(c"/"))
        .map_err(failed(6))?;
    let arguments = [root.program.as_ptr(), std::ptr::null()];
    let environment = [std::ptr::null::<libc::c_char>()];
    // SAFETY: both arrays are NULL-terminated and live, as is the path.
    unsafe { libc::execve(root.program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    let number = io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
    Err((7, Errno::from_raw_os_error(number)))
}

/// Maps root, which one may do for oneself: user_namespaces(7). Sandboxes have ranges of their own, which the daemon writes;
/// that would only add a message to and fro.
fn map_own_ids() -> rustix::io::Result<()> {
    for (file, text) in [
        (c"/proc/self/setgroups", &b"deny"[..]),
        (c"/proc/self/uid_map", b"0 0 1"),
        (c"/proc/self/gid_map", b"0 0 1"),
    ] {
        let file = rustix::fs::open(file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        rustix::io::write(&file, text)?;
    }
    Ok(())
}

/// Makes the tmpfs that the root is assembled in, over the root of this mount namespace, and enters it.
fn make_scratch() -> rustix::io::Result<OwnedFd> {
    let options = [(c"size", c"1048576"), (c"mode", c"0755")];
    let scratch = new_filesystem(c"tmpfs", &options, safe())?;
    attach(&scratch, c"/")?;
    rustix::process::fchdir(&scratch)?;
    for directory in [c"s", c"s/dev", c"s/tmp", c"s/proc", c"l", c"r"] {
        rustix::fs::mkdirat(CWD, directory, Mode::from_raw_mode(0o755))?;
    }
    Ok(scratch)
}

fn stack(root: &FloorRoot<'_>) -> rustix::io::Result<OwnedFd> {
    attach(root.layer, c"l")?;
    let options = [(c"lowerdir", c"s:l"), (c"userxattr", c"")];
    let overlay = new_filesystem(c"overlay", &options, safe() | MountAttrFlags::MOUNT_ATTR_RDONLY)?;
    attach(&overlay, c"r")?;
    Ok(overlay)
}

fn populate(root: &FloorRoot<'_>) -> rustix::io::Result<()> {
    let no_programs = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    attach(root.devices, c"r/dev")?;
    let terminals = [(c"ptmxmode", c"0666"), (c"mode", c"0620")];
    attach(new_filesystem(c"devpts", &terminals, no_programs)?, c"r/dev/pts")?;
    let options = [(c"size", c"1048576"), (c"mode", c"1777")];
    attach(new_filesystem(c"tmpfs", &options, safe())?, c"r/tmp")?;
    attach(new_filesystem(c"proc", &[], safe() | no_programs)?, c"r/proc")
}

fn safe() -> MountAttrFlags {
    MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV
}
