//! Which images sessions use, for whoever is about to remove one.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use sandkasten_daemon::config::Config;
use sandkasten_image::{ImageName, Usage};
use tokio::runtime::Handle;

use crate::cli_error::CliError;

/// Asks the daemon's records each time, so that the answer is as new as the store's lock makes it.
pub(super) struct InUse {
    config: Config,
    runtime: Handle,
    failure: Mutex<Option<CliError>>,
}

impl InUse {
    /// To be made on a thread of the runtime, and used on one that may block.
    pub(super) fn new(config: Config) -> Self {
        Self { config, runtime: Handle::current(), failure: Mutex::new(None) }
    }

    /// Returns why the records could not be read, if that is why something counted as used.
    pub(super) fn failure(&self) -> Option<CliError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Returns the images in use; `None` where nobody knows.
    fn images(&self) -> Option<BTreeSet<String>> {
        match self.runtime.block_on(sandkasten_daemon::images_in_use(&self.config)) {
            Ok(images) => Some(images),
            Err(error) => {
                let error = CliError::ours("cannot tell which images are in use", &error, "check db_path");
                *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                None
            }
        }
    }
}

impl Usage for InUse {
    fn image_in_use(&self, name: &ImageName) -> bool {
        self.images().is_none_or(|images| images.contains(name.as_str()))
    }

    /// Sessions keep the layers they started from even when their image is replaced, and the records name images
    /// only. So while any session lives, every layer counts as used; pruning later finds what was kept for nothing.
    fn layer_in_use(&self, _layer: &Path) -> bool {
        self.images().is_none_or(|images| !images.is_empty())
    }
}
