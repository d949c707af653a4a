//! Which images and layers live sessions stand on, for whoever wants to remove one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::{fs, io};

use sandkasten_image::{ImageName, Usage};
use sandkasten_isolation::host::PathError;
use tokio::runtime::Handle;

use crate::config::Config;
use crate::store::{Store, StoreError};

/// Why it could not be found out; everything counts as used then.
#[derive(Debug, thiserror::Error)]
pub enum ImageUsageError {
    /// A directory could not be listed.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the sessions stand on that any daemon on a data directory has written down as running: the one of this
/// configuration, and those that live for one `run`.
#[derive(Debug)]
struct Used {
    images: BTreeSet<String>,
    /// The names of layers; none where an older daemon did not write them down.
    layers: Option<BTreeSet<String>>,
}

/// Asks the records of all daemons each time, so that the answer is as new as the store's lock makes it.
#[derive(Debug)]
pub struct ImageUsage {
    config: Config,
    runtime: Handle,
    failure: Mutex<Option<ImageUsageError>>,
}

impl ImageUsage {
    /// To be made on a thread of a runtime, and used on one that may block.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, runtime: Handle::current(), failure: Mutex::new(None) }
    }

    /// Returns why the records could not be read, if that is why something counted as used.
    pub fn failure(&self) -> Option<ImageUsageError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Returns what is in use; `None` where nobody knows.
    fn ask(&self) -> Option<Used> {
        match self.runtime.block_on(used(&self.config)) {
            Ok(used) => Some(used),
            Err(error) => {
                *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                None
            }
        }
    }
}

impl Usage for ImageUsage {
    fn image_in_use(&self, name: &ImageName) -> bool {
        self.ask().is_none_or(|used| used.images.contains(name.as_str()))
    }

    fn layer_in_use(&self, layer: &Path) -> bool {
        let Some(name) = layer.file_name().and_then(|name| name.to_str()) else { return true };
        self.ask().and_then(|used| used.layers).is_none_or(|layers| layers.contains(name))
    }
}

async fn used(config: &Config) -> Result<Used, ImageUsageError> {
    let mut used = Used { images: BTreeSet::new(), layers: Some(BTreeSet::new()) };
    for database in databases(config)? {
        let store = Store::open(&database, 1).await?;
        let (running, idle) = (store.running().await, store.idle().await);
        store.close().await;
        // Those of the pool keep no image from being removed: they are ended when it has gone.
        if let Some(layers) = &mut used.layers {
            layers.extend(idle?.into_iter().flat_map(|row| row.layers));
        }
        for row in running? {
            used.images.insert(row.image);
            used.layers = used.layers.zip(row.layers).map(|(mut all, layers)| {
                all.extend(layers);
                all
            });
        }
    }
    Ok(used)
}

fn databases(config: &Config) -> Result<Vec<PathBuf>, PathError> {
    let mut found = vec![config.database_path()];
    let run = config.run_dir();
    match fs::read_dir(&run) {
        Ok(entries) => {
            for entry in entries {
                found.push(entry.map_err(PathError::of("list", &run))?.path().join("sandkasten.db"));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(PathError::of("list", &run)(error)),
    }
    found.retain(|path| path.is_file());
    Ok(found)
}
