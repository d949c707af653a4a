//! Everything mounted inside the root: `/proc` with its masks, `/dev`, and the bounded writable places.
//!
//! Targets are opened beneath the new root without following any link before something is mounted on them.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::mount::{MountAttrFlags, OpenTreeFlags, open_tree};

use super::root::{Assembly, attach, new_filesystem};
use crate::controls::{Control, Controls};
use crate::plan::{CONTROL_DIRECTORY, Owner, SANDBOX_ID, SandboxPlan};
use crate::sys::mount_attributes::set_mount_attributes;

/// What of `/proc` tells of the host or lets it be changed; hidden behind an empty file or directory. The whole of
/// `/proc` is read-only besides.
const MASKED: [(&str, Mask); 22] = [
    ("kcore", Mask::File),
    ("keys", Mask::File),
    ("key-users", Mask::File),
    ("kmsg", Mask::File),
    ("kallsyms", Mask::File),
    ("kpagecgroup", Mask::File),
    ("kpagecount", Mask::File),
    ("kpageflags", Mask::File),
    ("cmdline", Mask::File),
    ("config.gz", Mask::File),
    ("interrupts", Mask::File),
    ("iomem", Mask::File),
    ("ioports", Mask::File),
    ("latency_stats", Mask::File),
    ("modules", Mask::File),
    ("sched_debug", Mask::File),
    ("slabinfo", Mask::File),
    ("sysrq-trigger", Mask::File),
    ("timer_list", Mask::File),
    ("acpi", Mask::Directory),
    ("irq", Mask::Directory),
    ("scsi", Mask::Directory),
];

/// Room for the largest command with the largest input in every shell that a session can have, and for little files. The runner
/// alone writes there; it takes memory only as long as such commands run.
const CONTROL_BYTES: u64 = 40 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mask {
    File,
    Directory,
}

/// Which mount failed.
#[derive(Debug, thiserror::Error)]
pub enum MountsError {
    /// The place for a mount could not be opened without leaving the new root or following a link.
    #[error("failed to open the mount point {target}")]
    Target {
        /// Where it was to go.
        target: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A filesystem could not be made.
    #[error("failed to make {kind} for {target}")]
    Make {
        /// The filesystem type.
        kind: &'static str,
        /// Where it was to go.
        target: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// New user namespaces could not be forbidden.
    #[error("failed to set user.max_user_namespaces of the sandbox to 0")]
    UserNamespaces {
        /// The kernel's reason.
        source: io::Error,
    },
    /// A mount could not be attached.
    #[error("failed to mount {target}")]
    Attach {
        /// Where it was to go.
        target: String,
        /// The kernel's reason.
        source: io::Error,
    },
}

/// Attaches everything that the plan names, and what every sandbox has.
pub(super) fn populate(
    plan: &SandboxPlan,
    assembly: &Assembly,
    device_tree: OwnedFd,
    binds: Vec<OwnedFd>,
    workspace: Option<&OwnedFd>,
) -> Result<(), MountsError> {
    for (target, bind) in plan.binds.iter().zip(binds) {
        attach_at(assembly, target, &bind)?;
    }
    attach_at(assembly, "/dev", &device_tree)?;
    let device_nodes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let terminals = [("ptmxmode", "0666"), ("mode", "0620"), ("gid", "5")];
    mount_new(assembly, "devpts", "/dev/pts", &terminals, device_nodes)?;
    for tmpfs in &plan.tmpfs {
        let owner = match tmpfs.owner {
            Owner::Root => "0".to_owned(),
            Owner::Sandbox => SANDBOX_ID.to_string(),
        };
        let options = [
            ("size", tmpfs.size_bytes.to_string()),
            ("nr_inodes", tmpfs.inodes.to_string()),
            ("mode", format!("{:o}", tmpfs.mode)),
            ("uid", owner.clone()),
            ("gid", owner),
        ];
        let options = options.each_ref().map(|(name, value)| (*name, value.as_str()));
        mount_new(assembly, "tmpfs", &tmpfs.target, &options, writable(plan.controls))?;
    }
    for (target, mount) in plan.workspace.iter().zip(workspace) {
        attach_at(assembly, target, mount)?;
    }
    mount_control_directory(assembly)?;
    mount_proc(assembly, plan.controls)
}

/// The attributes of the mounts that commands write to.
fn writable(controls: Controls) -> MountAttrFlags {
    [
        (Control::TmpfsNosuid, MountAttrFlags::MOUNT_ATTR_NOSUID),
        (Control::TmpfsNodev, MountAttrFlags::MOUNT_ATTR_NODEV),
    ]
    .into_iter()
    .filter(|(control, _)| controls.keep(*control))
    .map(|(_, attribute)| attribute)
    .collect()
}

fn safe() -> MountAttrFlags {
    MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV
}

/// Mounts the runner's directory: root's, with no listing for anybody else.
fn mount_control_directory(assembly: &Assembly) -> Result<(), MountsError> {
    let failed = |source| MountsError::Target { target: CONTROL_DIRECTORY.into(), source };
    let run = open_target(assembly, "/run").map_err(failed)?;
    // The skeleton's own shows where nothing is mounted on /run.
    match rustix::fs::mkdirat(&run, "sandkasten", Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(failed(error.into())),
    }
    let size = CONTROL_BYTES.to_string();
    let options = [("size", size.as_str()), ("nr_inodes", "1024"), ("mode", "0711")];
    let attributes = safe() | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    mount_new(assembly, "tmpfs", CONTROL_DIRECTORY, &options, attributes)
}

/// Mounts `/proc` of the new pid namespace, read-only, and hides what is the host's.
fn mount_proc(assembly: &Assembly, controls: Controls) -> Result<(), MountsError> {
    let attributes = safe() | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let make = |source| MountsError::Make { kind: "proc", target: "/proc".into(), source };
    let proc = new_filesystem("proc", &[], attributes).map_err(make)?;
    if controls.keep(Control::UserNamespaceLimit) {
        forbid_user_namespaces(&proc)?;
    }
    if controls.keep(Control::ProcReadOnly) {
        set_mount_attributes(proc.as_fd(), libc::MOUNT_ATTR_RDONLY, None).map_err(make)?;
    }
    attach_at(assembly, "/proc", &proc)?;
    if controls.keep(Control::ProcMasks) { mask_proc(assembly) } else { Ok(()) }
}

/// Covers what of `/proc` is the host's.
fn mask_proc(assembly: &Assembly) -> Result<(), MountsError> {
    let attributes = safe() | MountAttrFlags::MOUNT_ATTR_NOEXEC | MountAttrFlags::MOUNT_ATTR_RDONLY;
    let mask = |path: &str, source| MountsError::Attach { target: path.to_owned(), source };
    let null = open_target(assembly, "/dev/null").map_err(|source| mask("/dev/null", source))?;
    for (name, kind) in MASKED {
        let path = format!("/proc/{name}");
        let target = match open_target(assembly, &path) {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(MountsError::Target { target: path, source }),
        };
        let cover = match kind {
            Mask::File => clone_mount(&null),
            Mask::Directory => new_filesystem("tmpfs", &[("size", "4096"), ("mode", "0555")], attributes),
        };
        let cover = cover.map_err(|source| mask(&path, source))?;
        attach(cover.as_fd(), target.as_fd()).map_err(|source| mask(&path, source))?;
    }
    Ok(())
}

/// Lets nobody make a user namespace within the runner's: a second lock beside the seccomp filter, and the only one where
/// the profile leaves those calls open. user_namespaces(7), "/proc/sys/user", since Linux 4.9; the number counts for the
/// writer's own namespace and everything below it.
fn forbid_user_namespaces(proc: &OwnedFd) -> Result<(), MountsError> {
    let failed = |source: rustix::io::Errno| MountsError::UserNamespaces { source: source.into() };
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let limit =
        rustix::fs::openat(proc, "sys/user/max_user_namespaces", flags, Mode::empty()).map_err(failed)?;
    rustix::io::write(&limit, b"0").map_err(failed)?;
    Ok(())
}

fn clone_mount(of: &OwnedFd) -> io::Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    open_tree(of, "", flags).map_err(Into::into)
}

fn mount_new(
    assembly: &Assembly,
    kind: &'static str,
    target: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> Result<(), MountsError> {
    let made = new_filesystem(kind, options, attributes).map_err(|source| MountsError::Make {
        kind,
        target: target.to_owned(),
        source,
    })?;
    attach_at(assembly, target, &made)
}

fn attach_at(assembly: &Assembly, target: &str, mount: &OwnedFd) -> Result<(), MountsError> {
    let directory = open_target(assembly, target)
        .map_err(|source| MountsError::Target { target: target.to_owned(), source })?;
    attach(mount.as_fd(), directory.as_fd())
        .map_err(|source| MountsError::Attach { target: target.to_owned(), source })
}

/// Opens a path beneath the new root; a symbolic link anywhere in it is an error.
fn open_target(assembly: &Assembly, path: &str) -> io::Result<OwnedFd> {
    openat2(
        &assembly.root,
        path.trim_start_matches('/'),
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
    )
    .map_err(Into::into)
}
