//! Images: the root file systems that sessions start from.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::error::ErrorCode;
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

/// The body of `POST /v1/images/pull`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PullImageRequest {
    /// The image in its registry, as `docker pull` takes it: `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`.
    pub reference: String,
    /// Its name here; the last part of the reference where absent, with its tag unless that is `latest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ImageName>)]
    pub name: Option<String>,
    /// A user of the registry; nobody where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The password of that user. It is kept nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Password)]
    pub password: Option<RegistryPassword>,
}

/// A password, which no message shows.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct RegistryPassword(String);

impl RegistryPassword {
    /// Takes the text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RegistryPassword {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl<'de> Deserialize<'de> for RegistryPassword {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The reason would quote what is no text: a password of digits alone, without its quotation marks.
        String::deserialize(deserializer).map(Self).map_err(|_| D::Error::custom("expected a string"))
    }
}

/// What a pull is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PullPhase {
    /// It asks the registry what the image is.
    #[default]
    Resolving,
    /// It fetches the layers that are missing.
    Fetching,
    /// It unpacks them.
    Unpacking,
}

/// The data of a pull's `progress` event: how far it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PullProgress {
    /// What it is doing.
    pub phase: PullPhase,
    /// Layers that are fetched and checked.
    pub layers_done: u64,
    /// Layers that are to be fetched; those that are here already do not count.
    pub layers_total: u64,
    /// Bytes that are fetched, as they come. Fewer than before where a registry cannot go on where it broke off.
    pub bytes_done: u64,
    /// Bytes that are to be fetched.
    pub bytes_total: u64,
    /// Entries of archives that are unpacked.
    pub entries_unpacked: u64,
    /// Bytes of archives that are unpacked.
    pub bytes_unpacked: u64,
}

/// The data of a pull's `done` event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PullDone {
    /// The image as `GET /v1/images/{name}` shows it.
    pub image: Image,
    /// The digest of the manifest that the registry had for this machine.
    pub digest: String,
}

/// The data of a pull's `error` event. An image that had the name before is as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PullFailed {
    /// What went wrong.
    pub error: String,
    /// What went wrong, for programs.
    pub error_code: ErrorCode,
}

#[cfg(test)]
mod tests {
    use super::PullImageRequest;

    #[test]
    fn a_password_is_read_and_shown_nowhere() {
        let text = r#"{"reference": "a", "username": "me", "password": "4711"}"#;
        let request: PullImageRequest = serde_json::from_str(text).expect("a request");
        assert_eq!(request.password.as_ref().map(|password| password.expose()), Some("4711"));
        assert!(!format!("{request:?}").contains("4711"), "{request:?}");
        for wrong in ["4711", "[\"4711\"]", "{\"4711\": 1}"] {
            let error = serde_json::from_str::<PullImageRequest>(&text.replace("\"4711\"", wrong));
            let error = error.expect_err("no text").to_string();
            assert!(error.contains("expected a string") && !error.contains("4711"), "{error}");
        }
    }
}
