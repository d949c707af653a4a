//! The system calls that start, hold and reach into processes.

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::process::{PidfdFlags, getpid, pidfd_open};

use super::Feature;
use super::check::{Check, Finding, Need};
use crate::error_chain;
use crate::host::RunnerImage;
use crate::sys::probe_calls::close_range_on_nothing;

const PROCESS_DESCRIPTORS: Check = Check {
    name: "process descriptors",
    need: Need::Required,
    why: "holding, killing and awaiting exactly the processes that were started",
    advice: "use Linux 5.4 or newer; in a container, let the outer seccomp profile allow pidfd_open",
};

const CLOSE_RANGE: Check = Check {
    name: "close_range",
    need: Need::Required,
    why: "letting no descriptor of the daemon into a sandbox",
    advice: "use Linux 5.11 or newer; in a container, let the outer seccomp profile allow close_range",
};

const OPENAT2: Check = Check {
    name: "openat2",
    need: Need::Required,
    why: "opening files of a sandbox that no link leads out of",
    advice: "use Linux 5.6 or newer; in a container, let the outer seccomp profile allow openat2",
};

const MEMORY_FILES: Check = Check {
    name: "executable memory files",
    need: Need::Required,
    why: "running the supervisor from a sealed copy that no sandbox can reach or change",
    advice: "set the sysctl vm.memfd_noexec to 0 or 1",
};

pub(super) fn features() -> Vec<Feature> {
    vec![
        PROCESS_DESCRIPTORS.found(open_self()),
        CLOSE_RANGE.found(close_nothing()),
        OPENAT2.found(open_in_root()),
        MEMORY_FILES.found(make_memory_file()),
    ]
}

fn open_self() -> Finding {
    match pidfd_open(getpid(), PidfdFlags::empty()) {
        Ok(_) => Ok("opened one of this process".into()),
        Err(error) => Err(format!("pidfd_open: {error}")),
    }
}

fn close_nothing() -> Finding {
    match close_range_on_nothing() {
        Ok(()) => Ok("with CLOSE_RANGE_CLOEXEC".into()),
        Err(error) => Err(format!("close_range with CLOSE_RANGE_CLOEXEC: {error}")),
    }
}

fn open_in_root() -> Finding {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    match openat2(CWD, ".", flags, Mode::empty(), resolve) {
        Ok(_) => Ok("with RESOLVE_IN_ROOT".into()),
        Err(error) => Err(format!("openat2 with RESOLVE_IN_ROOT: {error}")),
    }
}

/// Makes an empty file the way the runner's is made. vm.memfd_noexec=2 refuses that; a kernel that ignores the wish
/// for an executable file leaves the bits of its mode out.
fn make_memory_file() -> Finding {
    let file = RunnerImage::new(&[]).map_err(|error| error_chain(&error))?;
    let mode = fstat(&file).map_err(|error| format!("fstat: {error}"))?.st_mode;
    if mode & 0o111 == 0 {
        return Err(format!("the kernel made one that cannot be executed, of mode {:o}", mode & 0o777));
    }
    Ok("made and sealed one".into())
}
