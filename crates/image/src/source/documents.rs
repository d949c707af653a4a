//! The JSON documents of images, as OCI and Docker have them; only what is made use of. Everything in them is untrusted.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::digest::Digest;
use crate::image::ImageConfig;

/// How many bytes an index, manifest or configuration that is imported has at most: far more than any has.
pub const LARGEST_DOCUMENT: u64 = 1 << 20;

/// By which an index says under which name a manifest was put there.
pub(crate) const REFERENCE_NAME: &str = "org.opencontainers.image.ref.name";
/// The full name, as containerd and Docker write it.
const CONTAINERD_NAME: &str = "io.containerd.image.name";
/// Marks manifests that are about another one, and no image.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// The type of an index of OCI.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The type of a manifest of OCI.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The type of a list of manifests of Docker.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// The type of a manifest of Docker.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// What a blob is, where it says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// By what it is found.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
    /// What it is for, where an index says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

/// What a manifest is made for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// Of the processor: `amd64`.
    #[serde(default)]
    pub architecture: String,
    /// The system: `linux`.
    #[serde(default)]
    pub os: String,
    /// Which of several kinds of the processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// A list of manifests.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// What it is, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// In the order of preference.
    pub manifests: Vec<Descriptor>,
}

/// An image: its configuration and its layers, the lowest first.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    /// Always 2.
    pub schema_version: u32,
    /// What it is, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Where its configuration is.
    pub config: Descriptor,
    /// Where its layers are, the lowest first.
    pub layers: Vec<Descriptor>,
}

/// One image of the file `manifest.json` in what `docker save` writes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SavedImage {
    pub(crate) config: String,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(crate) repo_tags: Vec<String>,
    pub(crate) layers: Vec<String>,
}

/// The configuration of an image.
#[derive(Debug, Deserialize)]
pub struct Configuration {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    #[serde(default)]
    variant: Option<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    config: Execution,
    /// Its layers.
    pub rootfs: RootFileSystem,
}

/// The part of a configuration that says how a process is started.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Execution {
    #[serde(deserialize_with = "null_is_default")]
    env: Vec<String>,
    working_dir: Option<String>,
    user: Option<String>,
    #[serde(deserialize_with = "null_is_default")]
    entrypoint: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    cmd: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    labels: BTreeMap<String, String>,
}

/// The layers by the hashes of their uncompressed archives, the lowest first.
#[derive(Debug, Deserialize)]
pub struct RootFileSystem {
    /// The hashes.
    #[serde(default, deserialize_with = "null_is_default")]
    pub diff_ids: Vec<Digest>,
}

impl Descriptor {
    /// Describes a blob of which nothing else is to be said.
    #[must_use]
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self { media_type: media_type.to_owned(), digest, size, annotations: BTreeMap::new(), platform: None }
    }

    /// Says whether it is of a list of manifests.
    #[must_use]
    pub fn is_index(&self) -> bool {
        matches!(self.media_type.as_str(), OCI_INDEX | DOCKER_LIST)
    }

    /// Says whether it is of a manifest.
    #[must_use]
    pub fn is_manifest(&self) -> bool {
        matches!(self.media_type.as_str(), OCI_MANIFEST | DOCKER_MANIFEST)
    }

    /// Says whether it is of the configuration of an image.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        matches!(self.media_type.as_str(), OCI_CONFIG | DOCKER_CONFIG)
    }

    /// Says whether it is of an image, and not about one.
    #[must_use]
    pub fn is_image(&self) -> bool {
        !self.annotations.contains_key(REFERENCE_TYPE)
    }

    /// The names it was put there under.
    pub(crate) fn names(&self) -> Vec<String> {
        let names = [CONTAINERD_NAME, REFERENCE_NAME].into_iter().filter_map(|key| self.annotations.get(key));
        let mut names: Vec<String> = names.cloned().collect();
        names.dedup();
        names
    }
}

/// No manifest of an index is for this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoneFits {
    /// What there is instead; empty where there is no image at all.
    pub platforms: Vec<String>,
}

/// Takes the first image for a machine. What is about images and none itself is passed over.
///
/// # Errors
///
/// [`NoneFits`] says what there is.
pub fn choose<'a>(manifests: &'a [Descriptor], machine: &Platform) -> Result<&'a Descriptor, NoneFits> {
    let images = || manifests.iter().filter(|manifest| manifest.is_image());
    let fits = |manifest: &&Descriptor| manifest.platform.as_ref().is_none_or(|said| said.fits(machine));
    images().find(fits).ok_or_else(|| NoneFits {
        platforms: images().filter_map(|image| image.platform.as_ref()).map(ToString::to_string).collect(),
    })
}

impl Platform {
    /// This machine, in the words of images.
    #[must_use]
    pub fn of_this_machine() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self { architecture: architecture.to_owned(), os: "linux".to_owned(), variant: None }
    }

    /// Says whether programs for it run here. What is not said fits everywhere.
    #[must_use]
    pub fn fits(&self, machine: &Self) -> bool {
        let fits = |ours: &str, theirs: &str| ours.is_empty() || ours == theirs;
        fits(&self.architecture, &machine.architecture) && fits(&self.os, &machine.os)
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(formatter, "/{variant}"))
    }
}

impl Configuration {
    pub(crate) fn platform(&self) -> Platform {
        let variant = self.variant.clone().filter(|variant| !variant.is_empty());
        Platform { architecture: self.architecture.clone(), os: self.os.clone(), variant }
    }

    pub(crate) fn image_config(&self) -> ImageConfig {
        let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let execution = &self.config;
        ImageConfig {
            env: execution.env.clone(),
            workdir: said(&execution.working_dir),
            user: said(&execution.user),
            entrypoint: execution.entrypoint.clone(),
            cmd: execution.cmd.clone(),
            labels: execution.labels.clone(),
        }
    }
}

/// Programs in Go write `null` for what is empty.
fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{Configuration, Index, Platform};

    #[test]
    fn a_configuration_may_leave_out_or_null_nearly_everything() {
        let parsed: Configuration = serde_json::from_str(
            r#"{"config": {"Env": null, "Cmd": ["a", "b"], "WorkingDir": ""}, "rootfs": {"diff_ids": null}}"#,
        )
        .unwrap();
        let config = parsed.image_config();
        assert_eq!((config.env.len(), config.cmd.len(), config.workdir), (0, 2, None));
        assert!(parsed.platform().fits(&Platform::of_this_machine()));
        let bare: Configuration = serde_json::from_str(r#"{"config": null, "rootfs": {}}"#).unwrap();
        assert!(bare.rootfs.diff_ids.is_empty());
        assert!(serde_json::from_str::<Configuration>("{}").is_err());
    }

    #[test]
    fn other_systems_and_machines_do_not_fit() {
        let platform = |os: &str, architecture: &str| Platform {
            architecture: architecture.to_owned(),
            os: os.to_owned(),
            variant: None,
        };
        let machine = platform("linux", "amd64");
        assert!(platform("linux", "amd64").fits(&machine));
        for (os, architecture) in [("linux", "arm64"), ("windows", "amd64"), ("unknown", "unknown")] {
            assert!(!platform(os, architecture).fits(&machine), "{os}/{architecture}");
        }
    }

    #[test]
    fn a_digest_that_is_a_path_is_refused() {
        let text = r#"{"schemaVersion": 2, "manifests": [
            {"mediaType": "x", "size": 1, "digest": "sha256:../../../etc/shadow"}]}"#;
        assert!(serde_json::from_str::<Index>(text).unwrap_err().to_string().contains("no digest"));
    }
}
