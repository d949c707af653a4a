//! Which images live sessions stand on, for whoever wants to remove one.

use std::collections::BTreeSet;

use crate::config::Config;
use crate::store::{Store, StoreError};

/// Why it could not be found out; an image is then better kept.
#[derive(Debug, thiserror::Error)]
pub enum ImagesInUseError {
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Returns the images of the sessions that a daemon of this configuration has written down as running.
///
/// # Errors
/// [`ImagesInUseError`].
pub async fn images_in_use(config: &Config) -> Result<BTreeSet<String>, ImagesInUseError> {
    let path = config.database_path();
    if !path.exists() {
        return Ok(BTreeSet::new());
    }
    let store = Store::open(&path, 1).await?;
    let running = store.running().await;
    store.close().await;
    Ok(running?.into_iter().map(|row| row.image).collect())
}
