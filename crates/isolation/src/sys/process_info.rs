//! What a process descriptor tells about a process that has been reaped, by whoever reaped it.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// `struct pidfd_info` of linux/pidfd.h, in its first size.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup_id: u64,
    /// pid, tgid, ppid, and eight user and group ids.
    ids: [u32; 11],
    /// In the form of wait(2).
    exit_code: i32,
}

/// `PIDFD_INFO_EXIT`, Linux 6.15.
const INFO_EXIT: u64 = 1 << 3;
/// `PIDFD_GET_INFO`, `_IOWR(0xFF, 11, struct pidfd_info)`; since Linux 6.13.
const GET_INFO: libc::Ioctl = libc::_IOWR::<PidfdInfo>(0xFF, 11);

/// Returns how a process ended, in the form of wait(2); none where the kernel does not tell (yet).
///
/// # Errors
/// The kernel's: ENOTTY before Linux 6.13.
pub(crate) fn exit_code(process: BorrowedFd<'_>) -> io::Result<Option<i32>> {
    let mut info = PidfdInfo { mask: INFO_EXIT, ..PidfdInfo::default() };
    // SAFETY: the request encodes the size of `info`, and the kernel writes no more than that; `info` is exclusively ours
    // and outlives the call.
    let result = unsafe { libc::ioctl(process.as_raw_fd(), GET_INFO, &raw mut info) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((info.mask & INFO_EXIT != 0).then_some(info.exit_code))
}
