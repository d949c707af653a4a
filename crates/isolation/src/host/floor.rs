//! The kernel's floor: how long this kernel takes for the least that makes a sandbox, without anything of ours. It is what a
//! cold create is measured against.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::mount::OpenTreeFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::id_mapping::map_ids;
use super::launch::{Access, mapped_mount};
use super::{DeviceTree, DeviceTreeError, LaunchError, PathError, ProcessError, SandboxProcess};
use crate::controls::Controls;
use crate::plan::{RANGE_IDS, RANGES, UidRange};
use crate::sys::floor_process::{self, FloorRoot};
use crate::sys::probe_calls::{StartIn, start_trial};

/// How much of a sandbox is made; each has all of the ones before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FloorWork {
    /// A process that exits.
    Process,
    /// In new user, mount, pid, uts, ipc and cgroup namespaces.
    Namespaces,
    /// In a new network namespace as well.
    Network,
    /// With a root of its own: an id-mapped layer under an overlay, devices, devpts, a tmpfs, proc, `pivot_root`; in it, a
    /// program that ends.
    Sandbox,
}

/// A layer with a program in it, ready to be run any number of times.
#[derive(Debug)]
pub struct Floor {
    layer: PathBuf,
    program: CString,
    /// The user namespace whose ids the layer is mapped to.
    mapping: OwnedFd,
}

/// Why the floor could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum FloorError {
    /// The program's path cannot be given to the kernel.
    #[error("failed to use {program:?} as a program")]
    Program {
        /// The path.
        program: PathBuf,
    },
    /// The user namespace for the ids of the layer could not be made.
    #[error("failed to make a user namespace for the layer's ids")]
    Namespace {
        /// The kernel's reason.
        source: io::Error,
    },
    /// Its ids could not be mapped.
    #[error(transparent)]
    MapIds(#[from] PathError),
    /// The process that kept it open could not be ended.
    #[error("failed to end the process of the user namespace")]
    End {
        /// Why.
        source: ProcessError,
    },
    /// The devices could not be made.
    #[error(transparent)]
    Devices(#[from] DeviceTreeError),
    /// The layer could not be mounted.
    #[error(transparent)]
    Layer(#[from] LaunchError),
    /// A step of the process failed.
    #[error("failed to {step}")]
    Step {
        /// What it tried.
        step: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The end of the process could not be awaited.
    #[error("failed to wait for the process")]
    Wait {
        /// The kernel's reason.
        source: io::Error,
    },
    /// The program did not exit with 0.
    #[error("the program ended otherwise than by exiting with 0")]
    Failed {
        /// Its exit status; none where a signal ended it.
        status: Option<i32>,
    },
}

impl FloorWork {
    /// All of it, the least first.
    pub const ALL: [Self; 4] = [Self::Process, Self::Namespaces, Self::Network, Self::Sandbox];

    const fn namespaces(self) -> libc::c_int {
        const INNER: libc::c_int = libc::CLONE_NEWUSER
            | libc::CLONE_NEWNS
            | libc::CLONE_NEWPID
            | libc::CLONE_NEWUTS
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWCGROUP;
        match self {
            Self::Process => 0,
            Self::Namespaces => INNER,
            Self::Network | Self::Sandbox => INNER | libc::CLONE_NEWNET,
        }
    }
}

impl Floor {
    /// Prepares to run `program`, an absolute path inside of the directory `layer`, with that directory as the only layer of its
    /// root. It should do nothing but exit with 0. Blocking; needs root of the host.
    ///
    /// # Errors
    /// [`FloorError`].
    pub fn new(layer: &Path, program: &Path) -> Result<Self, FloorError> {
        let path = CString::new(program.as_os_str().as_bytes())
            .map_err(|_| FloorError::Program { program: program.to_owned() })?;
        Ok(Self { layer: layer.to_owned(), program: path, mapping: layer_mapping()? })
    }

    /// Does the work once and returns how long it took, from the first system call to the end of the process. Blocking, about a
    /// millisecond.
    ///
    /// # Errors
    /// [`FloorError`]; nothing is left of the process.
    pub fn run(&self, work: FloorWork) -> Result<Duration, FloorError> {
        let started = Instant::now();
        let process = if work == FloorWork::Sandbox { self.start_sandbox() } else { start(work, None) }?;
        let status =
            rustix::io::retry_on_intr(|| waitid(WaitId::PidFd(process.as_fd()), WaitIdOptions::EXITED))
                .map_err(|source| FloorError::Wait { source: source.into() })?;
        let took = started.elapsed();
        match status.and_then(|status| status.exit_status()) {
            Some(0) => Ok(took),
            status => Err(FloorError::Failed { status }),
        }
    }

    fn start_sandbox(&self) -> Result<OwnedFd, FloorError> {
        let devices = DeviceTree::new(Controls::default())?.into_mount();
        let layer =
            mapped_mount(&self.layer, OpenTreeFlags::empty(), Access::ReadOnly, self.mapping.as_fd())?;
        let root = FloorRoot { layer: layer.as_fd(), devices: devices.as_fd(), program: &self.program };
        start(FloorWork::Sandbox, Some(&root))
    }
}

fn start(work: FloorWork, root: Option<&FloorRoot<'_>>) -> Result<OwnedFd, FloorError> {
    let (_, descriptor) = floor_process::start(work.namespaces(), root)
        .map_err(|(step, source)| FloorError::Step { step, source })?;
    Ok(descriptor)
}

/// Makes a user namespace with the last range of ids there is, which hardly any session has; nothing runs in it.
fn layer_mapping() -> Result<OwnedFd, FloorError> {
    let namespace = |source: rustix::io::Errno| FloorError::Namespace { source: source.into() };
    let range = UidRange::from_index(RANGES - 1)
        .map_err(|error| FloorError::Namespace { source: io::Error::other(error) })?;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(namespace)?;
    let (pid, descriptor) = start_trial(StartIn::NewUser, ours.as_fd(), theirs.as_fd(), &[])
        .map_err(|source| FloorError::Namespace { source })?;
    let process = SandboxProcess::from_child(pid, descriptor);
    let mapped = map_ids(pid, &format!("0 {} {RANGE_IDS}\n", range.base()));
    let ended = process.kill_and_wait();
    // The first failure says more.
    let mapping = mapped?;
    ended.map_err(|source| FloorError::End { source })?;
    Ok(mapping)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::{Floor, FloorError, FloorWork};

    /// A floor with this program in C, or none without root.
    fn floor(program: &str) -> Option<(tempfile::TempDir, Floor)> {
        if !rustix::process::geteuid().is_root() {
            println!("SKIP: needs root of the host");
            return None;
        }
        let directory = tempfile::tempdir().expect("a directory");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
        let source = directory.path().join("program.c");
        fs::write(&source, program).expect("a file");
        let built = std::process::Command::new("gcc")
            .args(["-static", "-o"])
            .arg(directory.path().join("program"))
            .arg(&source)
            .status()
            .expect("gcc runs");
        assert!(built.success());
        let floor = Floor::new(directory.path(), Path::new("/program")).expect("a floor");
        Some((directory, floor))
    }

    #[test]
    fn all_work_can_be_done_again_and_again() {
        let Some((_directory, floor)) = floor("int main(void) { return 0; }") else { return };
        for _ in 0..3 {
            for work in FloorWork::ALL {
                let took = floor.run(work).unwrap_or_else(|error| panic!("{work:?}: {error:?}"));
                assert!(!took.is_zero(), "{work:?}");
            }
        }
    }

    #[test]
    fn the_program_runs_as_pid_1_in_a_root_of_its_own() {
        let program = "#include <sys/stat.h>\n#include <unistd.h>\n\
            int main(void) {\n\
              struct stat s;\n\
              if (getpid() != 1) return 1;\n\
              if (stat(\"/proc/1/status\", &s)) return 2;\n\
              if (stat(\"/dev/null\", &s) || !S_ISCHR(s.st_mode)) return 3;\n\
              if (stat(\"/dev/pts/ptmx\", &s)) return 4;\n\
              if (!stat(\"/usr\", &s) || !stat(\"/proc/2\", &s)) return 5;\n\
              if (!mkdir(\"/x\", 0700)) return 6;\n\
              return mkdir(\"/tmp/x\", 0700) ? 7 : 0;\n\
            }";
        let Some((_directory, floor)) = floor(program) else { return };
        floor.run(FloorWork::Sandbox).expect("all of it is there");
    }

    #[test]
    fn a_program_that_fails_or_is_not_there_is_an_error() {
        let Some((directory, floor)) = floor("int main(void) { return 3; }") else { return };
        let failed = floor.run(FloorWork::Sandbox).expect_err("a status");
        assert!(matches!(failed, FloorError::Failed { status: Some(3) }), "{failed:?}");
        fs::remove_file(directory.path().join("program")).expect("removed");
        match floor.run(FloorWork::Sandbox).expect_err("no program") {
            FloorError::Step { step, source } => {
                assert_eq!((step, source.kind()), ("execute the program", std::io::ErrorKind::NotFound));
            }
            other => panic!("{other:?}"),
        }
    }
}
