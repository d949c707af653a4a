//! Going through a tree for those who read it: entries in order, files opened where they are wanted.

use std::ffi::CStr;
use std::fs::File;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;

use rustix::fs::{FileType, ResolveFlags};

use super::walk::{Step, Walk, open_one_file};
use super::{Entry, FileError, RootDirectory, TreeBounds};

/// An entry on the way.
pub struct Visited<'a> {
    /// What it is, with its path from where the walk began.
    pub entry: Entry,
    directory: &'a OwnedFd,
    name: &'a CStr,
    shown: String,
    one_name: ResolveFlags,
}

/// How a walk came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VisitEnd {
    /// Everything was visited.
    Complete,
    /// The visitor has had enough.
    Stopped,
}

/// What becomes of directories that the sandbox user may not read, or that vanish meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// They are left out.
    Skipped,
    /// The first one that may not be read ends the walk with its error.
    Refused,
}

impl Visited<'_> {
    /// Opens a regular file for reading, without waiting for anything; a link that has taken its place is not followed.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open(&self) -> Result<File, FileError> {
        open_one_file(self.directory, self.name, self.one_name, &self.shown).map(File::from)
    }
}

impl RootDirectory {
    /// Goes through all that is below a directory, each directory before what is in it. Runs the visitor as the sandbox user.
    /// Blocking.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn visit(
        &self,
        path: &str,
        bounds: TreeBounds,
        unreadable: Unreadable,
        visitor: &mut dyn FnMut(&Visited<'_>) -> ControlFlow<()>,
    ) -> Result<VisitEnd, FileError> {
        self.as_sandbox_user(path, || {
            let one_name = self.one_name();
            let mut walk = Walk::new(self.open_directory(path)?, path, bounds)?.opening(one_name);
            while let Some(step) = walk.next()? {
                let (Step::Found(found), Some(directory)) = (step, walk.directory()) else { continue };
                let entry = Entry::read(directory, &found.name, found.path.clone(), &found.status);
                let visited =
                    Visited { entry, directory, name: &found.name, shown: walk.shown(&found), one_name };
                if visitor(&visited).is_break() {
                    return Ok(VisitEnd::Stopped);
                }
                if found.kind() != FileType::Directory {
                    continue;
                }
                match walk.enter(found) {
                    Ok(()) | Err(FileError::NotFound { .. } | FileError::Changed { .. }) => {}
                    Err(error @ FileError::TooMuch { .. }) => return Err(error),
                    Err(error) if unreadable == Unreadable::Refused => return Err(error),
                    Err(_) => {}
                }
            }
            Ok(VisitEnd::Complete)
        })
    }
}
