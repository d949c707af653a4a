//! Imports what somebody has saved: the archive of a root file system, or an image with its layers and its configuration.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::PathBuf;

use crate::account::AccountLayerError;
use crate::assembly::{Assembly, ExpectedLayer, MOST_LAYERS};
use crate::digest::Digest;
use crate::image::ImageConfig;
use crate::limits::UnpackLimits;
use crate::manifest::WriteManifestError;
use crate::name::ImageName;
use crate::source::{self, Found, ImportSource, OpenSourceError, ReadImageError, SavedImages};
use crate::staging::{PublishLayerError, StageLayerError};
use crate::store::ImageStore;
use crate::unpack::{Compression, Progress, TarStream, UnpackError, UnpackSummary};

/// What is wanted of an import.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// Bounds on all layers together.
    pub limits: UnpackLimits,
    /// Which image, where there are several: a name or digest in what was saved.
    pub reference: Option<String>,
    /// By what it was pulled, where it was: [`ImageStore::pulled_by`] finds it by that.
    pub origin: Option<String>,
}

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportReport {
    /// The image.
    pub name: ImageName,
    /// As [`Image::digest`](crate::Image::digest).
    pub digest: String,
    /// The layers that came with it, lowest first.
    pub layers: Vec<ImportedLayer>,
    /// What was unpacked, and what was left out.
    pub summary: UnpackSummary,
    /// A layer was added in which the user of sessions has a name.
    pub account_layer: bool,
    /// The digest of the image that had this name before. Its layers stay until they are pruned, since sessions may
    /// still run on them.
    pub replaced: Option<String>,
}

/// A layer of an image that was imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportedLayer {
    /// The hash of its uncompressed archive.
    pub diff_id: Digest,
    /// How it came compressed; none where it was not even read, for being in the store already.
    pub compression: Option<Compression>,
    /// The store had it.
    pub was_present: bool,
}

/// Nothing was imported; an older image of the same name is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The name is that of the built-in image.
    #[error("the name {name} is reserved for the built-in image")]
    Reserved {
        /// The name.
        name: ImageName,
    },
    /// It could not be told what there is to import.
    #[error(transparent)]
    Open(#[from] OpenSourceError),
    /// A name was given, but a root file system has none.
    #[error("this is the archive of a root file system, in which there is no image {reference:?}")]
    NoReference {
        /// The name.
        reference: String,
    },
    /// What was saved could not be read.
    #[error("read the image")]
    Read {
        /// Why.
        #[from]
        source: ReadImageError,
    },
    /// There was no place to unpack to.
    #[error("make a place to unpack to")]
    Stage {
        /// Why.
        source: StageLayerError,
    },
    /// The archive of a root file system could not be unpacked, or all layers together go past a limit.
    #[error("unpack the archive")]
    Unpack {
        /// Why.
        source: UnpackError,
    },
    /// A layer could not be unpacked.
    #[error("unpack the layer {layer}")]
    Layer {
        /// The hash of its uncompressed archive.
        layer: Digest,
        /// Why.
        source: UnpackError,
    },
    /// There are too many layers to stack.
    #[error("the image has more than {allowed} layers")]
    TooManyLayers {
        /// The limit.
        allowed: usize,
    },
    /// A layer is not what it is named by, as it is stored.
    #[error("the layer {expected} of {size} bytes has the digest {found} and {found_bytes} bytes")]
    Blob {
        /// The digest in the manifest.
        expected: Digest,
        /// The size in the manifest.
        size: u64,
        /// What it is.
        found: Digest,
        /// What it has.
        found_bytes: u64,
    },
    /// A layer is not what the configuration says once it is uncompressed.
    #[error("the layer {expected} has the digest {found} when it is uncompressed")]
    DiffId {
        /// The digest in the configuration.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// It could not be waited for others that unpack the same layer.
    #[error("wait for the layer {layer}")]
    Claim {
        /// The layer.
        layer: Digest,
        /// Why.
        source: io::Error,
    },
    /// A layer could not be kept from being removed.
    #[error("keep the layer {layer}")]
    Pin {
        /// The name of the layer.
        layer: String,
        /// Why.
        source: io::Error,
    },
    /// What is known about a layer could not be written down.
    #[error("write what is known about the layer {layer}")]
    Facts {
        /// The name of the layer.
        layer: String,
        /// Why.
        source: io::Error,
    },
    /// The layers so far could not be opened.
    #[error("open the layers below")]
    OpenLayers {
        /// Why.
        source: io::Error,
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
    /// Imports an image: the archive of a root file system, what `docker save` writes, or a layout of OCI, told by its
    /// content. Archives may be compressed by gzip, zstd or xz. Says now and then how far it is; a callback that answers
    /// [`ControlFlow::Break`] ends the import with [`UnpackError::Cancelled`].
    ///
    /// Blocks until everything is on the disk. Must run as root, since the owners in the archive are set.
    ///
    /// # Errors
    ///
    /// [`ImportError`] has a variant for each step. After any of them the store is as it was before.
    pub fn import(
        &self,
        name: &ImageName,
        source: ImportSource<'_>,
        options: &ImportOptions,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<ImportReport, ImportError> {
        // Before anything is read, and perhaps copied.
        if name.is_reserved() {
            return Err(ImportError::Reserved { name: name.clone() });
        }
        let mut assembly = Assembly::begin(self, &options.limits);
        assembly.pulled_by(options.origin.clone());
        match source::open(source, &self.layers, &options.limits, assembly.deadline())? {
            Found::RootFileSystem(stream) => match &options.reference {
                Some(reference) => Err(ImportError::NoReference { reference: reference.clone() }),
                None => import_root(name, assembly, stream, progress),
            },
            Found::Images(images) => import_image(name, assembly, &images, options, progress),
        }
    }

    /// Imports the archive of a root file system or of an image, with nothing to choose and nobody to tell.
    ///
    /// # Errors
    ///
    /// As for [`import`](Self::import).
    pub fn import_tar(
        &self,
        name: &ImageName,
        archive: impl Read,
        limits: &UnpackLimits,
    ) -> Result<ImportReport, ImportError> {
        let options = ImportOptions { limits: limits.clone(), ..ImportOptions::default() };
        let source = ImportSource::Stream(Box::new(archive));
        self.import(name, source, &options, &mut |_| ControlFlow::Continue(()))
    }
}

fn import_root(
    name: &ImageName,
    mut assembly: Assembly<'_>,
    stream: TarStream<'_>,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<ImportReport, ImportError> {
    let digest = assembly.add_root_file_system(stream, progress)?;
    assembly.finish(name, digest, ImageConfig::default(), None)
}

fn import_image(
    name: &ImageName,
    mut assembly: Assembly<'_>,
    images: &SavedImages,
    options: &ImportOptions,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<ImportReport, ImportError> {
    let image = images.select(options.reference.as_deref())?;
    if image.layers.len() > MOST_LAYERS {
        return Err(ImportError::TooManyLayers { allowed: MOST_LAYERS });
    }
    let (mut entries, mut bytes) = (0, 0);
    for layer in &image.layers {
        let mut last = Progress { entries: 0, archive_bytes: 0 };
        let expected = ExpectedLayer { diff_id: layer.diff_id, blob: layer.blob };
        let open = || {
            let (reader, size) = images.open_layer(layer)?;
            match layer.blob {
                // Before a byte of it is read: a blob that goes on for ever is none of a known size.
                Some((expected, said)) if said != size => Err(ImportError::Read {
                    source: ReadImageError::Size { name: expected.to_string(), expected: said, found: size },
                }),
                _ => Ok(reader),
            }
        };
        assembly.add_layer(&expected, open, &mut |now| {
            last = now;
            progress(Progress { entries: entries + now.entries, archive_bytes: bytes + now.archive_bytes })
        })?;
        (entries, bytes) = (entries + last.entries, bytes + last.archive_bytes);
    }
    assembly.finish(name, image.digest, image.config, Some(image.configuration))
}
