//! What a copy is asked for, and the directory that files are copied from.

use std::io;
use std::path::Path;

use super::BuildError;
use crate::root_view::RootView;

/// Says something of a path, relative to a context.
pub type PathTest = Box<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// A directory of files that may be copied.
pub struct Context {
    pub(super) view: RootView,
    pub(super) rules: ContextRules,
}

/// What of a context is left out.
pub struct ContextRules {
    /// Whether a path, relative to the context, is left out.
    pub leaves_out: PathTest,
    /// Whether something below a directory that is left out may be kept.
    pub has_exceptions: bool,
}

impl ContextRules {
    /// Nothing is left out.
    #[must_use]
    pub fn keeping_all() -> Self {
        Self { leaves_out: Box::new(|_| false), has_exceptions: false }
    }
}

impl Context {
    /// Opens a context.
    ///
    /// # Errors
    /// [`BuildError::OpenContext`].
    pub fn open(path: &Path, rules: ContextRules) -> Result<Self, BuildError> {
        let failed = |source| BuildError::OpenContext { path: path.to_owned(), source };
        let real = std::fs::canonicalize(path).map_err(failed)?;
        let view = RootView::open(&[real], &[]).map_err(|source| failed(source.into()))?;
        Ok(Self { view, rules })
    }

    /// Reads a file of the context, whether it is left out or not; none where it is not there.
    ///
    /// # Errors
    /// [`BuildError::ReadSource`].
    pub fn read(&self, path: &str, most: u64) -> Result<Option<Vec<u8>>, BuildError> {
        match self.view.read(path, most) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(BuildError::ReadSource { path: path.to_owned(), source }),
        }
    }
}

/// One source.
pub enum CopyItem {
    /// A path.
    Path(String),
    /// All paths of as many components that fit.
    Pattern {
        /// As it was given.
        text: String,
        /// Whether a path fits.
        fits: PathTest,
    },
    /// A file with these contents.
    Inline {
        /// Its name, where the destination is a directory.
        name: String,
        /// What is in it.
        content: String,
    },
}

/// What is to be copied, and how.
pub struct CopyRequest {
    /// The sources.
    pub items: Vec<CopyItem>,
    /// Absolute; a slash at its end says that it is a directory.
    pub destination: String,
    /// Who it all belongs to, `USER` or `USER:GROUP`.
    pub owner: Option<String>,
    /// The permission bits of all of it.
    pub mode: Option<u32>,
    /// Whether archives are unpacked.
    pub unpacks: bool,
}
