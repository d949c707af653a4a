//! Bringing the loopback interface up: `ioctl(SIOCSIFFLAGS)`, netdevice(7).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// `SIOCSIFFLAGS`, of the type that the C library at hand has for it.
const SET_FLAGS: libc::Ioctl = 0x8914;

/// Sets `IFF_UP` on `lo` of the network namespace that `socket` was made in.
pub(crate) fn bring_loopback_up(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: an all-zero ifreq is a valid value of that plain C struct.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (slot, byte) in request.ifr_name.iter_mut().zip(b"lo\0") {
        *slot = byte.cast_signed();
    }
    request.ifr_ifru.ifru_flags =
        i16::try_from(libc::IFF_UP | libc::IFF_RUNNING).map_err(io::Error::other)?;
    // SAFETY: `request` is a valid ifreq for the whole call, which only reads it.
    if unsafe { libc::ioctl(socket.as_raw_fd(), SET_FLAGS, &raw const request) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
