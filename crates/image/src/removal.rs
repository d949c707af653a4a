//! Removes images, and layers that no image has. The manifest goes first: a crash may leave a layer without an image,
//! never an image without a layer.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::manifest::{self, Manifest, ReadManifestError};
use crate::name::ImageName;
use crate::staging::{self, sync_directory};
use crate::store::ImageStore;

/// Knows what is in use. Asked while the store is locked, so it must not call the store.
pub trait Usage {
    /// Says whether anything runs on this image.
    fn image_in_use(&self, name: &ImageName) -> bool;

    /// Says whether anything runs on this layer, given as in [`Image::layers`](crate::Image::layers). Besides the layers
    /// of its image, this is about images that were replaced or removed since something was started on them. What is about to
    /// start holds its layers by [`ImageStore::hold`] until this knows of it.
    fn layer_in_use(&self, layer: &Path) -> bool;
}

/// For stores that nothing runs on.
#[derive(Debug, Clone, Copy, Default)]
pub struct NothingInUse;

impl Usage for NothingInUse {
    fn image_in_use(&self, _name: &ImageName) -> bool {
        false
    }

    fn layer_in_use(&self, _layer: &Path) -> bool {
        false
    }
}

/// What a removal did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoveReport {
    /// Layers that went with the image.
    pub removed_layers: Vec<PathBuf>,
    /// Layers that stayed, since another image has them or something runs on them.
    pub kept_layers: Vec<PathBuf>,
}

/// What a pruning did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PruneReport {
    /// Layers that no image had.
    pub removed_layers: Vec<PathBuf>,
    /// Layers that no image has but something runs on.
    pub kept_layers: Vec<PathBuf>,
}

/// An image was not removed, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum RemoveImageError {
    /// The image is the built-in one.
    #[error("the image {name} is built in and cannot be removed")]
    Reserved {
        /// Its name.
        name: ImageName,
    },
    /// There is no such image.
    #[error("the image {name} is not present")]
    NotPresent {
        /// Its name.
        name: ImageName,
    },
    /// Something runs on the image.
    #[error("the image {name} is in use")]
    InUse {
        /// Its name.
        name: ImageName,
    },
    /// The lock could not be had.
    #[error("lock the store at {path}")]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The manifest could not be removed; the image is as it was.
    #[error("remove the manifest {path}")]
    RemoveManifest {
        /// The manifest.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The image is gone but not this layer; pruning removes it.
    #[error("remove the layer {layer}")]
    RemoveLayer {
        /// The layer.
        layer: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Layers were not pruned, or not all of them.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// What steps of builds have come to could not be forgotten.
    #[error("forget steps of builds whose layers are gone")]
    Steps {
        /// Why.
        source: io::Error,
    },
    /// The lock could not be had.
    #[error("lock the store at {path}")]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A directory could not be read.
    #[error("read the directory {path}")]
    Read {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The layers of an image are not known, so none is removed.
    #[error("read the image {name}: remove it or repair its manifest first")]
    Manifest {
        /// Its name.
        name: ImageName,
        /// Why.
        source: ReadManifestError,
    },
    /// A layer could not be removed.
    #[error("remove the layer {layer}")]
    RemoveLayer {
        /// The layer.
        layer: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl ImageStore {
    /// Removes an image, and those of its layers that no other image has and nothing runs on. Also removes an image
    /// whose manifest is damaged; its layers are then left to [`prune`](Self::prune).
    ///
    /// # Errors
    ///
    /// [`RemoveImageError::Reserved`], [`RemoveImageError::NotPresent`] and [`RemoveImageError::InUse`] where it must not
    /// be removed; the other variants where it could not.
    pub fn remove(&self, name: &ImageName, usage: &dyn Usage) -> Result<RemoveReport, RemoveImageError> {
        if name.is_reserved() {
            return Err(RemoveImageError::Reserved { name: name.clone() });
        }
        let locked_at = self.lock_file().to_owned();
        let lock = self.lock().map_err(|source| RemoveImageError::Lock { path: locked_at, source })?;
        let layers = match Manifest::read(&self.images, name) {
            Ok(manifest) => manifest.layers,
            Err(error) if error.is_absent() => {
                return Err(RemoveImageError::NotPresent { name: name.clone() });
            }
            Err(_) => Vec::new(),
        };
        if usage.image_in_use(name) {
            return Err(RemoveImageError::InUse { name: name.clone() });
        }
        let path = self.images.join(name.manifest_file());
        fs::remove_file(&path)
            .and_then(|()| sync_directory(&self.images))
            .map_err(|source| RemoveImageError::RemoveManifest { path, source })?;

        // Where the layers of some image are not known, any of these could be one of them.
        let Ok(referenced) = self.referenced_layers() else {
            let kept_layers = layers.iter().map(|layer| self.layers.join(layer)).collect();
            return Ok(RemoveReport { removed_layers: Vec::new(), kept_layers });
        };
        let mut report = RemoveReport::default();
        for layer in layers {
            let path = self.layers.join(&layer);
            if referenced.contains(&layer) {
                report.kept_layers.push(path);
                continue;
            }
            match staging::remove_layer(&self.layers, &layer, |path| usage.layer_in_use(path), &lock) {
                Ok(true) => report.removed_layers.push(path),
                Ok(false) => report.kept_layers.push(path),
                Err(source) => return Err(RemoveImageError::RemoveLayer { layer: path, source }),
            }
        }
        Ok(report)
    }

    /// Removes all layers that no image has and nothing runs on: those of replaced images, and older ones of the
    /// built-in image.
    ///
    /// # Errors
    ///
    /// [`PruneError::Manifest`] where an image is damaged, since its layers are then not known; otherwise the step that
    /// failed.
    pub fn prune(&self, usage: &dyn Usage) -> Result<PruneReport, PruneError> {
        let locked_at = self.lock_file().to_owned();
        let lock = self.lock().map_err(|source| PruneError::Lock { path: locked_at, source })?;
        let referenced = self.referenced_layers()?;
        let mut report = PruneReport::default();
        for layer in self.present_layers().map_err(|source| self.unreadable_layers(source))? {
            if referenced.contains(&layer) {
                continue;
            }
            let path = self.layers.join(&layer);
            match staging::remove_layer(&self.layers, &layer, |path| usage.layer_in_use(path), &lock) {
                Ok(true) => report.removed_layers.push(path),
                Ok(false) => report.kept_layers.push(path),
                Err(source) => return Err(PruneError::RemoveLayer { layer: path, source }),
            }
        }
        self.forget_lost_steps().map_err(|source| PruneError::Steps { source })?;
        Ok(report)
    }

    fn unreadable_layers(&self, source: io::Error) -> PruneError {
        PruneError::Read { path: self.layers.clone(), source }
    }

    /// Returns the layers that images have.
    pub(crate) fn referenced_layers(&self) -> Result<BTreeSet<String>, PruneError> {
        let (names, _) = manifest::names(&self.images)
            .map_err(|source| PruneError::Read { path: self.images.clone(), source })?;
        let mut layers = BTreeSet::new();
        for name in names {
            let manifest = Manifest::read(&self.images, &name)
                .map_err(|source| PruneError::Manifest { name: name.clone(), source })?;
            layers.extend(manifest.layers);
        }
        Ok(layers)
    }

    /// Returns the layers that are there. Whatever has another kind of name is none of ours.
    fn present_layers(&self) -> io::Result<Vec<String>> {
        let mut layers = Vec::new();
        for entry in fs::read_dir(&self.layers)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if manifest::is_layer_name(&name) {
                layers.push(name);
            }
        }
        layers.sort();
        Ok(layers)
    }
}
