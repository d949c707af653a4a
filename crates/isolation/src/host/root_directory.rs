//! Files of a sandbox or of a workspace, reached from outside through its root directory.
//!
//! Every path is resolved by the kernel inside of that root (openat2(2) `RESOLVE_IN_ROOT`, since Linux 5.6), so
//! no link leads out of it, and every access is checked as the sandbox user's. Nothing but a regular file is read or
//! written, and nothing here waits for a FIFO or a device.

mod bounds;
mod content;
mod copy;
mod directory;
mod entry;
mod file_change;
mod file_error;
mod listing;
mod pending_file;
mod permissions;
mod removal;
mod rename;
mod reserve;
mod tree_watch;
mod tree_writer;
mod visit;
mod walk;
mod watch_allowance;
mod watched_directories;

use std::ffi::CString;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, fstatfs, mkdirat, openat2};
use rustix::io::Errno;

use crate::sys::filesystem_ids::set_filesystem_ids;

pub use bounds::TreeBounds;
pub use content::FileVersion;
pub use copy::Copied;
pub use directory::Parents;
pub use entry::{Entry, EntryKind};
pub use file_change::{ChangeKind, FileChange, WatchEvent};
pub use file_error::FileError;
pub use listing::{ListOptions, Listing};
pub use pending_file::PendingFile;
pub use removal::RemovalDepth;
pub use rename::Existing;
pub use reserve::Reserve;
pub use tree_watch::{TreeWatch, WatchBounds, WatchDepth};
pub use tree_writer::TreeWriter;
pub use visit::{Unreadable, VisitEnd, Visited};
pub use watch_allowance::{WatchAllowance, WatchPermit};

use file_error::explain;

/// How often a path is resolved anew because of renames elsewhere; each time takes microseconds.
const MAX_RESOLUTIONS: usize = 10_000;
const PROC_SUPER_MAGIC: u64 = 0x9fa0;

/// The root directory of a sandbox or a workspace, and whose files are in it.
#[derive(Debug)]
pub struct RootDirectory {
    root: OwnedFd,
    actor: Actor,
    reserve: Reserve,
}

/// With whose rights everything in a root directory is done.
#[derive(Debug, Clone, Copy)]
enum Actor {
    /// The user of the host with this uid and gid.
    User(u32),
    /// Whoever runs this process, who has taken these permission bits from what they make.
    Caller { umask: u32 },
}

impl RootDirectory {
    /// Wraps a directory, in which everything is done as the user with this uid and gid of the host.
    #[must_use]
    pub fn new(root: OwnedFd, user: u32) -> Self {
        Self { root, actor: Actor::User(user), reserve: Reserve::default() }
    }

    /// Wraps a directory in which everything is done with the rights that this process has, as in its user's own files: those on
    /// other mounts below belong to it. What a [`TreeWriter`] makes has none of the permission bits of `umask`.
    #[must_use]
    pub fn of_caller(root: OwnedFd, umask: u32) -> Self {
        Self { root, actor: Actor::Caller { umask }, reserve: Reserve::default() }
    }

    /// The permission bits that an entry gets of those that it is to have.
    fn permitted(&self, mode: u32) -> u32 {
        match self.actor {
            Actor::User(_) => mode & 0o777,
            Actor::Caller { umask } => mode & 0o777 & !umask,
        }
    }

    /// How a name below is opened: no link, no way up, and no other mount, but where the mounts are the caller's as well.
    fn one_name(&self) -> ResolveFlags {
        match self.actor {
            Actor::User(_) => walk::one_name(),
            Actor::Caller { .. } => walk::one_name() - ResolveFlags::NO_XDEV,
        }
    }

    /// The same, where whatever is made leaves this much of the filesystem free.
    #[must_use]
    pub fn with_reserve(self, reserve: Reserve) -> Self {
        Self { reserve, ..self }
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

    /// Runs `work` with the filesystem ids of the sandbox user, and so without the capabilities that override file
    /// permissions; or as it is, where it is the caller's own.
    fn as_sandbox_user<T>(
        &self,
        path: &str,
        work: impl FnOnce() -> Result<T, FileError>,
    ) -> Result<T, FileError> {
        let Actor::User(user) = self.actor else { return work() };
        let _identity = Identity::assume(user).map_err(|source| FileError::Other {
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

    /// Opens a directory that is there, links followed inside the root, for walking through it.
    fn open_directory(&self, path: &str) -> Result<OwnedFd, FileError> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let directory = self
            .open_inside(path.as_bytes(), flags, resolve)
            .map_err(|error| explain("open", path, error))?;
        refuse_proc(&directory, path)?;
        Ok(directory)
    }

    /// Opens the directory that a path's last name is in, links followed inside the root, and returns it with that name.
    /// Nothing is made, and what the name itself is does not matter.
    fn locate(&self, path: &str) -> Result<(OwnedFd, CString), FileError> {
        let (parent, name) = split(without_trailing_slashes(path.as_bytes()));
        let invalid = || FileError::Unresolvable { path: path.to_owned(), source: Errno::INVAL.into() };
        let name = match name {
            b"" | b"." | b".." => return Err(invalid()),
            name => CString::new(name).map_err(|_| invalid())?,
        };
        let parent = if parent.is_empty() { b"/" } else { parent };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = self.open_inside(parent, flags, resolve).map_err(|error| match error {
            Errno::NOTDIR => FileError::NotDirectory { path: path.to_owned() },
            error => explain("open a parent of", path, error),
        })?;
        refuse_proc(&directory, path)?;
        Ok((directory, name))
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
                self.reserve.check(&above, path)?;
                let made = match mkdirat(&above, name, Mode::from_raw_mode(0o755)) {
                    Ok(()) => true,
                    Err(Errno::EXIST) => false,
                    Err(error) => return Err(explain("make a parent of", path, error)),
                };
                // One name, and nothing that has taken its place meanwhile: no link, and no way up.
                let strict = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
                let directory = openat2(&above, name, flags, Mode::empty(), strict)
                    .map_err(|error| explain("open a parent of", path, error))?;
                if made {
                    // The daemon's own umask is none of the sandbox's.
                    permissions::set(&directory, 0o755, path)?;
                }
                Ok(directory)
            }
            Ok(directory) => {
                refuse_proc(&directory, path)?;
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
    refuse_proc(file, path)
}

fn refuse_proc(file: &OwnedFd, path: &str) -> Result<(), FileError> {
    let filesystem = fstatfs(file).map_err(|error| explain("look at", path, error))?;
    if filesystem.f_type.cast_unsigned() == PROC_SUPER_MAGIC {
        return Err(FileError::NotRegular { path: path.to_owned() });
    }
    Ok(())
}

/// A name that no other operation of this daemon uses; `O_EXCL` and its kin catch what a sandbox may have put there.
fn temporary_name() -> CString {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let name = format!(".sandkasten-{:x}-{:x}.tmp", time.tv_nsec, NEXT.fetch_add(1, Ordering::Relaxed));
    CString::new(name).unwrap_or_default()
}

/// Whether a name is one of [`temporary_name`]'s, or made to look so.
fn is_temporary(name: &[u8]) -> bool {
    name.starts_with(b".sandkasten-") && name.ends_with(b".tmp")
}

mod free_space;
#[cfg(test)]
mod tests;
