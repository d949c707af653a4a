//! Which images live sessions stand on, for whoever wants to remove one.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::{fs, io};

use sandkasten_isolation::host::PathError;

use crate::config::Config;
use crate::store::{Store, StoreError};

/// Why it could not be found out; an image is then better kept.
#[derive(Debug, thiserror::Error)]
pub enum ImagesInUseError {
    /// A directory could not be listed.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Returns the images of the sessions that any daemon on this data directory has written down as running: the one of
/// this configuration, and those that live for one `run`.
///
/// # Errors
/// [`ImagesInUseError`].
pub async fn images_in_use(config: &Config) -> Result<BTreeSet<String>, ImagesInUseError> {
    let mut images = BTreeSet::new();
    for database in databases(config)? {
        let store = Store::open(&database, 1).await?;
        let running = store.running().await;
        store.close().await;
        images.extend(running?.into_iter().map(|row| row.image));
    }
    Ok(images)
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
