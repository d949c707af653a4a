//! `setfsuid(2)` and `setfsgid(2)`: the ids that file accesses of one thread are checked against.
//!
//! Leaving id 0 clears the file-system capabilities (`CAP_DAC_OVERRIDE` and its kin) from the thread's effective
//! set, and coming back restores them: capabilities(7), "Effect of user ID changes on capabilities".

use std::io;

/// Sets the calling thread's filesystem uid and gid and verifies that they took: the calls themselves cannot fail
/// visibly.
pub(crate) fn set_filesystem_ids(uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: these calls take plain integers and change only the calling thread's credentials.
    let (now_gid, now_uid) = unsafe {
        libc::syscall(libc::SYS_setfsgid, gid);
        libc::syscall(libc::SYS_setfsuid, uid);
        (libc::syscall(libc::SYS_setfsgid, u32::MAX), libc::syscall(libc::SYS_setfsuid, u32::MAX))
    };
    if now_gid == i64::from(gid) && now_uid == i64::from(uid) {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(libc::EPERM))
    }
}
