//! Fetches the layers of an image, several at a time, and writes all of it as a layout of OCI.

use std::fs;
use std::path::{Path, PathBuf};

use futures_util::{FutureExt, StreamExt, TryStreamExt};
use reqwest::header::CONTENT_RANGE;
use reqwest::{Response, StatusCode, Url};
use sandkasten_image::Digest;
use sandkasten_image::documents::{Descriptor, Index};
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

use crate::error::FetchError;
use crate::registry::Registry;
use crate::remote_image::RemoteImage;
use crate::transport::{Get, broken, shown};

/// So many layers are fetched at once, as other programs do; more only makes registries refuse.
const AT_ONCE: usize = 3;
const BLOBS: &str = "blobs/sha256";

/// What happens while layers are fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchEvent {
    /// One of the layers is being fetched.
    Started {
        /// Its digest.
        layer: Digest,
        /// Its size as it comes.
        size: u64,
    },
    /// So much of a layer is there.
    Received {
        /// Its digest.
        layer: Digest,
        /// From its beginning.
        bytes: u64,
    },
    /// An attempt failed and another follows.
    Retrying {
        /// Its digest.
        layer: Digest,
        /// Why.
        why: String,
    },
    /// A layer is there and is what it is named by.
    Finished {
        /// Its digest.
        layer: Digest,
    },
}

/// Whoever wants to know.
pub type OnEvent<'a> = &'a (dyn Fn(FetchEvent) + Sync);

struct Blob<'a> {
    layer: &'a Descriptor,
    url: Url,
    path: PathBuf,
}

/// A layer on its way to the disk.
struct Partial {
    file: File,
    hasher: Sha256,
    received: u64,
}

impl Registry {
    /// Fetches an image into an empty directory, save for the layers that are `present` already; the answer has as many
    /// entries as [`RemoteImage::diff_ids`]. Each is checked by digest and size while it comes. What breaks off goes on where
    /// it was.
    ///
    /// # Errors
    ///
    /// [`FetchError`] has a variant for each step. What is in the directory then is of no use.
    pub async fn fetch(
        &self,
        image: &RemoteImage,
        present: &[bool],
        directory: &Path,
        on_event: OnEvent<'_>,
    ) -> Result<(), FetchError> {
        let wanted = image.missing(present);
        self.check_sizes(&wanted, directory)?;
        write_documents(image, directory)?;
        let limit = self.transport.options.limits.max_duration;
        let mut blobs = Vec::with_capacity(wanted.len());
        for layer in wanted {
            let blob = Blob {
                layer,
                url: self.transport.url(&format!("blobs/{}", layer.digest)),
                path: blob_path(directory, &layer.digest),
            };
            // In a box, the compiler can tell that the whole may go to another thread.
            blobs.push(self.layer(blob, on_event).boxed());
        }
        let all = futures_util::stream::iter(blobs).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>();
        let done = tokio::time::timeout(limit, all).await;
        done.map_err(|_| FetchError::Duration { allowed: limit })??;
        Ok(())
    }

    /// Refuses before anything is fetched what would be too much.
    fn check_sizes(&self, wanted: &[&Descriptor], directory: &Path) -> Result<(), FetchError> {
        let allowed = self.transport.options.limits.max_bytes;
        let needed = wanted.iter().try_fold(0_u64, |sum, layer| sum.checked_add(layer.size));
        let needed = needed.filter(|sum| *sum <= allowed).ok_or(FetchError::LayersTooLarge { allowed })?;
        let failed = |source: rustix::io::Errno| FetchError::Write {
            path: directory.to_owned(),
            source: source.into(),
        };
        let space = rustix::fs::statvfs(directory).map_err(failed)?;
        let available = space.f_bavail.saturating_mul(space.f_frsize);
        if needed > available {
            return Err(FetchError::Space { path: directory.to_owned(), needed, available });
        }
        Ok(())
    }

    async fn layer(&self, blob: Blob<'_>, on_event: OnEvent<'_>) -> Result<(), FetchError> {
        let (layer, size) = (blob.layer.digest, blob.layer.size);
        on_event(FetchEvent::Started { layer, size });
        // Not on another thread: a fetch that is dropped makes no file any more, so that its directory can be removed.
        let file = fs::File::create_new(&blob.path);
        let file = file.map_err(|source| FetchError::Write { path: blob.path.clone(), source })?;
        let mut partial = Partial { file: File::from_std(file), hasher: Sha256::new(), received: 0 };
        let mut failures = 0;
        loop {
            let before = partial.received;
            match self.receive(&blob, &mut partial, on_event).await {
                Ok(()) => break,
                Err(error) => {
                    // What gets further may go on as long as the time for all of it lasts.
                    failures = if partial.received > before { 1 } else { failures + 1 };
                    let why = error.with_root_cause();
                    self.pause(error, failures).await?;
                    on_event(FetchEvent::Retrying { layer, why });
                }
            }
        }
        partial.file.flush().await.map_err(|source| FetchError::Write { path: blob.path.clone(), source })?;
        let found = Digest::of_hasher(partial.hasher);
        if found != layer {
            return Err(FetchError::Digest { url: shown(&blob.url), expected: layer, found });
        }
        on_event(FetchEvent::Finished { layer });
        Ok(())
    }

    /// Receives what is missing of a layer, as far as one answer goes.
    async fn receive(
        &self,
        blob: &Blob<'_>,
        partial: &mut Partial,
        on_event: OnEvent<'_>,
    ) -> Result<(), FetchError> {
        let (url, size) = (&blob.url, blob.layer.size);
        if partial.received == size && size > 0 {
            return Ok(());
        }
        let get = Get { url, accept: "*/*", from: partial.received };
        let mut response = self.transport.get(&get).await?;
        let unwritable = |source| FetchError::Write { path: blob.path.clone(), source };
        if response.status() == StatusCode::PARTIAL_CONTENT {
            check_range(url, &response, partial.received)?;
        } else if partial.received > 0 {
            partial.start_again().await.map_err(unwritable)?;
        }
        let left = size - partial.received;
        if let Some(found) = response.content_length().filter(|length| *length != left) {
            let found = partial.received.saturating_add(found);
            return Err(FetchError::Size { url: shown(url), expected: size, found });
        }
        while let Some(chunk) = response.chunk().await.map_err(|source| broken(url, source))? {
            if chunk.len() as u64 > size - partial.received {
                return Err(FetchError::TooLarge { url: shown(url), allowed: size });
            }
            partial.file.write_all(&chunk).await.map_err(unwritable)?;
            partial.hasher.update(&chunk);
            partial.received += chunk.len() as u64;
            on_event(FetchEvent::Received { layer: blob.layer.digest, bytes: partial.received });
        }
        if partial.received < size {
            return Err(FetchError::Cut { url: shown(url), received: partial.received, expected: size });
        }
        Ok(())
    }
}

impl Partial {
    /// For a registry that sends everything although only the rest was asked for.
    async fn start_again(&mut self) -> std::io::Result<()> {
        self.file.set_len(0).await?;
        self.file.rewind().await?;
        (self.hasher, self.received) = (Sha256::new(), 0);
        Ok(())
    }
}

/// Makes sure that a part begins where the last one ended.
fn check_range(url: &Url, response: &Response, from: u64) -> Result<(), FetchError> {
    let range =
        response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let begins = range.strip_prefix("bytes ").and_then(|range| range.split_once('-'));
    if begins.is_some_and(|(begin, _)| begin.trim().parse() == Ok(from)) {
        return Ok(());
    }
    Err(FetchError::Range { url: shown(url), range: crate::transport::cut(range) })
}

fn blob_path(directory: &Path, digest: &Digest) -> PathBuf {
    directory.join(BLOBS).join(digest.hexadecimal())
}

fn write_documents(image: &RemoteImage, directory: &Path) -> Result<(), FetchError> {
    let failed = |path: &Path, source| FetchError::Write { path: path.to_owned(), source };
    let blobs = directory.join(BLOBS);
    fs::create_dir_all(&blobs).map_err(|source| failed(&blobs, source))?;
    let index =
        Index { schema_version: 2, media_type: None, manifests: vec![image.manifest.descriptor.clone()] };
    let path = directory.join("index.json");
    let index = serde_json::to_vec(&index).map_err(|source| failed(&path, source.into()))?;
    for (path, bytes) in [
        (directory.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#.as_slice()),
        (path, &index),
        (blob_path(directory, &image.manifest.descriptor.digest), &image.manifest.bytes),
        (blob_path(directory, &image.configuration.descriptor.digest), &image.configuration.bytes),
    ] {
        fs::write(&path, bytes).map_err(|source| failed(&path, source))?;
    }
    Ok(())
}
