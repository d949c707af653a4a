//! Asking the kernel for its landlock ABI: landlock_create_ruleset(2), since Linux 5.13.

use std::io;

const CREATE_RULESET_VERSION: libc::c_uint = 1;

/// Returns the ABI, or 0 where landlock is not compiled in or not enabled at boot.
pub(crate) fn abi() -> io::Result<u32> {
    // SAFETY: with the version flag the call takes no attributes and only returns a number.
    let result = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<u8>(),
            0_usize,
            CREATE_RULESET_VERSION,
        )
    };
    match u32::try_from(result) {
        Ok(abi) => Ok(abi),
        Err(_) => match io::Error::last_os_error() {
            error if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EOPNOTSUPP)) => Ok(0),
            error => Err(error),
        },
    }
}
