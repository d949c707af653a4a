//! The images of this host as requests see them: pulled, listed, looked at and removed.

mod pull;
mod pull_error;

use std::sync::Arc;

use sandkasten_api::image as api;
use sandkasten_image::{
    Image, ImageConfig, ImageName, ImageStore, ListImagesError, RemoveImageError, ResolveImageError,
};

use crate::config::Config;
use crate::image_usage::{ImageUsage, ImageUsageError};

pub(crate) use pull::Pull;
pub(crate) use pull_error::{BeginPullError, Fault, PullError};

/// Said of an image that is damaged. Why names files of the host, and is for those who are on it.
const BROKEN: &str =
    "its manifest is damaged or a layer is missing: see `sandkasten image validate` on the host";

/// Why a request about images failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageError {
    /// There is none of this name.
    #[error("the image {name} is not present")]
    NotFound {
        /// The name.
        name: ImageName,
    },
    /// Sessions run on it.
    #[error("the image {name} is in use: destroy its sessions first")]
    InUse {
        /// The name.
        name: ImageName,
    },
    /// It is the built-in one.
    #[error("the image {name} is built in and cannot be removed; leave it out of allowed_images")]
    BuiltIn {
        /// The name.
        name: ImageName,
    },
    /// The images could not be listed.
    #[error(transparent)]
    List(#[from] ListImagesError),
    /// The built-in image could not be made.
    #[error(transparent)]
    Resolve(ResolveImageError),
    /// The image could not be removed.
    #[error(transparent)]
    Remove(RemoveImageError),
    /// Nobody knows what is in use.
    #[error("tell which images are in use")]
    Usage(#[from] ImageUsageError),
    /// The work ended without an answer.
    #[error("work on the images")]
    Task {
        /// Why.
        source: tokio::task::JoinError,
    },
}

/// The images of a data directory, and what the configuration says of them.
#[derive(Debug, Clone)]
pub(crate) struct Images {
    store: ImageStore,
    config: Arc<Config>,
    pulls: pull::Places,
}

impl Images {
    pub(crate) fn new(config: Arc<Config>, store: ImageStore) -> Self {
        Self { store, config, pulls: pull::Places::default() }
    }

    /// Lists all images, by name.
    ///
    /// # Errors
    /// [`ImageError::List`].
    pub(crate) async fn list(&self) -> Result<Vec<api::Image>, ImageError> {
        self.run(|images| {
            let listing = images.store.list()?;
            let whole = listing.images.iter().map(|image| describe_image(&images.config, image));
            // What has a name that no image can have is nothing that a request could name.
            let broken = listing.broken.iter().filter(|broken| broken.name.parse::<ImageName>().is_ok());
            let broken = broken.map(|broken| describe_broken_image(&images.config, &broken.name, BROKEN));
            let mut all: Vec<_> = whole.chain(broken).collect();
            all.sort_by(|one, other| one.name.cmp(&other.name));
            Ok(all)
        })
        .await
    }

    /// Looks at one image.
    ///
    /// # Errors
    /// [`ImageError::NotFound`], or [`ImageError::Resolve`].
    pub(crate) async fn show(&self, name: ImageName) -> Result<api::Image, ImageError> {
        self.run(move |images| match images.store.resolve(&name) {
            Ok(image) => Ok(describe_image(&images.config, &image)),
            Err(ResolveImageError::NotPresent { name }) => Err(ImageError::NotFound { name }),
            Err(ResolveImageError::Manifest { name, .. } | ResolveImageError::LayerMissing { name, .. }) => {
                Ok(describe_broken_image(&images.config, name.as_str(), BROKEN))
            }
            Err(error) => Err(ImageError::Resolve(error)),
        })
        .await
    }

    /// Removes an image that no session uses, with the layers that nothing else needs.
    ///
    /// # Errors
    /// [`ImageError::NotFound`], [`ImageError::InUse`], [`ImageError::BuiltIn`], [`ImageError::Usage`] or
    /// [`ImageError::Remove`].
    pub(crate) async fn remove(&self, name: ImageName) -> Result<(), ImageError> {
        let usage = ImageUsage::new((*self.config).clone());
        self.run(move |images| {
            let removed = images.store.remove(&name, &usage);
            match (removed, usage.failure()) {
                (Ok(_), _) => Ok(()),
                (Err(_), Some(failure)) => Err(failure.into()),
                (Err(RemoveImageError::NotPresent { name }), None) => Err(ImageError::NotFound { name }),
                (Err(RemoveImageError::InUse { name }), None) => Err(ImageError::InUse { name }),
                (Err(RemoveImageError::Reserved { name }), None) => Err(ImageError::BuiltIn { name }),
                (Err(error), None) => Err(ImageError::Remove(error)),
            }
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, ImageError> + Send + 'static,
    ) -> Result<T, ImageError> {
        let images = self.clone();
        tokio::task::spawn_blocking(move || work(&images))
            .await
            .map_err(|source| ImageError::Task { source })?
    }
}

/// Describes an image as the API shows it.
#[must_use]
pub fn describe_image(config: &Config, image: &Image) -> api::Image {
    api::Image {
        name: image.name.to_string(),
        digest: Some(image.digest.clone()),
        size_bytes: Some(image.size_bytes),
        created_at: Some(image.created_at),
        layers: Some(image.diff_ids.iter().map(ToString::to_string).collect()),
        config: Some(describe_config(&image.config)),
        allowed: config.allows_image(image),
        broken: None,
    }
}

fn describe_config(config: &ImageConfig) -> api::ImageConfig {
    let ImageConfig { env, workdir, user, entrypoint, cmd, labels } = config.clone();
    api::ImageConfig { env, workdir, user, entrypoint, cmd, labels }
}

/// Describes an image that cannot be used.
#[must_use]
pub fn describe_broken_image(config: &Config, name: &str, reason: &str) -> api::Image {
    api::Image {
        name: name.to_owned(),
        digest: None,
        size_bytes: None,
        created_at: None,
        layers: None,
        config: None,
        allowed: config.allows_image_name(name),
        broken: Some(reason.to_owned()),
    }
}
