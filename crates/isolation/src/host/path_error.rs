//! An I/O error that knows what was done to which path.

use std::io;
use std::path::{Path, PathBuf};

/// A file operation of the host side that failed.
#[derive(Debug, thiserror::Error)]
#[error("failed to {action} {path:?}")]
pub struct PathError {
    /// What was tried, as a verb.
    pub action: &'static str,
    /// On which path.
    pub path: PathBuf,
    /// The kernel's reason.
    pub source: io::Error,
}

impl PathError {
    /// Returns a closure for `map_err` that adds the action and the path.
    pub fn of<E: Into<io::Error>>(action: &'static str, path: &Path) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |source| Self { action, path, source: source.into() }
    }
}
