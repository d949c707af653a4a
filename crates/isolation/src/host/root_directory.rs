//! Files of a sandbox or of a workspace, reached from outside through its root directory.
//!
//! Every path is resolved by the kernel inside of that root (openat2(2) `RESOLVE_IN_ROOT`, since Linux 5.6), so
//! no link leads out of it, and every access is checked as the sandbox user's. Nothing but a regular file is read or
//! written, and nothing here waits for a FIFO or a device.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, fstat, fstatfs, mkdirat, openat, openat2, readlinkat,
    renameat, statat, unlinkat,
};
use rustix::io::Errno;

use crate::sys::filesystem_ids::set_filesystem_ids;

/// As many links as the kernel itself follows: path_resolution(7).
const MAX_LINKS: usize = 40;
/// How often a path is resolved anew because of renames elsewhere; each time takes microseconds.
const MAX_RESOLUTIONS: usize = 10_000;
const PROC_SUPER_MAGIC: u64 = 0x9fa0;

/// The root directory of a sandbox or a workspace, and whose files are in it.
#[derive(Debug)]
pub struct RootDirectory {
    root: OwnedFd,
    user: u32,
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirectoryEntry {
    /// The name; what of it is no UTF-8 is replaced.
    pub name: String,
    /// Whether it is a directory, and not a link to one.
    pub is_directory: bool,
}

/// Why a file could not be read or written.
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

impl RootDirectory {
    /// Wraps a directory, in which everything is done as the user with this uid and gid of the host.
    #[must_use]
    pub fn new(root: OwnedFd, user: u32) -> Self {
        Self { root, user }
    }

    /// Reads at most `limit` bytes of a regular file and says whether it goes on behind them. Blocking.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn read(&self, path: &str, limit: u64) -> Result<(Vec<u8>, bool), FileError> {
        self.as_sandbox_user(path, || {
            let file = self.open_regular(path)?;
            let mut content = Vec::new();
            std::fs::File::from(file)
                .take(limit.saturating_add(1))
                .read_to_end(&mut content)
                .map_err(|source| FileError::Other { action: "read", path: path.to_owned(), source })?;
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            let truncated = content.len() > limit;
            content.truncate(limit);
            Ok((content, truncated))
        })
    }

    /// Writes a file whole or not at all: into a new file beside it, which then takes its name. Missing parent
    /// directories are made; a symbolic link is written through. Without `mode`, permission bits alone, the mode of a file
    /// that was there is kept. Blocking.
    ///
    /// # Errors
    /// [`FileError`]; the old content is then untouched.
    pub fn write(&self, path: &str, content: &[u8], mode: Option<u32>) -> Result<(), FileError> {
        self.as_sandbox_user(path, || {
            // Bytes: the names that links hold need not be text.
            let mut resolved = path.as_bytes().to_owned();
            for _ in 0..MAX_LINKS {
                let (parent, name) = split(&resolved);
                let directory = self.open_parent(parent, path)?;
                match readlinkat(&directory, name, Vec::new()) {
                    Ok(target) => {
                        let target = target.as_bytes();
                        resolved = if target.starts_with(b"/") {
                            target.to_owned()
                        } else {
                            [parent, b"/", target].concat()
                        };
                    }
                    // Not a link, or nothing yet.
                    Err(Errno::INVAL | Errno::NOENT) => {
                        return replace(&directory, name, content, mode, path);
                    }
                    Err(error) => return Err(explain("look at", path, error)),
                }
            }
            Err(FileError::Unresolvable { path: path.to_owned(), source: Errno::LOOP.into() })
        })
    }

    /// Lists at most `limit` entries of a directory, by name, and says whether there are more. Blocking.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn list(&self, path: &str, limit: usize) -> Result<(Vec<DirectoryEntry>, bool), FileError> {
        self.as_sandbox_user(path, || {
            let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let failed = |error| explain("list", path, error);
            let directory = self.open_inside(path.as_bytes(), flags, resolve).map_err(failed)?;
            let mut entries = Vec::new();
            for entry in Dir::read_from(&directory).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let name = entry.file_name();
                if matches!(name.to_bytes(), b"." | b"..") {
                    continue;
                }
                if entries.len() == limit {
                    return Ok((entries, true));
                }
                let kind = match entry.file_type() {
                    // Not every filesystem tells.
                    FileType::Unknown => statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)
                        .map_or(FileType::Unknown, |status| FileType::from_raw_mode(status.st_mode)),
                    kind => kind,
                };
                entries.push(DirectoryEntry {
                    name: name.to_string_lossy().into_owned(),
                    is_directory: kind == FileType::Directory,
                });
            }
            entries.sort();
            Ok((entries, false))
        })
    }

    /// Runs `work` with the filesystem ids of the sandbox user, and so without the capabilities that override file
    /// permissions.
    fn as_sandbox_user<T>(
        &self,
        path: &str,
        work: impl FnOnce() -> Result<T, FileError>,
    ) -> Result<T, FileError> {
        let _identity = Identity::assume(self.user).map_err(|source| FileError::Other {
            action: "take the owner's ids for",
            path: path.to_owned(),
            source,
        })?;
        work()
    }

    /// Opens a path inside the root. While anything on the host is being renamed, the kernel cannot vouch for `..` and
    /// says `EAGAIN`: openat2(2).
    fn open_inside(&self, inside: &[u8], flags: OFlags, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
        for _ in 0..MAX_RESOLUTIONS {
            match openat2(&self.root, inside, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN) => {}
                result => return result,
            }
        }
        Err(Errno::AGAIN)
    }

    fn open_regular(&self, path: &str) -> Result<OwnedFd, FileError> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        // A FIFO opened for reading without blocking has no side effect; a device could, so the type comes first.
        let found = self
            .open_inside(path.as_bytes(), OFlags::PATH | OFlags::CLOEXEC, resolve)
            .map_err(|error| explain("open", path, error))?;
        require_regular(&found, path)?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = self
            .open_inside(path.as_bytes(), flags, resolve)
            .map_err(|error| explain("open", path, error))?;
        // The name may have changed hands between the two.
        require_regular(&opened, path)?;
        Ok(opened)
    }

    /// Opens a directory inside, making what is missing of it.
    fn open_parent(&self, inside: &[u8], path: &str) -> Result<OwnedFd, FileError> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let inside = if inside.is_empty() { b"/" } else { inside };
        match self.open_inside(inside, flags, resolve) {
            Err(Errno::NOENT) if inside != b"/" => {
                let (parent, name) = split(without_trailing_slashes(inside));
                let above = self.open_parent(parent, path)?;
                match mkdirat(&above, name, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(explain("make a parent of", path, error)),
                }
                // One name, and nothing that has taken its place meanwhile: no link, and no way up.
                let strict = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
                openat2(&above, name, flags, Mode::empty(), strict)
                    .map_err(|error| explain("open a parent of", path, error))
            }
            Ok(directory) => {
                let filesystem = fstatfs(&directory).map_err(|error| explain("look at", path, error))?;
                if filesystem.f_type.cast_unsigned() == PROC_SUPER_MAGIC {
                    return Err(FileError::NotRegular { path: path.to_owned() });
                }
                Ok(directory)
            }
            Err(error) => Err(explain("open a parent of", path, error)),
        }
    }
}

/// The filesystem ids of a sandbox user, for as long as it lives; the daemon's own come back with its end, also when a
/// panic unwinds. If the kernel ever refused that, the thread would stay without privileges: closed, not open.
struct Identity;

impl Identity {
    fn assume(user: u32) -> io::Result<Self> {
        set_filesystem_ids(user, user)?;
        Ok(Self)
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        set_filesystem_ids(0, 0).ok();
    }
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (path.get(..slash).unwrap_or_default(), path.get(slash + 1..).unwrap_or_default()),
        None => (b"", path),
    }
}

fn without_trailing_slashes(mut path: &[u8]) -> &[u8] {
    while let Some(rest) = path.strip_suffix(b"/") {
        path = rest;
    }
    path
}

fn require_regular(file: &OwnedFd, path: &str) -> Result<(), FileError> {
    let status = fstat(file).map_err(|error| explain("look at", path, error))?;
    match FileType::from_raw_mode(status.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(FileError::IsDirectory { path: path.to_owned() }),
        _ => return Err(FileError::NotRegular { path: path.to_owned() }),
    }
    let filesystem = fstatfs(file).map_err(|error| explain("look at", path, error))?;
    if filesystem.f_type.cast_unsigned() == PROC_SUPER_MAGIC {
        return Err(FileError::NotRegular { path: path.to_owned() });
    }
    Ok(())
}

fn replace(
    directory: &OwnedFd,
    name: &[u8],
    content: &[u8],
    mode: Option<u32>,
    path: &str,
) -> Result<(), FileError> {
    let kept = match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(status) => match FileType::from_raw_mode(status.st_mode) {
            FileType::RegularFile => Mode::from_raw_mode(status.st_mode & 0o777),
            FileType::Directory => return Err(FileError::IsDirectory { path: path.to_owned() }),
            _ => return Err(FileError::NotRegular { path: path.to_owned() }),
        },
        Err(Errno::NOENT) => Mode::from_raw_mode(0o644),
        Err(error) => return Err(explain("look at", path, error)),
    };
    if matches!(name, b"" | b"." | b"..") {
        return Err(FileError::IsDirectory { path: path.to_owned() });
    }
    let mode = mode.map_or(kept, |mode| Mode::from_raw_mode(mode & 0o777));
    let temporary = temporary_name();
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(directory, &temporary, flags, Mode::from_raw_mode(0o600))
        .map_err(|error| explain("write", path, error))?;
    let written = fill(file, content, mode)
        .and_then(|()| renameat(directory, &temporary, directory, name).map_err(Into::into));
    written.map_err(|error: io::Error| {
        let reason = Errno::from_io_error(&error);
        // Already failing: a temporary file that stays is the sandbox user's own, and inside its quota.
        unlinkat(directory.as_fd(), &temporary, AtFlags::empty()).ok();
        match reason {
            Some(errno) => explain("write", path, errno),
            None => FileError::Other { action: "write", path: path.to_owned(), source: error },
        }
    })
}

fn fill(file: OwnedFd, content: &[u8], mode: Mode) -> io::Result<()> {
    let mut file = std::fs::File::from(file);
    file.write_all(content)?;
    rustix::fs::fchmod(&file, mode)?;
    Ok(())
}

/// A name that no other write of this daemon uses; `O_EXCL` catches what a sandbox may have put there.
fn temporary_name() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    format!(".sandkasten-{:x}-{:x}.tmp", time.tv_nsec, NEXT.fetch_add(1, Ordering::Relaxed))
}

fn explain(action: &'static str, path: &str, error: Errno) -> FileError {
    let path = path.to_owned();
    match error {
        Errno::NOENT => FileError::NotFound { path },
        Errno::NOTDIR => FileError::NotDirectory { path },
        Errno::ISDIR => FileError::IsDirectory { path },
        Errno::ACCESS | Errno::PERM => FileError::Permission { path },
        Errno::NOSPC | Errno::DQUOT => FileError::NoSpace { path },
        Errno::ROFS => FileError::ReadOnly { path },
        Errno::LOOP | Errno::NAMETOOLONG | Errno::XDEV | Errno::AGAIN => {
            FileError::Unresolvable { path, source: error.into() }
        }
        _ => FileError::Other { action, path, source: error.into() },
    }
}

mod free_space;
#[cfg(test)]
mod tests;
