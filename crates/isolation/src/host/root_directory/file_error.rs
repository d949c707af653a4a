//! Why an operation on the files of a sandbox failed, in words that may be shown to its client.

use std::io;

use rustix::io::Errno;

/// Why a file, or a tree of them, could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Nothing is there.
    #[error("{path} does not exist")]
    NotFound {
        /// The path inside.
        path: String,
    },
    /// A directory is there.
    #[error("{path} is a directory")]
    IsDirectory {
        /// The path inside.
        path: String,
    },
    /// It, or a part of the path, is no directory.
    #[error("{path} or a parent of it is not a directory")]
    NotDirectory {
        /// The path inside.
        path: String,
    },
    /// A FIFO, socket or device is there, or a file of `/proc`.
    #[error("{path} is not a regular file")]
    NotRegular {
        /// The path inside.
        path: String,
    },
    /// The sandbox user may not.
    #[error("the sandbox user has no permission for {path}")]
    Permission {
        /// The path inside.
        path: String,
    },
    /// The filesystem there is full, or has no inode left.
    #[error("no space is left for {path}")]
    NoSpace {
        /// The path inside.
        path: String,
    },
    /// The filesystem there is read-only.
    #[error("{path} is on a read-only filesystem")]
    ReadOnly {
        /// The path inside.
        path: String,
    },
    /// The path leads in circles, or a name in it is too long.
    #[error("{path} cannot be resolved: its links lead in circles, or a name in it is too long")]
    Unresolvable {
        /// The path inside.
        path: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// Something is there already.
    #[error("{path} exists already")]
    Exists {
        /// The path inside.
        path: String,
    },
    /// A directory that holds something was to go, or to be replaced.
    #[error("the directory {path} is not empty")]
    NotEmpty {
        /// The path inside.
        path: String,
    },
    /// A directory was to go below itself.
    #[error("{path} cannot go into itself")]
    IntoItself {
        /// The path inside.
        path: String,
    },
    /// A rename does not cross from one mount to another.
    #[error("{path} is on another mount; copy it and remove the old one")]
    OtherMount {
        /// The path inside.
        path: String,
    },
    /// It changed while it was worked on.
    #[error("{path} was changed meanwhile")]
    Changed {
        /// The path inside.
        path: String,
    },
    /// There is more than the operation takes.
    #[error("{path} is too much: {limit}")]
    TooMuch {
        /// The path inside.
        path: String,
        /// Which limit, in words.
        limit: String,
    },
    /// What is left of the disk is kept free.
    #[error("there is no room for {path}: {left}")]
    Reserved {
        /// The path inside.
        path: String,
        /// What is left, in words.
        left: String,
    },
    /// There are no watches left, of the session, of the daemon, or of the kernel.
    #[error("no more directories can be watched for {path}: end other watches, or watch less")]
    Unwatchable {
        /// The path inside.
        path: String,
    },
    /// Something else.
    #[error("failed to {action} {path}")]
    Other {
        /// What was tried.
        action: &'static str,
        /// The path inside.
        path: String,
        /// The kernel's reason.
        source: io::Error,
    },
}

/// Turns the kernel's reason into ours.
pub(super) fn explain(action: &'static str, path: &str, error: Errno) -> FileError {
    let path = path.to_owned();
    match error {
        Errno::NOENT => FileError::NotFound { path },
        Errno::NOTDIR => FileError::NotDirectory { path },
        Errno::ISDIR => FileError::IsDirectory { path },
        Errno::EXIST => FileError::Exists { path },
        Errno::NOTEMPTY => FileError::NotEmpty { path },
        // Busy is what is mounted: not the sandbox user's to move or remove.
        Errno::ACCESS | Errno::PERM | Errno::BUSY => FileError::Permission { path },
        Errno::NOSPC | Errno::DQUOT => FileError::NoSpace { path },
        Errno::ROFS => FileError::ReadOnly { path },
        Errno::LOOP | Errno::NAMETOOLONG | Errno::XDEV | Errno::AGAIN => {
            FileError::Unresolvable { path, source: error.into() }
        }
        _ => FileError::Other { action, path, source: error.into() },
    }
}

/// As [`explain`], for an error of the standard library.
pub(super) fn explain_io(action: &'static str, path: &str, error: io::Error) -> FileError {
    match Errno::from_io_error(&error) {
        Some(errno) => explain(action, path, errno),
        None => FileError::Other { action, path: path.to_owned(), source: error },
    }
}
