//! Moving files and directories.

use std::ffi::CStr;
use std::os::fd::OwnedFd;

use rustix::fs::{RenameFlags, renameat, renameat_with};
use rustix::io::Errno;

use super::file_error::explain;
use super::{FileError, RootDirectory};

/// What happens with a file that has the new name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and the operation fails.
    Kept,
    /// It is replaced in one step, as rename(2) does it: a file by a file, an empty directory by a directory.
    Replaced,
}

impl RootDirectory {
    /// Gives a file or directory another name. A link is moved itself. Blocking.
    ///
    /// # Errors
    /// [`FileError`]; nothing has changed then.
    pub fn rename(&self, from: &str, to: &str, existing: Existing) -> Result<(), FileError> {
        self.as_sandbox_user(from, || {
            let old = self.locate(from)?;
            let new = self.locate(to)?;
            // Which of the two is missing, the kernel does not say.
            rustix::fs::statat(&old.0, &old.1, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|error| explain("look at", from, error))?;
            put_in_place((&old.0, &old.1), (&new.0, &new.1), existing, to)
        })
    }
}

/// Renames, and explains the kernel's reasons with the new path.
pub(super) fn put_in_place(
    (old_directory, old_name): (&OwnedFd, &CStr),
    (new_directory, new_name): (&OwnedFd, &CStr),
    existing: Existing,
    to: &str,
) -> Result<(), FileError> {
    let renamed = match existing {
        Existing::Kept => {
            renameat_with(old_directory, old_name, new_directory, new_name, RenameFlags::NOREPLACE)
        }
        Existing::Replaced => renameat(old_directory, old_name, new_directory, new_name),
    };
    renamed.map_err(|error| match error {
        Errno::INVAL => FileError::IntoItself { path: to.to_owned() },
        Errno::XDEV => FileError::OtherMount { path: to.to_owned() },
        // A directory was to replace something that holds entries: ext4 and xfs say the one, tmpfs the other.
        Errno::EXIST if existing == Existing::Replaced => FileError::NotEmpty { path: to.to_owned() },
        error => explain("rename", to, error),
    })
}
