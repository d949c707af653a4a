//! Descriptors that a process gets from its parent under agreed numbers.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Takes ownership of an inherited descriptor and marks it close-on-exec.
pub(crate) fn take_inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl only inspects and flags the number; a number that is not open gives EBADF.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open (checked above), and the launch protocol gives this number to this process
    // alone; the caller takes each number once, at start.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
