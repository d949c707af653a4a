//! The log of a detached daemon: a file that nobody but root can read, not even for the instant in which it is made.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, fchmod};
use sandkasten_isolation::host::PathError;

use crate::config::Config;
use crate::places::{PlacesError, private_directory};

/// Readable and writable by its owner alone.
const PRIVATE: Mode = Mode::from_raw_mode(0o600);

/// Why the log cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum OpenLogError {
    /// The directories above it cannot be used.
    #[error(transparent)]
    Places(#[from] PlacesError),
    /// The file cannot be made, opened or looked at.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Something else is in its place, or somebody else's.
    #[error(
        "{path:?} is no log of ours: it must be a regular file of one name that belongs to the daemon's user; move it away"
    )]
    Foreign {
        /// The place.
        path: PathBuf,
    },
}

impl Config {
    /// Returns the log of a detached daemon.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.run_dir().join("sandkasten.log")
    }
}

/// Opens the log for appending, and makes it with the directories above where it is not there. Blocking.
///
/// # Errors
/// [`OpenLogError`].
pub fn open_log(config: &Config) -> Result<File, OpenLogError> {
    private_directory(&config.data_dir)?;
    private_directory(&config.run_dir())?;
    open_private(&config.log_path())
}

fn open_private(path: &Path) -> Result<File, OpenLogError> {
    // Not blocking, for a FIFO in its place must not hold up the start; regular files do not know the difference.
    let flags = OFlags::WRONLY
        | OFlags::APPEND
        | OFlags::CREATE
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK
        | OFlags::NOCTTY
        | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, PRIVATE).map_err(PathError::of("open", path))?);
    let metadata = file.metadata().map_err(PathError::of("look at", path))?;
    let owner = rustix::process::geteuid().as_raw();
    if !metadata.is_file() || metadata.nlink() != 1 || metadata.uid() != owner {
        return Err(OpenLogError::Foreign { path: path.to_owned() });
    }
    if metadata.mode() & 0o7777 != PRIVATE.as_raw_mode() {
        fchmod(&file, PRIVATE).map_err(PathError::of("close to others", path))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::{OpenLogError, open_log, open_private};
    use crate::config::Config;

    fn config(directory: &tempfile::TempDir) -> Config {
        let mut config = Config::default();
        config.data_dir = directory.path().join("data");
        config
    }

    #[test]
    fn the_log_is_made_closed_to_others_and_appended_to() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = config(&directory);
        for line in ["one\n", "two\n"] {
            open_log(&config).expect("a log").write_all(line.as_bytes()).expect("written");
        }
        let path = config.log_path();
        assert_eq!(fs::read_to_string(&path).expect("read"), "one\ntwo\n");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o7777, 0o600);
        // Copied and truncated from outside, as log rotation does it.
        let mut log = open_log(&config).expect("a log");
        fs::File::create(&path).expect("truncated");
        log.write_all(b"three\n").expect("written");
        assert_eq!(fs::read_to_string(&path).expect("read"), "three\n");
    }

    #[test]
    fn a_log_that_was_opened_to_others_is_closed_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = config(&directory);
        drop(open_log(&config).expect("a log"));
        fs::set_permissions(config.log_path(), Permissions::from_mode(0o644)).expect("a mode");
        drop(open_log(&config).expect("a log"));
        let mode = fs::metadata(config.log_path()).expect("there").permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }

    #[test]
    fn what_is_no_file_of_ours_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let target = directory.path().join("target");
        fs::write(&target, "untouched").expect("written");
        let [link, hard, fifo] = ["link", "hard", "fifo"].map(|name| directory.path().join(name));
        symlink(&target, &link).expect("a link");
        fs::hard_link(&target, &hard).expect("a link");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .expect("a FIFO");
        assert!(matches!(open_private(&link), Err(OpenLogError::Path(_))));
        assert!(matches!(open_private(&hard), Err(OpenLogError::Foreign { .. })));
        // Nobody reads it.
        assert!(open_private(&fifo).is_err());
        assert_eq!(fs::read_to_string(&target).expect("read"), "untouched");
    }

    #[test]
    fn a_data_directory_that_is_open_to_others_gets_no_log() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = config(&directory);
        fs::create_dir(&config.data_dir).expect("a directory");
        fs::set_permissions(&config.data_dir, Permissions::from_mode(0o755)).expect("a mode");
        assert!(matches!(open_log(&config), Err(OpenLogError::Places(_))));
    }
}
