//! The root filesystem: a scratch tmpfs in which the layers are stacked, and the pivot into the result.
//!
//! The topmost layer is always one of the runner's own making. It holds every directory that something is mounted on
//! later, so that a symbolic link in a hostile image can never be the target of a mount: the overlay shows ours.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount_change, move_mount,
    unmount,
};

use crate::controls::{Control, Controls};
use crate::plan::{CONTROL_DIRECTORY, RootMode, SandboxPlan};

/// The name of the runner's own layer in the scratch tmpfs; one byte, for the overlay's option string is short.
const SKELETON: &str = "s";
const ROOT: &str = "r";
const UPPER: &str = "u";
const UPPER_OPTIONS: [(&str, &str); 2] = [("upperdir", "u/u"), ("workdir", "u/w")];
const SCRATCH_BYTES: u64 = 1 << 20;

/// The scratch tree and the root filesystem that is being made in it.
#[derive(Debug)]
pub(super) struct Assembly {
    /// The root filesystem's own mount.
    pub(super) root: OwnedFd,
}

/// Which step of assembling the root filesystem failed.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// A filesystem could not be made.
    #[error("failed to make the {kind} filesystem {what}")]
    Filesystem {
        /// The filesystem type.
        kind: &'static str,
        /// What it is for.
        what: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A mount could not be attached.
    #[error("failed to attach {what}")]
    Attach {
        /// What was to be attached, and where.
        what: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A directory or file of the runner's own layer could not be made.
    #[error("failed to make {path:?} for the root filesystem")]
    Skeleton {
        /// Its path.
        path: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The root could not be changed.
    #[error("failed to {step} while changing the root")]
    Pivot {
        /// Which call.
        step: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
}

/// Keeps mounts of this namespace from reaching the host, and the host's from reaching it.
pub(super) fn make_mounts_private() -> io::Result<()> {
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE).map_err(Into::into)
}

/// Makes a filesystem that is not attached anywhere yet.
pub(super) fn new_filesystem(
    kind: &'static str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (name, value) in options {
        if value.is_empty() {
            fsconfig_set_flag(context.as_fd(), *name)?;
        } else {
            fsconfig_set_string(context.as_fd(), *name, *value)?;
        }
    }
    fsconfig_create(context.as_fd())?;
    Ok(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// Attaches a detached mount to the directory or file `target`, which must have been opened without following links.
pub(super) fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    move_mount(
        mount,
        "",
        target,
        "",
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH,
    )
    .map_err(Into::into)
}

/// Stacks the layers under the runner's own and attaches the result in the scratch tmpfs.
pub(super) fn assemble(
    plan: &SandboxPlan,
    staging: &OwnedFd,
    layers: Vec<OwnedFd>,
    kept: Option<&OwnedFd>,
) -> Result<Assembly, RootError> {
    let safe = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let scratch = new_filesystem("tmpfs", &[("size", &SCRATCH_BYTES.to_string()), ("mode", "0755")], safe)
        .map_err(|source| RootError::Filesystem { kind: "tmpfs", what: "for assembly".into(), source })?;
    attach(scratch.as_fd(), staging.as_fd())
        .map_err(|source| RootError::Attach { what: "the scratch tmpfs".into(), source })?;
    // The overlay's option string is resolved against the working directory, and must be short.
    rustix::process::fchdir(&scratch)
        .map_err(|source| RootError::Pivot { step: "enter the scratch tmpfs", source: source.into() })?;
    make_skeleton(plan)?;

    let mut lower = SKELETON.to_owned();
    for (index, layer) in layers.into_iter().enumerate() {
        let name = index.to_string();
        let what = || format!("image layer {index}");
        let directory = make_directory(&name)?;
        attach(layer.as_fd(), directory.as_fd())
            .map_err(|source| RootError::Attach { what: what(), source })?;
        lower.push(':');
        lower.push_str(&name);
    }
    let root = stack(plan, &lower, kept)?;
    let target = make_directory(ROOT)?;
    attach(root.as_fd(), target.as_fd())
        .map_err(|source| RootError::Attach { what: "the root filesystem".into(), source })?;
    Ok(Assembly { root })
}

fn stack(plan: &SandboxPlan, lower: &str, kept: Option<&OwnedFd>) -> Result<OwnedFd, RootError> {
    // Without privileges over the host, overlayfs keeps its marks in user.* attributes (since Linux 5.11).
    let mut options = vec![("lowerdir", lower), ("userxattr", "")];
    let mut attributes = MountAttrFlags::empty();
    attributes.set(MountAttrFlags::MOUNT_ATTR_NOSUID, plan.controls.keep(Control::RootNosuid));
    attributes.set(MountAttrFlags::MOUNT_ATTR_NODEV, plan.controls.keep(Control::RootNodev));
    match plan.root {
        RootMode::ReadOnly => attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY,
        RootMode::Writable { size_bytes } => {
            let upper = new_filesystem("tmpfs", &[("size", &size_bytes.to_string())], attributes).map_err(
                |source| RootError::Filesystem {
                    kind: "tmpfs",
                    what: "for the root's changes".into(),
                    source,
                },
            )?;
            attach_upper(upper.as_fd())?;
            options.extend(UPPER_OPTIONS);
        }
        RootMode::Kept => {
            let missing = || RootError::Attach {
                what: "the directory for the root's changes".into(),
                source: io::ErrorKind::NotFound.into(),
            };
            attach_upper(kept.ok_or_else(missing)?.as_fd())?;
            options.extend(UPPER_OPTIONS);
        }
    }
    new_filesystem("overlay", &options, attributes).map_err(|source| RootError::Filesystem {
        kind: "overlay",
        what: "of the image's layers".into(),
        source,
    })
}

/// Attaches what the root's changes go to, with the two directories that an overlay needs of one file system.
fn attach_upper(upper: BorrowedFd<'_>) -> Result<(), RootError> {
    let target = make_directory(UPPER)?;
    attach(upper, target.as_fd())
        .map_err(|source| RootError::Attach { what: "the root's changes".into(), source })?;
    make_directory("u/u")?;
    make_directory("u/w")?;
    Ok(())
}

/// Makes the runner's own layer: mount points, and the files that differ for each session.
fn make_skeleton(plan: &SandboxPlan) -> Result<(), RootError> {
    make_directory(SKELETON)?;
    let fixed = ["/proc", "/dev", "/etc", CONTROL_DIRECTORY].map(str::to_owned);
    let mounts =
        plan.tmpfs.iter().map(|tmpfs| tmpfs.target.clone()).filter(|target| !target.starts_with("/dev/"));
    let binds = plan.binds.iter().chain(&plan.workspace).cloned();
    for target in fixed.into_iter().chain(mounts).chain(binds) {
        make_directories(&target)?;
    }
    for (path, content) in &plan.files {
        if let Some((parent, _)) = path.rsplit_once('/') {
            make_directories(parent)?;
        }
        let ours = format!("{SKELETON}{path}");
        std::fs::write(&ours, content)
            .map_err(|source| RootError::Skeleton { path: path.clone(), source })?;
        set_mode(&ours, 0o644)?;
    }
    Ok(())
}

fn make_directories(path: &str) -> Result<(), RootError> {
    let mut made = SKELETON.to_owned();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        made.push('/');
        made.push_str(part);
        make_directory(&made)?;
    }
    Ok(())
}

/// Makes one directory of mode 0755 below the scratch tmpfs, which nobody else can reach, and opens it.
fn make_directory(path: &str) -> Result<OwnedFd, RootError> {
    let failed =
        |source: rustix::io::Errno| RootError::Skeleton { path: path.to_owned(), source: source.into() };
    match rustix::fs::mkdir(path, Mode::from_raw_mode(0o755)) {
        Ok(()) => set_mode(path, 0o755)?,
        Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(failed(error)),
    }
    rustix::fs::open(
        path,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(failed)
}

/// Sets a mode exactly, whatever the umask was.
fn set_mode(path: &str, mode: u32) -> Result<(), RootError> {
    rustix::fs::chmod(path, Mode::from_raw_mode(mode))
        .map_err(|source| RootError::Skeleton { path: path.to_owned(), source: source.into() })
}

/// Makes the assembled root the root directory of the process and cuts the host's tree off.
pub(super) fn pivot(assembly: &Assembly, controls: Controls) -> Result<(), RootError> {
    let failed = |step: &'static str| {
        move |source: rustix::io::Errno| RootError::Pivot { step, source: source.into() }
    };
    rustix::process::fchdir(&assembly.root).map_err(failed("enter the new root"))?;
    rustix::process::pivot_root(".", ".").map_err(failed("pivot into the new root"))?;
    // The old root now lies over the new one, at the same place: pivot_root(2), "pivot_root(\".\", \".\")".
    if controls.keep(Control::HostRootDetached) {
        unmount(".", UnmountFlags::DETACH).map_err(failed("detach the host's root"))?;
    }
    rustix::process::chdir("/").map_err(failed("enter the root directory"))?;
    let root =
        rustix::fs::statat(CWD, "/", rustix::fs::AtFlags::empty()).map_err(failed("look at the new root"))?;
    if FileType::from_raw_mode(root.st_mode) == FileType::Directory {
        Ok(())
    } else {
        Err(RootError::Pivot {
            step: "find a directory at the new root",
            source: io::ErrorKind::NotADirectory.into(),
        })
    }
}
