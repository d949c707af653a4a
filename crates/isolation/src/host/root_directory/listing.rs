//! What is in a directory, and in those below it.

use rustix::fs::FileType;

use super::walk::{Step, Walk};
use super::{Entry, FileError, RootDirectory, TreeBounds};

/// The entries of a directory, sorted by name, each directory before what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Whether there are more than were listed.
    pub truncated: bool,
}

/// What is listed.
pub struct ListOptions<'a> {
    /// How many levels; 1 for the directory alone.
    pub levels: usize,
    /// The most entries that are returned.
    pub most: usize,
    /// Says of a path, from the directory on, whether it belongs into the list.
    pub keep: &'a dyn Fn(&[u8]) -> bool,
    /// How much is looked at; where that is reached, the list is truncated.
    pub bounds: TreeBounds,
}

impl RootDirectory {
    /// Lists a directory. Directories below that cannot be read are listed, but not what is in them. Blocking.
    ///
    /// # Errors
    /// [`FileError`] where the directory itself cannot be read.
    pub fn list(&self, path: &str, options: &ListOptions<'_>) -> Result<Listing, FileError> {
        self.as_sandbox_user(path, || {
            let mut walk = Walk::new(self.open_directory(path)?, path, options.bounds)?;
            let mut entries = Vec::new();
            loop {
                let found = match walk.next() {
                    Ok(Some(Step::Found(found))) => found,
                    Ok(Some(Step::Left(_))) => continue,
                    Ok(None) => return Ok(Listing { entries, truncated: false }),
                    Err(FileError::TooMuch { .. }) => return Ok(Listing { entries, truncated: true }),
                    Err(error) => return Err(error),
                };
                if (options.keep)(&found.path)
                    && let Some(directory) = walk.directory()
                {
                    if entries.len() == options.most {
                        return Ok(Listing { entries, truncated: true });
                    }
                    entries.push(Entry::read(directory, &found.name, found.path.clone(), &found.status));
                }
                if found.kind() == FileType::Directory && walk.depth() < options.levels {
                    // Otherwise it has gone, or changed its type or mode, or is another mount.
                    if let Err(FileError::TooMuch { .. }) = walk.enter(found) {
                        return Ok(Listing { entries, truncated: true });
                    }
                }
            }
        })
    }
}
