//! Files of a session: which paths a client may name, and reading and writing them.

use std::sync::Arc;

use sandkasten_api::id::SessionId;
use sandkasten_api::limits::MAX_PATH_BYTES;
use sandkasten_isolation::host::{FileError, WatchDepth};
use sandkasten_isolation::plan::WORKSPACE_DIRECTORY;

use super::file_space::FileSpace;
use super::file_watch::FileWatch;
use super::live::InUse;
use super::{LiveSession, SessionError, Sessions};

/// The path of a workspace from itself on.
const WORKSPACE_ITSELF: &str = ".";

/// A path in a workspace, without `..`: absolute as a session sees it, or from the workspace on where there is no session. What
/// links do with it is decided inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilePath(String);

/// Why a path is none that a client may name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidPath {
    /// There is none.
    #[error("the path is empty")]
    Empty,
    /// It holds a NUL byte.
    #[error("the path {path:?} holds a NUL byte")]
    Nul {
        /// What was given.
        path: String,
    },
    /// It is longer than the kernel takes.
    #[error("the path has {bytes} bytes, at most {MAX_PATH_BYTES} are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It leads out of the workspace.
    #[error("the path {path:?} is outside {WORKSPACE_DIRECTORY}; name one below it, or relative to it")]
    Outside {
        /// What was given.
        path: String,
    },
    /// It is no single name.
    #[error("{name:?} is no file name: expected 1 to 255 bytes without slash and control characters")]
    Name {
        /// What was given, cut to a printable length.
        name: String,
    },
}

impl FilePath {
    /// Parses a path of a request.
    ///
    /// # Errors
    /// [`InvalidPath`].
    pub(crate) fn parse(path: &str) -> Result<Self, InvalidPath> {
        if path.is_empty() {
            return Err(InvalidPath::Empty);
        }
        if path.len() > MAX_PATH_BYTES {
            return Err(InvalidPath::TooLong { bytes: path.len() });
        }
        if path.contains('\0') {
            return Err(InvalidPath::Nul { path: path.to_owned() });
        }
        let outside = || InvalidPath::Outside { path: path.to_owned() };
        let mut parts: Vec<&str> = if path.starts_with('/') {
            Vec::new()
        } else {
            vec![WORKSPACE_DIRECTORY.trim_start_matches('/')]
        };
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop().ok_or_else(outside)?;
                }
                part => parts.push(part),
            }
        }
        let normal = format!("/{}", parts.join("/"));
        let inside = normal
            .strip_prefix(WORKSPACE_DIRECTORY)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if inside { Ok(Self(normal)) } else { Err(outside()) }
    }

    /// Returns the path of a file of this name in this directory. Of a name with slashes only the last part counts, as
    /// browsers send it.
    ///
    /// # Errors
    /// [`InvalidPath::Name`].
    pub(crate) fn join(&self, name: &str) -> Result<Self, InvalidPath> {
        let base = name.rsplit(['/', '\\']).next().unwrap_or_default();
        let printable = !base.chars().any(char::is_control);
        if !printable || base.is_empty() || base.len() > 255 || matches!(base, "." | "..") {
            return Err(InvalidPath::Name { name: name.chars().take(64).collect() });
        }
        Ok(Self(self.show_below(base.as_bytes())))
    }

    /// Returns the path of what is below this directory, for people; bytes that are no UTF-8 are replaced.
    pub(crate) fn show_below(&self, below: &[u8]) -> String {
        match (self.0.as_str(), String::from_utf8_lossy(below)) {
            (base, below) if below.is_empty() => base.to_owned(),
            (WORKSPACE_ITSELF, below) => below.into_owned(),
            (base, below) => format!("{base}/{below}"),
        }
    }

    /// Parses a path of a request about a workspace alone: relative to it, with or without a slash in front, or absolute as a
    /// session sees it. It becomes one from the workspace on, and a dot where it is the workspace itself.
    ///
    /// # Errors
    /// [`InvalidPath`].
    pub(crate) fn in_workspace(path: &str) -> Result<Self, InvalidPath> {
        let rest = path.strip_prefix(WORKSPACE_DIRECTORY);
        let seen_inside = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let Self(inside) = if path.starts_with('/') && !seen_inside {
            Self::parse(&format!(".{path}"))?
        } else {
            Self::parse(path)?
        };
        let below = inside.strip_prefix(WORKSPACE_DIRECTORY).and_then(|rest| rest.strip_prefix('/'));
        Ok(Self(below.unwrap_or(WORKSPACE_ITSELF).to_owned()))
    }

    /// Returns the paths of files of these names in this directory.
    ///
    /// # Errors
    /// [`InvalidPath::Name`] for the first that is none.
    pub(crate) fn join_all<T>(&self, files: Vec<(String, T)>) -> Result<Vec<(Self, T)>, InvalidPath> {
        files.into_iter().map(|(name, content)| Ok((self.join(&name)?, content))).collect()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the workspace itself, which can be neither moved nor removed.
    pub(crate) fn is_workspace(&self) -> bool {
        matches!(self.0.as_str(), WORKSPACE_DIRECTORY | WORKSPACE_ITSELF)
    }
}

/// The files of a session while a request uses them. The session does not expire meanwhile.
#[derive(Debug)]
pub(crate) struct SessionFiles {
    space: FileSpace,
    session: Arc<LiveSession>,
    _in_use: InUse,
}

impl SessionFiles {
    /// The operations on them.
    pub(crate) fn space(&self) -> &FileSpace {
        &self.space
    }

    /// Whether the session still lives; what goes on for long asks between two pieces.
    ///
    /// # Errors
    /// [`SessionError::NotRunning`].
    pub(crate) fn check_live(&self) -> Result<(), SessionError> {
        match self.session.end_status() {
            None => Ok(()),
            Some(status) => Err(SessionError::NotRunning { id: self.session.id.clone(), status }),
        }
    }
}

impl Drop for SessionFiles {
    fn drop(&mut self) {
        self.session.touch(super::now(), None);
    }
}

impl Sessions {
    /// Returns the files of a live session.
    ///
    /// # Errors
    /// Those of [`Sessions::find`].
    pub(crate) async fn files(&self, id: &SessionId) -> Result<SessionFiles, SessionError> {
        let session = self.find(id).await?;
        self.note_use(&session, None);
        let mut space = session.files.clone();
        space.workspace =
            session.workspace.as_ref().map(|workspace| self.inner.workspace_turns.of(workspace));
        Ok(SessionFiles { space, _in_use: InUse::new(&session), session })
    }

    /// Begins to watch a directory of a session.
    ///
    /// # Errors
    /// Those of [`Sessions::find`], or [`SessionError::File`].
    pub(crate) async fn watch_files(
        &self,
        id: &SessionId,
        path: FilePath,
        depth: WatchDepth,
    ) -> Result<FileWatch, SessionError> {
        self.files(id).await?.space.watch(path, depth, &self.inner.watch_limits).await
    }

    /// Writes a file whole or not at all.
    ///
    /// # Errors
    /// [`SessionError::File`].
    pub(crate) async fn write_file(
        &self,
        session: &Arc<LiveSession>,
        path: FilePath,
        content: Vec<u8>,
        mode: Option<u32>,
    ) -> Result<(), SessionError> {
        let root = session.files.root();
        self.file_task(session, move || root.write(path.as_str(), &content, mode)).await
    }

    /// Reads at most `limit` bytes of a file, and says whether it goes on behind them.
    ///
    /// # Errors
    /// [`SessionError::File`].
    pub(crate) async fn read_file(
        &self,
        session: &Arc<LiveSession>,
        path: FilePath,
        limit: u64,
    ) -> Result<(Vec<u8>, bool), SessionError> {
        let root = session.files.root();
        self.file_task(session, move || root.read(path.as_str(), limit)).await
    }

    async fn file_task<T: Send + 'static>(
        &self,
        session: &Arc<LiveSession>,
        work: impl FnOnce() -> Result<T, FileError> + Send + 'static,
    ) -> Result<T, SessionError> {
        let done =
            tokio::task::spawn_blocking(work).await.map_err(|source| SessionError::Task { source })??;
        self.note_use(session, None);
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::{FilePath, InvalidPath};

    #[test]
    fn relative_and_absolute_paths_meet_below_the_workspace() {
        for path in ["a/b", "/workspace/a/b", "./a//b", "a/./b/", "/workspace/../workspace/a/b", "c/../a/b"] {
            assert_eq!(FilePath::parse(path).expect(path).as_str(), "/workspace/a/b");
        }
        assert_eq!(FilePath::parse("/workspace").expect("the workspace").as_str(), "/workspace");
    }

    #[test]
    fn paths_that_leave_the_workspace_are_refused() {
        for path in [
            "/etc/passwd",
            "..",
            "../x",
            "/workspace/..",
            "/workspace/../etc",
            "/workspacex",
            "a/../../x",
            "/",
            "../../../..",
        ] {
            assert!(matches!(FilePath::parse(path), Err(InvalidPath::Outside { .. })), "{path}");
        }
        assert_eq!(FilePath::parse(""), Err(InvalidPath::Empty));
        assert!(matches!(FilePath::parse("a\0b"), Err(InvalidPath::Nul { .. })));
        assert!(matches!(FilePath::parse(&"a".repeat(5000)), Err(InvalidPath::TooLong { .. })));
    }

    #[test]
    fn paths_of_a_workspace_are_relative_to_it_however_they_begin() {
        for path in ["a/b", "/a/b", "//a/./b", "/workspace/a/b", "x/../a/b", "/x/../a/b"] {
            assert_eq!(FilePath::in_workspace(path).expect(path).as_str(), "a/b");
        }
        for path in ["/", ".", "/workspace", "/workspace/", "./"] {
            assert_eq!(FilePath::in_workspace(path).expect(path).as_str(), ".");
        }
        assert_eq!(FilePath::in_workspace("/workspacex").expect("a name").as_str(), "workspacex");
        for path in ["..", "/..", "/../x", "a/../../x", "/workspace/../etc"] {
            assert!(matches!(FilePath::in_workspace(path), Err(InvalidPath::Outside { .. })), "{path}");
        }
        assert_eq!(FilePath::in_workspace(""), Err(InvalidPath::Empty));
    }

    #[test]
    fn an_upload_name_is_its_last_part() {
        let directory = FilePath::parse("data").expect("a directory");
        assert_eq!(directory.join("a.txt").expect("a name").as_str(), "/workspace/data/a.txt");
        assert_eq!(directory.join("../../etc/a.txt").expect("a name").as_str(), "/workspace/data/a.txt");
        assert_eq!(directory.join("C:\\x\\a.txt").expect("a name").as_str(), "/workspace/data/a.txt");
        for name in ["", "..", "a/..", "a/", "x\0y", "x\ny", &"a".repeat(256)] {
            assert!(matches!(directory.join(name), Err(InvalidPath::Name { .. })), "{name:?}");
        }
    }
}
