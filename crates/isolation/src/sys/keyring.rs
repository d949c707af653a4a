//! A fresh, empty session keyring: keyctl(2) `KEYCTL_JOIN_SESSION_KEYRING`.

use std::io;

/// Gives the calling process an anonymous session keyring of its own. A kernel without keyrings (`ENOSYS`) has
/// nothing to hide and counts as success.
pub(crate) fn join_new_session_keyring() -> io::Result<()> {
    // SAFETY: a null name asks for an anonymous keyring; no memory is touched.
    let result = unsafe {
        libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>())
    };
    let error = io::Error::last_os_error();
    if result >= 0 || error.raw_os_error() == Some(libc::ENOSYS) { Ok(()) } else { Err(error) }
}
