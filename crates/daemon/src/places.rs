//! Where a daemon keeps its things, and the name it goes by in the host's cgroups.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use sandkasten_isolation::host::PathError;
use sha2::{Digest, Sha256};

use crate::presence::{ListenerOrigin, Presence, RunningDaemon};

/// The longest path of a unix socket, less its NUL: unix(7).
const MAX_SOCKET_PATH_BYTES: usize = 107;
/// The longest name of a session's socket.
const SOCKET_NAME_BYTES: usize = "/00000000-0000-0000-0000-000000000000.sock".len();

/// How often, and how long in between, the lock of a daemon that has just been killed is tried for.
const LOCK_ATTEMPTS: usize = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// The directories of one daemon, locked against any other.
#[derive(Debug)]
pub(crate) struct Places {
    /// Sockets of the runners, one a session.
    pub(crate) sockets: PathBuf,
    /// The empty directory on which runners assemble their roots.
    pub(crate) staging: PathBuf,
    /// The database.
    pub(crate) database: PathBuf,
    /// The name of the daemon's cgroups.
    pub(crate) instance: String,
    /// None of a private daemon, which nobody looks for. Goes before the lock, so that no later daemon's files go with it.
    presence: Option<Presence>,
    _lock: OwnedFd,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlacesError {
    /// A directory or file could not be made or read.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Somebody else could change what the daemon trusts.
    #[error(
        "{path:?} belongs to uid {owner} with mode {mode:04o}; it must belong to root and be closed to others: \
             chown root and chmod 0700 it"
    )]
    Open {
        /// Which directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Its permission bits.
        mode: u32,
    },
    /// Another daemon uses the directory.
    #[error(
        "another daemon{} uses {path:?}; stop it, or choose another data_dir",
        holder.map(|pid| format!(", process {pid},")).unwrap_or_default()
    )]
    Locked {
        /// Which directory.
        path: PathBuf,
        /// The other daemon's process, where it could be found out.
        holder: Option<i32>,
    },
    /// Socket paths would be too long for the kernel.
    #[error("{path:?} is too long for sockets: at most {most} bytes; choose a shorter data_dir")]
    TooLong {
        /// Which directory.
        path: PathBuf,
        /// What would fit.
        most: usize,
    },
}

impl Places {
    /// Makes and locks the directories below `run`, a directory of the data directory, and writes this process down as the
    /// one that holds them. Blocking.
    ///
    /// # Errors
    /// [`PlacesError`].
    pub(crate) fn open(run: &Path, database: PathBuf) -> Result<Self, PlacesError> {
        let places = Self::open_quietly(run, database)?;
        Ok(Self { presence: Some(Presence::announce(run)?), ..places })
    }

    fn open_quietly(run: &Path, database: PathBuf) -> Result<Self, PlacesError> {
        let sockets = run.join("s");
        let most = MAX_SOCKET_PATH_BYTES - SOCKET_NAME_BYTES;
        if sockets.as_os_str().len() > most {
            return Err(PlacesError::TooLong { path: sockets, most });
        }
        for directory in [run, &sockets, &run.join("staging")] {
            private_directory(directory)?;
        }
        let lock = lock_patiently(run)?.ok_or_else(|| PlacesError::Locked {
            path: run.to_owned(),
            holder: RunningDaemon::find(run).ok().flatten().map(|daemon| daemon.pid()),
        })?;
        Ok(Self {
            sockets,
            staging: run.join("staging"),
            database,
            instance: instance_name(run)?,
            presence: None,
            _lock: lock,
        })
    }

    /// Makes and locks the run directory of a private daemon, with none being cleared away meanwhile: until it is locked,
    /// it looks like one that was abandoned. Blocking.
    ///
    /// # Errors
    /// [`PlacesError`].
    pub(crate) fn open_private(run: &Path, database: PathBuf) -> Result<Self, PlacesError> {
        let _turn = run.parent().map(private_turn).transpose()?;
        Self::open_quietly(run, database)
    }

    /// Writes down where the API of a daemon that is ready listens, and the file that it logs to, if there is one. Blocking.
    ///
    /// # Errors
    /// The file that could not be written.
    pub(crate) fn announce_ready(
        &self,
        address: String,
        origin: ListenerOrigin,
        log: Option<PathBuf>,
    ) -> Result<(), PathError> {
        self.presence.as_ref().map_or(Ok(()), |presence| presence.ready(address, origin, log))
    }

    /// Returns the path of a session's socket.
    pub(crate) fn socket(&self, session: &str) -> PathBuf {
        self.sockets.join(format!("{session}.sock"))
    }
}

/// Makes a directory of mode 0700, or checks one that is there. Blocking.
///
/// # Errors
/// [`PlacesError`], also where it is somebody else's, or open to others.
pub fn private_directory(path: &Path) -> Result<(), PlacesError> {
    match DirBuilder::new().recursive(true).mode(0o700).create(path) {
        Ok(()) => {}
        Err(error) => return Err(PathError::of("make the directory", path)(error).into()),
    }
    let metadata = fs::symlink_metadata(path).map_err(PathError::of("look at", path))?;
    let mode = metadata.permissions().mode() & 0o7777;
    if !metadata.is_dir() {
        return Err(
            PathError::of("use as a directory", path)(io::Error::from(io::ErrorKind::NotADirectory)).into()
        );
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() || mode & 0o077 != 0 {
        return Err(PlacesError::Open { path: path.to_owned(), owner: metadata.uid(), mode });
    }
    Ok(())
}

/// Locks a run directory; a runner that a killed daemon was just starting holds the lock for an instant longer.
fn lock_patiently(run: &Path) -> Result<Option<OwnedFd>, PathError> {
    for _ in 0..LOCK_ATTEMPTS {
        if let Some(held) = lock(run)? {
            return Ok(Some(held));
        }
        std::thread::sleep(LOCK_PAUSE);
    }
    lock(run)
}

/// Waits for the turn to make a private run directory, or to clear abandoned ones away, below `runs`. Blocking, for as long
/// as others take.
pub(crate) fn private_turn(runs: &Path) -> Result<OwnedFd, PathError> {
    let path = runs.join("private.lock");
    let file = open_lock(&path)?;
    rustix::io::retry_on_intr(|| flock(&file, FlockOperation::LockExclusive))
        .map_err(PathError::of("lock", &path))?;
    Ok(file)
}

fn open_lock(path: &Path) -> Result<OwnedFd, PathError> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::open(path, flags, Mode::from_raw_mode(0o600)).map_err(PathError::of("open", path))
}

/// Locks a run directory, or returns none where another process holds it.
pub(crate) fn lock(run: &Path) -> Result<Option<OwnedFd>, PathError> {
    let path = run.join("lock");
    let file = open_lock(&path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(PathError::of("lock", &path)(error)),
    }
}

/// Names the daemon's cgroups after its run directory, so that a later daemon finds what an earlier one left.
pub(crate) fn instance_name(run: &Path) -> Result<String, PathError> {
    let real = fs::canonicalize(run).map_err(PathError::of("resolve", run))?;
    let digest = Sha256::digest(real.as_os_str().as_encoded_bytes());
    let short: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("sandkasten-{short}"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::{Places, PlacesError};

    #[test]
    fn a_second_daemon_on_one_directory_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let run = directory.path().join("run");
        let first = Places::open(&run, run.join("db")).expect("the first");
        let refusal = Places::open(&run, run.join("db")).expect_err("it is locked");
        assert!(matches!(refusal, PlacesError::Locked { .. }));
        assert!(refusal.to_string().contains(&format!("process {},", std::process::id())), "{refusal}");
        drop(first);
        assert!(Places::open(&run, run.join("db")).is_ok());
    }

    #[test]
    fn a_directory_open_to_others_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let run = directory.path().join("run");
        fs::create_dir(&run).expect("a directory");
        fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).expect("a mode");
        assert!(matches!(Places::open(&run, run.join("db")), Err(PlacesError::Open { mode: 0o755, .. })));
    }

    #[test]
    fn a_path_too_long_for_sockets_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let run = directory.path().join("x".repeat(100));
        assert!(matches!(Places::open(&run, run.join("db")), Err(PlacesError::TooLong { .. })));
    }
}
