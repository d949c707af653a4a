//! Removing files and trees. Links are removed, never followed.

use std::ffi::CStr;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;

use super::file_error::explain;
use super::walk::{Step, Walk, open_below};
use super::{FileError, RootDirectory, TreeBounds};

/// How much goes with a directory.
#[derive(Debug, Clone, Copy)]
pub enum RemovalDepth {
    /// Nothing: it must be empty.
    Single,
    /// All that is in it, within bounds.
    Tree(TreeBounds),
}

impl RootDirectory {
    /// Removes a file, a link, or a directory. Blocking.
    ///
    /// # Errors
    /// [`FileError`]; of a tree a part may be gone then.
    pub fn remove(&self, path: &str, depth: RemovalDepth) -> Result<(), FileError> {
        self.as_sandbox_user(path, || {
            let (directory, name) = self.locate(path)?;
            match depth {
                RemovalDepth::Tree(bounds) => remove_tree(&directory, &name, path, bounds),
                RemovalDepth::Single => match unlinkat(&directory, &name, AtFlags::empty()) {
                    Err(Errno::ISDIR) => unlinkat(&directory, &name, AtFlags::REMOVEDIR),
                    result => result,
                }
                .map_err(|error| explain("remove", path, error)),
            }
        })
    }
}

/// Removes what has this name, with all that is in it.
pub(super) fn remove_tree(
    parent: &OwnedFd,
    name: &CStr,
    path: &str,
    bounds: TreeBounds,
) -> Result<(), FileError> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) => return Ok(()),
        Err(Errno::ISDIR) => {}
        Err(error) => return Err(explain("remove", path, error)),
    }
    let mut walk = Walk::new(open_below(parent, name, path)?, path, bounds)?;
    while let Some(step) = walk.next()? {
        let Some(directory) = walk.directory() else { break };
        match step {
            Step::Found(found) => match unlinkat(directory, &found.name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(Errno::ISDIR) => walk.enter(found)?,
                Err(error) => return Err(explain("remove", &walk.shown(&found), error)),
            },
            Step::Left(found) => match unlinkat(directory, &found.name, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(Errno::NOTDIR) => return Err(FileError::Changed { path: walk.shown(&found) }),
                Err(error) => return Err(explain("remove", &walk.shown(&found), error)),
            },
        }
    }
    unlinkat(parent, name, AtFlags::REMOVEDIR).map_err(|error| match error {
        Errno::NOTDIR => FileError::Changed { path: path.to_owned() },
        error => explain("remove", path, error),
    })
}
