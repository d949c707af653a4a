//! A place to fetch an image to before it is imported, and what of it need not be fetched.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::assembly::layer_names;
use crate::digest::Digest;
use crate::shared_blob::{self, SharedBlob};
use crate::staging::{self, Pin, StageLayerError};
use crate::store::ImageStore;

/// An empty directory on the file system of the store, which is removed with the value; after a crash, when the store is
/// opened the next time.
#[derive(Debug)]
pub struct Download {
    path: PathBuf,
    layers: PathBuf,
    pins: Mutex<Vec<Pin>>,
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
        Ok(Download { path, layers: self.layers.clone(), pins: Mutex::default(), _lock: lock })
    }

    /// Says whether the store has a layer of an image, of which all are given, the lowest first. One that it has stays as long as
    /// the download lives, so that it need not be fetched.
    ///
    /// # Errors
    ///
    /// Where a layer that is there cannot be opened.
    pub fn keep_layer(&self, diff_ids: &[Digest], index: usize, download: &Download) -> io::Result<bool> {
        let Some(diff_id) = diff_ids.get(index) else { return Ok(false) };
        for name in layer_names(diff_ids.get(..index).unwrap_or_default(), *diff_id) {
            if let Some((pin, _)) = self.pin_known(&name)? {
                download.pins.lock().unwrap_or_else(PoisonError::into_inner).push(pin);
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Download {
    /// Returns the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns a blob that others may be fetching from the same origin at the same time.
    #[must_use]
    pub fn shared(&self, origin: &str, blob: &Digest) -> SharedBlob {
        SharedBlob::new(&self.layers, origin, blob)
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        // What cannot be removed now is a leftover that the next start removes.
        drop(fs::remove_dir_all(&self.path));
        drop(shared_blob::clear_fetched(&self.layers));
    }
}
