//! Images: the root file systems that sessions start from.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::schema::ImageName;

/// An image of the daemon's host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Image {
    /// Its name, perhaps with a tag.
    #[schema(value_type = ImageName)]
    pub name: String,
    /// `sha256:` and a hash: of its manifest where it came with one, otherwise of its configuration, otherwise of its one
    /// layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Bytes of its file contents; of the built-in image, without the directories of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// When it was imported or pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// The hashes of the uncompressed layers that it came with, lowest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<String>>,
    /// How a process in it is to be started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ImageConfig>,
    /// Whether `allowed_images` of the daemon's configuration lets sessions use it.
    #[serde(default)]
    pub allowed: bool,
    /// Why no session can use it; only the name is known then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
}

/// How a process in an image is to be started where nobody says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImageConfig {
    /// `KEY=value` each; sessions have them.
    #[serde(default)]
    pub env: Vec<String>,
    /// The working directory that the image asks for. Sessions begin in theirs all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// The user that the image asks for. Sessions have one user all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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

/// The answer of `GET /v1/images`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImageList {
    /// All of them, by name, those included that no session can use.
    pub images: Vec<Image>,
}
