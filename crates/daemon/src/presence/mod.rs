//! Which daemon runs on a data directory: what it leaves about itself in its run directory, and how others find it.
//!
//! The truth is the lock, and that is in the kernel. The files only say where to look: those of a daemon that was killed name
//! a process that does not hold it.

mod find;
mod lock_holder;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{Mode, OFlags};
use sandkasten_isolation::host::PathError;
use serde::{Deserialize, Serialize};

pub use self::find::{FindDaemonError, RunningDaemon};

/// Holds the process id, as text.
const PID_FILE: &str = "sandkasten.pid";
/// Holds [`DaemonRecord`], as JSON.
const RECORD_FILE: &str = "daemon.json";

/// What a daemon says about itself from the moment it is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonRecord {
    /// Its process.
    pub pid: u32,
    /// Where its API listens.
    pub address: String,
    /// Who made the socket of its API; a daemon of an older version made its own.
    #[serde(default)]
    pub listener: ListenerOrigin,
    /// Its version, which may be another than that of the binary which reads this.
    pub version: String,
    /// Since when it is ready.
    pub ready_at: Timestamp,
    /// Where it logs to, where that is its own file.
    pub log: Option<PathBuf>,
}

/// Who made the socket on which a daemon serves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ListenerOrigin {
    /// The daemon, at the configured address.
    #[default]
    Bound,
    /// Whoever started it, so that the configured address does not count.
    Passed,
}

/// The files of a running daemon, which go with it.
#[derive(Debug)]
pub(crate) struct Presence {
    run: PathBuf,
}

impl Presence {
    /// Writes this process down as the daemon of a run directory whose lock it holds. Blocking.
    ///
    /// # Errors
    /// The file that could not be removed or written.
    pub(crate) fn announce(run: &Path) -> Result<Self, PathError> {
        let presence = Self { run: run.to_owned() };
        // What a killed daemon said of itself is not true of this one.
        remove(&run.join(RECORD_FILE))?;
        replace(&run.join(PID_FILE), format!("{}\n", std::process::id()).as_bytes())?;
        Ok(presence)
    }

    /// Writes down what others may want to know of a daemon that is ready. Blocking.
    ///
    /// # Errors
    /// The file that could not be written.
    pub(crate) fn ready(
        &self,
        address: String,
        listener: ListenerOrigin,
        log: Option<PathBuf>,
    ) -> Result<(), PathError> {
        let record = DaemonRecord {
            pid: std::process::id(),
            address,
            listener,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ready_at: Timestamp::now(),
            log,
        };
        let path = self.run.join(RECORD_FILE);
        let text = serde_json::to_vec(&record).map_err(io::Error::from);
        replace(&path, &text.map_err(PathError::of("write", &path))?)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        for name in [RECORD_FILE, PID_FILE] {
            if let Err(error) = remove(&self.run.join(name)) {
                tracing::warn!(error = &error as &dyn std::error::Error, "a file of the daemon stays");
            }
        }
    }
}

/// Writes a file of mode 0600 that is never there in part.
fn replace(path: &Path, content: &[u8]) -> Result<(), PathError> {
    let part = path.with_extension("part");
    remove(&part)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(&part, flags, Mode::from_raw_mode(0o600));
    let mut file = File::from(file.map_err(PathError::of("make", &part))?);
    file.write_all(content).map_err(PathError::of("write", &part))?;
    fs::rename(&part, path).map_err(PathError::of("replace", path))
}

fn remove(path: &Path) -> Result<(), PathError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(PathError::of("remove", path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::{DaemonRecord, ListenerOrigin, Presence};

    #[test]
    fn the_files_of_a_daemon_are_closed_to_others_and_go_with_it() {
        let run = tempfile::tempdir().expect("a directory");
        fs::write(run.path().join("daemon.json"), "of an earlier one").expect("written");
        let presence = Presence::announce(run.path()).expect("announced");
        let names = || -> Vec<String> {
            let entries = fs::read_dir(run.path()).expect("a directory").flatten();
            let mut names: Vec<_> =
                entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(names(), ["sandkasten.pid"]);
        let pid = fs::read_to_string(run.path().join("sandkasten.pid")).expect("read");
        assert_eq!(pid, format!("{}\n", std::process::id()));

        let log = Some(PathBuf::from("/log"));
        presence.ready("127.0.0.1:1".to_owned(), ListenerOrigin::Bound, log.clone()).expect("written down");
        assert_eq!(names(), ["daemon.json", "sandkasten.pid"]);
        let record = fs::read(run.path().join("daemon.json")).expect("read");
        let record: DaemonRecord = serde_json::from_slice(&record).expect("a record");
        assert_eq!(
            (record.pid, record.address.as_str(), record.log),
            (std::process::id(), "127.0.0.1:1", log)
        );
        for name in names() {
            let mode = fs::metadata(run.path().join(&name)).expect("there").permissions().mode();
            assert_eq!(mode & 0o7777, 0o600, "{name}");
        }
        drop(presence);
        assert_eq!(names(), [""; 0]);
    }
}
