//! Descriptors that a process gets from its parent under agreed numbers.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Takes ownership of an inherited descriptor and marks it close-on-exec. For numbers that an agreement with whoever started
/// this process gives it, each taken once, before it opens anything of its own.
///
/// # Errors
/// `EBADF` where nothing is open under the number.
pub fn take_inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl only inspects and flags the number; a number that is not open gives EBADF.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open (checked above), and the protocol by which this process was started gives it
    // this number; the caller takes each number once, at start.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Marks every descriptor of this process but standard input, output and error close-on-exec, whatever its owner forgot: a
/// program that is started afterwards gets those three and nothing else. close_range(2), since Linux 5.9; the flag since
/// 5.11.
///
/// # Errors
/// The kernel's, where it lacks the call.
pub fn keep_descriptors_from_programs() -> io::Result<()> {
    close_on_exec_from(3)
}

/// Marks every descriptor of this process from `first` on close-on-exec. Not every C library has a function for the call.
pub(super) fn close_on_exec_from(first: libc::c_uint) -> io::Result<()> {
    // SAFETY: sets a flag of descriptors and closes none, so that whoever owns one finds it as it was.
    let marked =
        unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if marked < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
