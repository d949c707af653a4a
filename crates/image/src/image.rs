//! What the store says about an image: where its parts are, and how a process in it is to be started.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::name::ImageName;

/// An image that is present, ready to be mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its name.
    pub name: ImageName,
    /// Its layers as absolute paths of directories, topmost first. Never written to.
    pub layers: Vec<PathBuf>,
    /// Directories of the host to be mounted over the layers, read-only. Empty for imported images.
    pub binds: Vec<HostBind>,
    /// When it was imported.
    pub created_at: Timestamp,
    /// Bytes of its file contents, without what is bound from the host.
    pub size_bytes: u64,
    /// `sha256:` and the hash of its content in lowercase hexadecimal.
    pub digest: String,
    /// How a process in it is to be started.
    pub config: ImageConfig,
}

/// A directory of the host that is part of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostBind {
    /// Where it is on the host.
    pub source: PathBuf,
    /// Where it goes in the image, absolute. The directory to mount on is in a layer.
    pub target: PathBuf,
}

/// How a process in an image is to be started where nobody says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// `KEY=value` each.
    #[serde(default)]
    pub env: Vec<String>,
    /// The working directory.
    #[serde(default)]
    pub workdir: Option<String>,
    /// A user name or id.
    #[serde(default)]
    pub user: Option<String>,
}

/// All images of a store.
#[derive(Debug, Clone, Default)]
pub struct ImageListing {
    /// Those that can be used, in order of their names.
    pub images: Vec<Image>,
    /// Those that cannot, so that one of them does not hide the others.
    pub broken: Vec<BrokenImage>,
}

/// An image that is there but cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenImage {
    /// Its name, or the name of its manifest file where that is no image name.
    pub name: String,
    /// Why, with all causes.
    pub reason: String,
}
