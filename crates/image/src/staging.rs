//! Layers on their way into the store: built in a temporary directory, published by a rename, removed by a rename.
//!
//! A temporary directory is locked by whoever works in it, so that leftovers of a crash can be told from an import that
//! still runs, in this process or another.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::claim::{self, CLAIM_PREFIX, remove_if_there};
use crate::shared_blob::{self, FETCHING_PREFIX};

/// What all temporary names begin with; no layer has a name like it.
pub(crate) const TEMPORARY_PREFIX: &str = ".tmp-";
const LAYER: &str = "layer";
const RECORD: &str = "record";
const FACTS: &str = "facts";
/// What the name of a layer's record has behind that of the layer.
const RECORD_SUFFIX: &str = ".record";
const FACTS_SUFFIX: &str = ".json";

/// Keeps names unique within a process.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// A temporary directory for a layer could not be made.
#[derive(Debug, thiserror::Error)]
pub enum StageLayerError {
    /// The store is locked and the lock could not be had.
    #[error("lock the store at {path}")]
    LockStore {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The directory could not be created or opened.
    #[error("create the temporary directory {path}")]
    Create {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The directory could not be locked.
    #[error("lock the temporary directory {path}")]
    LockDirectory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A finished layer could not be put into the store.
#[derive(Debug, thiserror::Error)]
pub enum PublishLayerError {
    /// The contents could not be written to the disk.
    #[error("write the layer at {path} to the disk")]
    Sync {
        /// The layer.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The layer could not be moved to its place.
    #[error("move the layer to {path}")]
    Rename {
        /// Its place.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A part of a layer is where the layer should go.
    #[error("the layer at {path} is no directory")]
    Occupied {
        /// Its place.
        path: PathBuf,
    },
}

/// Holds the store's lock; whoever creates or removes layers or manifests has it.
pub(crate) struct StoreLock {
    _file: File,
}

impl StoreLock {
    /// Waits for the lock. It goes with the value.
    pub(crate) fn acquire(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(CWD, path, flags, Mode::RUSR | Mode::WUSR)?);
        rustix::io::retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockExclusive))?;
        Ok(Self { _file: file })
    }
}

/// A layer being built. Dropped without being published, it is removed.
pub(crate) struct StagedLayer {
    temporary: PathBuf,
    root: OwnedFd,
    /// Its lock tells others that somebody is at work here.
    lock: OwnedFd,
}

impl StagedLayer {
    /// Makes an empty layer below `layers`.
    pub(crate) fn create(layers: &Path, lock_file: &Path) -> Result<Self, StageLayerError> {
        let (temporary, lock) = create_locked(layers, lock_file)?;
        let failed =
            |source: Errno| StageLayerError::Create { path: temporary.clone(), source: source.into() };
        let directory = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::mkdirat(&lock, LAYER, Mode::RWXU).map_err(failed)?;
        let root = rustix::fs::openat(&lock, LAYER, directory, Mode::empty()).map_err(failed)?;
        // The mode given to mkdir is cut by the umask; an archive may have no entry for its root.
        rustix::fs::fchmod(&root, Mode::from_raw_mode(0o755)).map_err(failed)?;
        Ok(Self { temporary, root, lock })
    }

    /// Returns the directory to build in.
    pub(crate) fn root(&self) -> &OwnedFd {
        &self.root
    }

    /// Returns the path of the directory to build in.
    pub(crate) fn path(&self) -> PathBuf {
        self.temporary.join(LAYER)
    }

    /// Makes the file for the record of the archive that the layer is unpacked from.
    pub(crate) fn create_record(&self) -> io::Result<File> {
        self.create_file(RECORD)
    }

    /// Writes down what is known about the layer.
    pub(crate) fn write_facts(&self, facts: &[u8]) -> io::Result<()> {
        self.create_file(FACTS)?.write_all(facts)
    }

    fn create_file(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.lock, name, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    /// Writes everything to the disk, so that a layer that is there under its name is there whole.
    pub(crate) fn sync(&self) -> Result<(), PublishLayerError> {
        rustix::fs::syncfs(&self.root)
            .map_err(|source| PublishLayerError::Sync { path: self.path(), source: source.into() })
    }

    /// Moves the layer to `<layers>/<name>`. Returns false where a layer of that name is there already, which is then
    /// the same by its digest; what belongs beside it is renewed, as it may have been lost. The caller has the store's lock.
    pub(crate) fn publish(
        self,
        layers: &Path,
        name: &str,
        _lock: &StoreLock,
    ) -> Result<bool, PublishLayerError> {
        let place = layers.join(name);
        // Without its layer it is cleared away; a layer without it could never be exported.
        for (file, suffix) in [(RECORD, RECORD_SUFFIX), (FACTS, FACTS_SUFFIX)] {
            let path = beside(layers, name, suffix);
            match fs::rename(self.temporary.join(file), &path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(PublishLayerError::Rename { path, source });
                }
                _ => {}
            }
        }
        let is_new = match rustix::fs::renameat_with(CWD, self.path(), CWD, &place, RenameFlags::NOREPLACE) {
            Ok(()) => true,
            Err(Errno::EXIST) if fs::symlink_metadata(&place).is_ok_and(|found| found.is_dir()) => false,
            Err(Errno::EXIST) => return Err(PublishLayerError::Occupied { path: place }),
            Err(source) => return Err(PublishLayerError::Rename { path: place, source: source.into() }),
        };
        sync_directory(layers).map_err(|source| PublishLayerError::Sync { path: place, source })?;
        Ok(is_new)
    }
}

/// Makes a temporary directory that nobody else takes for a leftover for as long as the descriptor is open.
pub(crate) fn create_locked(layers: &Path, lock_file: &Path) -> Result<(PathBuf, OwnedFd), StageLayerError> {
    // Nobody may look for leftovers between the creation of the directory and its lock.
    let _store = StoreLock::acquire(lock_file)
        .map_err(|source| StageLayerError::LockStore { path: lock_file.to_owned(), source })?;
    let temporary = layers.join(temporary_name());
    let failed = |source: Errno| StageLayerError::Create { path: temporary.clone(), source: source.into() };
    rustix::fs::mkdir(&temporary, Mode::RWXU).map_err(failed)?;
    let directory = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let lock = rustix::fs::openat(CWD, &temporary, directory, Mode::empty()).map_err(failed)?;
    rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|source| {
        StageLayerError::LockDirectory { path: temporary.clone(), source: source.into() }
    })?;
    Ok((temporary, lock))
}

impl Drop for StagedLayer {
    fn drop(&mut self) {
        // What cannot be removed now is a leftover that the next start removes.
        drop(fs::remove_dir_all(&self.temporary));
    }
}

/// Removes a layer that is not in use: first its name, so that no half-removed layer is ever taken for a whole one. The caller
/// has the store's lock. False where it is in use, or held by somebody who is about to make an image with it or to start
/// something on it. What is in use is asked when nobody can begin to hold it any more.
pub(crate) fn remove_layer(
    layers: &Path,
    name: &str,
    in_use: impl FnOnce(&Path) -> bool,
    _lock: &StoreLock,
) -> io::Result<bool> {
    let place = layers.join(name);
    let directory = match open_layer(&place) {
        Err(Errno::NOENT) => return Ok(true),
        other => other?,
    };
    match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => return Ok(false),
        other => other?,
    }
    if in_use(&place) {
        return Ok(false);
    }
    let condemned = layers.join(temporary_name());
    fs::rename(&place, &condemned)?;
    sync_directory(layers)?;
    for suffix in [RECORD_SUFFIX, FACTS_SUFFIX] {
        remove_if_there(&beside(layers, name, suffix))?;
    }
    fs::remove_dir_all(condemned)?;
    Ok(true)
}

/// Keeps a layer from being removed, for as long as the value lives: by whoever makes an image with it, before the image has
/// a manifest that says so, and by whoever starts something on it, before [`Usage`](crate::Usage) knows. None where there is no such layer.
pub(crate) fn pin_layer(place: &Path) -> io::Result<Option<Pin>> {
    let directory = match open_layer(place) {
        Err(Errno::NOENT) => return Ok(None),
        other => other?,
    };
    rustix::io::retry_on_intr(|| rustix::fs::flock(&directory, FlockOperation::LockShared))?;
    // It may have been removed while we waited.
    let (ours, there) = (rustix::fs::fstat(&directory)?, rustix::fs::lstat(place));
    let same = there.is_ok_and(|there| (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino));
    Ok(same.then_some(Pin { _directory: directory }))
}

/// See [`pin_layer`].
#[derive(Debug)]
pub(crate) struct Pin {
    _directory: OwnedFd,
}

fn open_layer(place: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, place, flags, Mode::empty())
}

/// Where the record of a layer's archive is.
pub(crate) fn record_path(layers: &Path, name: &str) -> PathBuf {
    beside(layers, name, RECORD_SUFFIX)
}

/// Where the facts about a layer are.
pub(crate) fn facts_path(layers: &Path, name: &str) -> PathBuf {
    beside(layers, name, FACTS_SUFFIX)
}

fn beside(layers: &Path, name: &str, suffix: &str) -> PathBuf {
    layers.join(format!("{name}{suffix}"))
}

/// Removes what interrupted imports and removals left below `layers`. Returns how many there were. The caller has the
/// store's lock.
pub(crate) fn clear_leftovers(layers: &Path, _lock: &StoreLock) -> io::Result<usize> {
    let mut cleared = 0;
    for entry in fs::read_dir(layers)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // What is beside a layer comes before it and goes after it.
        if let Some(layer) = name.strip_suffix(RECORD_SUFFIX).or_else(|| name.strip_suffix(FACTS_SUFFIX)) {
            if layers.join(layer).symlink_metadata().is_err() {
                remove_if_there(&entry.path())?;
            }
            continue;
        }
        if name.starts_with(CLAIM_PREFIX) || name.starts_with(FETCHING_PREFIX) {
            claim::clear(&entry.path())?;
            continue;
        }
        if !entry.file_name().as_encoded_bytes().starts_with(TEMPORARY_PREFIX.as_bytes()) {
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = match rustix::fs::openat(CWD, entry.path(), flags, Mode::empty()) {
            // Its import ended between the listing and now.
            Err(Errno::NOENT) => continue,
            // A file is about to lose its name, or whoever was to take it away was stopped before that.
            Err(Errno::NOTDIR | Errno::LOOP) => {
                remove_if_there(&entry.path())?;
                cleared += 1;
                continue;
            }
            other => other?,
        };
        match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => continue,
            other => other?,
        }
        fs::remove_dir_all(entry.path())?;
        cleared += 1;
    }
    // Now that the downloads are gone that nobody has any more.
    shared_blob::clear_fetched(layers)?;
    Ok(cleared)
}

/// Makes the names in a directory last.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Returns a name that nothing else has: the process and a count tell those of this boot apart, the time those of others.
pub(crate) fn temporary_name() -> String {
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let now = jiff::Timestamp::now().as_nanosecond();
    format!("{TEMPORARY_PREFIX}{}-{count}-{now}", std::process::id())
}
