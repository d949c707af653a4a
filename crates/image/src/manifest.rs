//! Manifests: one JSON file per image, replaced as a whole or not at all.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{CWD, Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::image::{HostBind, ImageConfig};
use crate::name::ImageName;
use crate::staging::{StoreLock, sync_directory, temporary_name};

const FORMAT: u32 = 1;
/// A configuration of the largest size, each of its bytes escaped.
const LARGEST: u64 = 16 << 20;
const SUFFIX: &str = ".json";

/// The stored form of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    format: u32,
    pub(crate) name: ImageName,
    /// `sha256:` and the hash in lowercase hexadecimal.
    pub(crate) digest: String,
    /// Names of layer directories, topmost first.
    pub(crate) layers: Vec<String>,
    /// The layers that came with the image, as it names them, lowest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) diff_ids: Vec<Digest>,
    /// The names of those layers here. One that came more than once is in `layers` once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) imported: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) binds: Vec<HostBind>,
    pub(crate) created_at: Timestamp,
    pub(crate) size_bytes: u64,
    #[serde(default)]
    pub(crate) config: ImageConfig,
    /// The configuration that the image came with, byte for byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) configuration: Option<String>,
    /// What it was pulled by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) origin: Option<String>,
}

/// A manifest could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadManifestError {
    /// The file could not be opened or read.
    #[error("read the manifest {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is too large to be a manifest.
    #[error("the manifest {path} has more than {allowed} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        allowed: u64,
    },
    /// The file is no manifest.
    #[error("parse the manifest {path}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The manifest is of a newer version.
    #[error("the manifest {path} has format {format}, this version knows {FORMAT}")]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// The manifest is about another image than its file name says.
    #[error("the manifest {path} is about the image {name}")]
    Name {
        /// The file.
        path: PathBuf,
        /// The name in it.
        name: ImageName,
    },
    /// The manifest has a layer name that no layer can have.
    #[error("the manifest {path} names the impossible layer {layer:?}")]
    Layer {
        /// The file.
        path: PathBuf,
        /// The name.
        layer: String,
    },
}

/// A manifest could not be written; the old one is still there.
#[derive(Debug, thiserror::Error)]
pub enum WriteManifestError {
    /// It could not be put into JSON.
    #[error("encode the manifest of {name}")]
    Encode {
        /// The image.
        name: ImageName,
        /// Why.
        source: serde_json::Error,
    },
    /// The temporary file could not be written.
    #[error("write the manifest {path}")]
    Write {
        /// The temporary file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The temporary file could not be moved to its place.
    #[error("move the manifest to {path}")]
    Rename {
        /// Its place.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl ReadManifestError {
    /// Says whether there is no such manifest at all.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

impl Manifest {
    pub(crate) fn new(name: ImageName, digest: String, layers: Vec<String>, size_bytes: u64) -> Self {
        Self {
            format: FORMAT,
            name,
            digest,
            layers,
            diff_ids: Vec::new(),
            imported: Vec::new(),
            binds: Vec::new(),
            // Whole seconds are what people read.
            created_at: Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default(),
            size_bytes,
            config: ImageConfig::default(),
            configuration: None,
            origin: None,
        }
    }

    /// Reads the manifest of one image.
    pub(crate) fn read(images: &Path, name: &ImageName) -> Result<Self, ReadManifestError> {
        let path = images.join(name.manifest_file());
        let manifest = read_file(&path)?;
        if manifest.format != FORMAT {
            return Err(ReadManifestError::Format { path, format: manifest.format });
        }
        if &manifest.name != name {
            return Err(ReadManifestError::Name { path, name: manifest.name });
        }
        if let Some(layer) =
            manifest.layers.iter().chain(&manifest.imported).find(|layer| !is_layer_name(layer))
        {
            return Err(ReadManifestError::Layer { path, layer: layer.clone() });
        }
        Ok(manifest)
    }

    /// Writes the manifest in place of an older one of the same image, if any.
    pub(crate) fn write(&self, images: &Path, _lock: &StoreLock) -> Result<(), WriteManifestError> {
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|source| WriteManifestError::Encode { name: self.name.clone(), source })?;
        text.push(b'\n');
        let temporary = images.join(temporary_name());
        let place = images.join(self.name.manifest_file());
        if let Err(source) = write_file(&temporary, &text) {
            // The next start removes what cannot be removed now.
            drop(fs::remove_file(&temporary));
            return Err(WriteManifestError::Write { path: temporary, source });
        }
        fs::rename(&temporary, &place)
            .and_then(|()| sync_directory(images))
            .map_err(|source| WriteManifestError::Rename { path: place, source })
    }
}

/// Lists the names of all images that have a manifest, and the files that have a name no image can have.
pub(crate) fn names(images: &Path) -> io::Result<(BTreeSet<ImageName>, Vec<String>)> {
    let (mut names, mut strangers) = (BTreeSet::new(), Vec::new());
    for entry in fs::read_dir(images)? {
        let file_name = entry?.file_name().to_string_lossy().into_owned();
        if file_name.starts_with('.') {
            continue;
        }
        match file_name.strip_suffix(SUFFIX).and_then(|name| name.parse().ok()) {
            Some(name) => drop(names.insert(name)),
            None => strangers.push(file_name),
        }
    }
    Ok((names, strangers))
}

/// Says whether a name is one that this crate gives to layers: a hash, or a word, a hyphen and a hash.
pub(crate) fn is_layer_name(name: &str) -> bool {
    let (word, hash) = name.rsplit_once('-').unwrap_or(("", name));
    word.bytes().all(|byte| byte.is_ascii_lowercase())
        && hash.len() == 64
        && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn read_file(path: &Path) -> Result<Manifest, ReadManifestError> {
    let unreadable = |source| ReadManifestError::Read { path: path.to_owned(), source };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file =
        rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|error| unreadable(error.into()))?;
    let mut text = Vec::new();
    File::from(file).take(LARGEST + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() as u64 > LARGEST {
        return Err(ReadManifestError::TooLarge { path: path.to_owned(), allowed: LARGEST });
    }
    serde_json::from_slice(&text).map_err(|source| ReadManifestError::Parse { path: path.to_owned(), source })
}

fn write_file(path: &Path, text: &[u8]) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(CWD, path, flags, Mode::RUSR | Mode::WUSR)?);
    file.write_all(text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::is_layer_name;

    #[test]
    fn layer_names_are_hashes_with_a_word_at_most() {
        let hash = "0123456789abcdef".repeat(4);
        for good in [hash.clone(), format!("host-{hash}"), format!("account-{hash}")] {
            assert!(is_layer_name(&good), "{good}");
        }
        for bad in ["", "..", "../x", ".tmp-1", &format!("../{hash}"), &hash[1..], &format!("a-b-{hash}")] {
            assert!(!is_layer_name(bad), "{bad}");
        }
    }
}
