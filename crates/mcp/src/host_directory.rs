//! The one directory of the user's host that files are copied from and to.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2};
use rustix::io::Errno;
use sandkasten_isolation::host::{FileError, RootDirectory};

use crate::tool_error::ToolError;

/// The most bytes that are copied at once.
pub(crate) const MAX_COPY_BYTES: u64 = 64 << 20;

/// A directory of this host, out of which no path and no link leads.
#[derive(Debug, Clone)]
pub struct HostDirectory {
    path: PathBuf,
    directory: Arc<OwnedFd>,
    root: Arc<RootDirectory>,
}

/// A directory that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("use {} as the directory to copy files from and to", path.display())]
pub struct OpenHostDirectoryError {
    /// Which.
    pub path: PathBuf,
    /// The kernel's reason.
    pub source: std::io::Error,
}

impl HostDirectory {
    /// Opens a directory. Blocking.
    ///
    /// # Errors
    /// [`OpenHostDirectoryError`]: it is not there, none, or may not be looked at.
    pub fn open(path: &Path) -> Result<Self, OpenHostDirectoryError> {
        let failed = |source| OpenHostDirectoryError { path: path.to_owned(), source };
        let whole = path.canonicalize().map_err(failed)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = open(&whole, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
        let root = RootDirectory::of_caller(directory.try_clone().map_err(failed)?, 0o022);
        Ok(Self { path: whole, directory: Arc::new(directory), root: Arc::new(root) })
    }

    /// Reads a file of at most [`MAX_COPY_BYTES`]. Blocking.
    pub(crate) fn read(&self, path: &str) -> Result<Vec<u8>, ToolError> {
        let (file, version): (File, _) = self.root.open_file(&self.inside(path)?)?;
        if version.size > MAX_COPY_BYTES {
            return Err(ToolError::TooLarge { path: path.to_owned(), limit: MAX_COPY_BYTES });
        }
        let mut content = Vec::new();
        let read = file.take(MAX_COPY_BYTES + 1).read_to_end(&mut content);
        read.map_err(|source| FileError::Other { action: "read", path: path.to_owned(), source })?;
        if content.len() as u64 > MAX_COPY_BYTES {
            return Err(ToolError::TooLarge { path: path.to_owned(), limit: MAX_COPY_BYTES });
        }
        Ok(content)
    }

    /// Looks whether a file may be written at a path. Blocking.
    pub(crate) fn check_target(&self, path: &str, overwrite: bool) -> Result<(), ToolError> {
        match self.root.look_at(&self.inside(path)?) {
            Ok(_) if overwrite => Ok(()),
            Ok(_) => Err(ToolError::Exists { path: path.to_owned() }),
            Err(FileError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes a file whole or not at all; missing directories are made. Blocking.
    pub(crate) fn write(&self, path: &str, content: &[u8], overwrite: bool) -> Result<(), ToolError> {
        self.check_target(path, overwrite)?;
        Ok(self.root.write(&self.inside(path)?, content, None)?)
    }

    /// The path from the directory on. What is absolute is taken where it is below the directory, and what a link leads out of it
    /// is refused by name: nothing could follow it anyway, but what is there in its place would be another file.
    fn inside(&self, path: &str) -> Result<String, ToolError> {
        let outside = || ToolError::Outside { path: path.to_owned(), directory: self.path.clone() };
        let named = Path::new(path);
        let relative =
            if named.is_absolute() { named.strip_prefix(&self.path).map_err(|_| outside())? } else { named };
        let mut walked = PathBuf::new();
        for part in relative.components() {
            match part {
                Component::Normal(name) => walked.push(name),
                Component::CurDir => continue,
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(outside()),
            }
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
            let found =
                openat2(&self.directory, &walked, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve);
            if found.is_err_and(|error| error == Errno::XDEV) {
                return Err(outside());
            }
        }
        let inside = walked.to_str().filter(|inside| !inside.is_empty());
        inside.map(str::to_owned).ok_or_else(outside)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::{HostDirectory, MAX_COPY_BYTES};
    use crate::tool_error::ToolError;

    fn place() -> (tempfile::TempDir, HostDirectory) {
        let place = tempfile::tempdir().expect("a directory");
        fs::create_dir(place.path().join("open")).expect("made");
        fs::write(place.path().join("secret"), "s").expect("written");
        let directory = HostDirectory::open(&place.path().join("open")).expect("opened");
        (place, directory)
    }

    #[test]
    fn files_below_are_read_and_written_by_either_kind_of_path() {
        let (_place, directory) = place();
        directory.write("a/b.txt", b"one", false).expect("written");
        let absolute = directory.path.join("a/b.txt").display().to_string();
        assert_eq!(directory.read(&absolute).expect("read"), b"one");
        assert_eq!(directory.read("./a/b.txt").expect("read"), b"one");
    }

    #[test]
    fn nothing_outside_is_reached_by_a_path() {
        let (place, directory) = place();
        let secret = place.path().join("secret").display().to_string();
        for path in [&secret, "/etc/passwd", "../secret", "a/../../secret", "..", "", "/"] {
            assert!(matches!(directory.read(path), Err(ToolError::Outside { .. })), "{path:?}");
            assert!(matches!(directory.write(path, b"x", true), Err(ToolError::Outside { .. })), "{path:?}");
        }
        assert_eq!(fs::read(&secret).expect("there"), b"s");
    }

    #[test]
    fn no_link_leads_outside() {
        let (place, directory) = place();
        let secret = place.path().join("secret");
        symlink(&secret, place.path().join("open/link")).expect("a link");
        symlink("../secret", place.path().join("open/up")).expect("a link");
        symlink(place.path(), place.path().join("open/out")).expect("a link");
        symlink("/proc/self/root", place.path().join("open/magic")).expect("a link");
        for path in ["link", "up", "out/secret", "out/new/deep", "magic/etc/passwd"] {
            assert!(matches!(directory.read(path), Err(ToolError::Outside { .. })), "{path}");
            assert!(matches!(directory.write(path, b"x", true), Err(ToolError::Outside { .. })), "{path}");
        }
        assert_eq!(fs::read(secret).expect("there"), b"s");
        assert_eq!(fs::read_dir(place.path().join("open")).expect("there").count(), 4, "nothing was made");
        // One that stays inside is followed.
        directory.write("d/a", b"one", false).expect("written");
        symlink("d/a", place.path().join("open/inner")).expect("a link");
        assert_eq!(directory.read("inner").expect("read"), b"one");
    }

    #[test]
    fn what_is_there_is_only_replaced_where_that_is_said() {
        let (_place, directory) = place();
        directory.write("a", b"one", false).expect("written");
        assert!(matches!(directory.write("a", b"two", false), Err(ToolError::Exists { .. })));
        assert_eq!(directory.read("a").expect("read"), b"one");
        directory.write("a", b"two", true).expect("replaced");
        assert_eq!(directory.read("a").expect("read"), b"two");
    }

    #[test]
    fn a_file_that_is_too_large_is_refused_before_it_is_read() {
        let (place, directory) = place();
        let file = fs::File::create(place.path().join("open/large")).expect("made");
        file.set_len(MAX_COPY_BYTES + 1).expect("a hole");
        assert!(matches!(directory.read("large"), Err(ToolError::TooLarge { .. })));
    }

    #[test]
    fn fifos_and_directories_are_no_files() {
        let (place, directory) = place();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            place.path().join("open/pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .expect("a FIFO");
        fs::create_dir(place.path().join("open/d")).expect("made");
        for path in ["pipe", "d", "missing"] {
            assert!(matches!(directory.read(path), Err(ToolError::HostFile(_))), "{path}");
        }
    }
}
