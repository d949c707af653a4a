//! A place to fetch an image to before it is imported, and what of it need not be fetched.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use crate::assembly::layer_names;
use crate::digest::Digest;
use crate::staging::{self, Pin, StageLayerError};
use crate::store::ImageStore;

/// An empty directory on the file system of the store, which is removed with the value; after a crash, when the store is
/// opened the next time.
#[derive(Debug)]
pub struct Download {
    path: PathBuf,
    pins: Vec<Pin>,
    /// Its lock tells others that somebody is at work here.
    _lock: OwnedFd,
}

/// There was no place to fetch to.
#[derive(Debug, thiserror::Error)]
#[error("make a place to fetch the image to")]
pub struct BeginDownloadError {
    /// Why.
    source: StageLayerError,
}

impl ImageStore {
    /// Makes a place to fetch an image to.
    ///
    /// # Errors
    ///
    /// Where the directory cannot be made.
    pub fn begin_download(&self) -> Result<Download, BeginDownloadError> {
        let (path, lock) = staging::create_locked(&self.layers, self.lock_file())
            .map_err(|source| BeginDownloadError { source })?;
        Ok(Download { path, pins: Vec::new(), _lock: lock })
    }

    /// Says of each layer of an image, the lowest first, whether the store has it. Those that it has stay as long as the
    /// download lives, so that they need not be fetched.
    ///
    /// # Errors
    ///
    /// Where a layer that is there cannot be opened.
    pub fn keep_layers(&self, diff_ids: &[Digest], download: &mut Download) -> io::Result<Vec<bool>> {
        let mut present = Vec::with_capacity(diff_ids.len());
        for (index, diff_id) in diff_ids.iter().enumerate() {
            let mut found = false;
            for name in layer_names(diff_ids.get(..index).unwrap_or_default(), *diff_id) {
                if let Some((pin, _)) = self.pin_known(&name)? {
                    download.pins.push(pin);
                    found = true;
                    break;
                }
            }
            present.push(found);
        }
        Ok(present)
    }
}

impl Download {
    /// Returns the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        // What cannot be removed now is a leftover that the next start removes.
        drop(fs::remove_dir_all(&self.path));
    }
}
