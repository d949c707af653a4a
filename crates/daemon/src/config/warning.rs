//! What loads but deserves a word.

use std::path::PathBuf;

use super::api_key::SHORT_KEY_CHARS;
use super::{Config, SeccompProfile};

/// A remark about a configuration that is valid all the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigWarning {
    /// The key is short enough to be guessed.
    #[error("api_key has fewer than {SHORT_KEY_CHARS} characters and can be guessed: take a long random one")]
    ShortKey,
    /// The key is the one that the security guide shows.
    #[error(
        "api_key is the example of the security guide, which everybody knows: replace it by a long random one \
         (openssl rand -hex 32)"
    )]
    PublishedKey,
    /// The file holds the key and others than its owner can read it.
    #[error("{} holds the api_key and its mode {mode:04o} lets others read it: run chmod 600 on it", path.display())]
    ExposedFile {
        /// The configuration file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A request without an image would be refused.
    #[error("default_image `{image}` is not in allowed_images: requests that name no image will be refused")]
    DefaultImageNotAllowed {
        /// The default image.
        image: String,
    },
    /// No system call is filtered.
    #[error("security.seccomp is off: no system call is filtered; for debugging only")]
    SeccompOff,
    /// Sessions are to have workspaces, but there are none.
    #[error("workspace.persist_by_default is without effect as long as workspace.enabled is false")]
    PersistWithoutWorkspaces,
    /// The pool has nothing to keep ready.
    #[error("pool.enabled is without effect as long as pool.images is empty")]
    PoolWithoutImages,
    /// No request may have what the pool would keep ready.
    #[error("pool.images has `{image}`, which is not in allowed_images: none of it is kept ready")]
    PooledImageNotAllowed {
        /// The image.
        image: String,
    },
}

impl Config {
    /// Lists what is valid but deserves a word, for the log of the daemon and for `config check`.
    #[must_use]
    pub fn warnings(&self) -> Vec<ConfigWarning> {
        let mut warnings = self.file_warnings.clone();
        if self.api_key.as_ref().is_some_and(super::ApiKey::is_short) {
            warnings.push(ConfigWarning::ShortKey);
        }
        if self.api_key.as_ref().is_some_and(super::ApiKey::is_published) {
            warnings.push(ConfigWarning::PublishedKey);
        }
        if !self.allows_image_name(&self.default_image) {
            warnings.push(ConfigWarning::DefaultImageNotAllowed { image: self.default_image.clone() });
        }
        if self.security.seccomp == SeccompProfile::Off {
            warnings.push(ConfigWarning::SeccompOff);
        }
        if self.workspace.persist_by_default && !self.workspace.enabled {
            warnings.push(ConfigWarning::PersistWithoutWorkspaces);
        }
        if self.pool.enabled {
            if self.pool.images.is_empty() {
                warnings.push(ConfigWarning::PoolWithoutImages);
            }
            let forbidden = self.pool.images.keys().filter(|image| !self.allows_image_name(image));
            warnings
                .extend(forbidden.map(|image| ConfigWarning::PooledImageNotAllowed { image: image.clone() }));
        }
        warnings
    }
}
