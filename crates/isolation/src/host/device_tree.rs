//! The `/dev` of a sandbox: a read-only tmpfs with six device nodes. It is made by the daemon, because nodes that are made
//! inside a user namespace open no device, and handed over as a detached mount.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, Mode, makedev, mkdirat, mknodat, symlinkat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen,
};

use crate::controls::{Control, Controls};
use crate::sys::mount_attributes::set_mount_attributes;

/// The device nodes: name, major, minor. Linux Documentation/admin-guide/devices.txt.
const NODES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
const LINKS: [(&str, &str); 5] = [
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];
const DIRECTORIES: [&str; 2] = ["pts", "shm"];

/// The tree of one session, attached nowhere yet.
#[derive(Debug)]
pub struct DeviceTree(OwnedFd);

/// Which step of making the device tree failed.
#[derive(Debug, thiserror::Error)]
pub enum DeviceTreeError {
    /// The tmpfs could not be made.
    #[error("failed to make a tmpfs for device nodes")]
    Filesystem {
        /// The kernel's reason.
        source: io::Error,
    },
    /// An entry could not be made.
    #[error("failed to make /dev/{name}; making device nodes needs CAP_MKNOD of the host")]
    Entry {
        /// Which one.
        name: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The tree could not be made read-only.
    #[error("failed to make the device tree read-only")]
    ReadOnly {
        /// The kernel's reason.
        source: io::Error,
    },
}

impl DeviceTree {
    /// Makes a tree. Blocking; needs root of the host.
    ///
    /// # Errors
    /// [`DeviceTreeError`].
    pub fn new(controls: Controls) -> Result<Self, DeviceTreeError> {
        let tree = new_tmpfs().map_err(|source| DeviceTreeError::Filesystem { source })?;
        let entry =
            |name| move |source: rustix::io::Errno| DeviceTreeError::Entry { name, source: source.into() };
        let unlisted = (!controls.keep(Control::DeviceList)).then_some(("kmsg", 1, 11));
        for (name, major, minor) in NODES.into_iter().chain(unlisted) {
            let mode = Mode::from_raw_mode(0o666);
            mknodat(&tree, name, FileType::CharacterDevice, mode, makedev(major, minor))
                .map_err(entry(name))?;
            // The umask took bits off.
            rustix::fs::chmodat(&tree, name, mode, rustix::fs::AtFlags::empty()).map_err(entry(name))?;
        }
        for (name, target) in LINKS {
            symlinkat(target, &tree, name).map_err(entry(name))?;
        }
        for name in DIRECTORIES {
            let mode = Mode::from_raw_mode(0o755);
            mkdirat(&tree, name, mode).map_err(entry(name))?;
            rustix::fs::chmodat(&tree, name, mode, rustix::fs::AtFlags::empty()).map_err(entry(name))?;
        }
        if controls.keep(Control::DevicesReadOnly) {
            set_mount_attributes(tree.as_fd(), libc::MOUNT_ATTR_RDONLY, None)
                .map_err(|source| DeviceTreeError::ReadOnly { source })?;
        }
        Ok(Self(tree))
    }

    /// Returns the mount, to be attached in the session's own mount namespace.
    #[must_use]
    pub fn into_mount(self) -> OwnedFd {
        self.0
    }
}

fn new_tmpfs() -> io::Result<OwnedFd> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (name, value) in [("size", "65536"), ("nr_inodes", "64"), ("mode", "0755")] {
        fsconfig_set_string(context.as_fd(), name, value)?;
    }
    fsconfig_create(context.as_fd())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    Ok(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}
