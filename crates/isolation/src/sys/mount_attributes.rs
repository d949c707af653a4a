//! `mount_setattr(2)`, since Linux 5.12: flags and id mappings of a mount that is not attached yet.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Sets `set` (`MOUNT_ATTR_*`) on the detached tree `mount`, with the id mapping of the user namespace `mapping`
/// where one is given; the mount is then also made private.
pub(crate) fn set_mount_attributes(
    mount: BorrowedFd<'_>,
    set: u64,
    mapping: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let mut attributes = libc::mount_attr { attr_set: set, attr_clr: 0, propagation: 0, userns_fd: 0 };
    if let Some(mapping) = mapping {
        // A clone of a mount of the host is otherwise its peer, and would be told of what is mounted there.
        attributes.propagation = libc::MS_PRIVATE;
        attributes.attr_set |= libc::MOUNT_ATTR_IDMAP;
        attributes.userns_fd = u64::try_from(mapping.as_raw_fd()).map_err(io::Error::other)?;
    }
    // SAFETY: the path is a NUL-terminated constant, `attributes` outlives the call and its size is given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
