//! Whether a file system of the sandbox is full.

use std::io;

use rustix::fs::{OFlags, ResolveFlags, fstatvfs};

use super::RootDirectory;

impl RootDirectory {
    /// Returns the size in bytes of the file system that is mounted at `target`, where it has no room for another page or
    /// file; none where it has, or is not there. Blocking.
    ///
    /// # Errors
    /// The kernel's.
    pub fn full_size(&self, target: &str) -> io::Result<Option<u64>> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
        let directory = match self.open_inside(target.as_bytes(), flags, resolve) {
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            opened => opened?,
        };
        let space = fstatvfs(&directory)?;
        let full = space.f_bavail == 0 || (space.f_favail == 0 && space.f_files > 0);
        Ok(full.then(|| space.f_blocks.saturating_mul(space.f_frsize)))
    }
}
