//! An image in a registry: its manifest for this machine and its configuration, both checked.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::CONTENT_TYPE;
use sandkasten_image::documents::{
    self, Configuration, DOCKER_LIST, DOCKER_MANIFEST, Descriptor, ImageManifest, Index, LARGEST_DOCUMENT,
    OCI_INDEX, OCI_MANIFEST, Platform,
};
use sandkasten_image::{Digest, MOST_LAYERS};
use serde::Deserialize;

use crate::error::FetchError;
use crate::reference::Reference;
use crate::repository::Repository;
use crate::transport::{Get, broken, cut, shown};

/// As large as registries let manifests be. An index may be so large; what is imported may not.
const LARGEST_INDEX: u64 = 4 << 20;
/// As deep as indexes may be nested.
const MOST_INDEXES: usize = 4;

/// What an image is, before its layers are fetched.
#[derive(Debug)]
pub struct RemoteImage {
    pub(crate) manifest: Document,
    pub(crate) configuration: Document,
    pub(crate) layers: Vec<Descriptor>,
    diff_ids: Vec<Digest>,
    /// Of those that were asked, the one that has it.
    pub(crate) place: usize,
}

/// A layer that is to be fetched.
#[derive(Debug)]
pub(crate) struct MissingLayer<'a> {
    pub(crate) descriptor: &'a Descriptor,
    /// Its place among [`RemoteImage::diff_ids`], the first where it has several.
    pub(crate) index: usize,
}

/// A document as it came.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) descriptor: Descriptor,
    pub(crate) bytes: Vec<u8>,
}

/// What tells kinds of documents apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    media_type: Option<String>,
    manifests: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
}

impl RemoteImage {
    /// Returns the digest of its manifest for this machine.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.manifest.descriptor.digest
    }

    /// Returns the hashes of its uncompressed layers, the lowest first.
    #[must_use]
    pub fn diff_ids(&self) -> &[Digest] {
        &self.diff_ids
    }

    /// Those that are not present, each once.
    pub(crate) fn missing(
        &self,
        is_present: impl Fn(usize) -> Result<bool, FetchError>,
    ) -> Result<Vec<MissingLayer<'_>>, FetchError> {
        let (mut seen, mut missing) = (BTreeSet::new(), Vec::new());
        for (index, descriptor) in self.layers.iter().enumerate() {
            if !is_present(index)? && seen.insert(descriptor.digest) {
                missing.push(MissingLayer { descriptor, index });
            }
        }
        Ok(missing)
    }
}

impl Repository {
    /// Asks what an image is. Of one for several machines takes the one for this machine.
    pub(crate) async fn find(&self, reference: &Reference) -> Result<RemoteImage, FetchError> {
        let manifest = self.manifest(reference).await?;
        let url = self.transport.url(&format!("manifests/{}", manifest.descriptor.digest));
        let parsed: ImageManifest = parse(&url, &manifest.bytes)?;
        if manifest.descriptor.size.max(parsed.config.size) > LARGEST_DOCUMENT {
            return Err(FetchError::TooLarge { url: shown(&url), allowed: LARGEST_DOCUMENT });
        }
        if !parsed.config.is_configuration() {
            return Err(FetchError::NoImage { url: shown(&url), media_type: cut(&parsed.config.media_type) });
        }
        if parsed.layers.len() > MOST_LAYERS {
            return Err(FetchError::TooManyLayers { allowed: MOST_LAYERS });
        }
        let url = self.transport.url(&format!("blobs/{}", parsed.config.digest));
        let (bytes, _) =
            self.document(&url, "*/*", Some((parsed.config.digest, Some(parsed.config.size)))).await?;
        let configuration: Configuration = parse(&url, &bytes)?;
        let diff_ids = configuration.rootfs.diff_ids;
        if diff_ids.len() != parsed.layers.len() {
            let (configured, stored) = (diff_ids.len(), parsed.layers.len());
            return Err(FetchError::LayerCount { configured, stored });
        }
        let configuration = Document { descriptor: parsed.config, bytes };
        Ok(RemoteImage { manifest, configuration, layers: parsed.layers, diff_ids, place: 0 })
    }

    /// Follows indexes to the manifest for this machine.
    async fn manifest(&self, reference: &Reference) -> Result<Document, FetchError> {
        let machine = Platform::of_this_machine();
        let accept = [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST].join(", ");
        let mut name = reference.manifest();
        let mut expected = reference.digest().map(|digest| (digest, None));
        for _ in 0..=MOST_INDEXES {
            let url = self.transport.url(&format!("manifests/{name}"));
            let (bytes, content_type) = self.document(&url, &accept, expected).await?;
            let media_type = media_type(&url, &bytes, content_type)?;
            let descriptor = Descriptor::new(&media_type, Digest::of(&bytes), bytes.len() as u64);
            if descriptor.is_manifest() {
                return Ok(Document { descriptor, bytes });
            }
            let index: Index = parse(&url, &bytes)?;
            let chosen =
                documents::choose(&index.manifests, &machine).map_err(|none| FetchError::Platform {
                    machine: machine.to_string(),
                    platforms: match none.platforms {
                        platforms if platforms.is_empty() => vec!["none at all".to_owned()],
                        platforms => platforms
                            .iter()
                            .take(20)
                            .map(|platform| cut(&platform.escape_debug().to_string()))
                            .collect(),
                    },
                })?;
            name = chosen.digest.to_string();
            expected = Some((chosen.digest, Some(chosen.size)));
        }
        Err(FetchError::Nested { allowed: MOST_INDEXES })
    }

    /// Fetches a document whole, and checks it by what is known of it. Returns its type as the registry has it, too.
    async fn document(
        &self,
        url: &Url,
        accept: &str,
        expected: Option<(Digest, Option<u64>)>,
    ) -> Result<(Vec<u8>, Option<String>), FetchError> {
        let size = expected.and_then(|(_, size)| size);
        if size.is_some_and(|size| size > LARGEST_INDEX) {
            return Err(FetchError::TooLarge { url: shown(url), allowed: LARGEST_INDEX });
        }
        let allowed: Duration = self.transport.options.patience.document;
        let fetch = || async {
            let read = self.read_document(url, accept, size.unwrap_or(LARGEST_INDEX));
            tokio::time::timeout(allowed, read)
                .await
                .map_err(|_| FetchError::Slow { url: shown(url), allowed })?
        };
        let (bytes, content_type) = self.retrying(fetch).await?;
        let (found, found_bytes) = (Digest::of(&bytes), bytes.len() as u64);
        if let Some(expected) = size.filter(|size| *size != found_bytes) {
            return Err(FetchError::Size { url: shown(url), expected, found: found_bytes });
        }
        if let Some((expected, _)) = expected.filter(|(expected, _)| *expected != found) {
            return Err(FetchError::Digest { url: shown(url), expected, found });
        }
        Ok((bytes, content_type))
    }

    async fn read_document(
        &self,
        url: &Url,
        accept: &str,
        allowed: u64,
    ) -> Result<(Vec<u8>, Option<String>), FetchError> {
        let mut response = self.transport.get(&Get { url, accept, from: 0 }).await?;
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type =
            content_type.and_then(|value| value.split(';').next()).map(|value| value.trim().to_owned());
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|source| broken(url, source))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > allowed {
                return Err(FetchError::TooLarge { url: shown(url), allowed });
            }
        }
        Ok((bytes, content_type))
    }
}

/// Finds out what a document is. One that can be taken for a manifest and for an index would be something else to others who
/// check the same digest.
fn media_type(url: &Url, bytes: &[u8], content_type: Option<String>) -> Result<String, FetchError> {
    let known = |media_type: &String| {
        matches!(media_type.as_str(), OCI_INDEX | OCI_MANIFEST | DOCKER_LIST | DOCKER_MANIFEST)
    };
    let kind: Kind = parse(url, bytes)?;
    let no_image = |media_type: String| FetchError::NoImage { url: shown(url), media_type: cut(&media_type) };
    if kind.manifests.is_some() && kind.layers.is_some() {
        return Err(no_image("both an index and a manifest".to_owned()));
    }
    let shape = if kind.manifests.is_some() { OCI_INDEX } else { OCI_MANIFEST };
    let media_type = match (kind.media_type, content_type) {
        (Some(said), _) if !known(&said) => return Err(no_image(said)),
        (Some(said), Some(sent)) if known(&sent) && sent != said => {
            return Err(no_image(format!("{said}, sent as {sent}")));
        }
        (Some(said), _) => said,
        (None, Some(sent)) if known(&sent) => sent,
        // OCI does not demand a type in the document; of those that say nothing anywhere, the shape has to do.
        (None, _) if kind.manifests.is_some() || kind.layers.is_some() => shape.to_owned(),
        (None, sent) => return Err(no_image(sent.unwrap_or_default())),
    };
    let is_index = Descriptor::new(&media_type, Digest::of(bytes), 0).is_index();
    if is_index != kind.manifests.is_some() {
        return Err(no_image(format!("{media_type}, which it does not look like")));
    }
    Ok(media_type)
}

fn parse<T: serde::de::DeserializeOwned>(url: &Url, bytes: &[u8]) -> Result<T, FetchError> {
    serde_json::from_slice(bytes)
        .map_err(|error| FetchError::Parse { url: shown(url), problem: cut(&error.to_string()) })
}
