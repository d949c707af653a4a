//! What the store says about an image: where its parts are, and how a process in it is to be started.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::name::ImageName;

/// An image that is present, ready to be mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its name.
    pub name: ImageName,
    /// Its layers as absolute paths of directories, topmost first. Never written to.
    pub layers: Vec<PathBuf>,
    /// The layers that it came with, by the hashes of their uncompressed archives, lowest first. Empty for the built-in image.
    pub diff_ids: Vec<Digest>,
    /// Directories of the host to be mounted over the layers, read-only. Empty for imported images.
    pub binds: Vec<HostBind>,
    /// When it was imported.
    pub created_at: Timestamp,
    /// Bytes of its file contents, without what is bound from the host.
    pub size_bytes: u64,
    /// `sha256:` and a hash in lowercase hexadecimal: of its manifest where it came with one, otherwise of its
    /// configuration, otherwise of its one layer.
    pub digest: String,
    /// How a process in it is to be started.
    pub config: ImageConfig,
    /// By what it was pulled, where it was.
    pub origin: Option<String>,
}

impl Image {
    /// Returns the names of its layers, topmost first, by which a record may tell [`Usage`](crate::Usage) of them.
    #[must_use]
    pub fn layer_names(&self) -> Vec<String> {
        let name = |layer: &PathBuf| layer.file_name().map(|name| name.to_string_lossy().into_owned());
        self.layers.iter().filter_map(name).collect()
    }
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
    /// The working directory that the image asks for. Sessions begin in theirs all the same.
    #[serde(default)]
    pub workdir: Option<String>,
    /// The user name or id that the image asks for. Sessions have one user all the same.
    #[serde(default)]
    pub user: Option<String>,
    /// The program that the image is for, and its arguments. No session starts it by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// What comes after the entrypoint, or in its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    /// What the image says of itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
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
