//! The built-in image `host`: the host's own programs, bound read-only, over a small layer with everything else a root
//! file system has. Of the host's configuration only what a table allows is in it, and nothing that is secret.

mod allow_list;
mod collect;
mod skeleton;

#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

pub use allow_list::host_configuration;

use crate::image::Image;
use crate::manifest::{Manifest, WriteManifestError};
use crate::name::ImageName;
use crate::staging::{PublishLayerError, StageLayerError, StagedLayer};
use crate::store::ImageStore;

/// The built-in image could not be renewed; an older one is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum RefreshHostError {
    /// The host has no `/usr`.
    #[error("find the directory {path} of the host")]
    Programs {
        /// Where it should be.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A temporary directory could not be made.
    #[error("make a place for the layer")]
    Stage {
        /// Why.
        source: StageLayerError,
    },
    /// A part of the layer could not be written.
    #[error("write {path:?} of the layer")]
    Write {
        /// The path in the layer.
        path: String,
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
    /// The layer could not be put into the store.
    #[error("put the layer {layer} into the store")]
    Publish {
        /// The name of the layer.
        layer: String,
        /// Why.
        source: PublishLayerError,
    },
    /// The manifest could not be written.
    #[error("write the manifest")]
    Manifest {
        /// Why.
        source: WriteManifestError,
    },
}

impl ImageStore {
    /// Renews the built-in image from the host as it is now, and returns it. A host that has not changed gives the same
    /// layer, and nothing is written. Takes well below a second; to be called whenever a daemon starts.
    ///
    /// Layers of earlier states stay, since sessions may still run on them, until they are pruned.
    ///
    /// # Errors
    ///
    /// [`RefreshHostError`] has a variant for each step.
    pub fn refresh_host(&self) -> Result<Image, RefreshHostError> {
        let skeleton = skeleton::plan(&self.host_root)?;
        let (mut plan, binds) = (skeleton.layer, skeleton.binds);
        collect::add_configuration(&self.host_root, &mut plan);
        let hash = plan.hash();
        let layer = format!("host-{hash}");
        let mut manifest =
            Manifest::new(ImageName::host(), format!("sha256:{hash}"), vec![layer.clone()], plan.size());
        manifest.binds = binds;

        let present = self.layers.join(&layer).is_dir();
        if present
            && let Ok(current) = Manifest::read(&self.images, &manifest.name)
            && current.layers == manifest.layers
            && current.binds == manifest.binds
        {
            return Ok(self.image(current));
        }
        let staged = StagedLayer::create(&self.layers, self.lock_file())
            .map_err(|source| RefreshHostError::Stage { source })?;
        plan.write(staged.root().as_fd())
            .map_err(|error| RefreshHostError::Write { path: error.path, source: error.source })?;
        let unpublished = |source| RefreshHostError::Publish { layer: layer.clone(), source };
        staged.sync().map_err(unpublished)?;
        let locked_at = self.lock_file().to_owned();
        let lock = self.lock().map_err(|source| RefreshHostError::Lock { path: locked_at, source })?;
        staged.publish(&self.layers, &layer, &lock).map_err(unpublished)?;
        manifest.write(&self.images, &lock).map_err(|source| RefreshHostError::Manifest { source })?;
        Ok(self.image(manifest))
    }
}
