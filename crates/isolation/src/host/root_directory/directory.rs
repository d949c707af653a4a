//! Making directories.

use rustix::fs::{Mode, OFlags, fchmod, mkdirat};
use rustix::io::Errno;

use super::file_error::explain;
use super::walk::open_below;
use super::{FileError, RootDirectory};

/// What happens with the parents of a new directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parents {
    /// They must be there.
    Required,
    /// Missing ones are made, and it is no error where the directory itself is there.
    Made,
}

impl RootDirectory {
    /// Makes a directory. Blocking.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn make_directory(&self, path: &str, mode: u32, parents: Parents) -> Result<(), FileError> {
        self.as_sandbox_user(path, || {
            if path == "." {
                return match parents {
                    Parents::Made => Ok(()),
                    Parents::Required => Err(FileError::Exists { path: path.to_owned() }),
                };
            }
            if parents == Parents::Made {
                let (parent, _) = super::split(super::without_trailing_slashes(path.as_bytes()));
                self.open_parent(parent, path)?;
            }
            let (directory, name) = self.locate(path)?;
            self.reserve.check(&directory, path)?;
            match mkdirat(&directory, &name, Mode::RWXU) {
                Ok(()) => {}
                Err(Errno::EXIST) if parents == Parents::Made => {
                    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                    let resolve = rustix::fs::ResolveFlags::IN_ROOT | rustix::fs::ResolveFlags::NO_MAGICLINKS;
                    return match self.open_inside(path.as_bytes(), flags, resolve) {
                        Ok(_) => Ok(()),
                        Err(_) => Err(FileError::Exists { path: path.to_owned() }),
                    };
                }
                Err(error) => return Err(explain("make", path, error)),
            }
            let made = open_below(&directory, &name, path)?;
            fchmod(&made, Mode::from_raw_mode(mode & 0o777))
                .map_err(|error| explain("set the mode of", path, error))
        })
    }
}
