//! The end of a copy that is inside of a session or a workspace.

use sandkasten_api::error::ErrorCode;
use sandkasten_api::file_tree::{FileType, ListFilesQuery};
use sandkasten_client::{Files, RequestError};

use super::operand::RemotePath;
use crate::cli_error::CliError;

/// How many links are gone through for the permissions of what is behind them.
const MAX_LINKS: usize = 8;

/// A path with the files that it is in.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(super) files: Files,
    pub(super) path: RemotePath,
    /// What the directory of all these files is called elsewhere.
    root_name: String,
    /// How it is written on the command line.
    shown: String,
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// A directory, with its permissions.
    Directory(u32),
    /// Anything else, with its permissions.
    File(u32),
    /// Nothing.
    Missing,
}

impl Remote {
    pub(crate) fn new(files: Files, owner: &str, root_name: &str, path: RemotePath) -> Self {
        let shown = format!("{owner}:{}", path.text());
        Self { files, path, root_name: root_name.to_owned(), shown }
    }

    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// What it is called in another directory.
    pub(super) fn name(&self) -> &str {
        self.path.name().unwrap_or(&self.root_name)
    }

    /// Looks at a path, links followed.
    pub(super) async fn look(&self, path: &str) -> Result<Found, CliError> {
        match self.find(path).await {
            Err(RequestError::Refused { body, .. })
                if matches!(body.error_code, ErrorCode::FileNotFound | ErrorCode::WorkspaceNotFound) =>
            {
                Ok(Found::Missing)
            }
            found => {
                found.map_err(|error| CliError::request(format!("cannot look at {}", self.shown), &error))
            }
        }
    }

    async fn find(&self, path: &str) -> Result<Found, RequestError> {
        let entry = self.files.stat(path).await?;
        let permissions = |mode: &str| u32::from_str_radix(mode, 8).unwrap_or(0) & 0o777;
        match entry.file_type {
            FileType::Directory => Ok(Found::Directory(permissions(&entry.mode))),
            FileType::Symlink => self.follow(path, entry.target).await,
            _ => Ok(Found::File(permissions(&entry.mode))),
        }
    }

    /// Where a link leads is for the sandbox to say; its text is followed for the permissions alone.
    async fn follow(&self, path: &str, target: Option<String>) -> Result<Found, RequestError> {
        let nothing =
            ListFilesQuery { path: Some(path.to_owned()), depth: Some(1), glob: Some(".".to_owned()) };
        let is_directory = match self.files.list(&nothing).await {
            Ok(_) => true,
            Err(RequestError::Refused { body, .. }) if body.error_code == ErrorCode::NotDirectory => false,
            Err(error) => return Err(error),
        };
        let (mut path, mut target) = (path.to_owned(), target);
        let mut mode = None;
        for _ in 0..MAX_LINKS {
            let Some(next) = target.take() else { break };
            path = match path.rsplit_once('/') {
                Some((parent, _)) if !next.starts_with('/') => format!("{parent}/{next}"),
                _ => next,
            };
            let Ok(entry) = self.files.stat(&path).await else { break };
            mode = u32::from_str_radix(&entry.mode, 8).ok().filter(|_| entry.file_type != FileType::Symlink);
            target = entry.target;
        }
        // Behind a link out of the workspace nothing can be looked at; what others get without being asked is right then.
        let mode = mode.map(|mode| mode & 0o777);
        Ok(if is_directory {
            Found::Directory(mode.unwrap_or(0o755))
        } else {
            Found::File(mode.unwrap_or(0o644))
        })
    }
}
