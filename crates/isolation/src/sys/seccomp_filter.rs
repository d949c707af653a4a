//! Installing a compiled filter: seccomp(2), since Linux 3.17.

use std::io;

use crate::seccomp::Instruction;

/// Installs `program` on the calling process and every child to come. Needs `no_new_privs` to be set.
pub(crate) fn install_filter(program: &[Instruction]) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let filter = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: `Instruction` is repr(C) with the layout of sock_filter, `len` counts them, and the kernel copies the
    // program before the call returns.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_TSYNC,
            &raw const filter,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
