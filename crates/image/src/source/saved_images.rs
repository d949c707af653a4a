//! Images that were saved: the layout of OCI, and what `docker save` has written before it had that layout inside. Chooses
//! the one that is wanted, and checks every document by the digest that names it.

use std::io::{self, Read};

use serde::de::DeserializeOwned;

use super::blobs::Blobs;
use super::documents::{
    self, Configuration, Descriptor, ImageManifest, Index, LARGEST_DOCUMENT, Platform, SavedImage,
};
use crate::digest::Digest;
use crate::image::ImageConfig;
use crate::unpack::printable;

/// As deep as indexes may be nested.
const MOST_INDEXES: usize = 4;
/// All variables have to fit into the plan of a sandbox, which is one message.
const MOST_ENVIRONMENT_BYTES: usize = 96 * 1024;
/// How many names an error lists.
const MOST_NAMES: usize = 20;

/// A place with images in it.
pub(crate) struct SavedImages {
    blobs: Blobs,
    form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `oci-layout` and `index.json`.
    Layout,
    /// `manifest.json` alone.
    DockerArchive,
}

/// The one image that is wanted.
#[derive(Debug)]
pub(crate) struct SelectedImage {
    /// Of its manifest; of its configuration where it has none.
    pub(crate) digest: Digest,
    /// The lowest first.
    pub(crate) layers: Vec<LayerBlob>,
    pub(crate) config: ImageConfig,
    /// The configuration as it was.
    pub(crate) configuration: String,
}

/// A layer that is to be read.
#[derive(Debug, Clone)]
pub(crate) struct LayerBlob {
    name: String,
    pub(crate) diff_id: Digest,
    /// What it has to be, as it is stored; not known of those in old archives of Docker.
    pub(crate) blob: Option<(Digest, u64)>,
}

/// A saved image could not be read. Names in it come from what was saved, and are escaped when printed.
#[derive(Debug, thiserror::Error)]
pub enum ReadImageError {
    /// A document or layer is not there.
    #[error("find {name:?}")]
    Missing {
        /// Its name.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// A document could not be read.
    #[error("read {name:?}")]
    Read {
        /// Its name.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// A document is too large.
    #[error("{name:?} has more than {LARGEST_DOCUMENT} bytes")]
    TooLarge {
        /// Its name.
        name: String,
    },
    /// A document has another digest than what refers to it says.
    #[error("{name:?} has the digest {found}, not the one it is named by")]
    Digest {
        /// Its name.
        name: String,
        /// What it is.
        found: Digest,
    },
    /// A document has another size than what refers to it says.
    #[error("{name:?} has {found} bytes, not {expected}")]
    Size {
        /// Its name.
        name: String,
        /// What was said.
        expected: u64,
        /// What it is.
        found: u64,
    },
    /// A document is malformed.
    #[error("parse {name:?}")]
    Parse {
        /// Its name.
        name: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The layout is of a version that is not known.
    #[error("the layout has the version {version:?}; 1.0.0 is known")]
    Version {
        /// The version.
        version: String,
    },
    /// There are several images, and nobody said which.
    #[error("there is more than one image: {}", listed(names))]
    Ambiguous {
        /// Their names, or their digests where they have none.
        names: Vec<String>,
    },
    /// There is no image of that name.
    #[error("there is no image {reference:?}; there is {}", listed(names))]
    NoSuchReference {
        /// What was asked for.
        reference: String,
        /// The names there are.
        names: Vec<String>,
    },
    /// There is no image at all.
    #[error("there is no image in it")]
    Empty,
    /// None of the images runs on this machine.
    #[error("there is no image for {machine}; there is one for {}", listed(platforms))]
    Platform {
        /// This machine.
        machine: String,
        /// What there is.
        platforms: Vec<String>,
    },
    /// What is there is no image, but something else that is stored like one.
    #[error("{name:?} is of the type {media_type:?}, which is no image")]
    NoImage {
        /// The document.
        name: String,
        /// Its type.
        media_type: String,
    },
    /// Indexes lead to indexes without end.
    #[error("more than {MOST_INDEXES} indexes lead to one another")]
    Nested,
    /// The configuration has not as many layers as the manifest.
    #[error("the configuration has {configured} layers, the manifest {stored}")]
    LayerCount {
        /// Of the configuration.
        configured: usize,
        /// Of the manifest.
        stored: usize,
    },
    /// The environment is one that no program could be started with.
    #[error("the environment in the configuration cannot be used: {reason}")]
    Environment {
        /// What is wrong.
        reason: &'static str,
    },
}

impl SavedImages {
    /// Looks whether there are images; otherwise gives back what there is.
    pub(crate) fn find(blobs: Blobs) -> Result<Self, Blobs> {
        // What a newer `docker save` writes has both; only one of them has the digests of manifests.
        if blobs.has("oci-layout") && blobs.has("index.json") {
            return Ok(Self { blobs, form: Form::Layout });
        }
        if blobs.has("manifest.json") && read::<Vec<SavedImage>>(&blobs, "manifest.json").is_ok() {
            return Ok(Self { blobs, form: Form::DockerArchive });
        }
        Err(blobs)
    }

    /// Opens a layer. Returns its size, too.
    pub(crate) fn open_layer(&self, layer: &LayerBlob) -> Result<(Box<dyn Read>, u64), ReadImageError> {
        self.blobs
            .open(&layer.name)
            .map_err(|source| ReadImageError::Missing { name: layer.name.clone(), source })
    }

    /// Chooses the image of that name, or the only one, for this machine, and reads what it is.
    pub(crate) fn select(&self, reference: Option<&str>) -> Result<SelectedImage, ReadImageError> {
        let machine = Platform::of_this_machine();
        match self.form {
            Form::Layout => self.select_in_layout(reference, &machine),
            Form::DockerArchive => self.select_in_docker_archive(reference, &machine),
        }
    }

    fn select_in_layout(
        &self,
        reference: Option<&str>,
        machine: &Platform,
    ) -> Result<SelectedImage, ReadImageError> {
        let layout: Layout = read(&self.blobs, "oci-layout")?;
        if layout.image_layout_version != "1.0.0" {
            return Err(ReadImageError::Version { version: layout.image_layout_version });
        }
        let index: Index = read(&self.blobs, "index.json")?;
        let mut manifests: Vec<Descriptor> =
            index.manifests.into_iter().filter(Descriptor::is_image).collect();
        let names = || {
            let shown = |manifest: &Descriptor| match manifest.names() {
                names if names.is_empty() => vec![manifest.digest.to_string()],
                names => names,
            };
            manifests.iter().flat_map(shown).collect::<Vec<_>>()
        };
        if let Some(reference) = reference {
            let all = names();
            manifests.retain(|manifest| {
                manifest.digest.to_string() == reference
                    || manifest.names().iter().any(|name| name == reference)
            });
            if manifests.is_empty() {
                return Err(ReadImageError::NoSuchReference { reference: reference.to_owned(), names: all });
            }
        } else {
            // One image for several machines may be listed without an index of its own.
            let same = manifests.windows(2).all(|pair| {
                pair[0].names() == pair[1].names()
                    && pair.iter().all(|manifest| manifest.platform.is_some())
                    && pair[0].platform != pair[1].platform
            });
            if !same {
                return Err(ReadImageError::Ambiguous { names: names() });
            }
        }
        let descriptor = self.choose(manifests, machine, 0)?;
        let name = blob_name(&descriptor.digest);
        let manifest: ImageManifest = parse(&name, &self.blob(&descriptor)?)?;
        if !manifest.config.is_configuration() {
            return Err(ReadImageError::NoImage { name, media_type: manifest.config.media_type });
        }
        let bytes = self.blob(&manifest.config)?;
        let blobs =
            manifest.layers.iter().map(|layer| (blob_name(&layer.digest), Some((layer.digest, layer.size))));
        selected(descriptor.digest, bytes, blobs.collect(), machine)
    }

    /// Follows indexes to the manifest for this machine.
    fn choose(
        &self,
        manifests: Vec<Descriptor>,
        machine: &Platform,
        depth: usize,
    ) -> Result<Descriptor, ReadImageError> {
        if depth == MOST_INDEXES {
            return Err(ReadImageError::Nested);
        }
        let chosen = documents::choose(&manifests, machine).map_err(|none| match none.platforms {
            platforms if platforms.is_empty() => ReadImageError::Empty,
            platforms => ReadImageError::Platform { machine: machine.to_string(), platforms },
        })?;
        if chosen.is_index() {
            let index: Index = parse(&blob_name(&chosen.digest), &self.blob(chosen)?)?;
            return self.choose(index.manifests, machine, depth + 1);
        }
        if chosen.is_manifest() {
            return Ok(chosen.clone());
        }
        Err(ReadImageError::NoImage {
            name: blob_name(&chosen.digest),
            media_type: chosen.media_type.clone(),
        })
    }

    fn select_in_docker_archive(
        &self,
        reference: Option<&str>,
        machine: &Platform,
    ) -> Result<SelectedImage, ReadImageError> {
        let images: Vec<SavedImage> = read(&self.blobs, "manifest.json")?;
        let names = || {
            let shown = |image: &SavedImage| match image.repo_tags.as_slice() {
                [] => vec![image.config.clone()],
                tags => tags.to_vec(),
            };
            images.iter().flat_map(shown).collect::<Vec<_>>()
        };
        let chosen = match (reference, images.as_slice()) {
            (_, []) => return Err(ReadImageError::Empty),
            (None, [only]) => only,
            (None, _) => return Err(ReadImageError::Ambiguous { names: names() }),
            (Some(reference), images) => images
                .iter()
                .find(|image| image.config == reference || image.repo_tags.iter().any(|tag| tag == reference))
                .ok_or_else(|| ReadImageError::NoSuchReference {
                    reference: reference.to_owned(),
                    names: names(),
                })?,
        };
        let bytes = read_bytes(&self.blobs, &chosen.config)?;
        let digest = Digest::of(&bytes);
        // The name has the digest, in one of two forms.
        let last = chosen.config.rsplit('/').next().unwrap_or_default();
        let named = Digest::from_hexadecimal(last.strip_suffix(".json").unwrap_or(last));
        if named.is_some_and(|named| named != digest) {
            return Err(ReadImageError::Digest { name: chosen.config.clone(), found: digest });
        }
        let blobs = chosen.layers.iter().map(|layer| (layer.clone(), None)).collect();
        selected(digest, bytes, blobs, machine)
    }

    /// Reads a document and checks that it is the one that is meant.
    fn blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>, ReadImageError> {
        let name = blob_name(&descriptor.digest);
        let bytes = read_bytes(&self.blobs, &name)?;
        let found = Digest::of(&bytes);
        if bytes.len() as u64 != descriptor.size {
            let (expected, found) = (descriptor.size, bytes.len() as u64);
            return Err(ReadImageError::Size { name, expected, found });
        }
        if found == descriptor.digest { Ok(bytes) } else { Err(ReadImageError::Digest { name, found }) }
    }
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layout {
    image_layout_version: String,
}

/// Puts an image together from its configuration and the names of its layers.
fn selected(
    digest: Digest,
    configuration: Vec<u8>,
    blobs: Vec<(String, Option<(Digest, u64)>)>,
    machine: &Platform,
) -> Result<SelectedImage, ReadImageError> {
    let name = "the configuration";
    let parsed: Configuration = parse(name, &configuration)?;
    let platform = parsed.platform();
    if !platform.fits(machine) {
        let (machine, platforms) = (machine.to_string(), vec![platform.to_string()]);
        return Err(ReadImageError::Platform { machine, platforms });
    }
    let diff_ids = &parsed.rootfs.diff_ids;
    if diff_ids.len() != blobs.len() {
        return Err(ReadImageError::LayerCount { configured: diff_ids.len(), stored: blobs.len() });
    }
    let config = parsed.image_config();
    check_environment(&config.env).map_err(|reason| ReadImageError::Environment { reason })?;
    let layers = blobs.into_iter().zip(diff_ids);
    Ok(SelectedImage {
        digest,
        layers: layers.map(|((name, blob), diff_id)| LayerBlob { name, diff_id: *diff_id, blob }).collect(),
        config,
        // What serde_json has parsed is UTF-8.
        configuration: String::from_utf8_lossy(&configuration).into_owned(),
    })
}

fn check_environment(variables: &[String]) -> Result<(), &'static str> {
    if variables.iter().any(|variable| variable.contains('\0')) {
        return Err("a variable has a NUL byte");
    }
    if variables.iter().map(String::len).sum::<usize>() > MOST_ENVIRONMENT_BYTES {
        return Err("all variables together have more than 98304 bytes");
    }
    Ok(())
}

/// Where a layout of OCI has a blob.
pub(crate) fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hexadecimal())
}

fn read<T: DeserializeOwned>(blobs: &Blobs, name: &str) -> Result<T, ReadImageError> {
    parse(name, &read_bytes(blobs, name)?)
}

fn read_bytes(blobs: &Blobs, name: &str) -> Result<Vec<u8>, ReadImageError> {
    let (reader, _) =
        blobs.open(name).map_err(|source| ReadImageError::Missing { name: name.to_owned(), source })?;
    let mut bytes = Vec::new();
    reader
        .take(LARGEST_DOCUMENT + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| ReadImageError::Read { name: name.to_owned(), source })?;
    if bytes.len() as u64 > LARGEST_DOCUMENT {
        return Err(ReadImageError::TooLarge { name: name.to_owned() });
    }
    Ok(bytes)
}

fn parse<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, ReadImageError> {
    serde_json::from_slice(bytes).map_err(|source| ReadImageError::Parse { name: name.to_owned(), source })
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    let mut listed: Vec<String> = names
        .iter()
        .take(MOST_NAMES)
        .map(|name| printable(name.as_bytes()).escape_debug().to_string())
        .collect();
    if names.len() > MOST_NAMES {
        listed.push(format!("and {} more", names.len() - MOST_NAMES));
    }
    listed.join(", ")
}
