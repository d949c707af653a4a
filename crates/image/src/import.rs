//! Imports an archive: unpack, complete, publish. Until the manifest is in its place nothing has changed for anybody.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::path::PathBuf;

use crate::account::{self, AccountLayerError};
use crate::limits::UnpackLimits;
use crate::manifest::{Manifest, WriteManifestError};
use crate::name::ImageName;
use crate::planned_layer::PlannedLayer;
use crate::root_view::RootView;
use crate::staging::{self, PublishLayerError, StageLayerError, StagedLayer, StoreLock};
use crate::store::ImageStore;
use crate::unpack::{self, Compression, Progress, UnpackError, UnpackSummary, Unpacked};

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportReport {
    /// The image.
    pub name: ImageName,
    /// `sha256:` and the hash of the uncompressed archive.
    pub digest: String,
    /// How the archive was compressed.
    pub compression: Compression,
    /// What was unpacked, and what was left out.
    pub summary: UnpackSummary,
    /// The same archive was in the store already.
    pub layer_was_present: bool,
    /// A layer was added in which the user of sessions has a name.
    pub account_layer: bool,
    /// The digest of the image that had this name before. Its layers stay until they are pruned, since sessions may
    /// still run on them.
    pub replaced: Option<String>,
}

/// An archive was not imported; an older image of the same name is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The name is that of the built-in image.
    #[error("the name {name} is reserved for the built-in image")]
    Reserved {
        /// The name.
        name: ImageName,
    },
    /// There was no place to unpack to.
    #[error("make a place to unpack to")]
    Stage {
        /// Why.
        source: StageLayerError,
    },
    /// The archive could not be unpacked.
    #[error("unpack the archive")]
    Unpack {
        /// Why.
        source: UnpackError,
    },
    /// The account layer could not be made.
    #[error("make the account layer")]
    Account {
        /// Why.
        source: AccountLayerError,
    },
    /// The lock could not be had.
    #[error("lock the store at {path}")]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A layer could not be put into the store.
    #[error("put the layer {layer} into the store")]
    Publish {
        /// The name of the layer.
        layer: String,
        /// Why.
        source: PublishLayerError,
    },
    /// The manifest could not be written.
    #[error("write the manifest of {name}")]
    Manifest {
        /// The image.
        name: ImageName,
        /// Why.
        source: WriteManifestError,
    },
}

impl ImageStore {
    /// Imports the archive of a root file system: tar, as it is or compressed by gzip or zstd, told by its content.
    ///
    /// Blocks until the archive is read to its end and everything is on the disk. Must run as root, since the owners in
    /// the archive are set.
    ///
    /// # Errors
    ///
    /// [`ImportError`] has a variant for each step. After any of them the store is as it was before.
    pub fn import_tar(
        &self,
        name: &ImageName,
        archive: impl Read,
        limits: &UnpackLimits,
    ) -> Result<ImportReport, ImportError> {
        self.import_tar_with_progress(name, archive, limits, &mut |_| ControlFlow::Continue(()))
    }

    /// Imports as [`import_tar`](Self::import_tar) does, and says now and then how far it is. A callback that answers
    /// [`ControlFlow::Break`] ends the import with [`UnpackError::Cancelled`].
    ///
    /// # Errors
    ///
    /// As for [`import_tar`](Self::import_tar).
    pub fn import_tar_with_progress(
        &self,
        name: &ImageName,
        archive: impl Read,
        limits: &UnpackLimits,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<ImportReport, ImportError> {
        if name.is_reserved() {
            return Err(ImportError::Reserved { name: name.clone() });
        }
        let staged = self.stage()?;
        let unpacked = unpack::unpack(staged.root().as_fd(), archive, limits, progress)
            .map_err(|source| ImportError::Unpack { source })?;
        let account = self.stage_account_layer(&staged)?;
        staged.sync().map_err(|source| ImportError::Publish { layer: unpacked.digest.clone(), source })?;
        self.publish(name, staged, account, &unpacked)
    }

    fn stage(&self) -> Result<StagedLayer, ImportError> {
        StagedLayer::create(&self.layers, self.lock_file()).map_err(|source| ImportError::Stage { source })
    }

    fn stage_account_layer(
        &self,
        image: &StagedLayer,
    ) -> Result<Option<(StagedLayer, PlannedLayer)>, ImportError> {
        let view = RootView::open(&[image.path()], &[]).map_err(|source| ImportError::Account {
            source: AccountLayerError::OpenImage { source: source.into() },
        })?;
        let Some(plan) = account::plan(&view) else { return Ok(None) };
        let staged = self.stage()?;
        plan.write(staged.root().as_fd()).map_err(|error| ImportError::Account {
            source: AccountLayerError::Write { path: error.path, source: error.source },
        })?;
        Ok(Some((staged, plan)))
    }

    fn publish(
        &self,
        name: &ImageName,
        staged: StagedLayer,
        account: Option<(StagedLayer, PlannedLayer)>,
        unpacked: &Unpacked,
    ) -> Result<ImportReport, ImportError> {
        let account_layer = account.is_some();
        let mut size_bytes = unpacked.summary.bytes;
        let mut parts = Vec::new();
        if let Some((layer, plan)) = account {
            size_bytes += plan.size();
            parts.push((layer, format!("account-{}", plan.hash())));
        }
        parts.push((staged, unpacked.digest.clone()));
        let names: Vec<String> = parts.iter().map(|(_, layer)| layer.clone()).collect();
        let manifest = Manifest::new(name.clone(), &unpacked.digest, names, size_bytes);

        let path = self.lock_file().to_owned();
        let lock = self.lock().map_err(|source| ImportError::Lock { path, source })?;
        let replaced = Manifest::read(&self.images, name).ok().map(|old| old.digest);
        let mut added = Vec::new();
        let done = self.publish_parts(parts, &mut added, &lock).and_then(|()| {
            manifest
                .write(&self.images, &lock)
                .map_err(|source| ImportError::Manifest { name: name.clone(), source })
        });
        if let Err(error) = done {
            // The manifest may be in its place although the directory could not be synced: then the layers stay.
            if Manifest::read(&self.images, name).is_ok_and(|current| current == manifest) {
                return Err(error);
            }
            for layer in &added {
                // What cannot be removed is whole, has no image, and goes with the next pruning.
                drop(staging::remove_layer(&self.layers, layer, &lock));
            }
            return Err(error);
        }
        Ok(ImportReport {
            name: name.clone(),
            digest: manifest.digest,
            compression: unpacked.compression,
            summary: unpacked.summary,
            layer_was_present: !added.contains(&unpacked.digest),
            account_layer,
            replaced,
        })
    }

    fn publish_parts(
        &self,
        parts: Vec<(StagedLayer, String)>,
        added: &mut Vec<String>,
        lock: &StoreLock,
    ) -> Result<(), ImportError> {
        for (staged, layer) in parts {
            match staged.publish(&self.layers, &layer, lock) {
                Ok(true) => added.push(layer),
                Ok(false) => {}
                Err(source) => return Err(ImportError::Publish { layer, source }),
            }
        }
        Ok(())
    }
}
