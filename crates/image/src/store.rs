//! The store: where images and layers are, and what is in it. Importing and removing have their own files.

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::host::RefreshHostError;
use crate::image::{BrokenImage, Image, ImageListing};
use crate::manifest::{self, Manifest, ReadManifestError};
use crate::name::ImageName;
use crate::staging::{self, StoreLock, TEMPORARY_PREFIX};

/// All images and layers below one data directory. Any number of processes may have it open.
///
/// Every method blocks. An [`Image`] stays usable until it or its layers are removed; who mounts it [holds](Self::hold) it
/// until [`Usage`](crate::Usage) knows.
#[derive(Debug, Clone)]
pub struct ImageStore {
    pub(crate) images: PathBuf,
    pub(crate) layers: PathBuf,
    lock_file: PathBuf,
    /// The root that the built-in image is taken from: `/`, save in tests.
    pub(crate) host_root: PathBuf,
}

/// Keeps the layers of an image from being removed, for as long as it lives. Others may hold them as well.
#[derive(Debug)]
pub struct HeldLayers {
    _pins: Vec<staging::Pin>,
}

/// The store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenStoreError {
    /// A directory could not be made, opened or closed to others.
    #[error("prepare the directory {path}")]
    Directory {
        /// The directory.
        path: PathBuf,
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
    /// What an interrupted import left could not be removed.
    #[error("clear what interrupted imports left in {path}")]
    ClearLeftovers {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The images could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListImagesError {
    /// The directory could not be read.
    #[error("read the directory {path}")]
    Read {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// An image could not be resolved.
#[derive(Debug, thiserror::Error)]
pub enum ResolveImageError {
    /// There is no such image.
    #[error("the image {name} is not present")]
    NotPresent {
        /// Its name.
        name: ImageName,
    },
    /// Its manifest is unusable.
    #[error("read the image {name}")]
    Manifest {
        /// Its name.
        name: ImageName,
        /// Why.
        source: ReadManifestError,
    },
    /// One of its layers is missing or no directory.
    #[error("the image {name} has lost its layer {layer}")]
    LayerMissing {
        /// Its name.
        name: ImageName,
        /// The layer.
        layer: PathBuf,
    },
    /// One of its layers could not be kept from being removed.
    #[error("hold the layer {layer} of the image {name}")]
    Hold {
        /// Its name.
        name: ImageName,
        /// The layer.
        layer: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The built-in image could not be made.
    #[error("make the built-in image")]
    Host {
        /// Why.
        source: RefreshHostError,
    },
}

impl ImageStore {
    /// Opens the store below `data_dir`, making it where it is not there, and clears what interrupted imports left.
    /// Imports that still run, in whatever process, are not disturbed.
    ///
    /// # Errors
    ///
    /// Each step has its variant of [`OpenStoreError`].
    pub fn open(data_dir: &Path) -> Result<Self, OpenStoreError> {
        Self::open_with_host_root(data_dir, Path::new("/"))
    }

    pub(crate) fn open_with_host_root(data_dir: &Path, host_root: &Path) -> Result<Self, OpenStoreError> {
        let failed = |path: &Path, source| OpenStoreError::Directory { path: path.to_owned(), source };
        fs::create_dir_all(data_dir).map_err(|source| failed(data_dir, source))?;
        // Mounts need absolute paths, and ones that a later change of a link does not redirect.
        let data_dir = fs::canonicalize(data_dir).map_err(|source| failed(data_dir, source))?;
        let (images, layers) = (data_dir.join("images"), data_dir.join("layers"));
        for path in [&images, &layers] {
            make_private_directory(path).map_err(|error| failed(path, error.into()))?;
        }
        let lock_file = images.join(".lock");
        let store = Self { images, layers, lock_file, host_root: host_root.to_owned() };
        store.clear_leftovers()?;
        Ok(store)
    }

    /// Lists all images, the built-in one included. One that cannot be used does not hide the others.
    ///
    /// # Errors
    ///
    /// [`ListImagesError::Read`] where the directory of images cannot be read.
    pub fn list(&self) -> Result<ImageListing, ListImagesError> {
        let (mut names, strangers) = manifest::names(&self.images)
            .map_err(|source| ListImagesError::Read { path: self.images.clone(), source })?;
        names.insert(ImageName::host());
        let mut listing = ImageListing::default();
        for name in names {
            match self.resolve(&name) {
                Ok(image) => listing.images.push(image),
                // It was removed since the listing.
                Err(ResolveImageError::NotPresent { .. }) => {}
                Err(error) => {
                    listing.broken.push(BrokenImage { name: name.to_string(), reason: with_causes(&error) });
                }
            }
        }
        let reason = "its file name is no image name".to_owned();
        listing.broken.extend(strangers.into_iter().map(|name| BrokenImage { name, reason: reason.clone() }));
        Ok(listing)
    }

    /// Finds an image. The built-in image is made on its first use; [`refresh_host`](Self::refresh_host) renews it.
    ///
    /// # Errors
    ///
    /// [`ResolveImageError::NotPresent`] where there is no such image; the other variants where it is damaged.
    pub fn resolve(&self, name: &ImageName) -> Result<Image, ResolveImageError> {
        let image = self.find(name)?;
        for layer in &image.layers {
            if !fs::symlink_metadata(layer).is_ok_and(|found| found.is_dir()) {
                return Err(ResolveImageError::LayerMissing { name: name.clone(), layer: layer.clone() });
            }
        }
        Ok(image)
    }

    /// Finds an image by what it was pulled by; of several the one that came last. One that is damaged is not found.
    ///
    /// # Errors
    ///
    /// [`ListImagesError::Read`] where the directory of images cannot be read.
    pub fn pulled_by(&self, origin: &str) -> Result<Option<Image>, ListImagesError> {
        let images = self.list()?.images.into_iter();
        Ok(images
            .filter(|image| image.origin.as_deref() == Some(origin))
            .max_by_key(|image| image.created_at))
    }

    /// Finds an image without a look at its layers.
    fn find(&self, name: &ImageName) -> Result<Image, ResolveImageError> {
        let manifest = match Manifest::read(&self.images, name) {
            Err(error) if error.is_absent() && name == &ImageName::host() => {
                return self.refresh_host().map_err(|source| ResolveImageError::Host { source });
            }
            Err(error) if error.is_absent() => {
                return Err(ResolveImageError::NotPresent { name: name.clone() });
            }
            Err(source) => return Err(ResolveImageError::Manifest { name: name.clone(), source }),
            Ok(manifest) => manifest,
        };
        Ok(self.image(manifest))
    }

    /// Finds an image as [`resolve`](Self::resolve) does, and keeps its layers from being removed for as long as what is returned
    /// with it lives.
    ///
    /// # Errors
    ///
    /// Those of [`resolve`](Self::resolve), and [`ResolveImageError::Hold`].
    pub fn hold(&self, name: &ImageName) -> Result<(Image, HeldLayers), ResolveImageError> {
        loop {
            let image = self.find(name)?;
            let mut pins = Vec::with_capacity(image.layers.len());
            for layer in &image.layers {
                let pin = staging::pin_layer(layer).map_err(|source| ResolveImageError::Hold {
                    name: name.clone(),
                    layer: layer.clone(),
                    source,
                })?;
                pins.extend(pin);
            }
            if pins.len() == image.layers.len() {
                return Ok((image, HeldLayers { _pins: pins }));
            }
            // A layer is not there: the image is damaged, which this says, or was replaced or removed meanwhile.
            self.resolve(name)?;
        }
    }

    pub(crate) fn image(&self, manifest: Manifest) -> Image {
        Image {
            name: manifest.name,
            layers: manifest.layers.iter().map(|layer| self.layers.join(layer)).collect(),
            diff_ids: manifest.diff_ids,
            binds: manifest.binds,
            created_at: manifest.created_at,
            size_bytes: manifest.size_bytes,
            digest: manifest.digest,
            config: manifest.config,
            origin: manifest.origin,
        }
    }

    /// Returns the directory in which a file comes, goes or is replaced whenever an image does.
    #[must_use]
    pub fn manifest_directory(&self) -> &Path {
        &self.images
    }

    pub(crate) fn lock_file(&self) -> &Path {
        &self.lock_file
    }

    pub(crate) fn lock(&self) -> io::Result<StoreLock> {
        StoreLock::acquire(&self.lock_file)
    }

    fn clear_leftovers(&self) -> Result<(), OpenStoreError> {
        let lock =
            self.lock().map_err(|source| OpenStoreError::Lock { path: self.lock_file.clone(), source })?;
        staging::clear_leftovers(&self.layers, &lock)
            .map_err(|source| OpenStoreError::ClearLeftovers { path: self.layers.clone(), source })?;
        clear_temporary_files(&self.images)
            .map_err(|source| OpenStoreError::ClearLeftovers { path: self.images.clone(), source })
    }
}

/// Manifests are written under the store's lock, so whatever has a temporary name while we hold it is a leftover.
fn clear_temporary_files(images: &Path) -> io::Result<()> {
    for entry in fs::read_dir(images)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(TEMPORARY_PREFIX.as_bytes()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn make_private_directory(path: &Path) -> Result<(), Errno> {
    match rustix::fs::mkdir(path, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
    rustix::fs::fchmod(&directory, Mode::RWXU)
}

pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
