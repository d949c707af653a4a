//! How much of a tree one operation goes through.

use std::time::{Duration, Instant};

use super::FileError;

/// The bounds of one walk. What goes over one is [`FileError::TooMuch`].
#[derive(Debug, Clone, Copy)]
pub struct TreeBounds {
    /// The most entries, directories included.
    pub entries: usize,
    /// The most levels below the directory that is walked through. Each costs a descriptor while it is open.
    pub depth: usize,
    /// How long it may take.
    pub time: Duration,
}

/// Bounds that have begun to count.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunningBounds {
    pub(super) bounds: TreeBounds,
    deadline: Instant,
}

impl TreeBounds {
    pub(super) fn begin(self) -> RunningBounds {
        RunningBounds { bounds: self, deadline: Instant::now() + self.time }
    }
}

impl RunningBounds {
    pub(super) fn check_time(&self, path: &str) -> Result<(), FileError> {
        if Instant::now() < self.deadline {
            return Ok(());
        }
        let limit = format!("it takes longer than {} s", self.bounds.time.as_secs());
        Err(FileError::TooMuch { path: path.to_owned(), limit })
    }

    pub(super) fn too_many(&self, path: &str) -> FileError {
        let limit = format!("it has more than {} entries", self.bounds.entries);
        FileError::TooMuch { path: path.to_owned(), limit }
    }

    pub(super) fn too_deep(&self, path: &str) -> FileError {
        let limit = format!("it is deeper than {} levels", self.bounds.depth);
        FileError::TooMuch { path: path.to_owned(), limit }
    }
}
