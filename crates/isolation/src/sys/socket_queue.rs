//! How much of what was written to a unix socket its peer has not read yet: unix(7), `SIOCOUTQ`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Returns the unread bytes, the kernel's bookkeeping included: hundreds for each packet. 0 means that all was read, and so
/// does 1: the kernel holds one back while it wakes who waits for room (`sock_wfree`), and no wake-up follows when it lets
/// go of it.
pub(crate) fn unread(socket: BorrowedFd<'_>) -> io::Result<i32> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the request writes one int, which `bytes` is. SIOCOUTQ has the value of TIOCOUTQ.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) } == 0 {
        Ok(bytes)
    } else {
        Err(io::Error::last_os_error())
    }
}
