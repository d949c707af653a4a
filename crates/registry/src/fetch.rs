//! Fetches the layers of an image, several at a time, and writes all of it as a layout of OCI.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use futures_util::{FutureExt, StreamExt, TryStreamExt};
use reqwest::header::CONTENT_RANGE;
use reqwest::{Response, StatusCode, Url};
use sandkasten_image::documents::{Descriptor, Index};
use sandkasten_image::{BlobClaim, Digest, Download, FetchTurn};
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

use crate::error::FetchError;
use crate::registry::Registry;
use crate::remote_image::{MissingLayer, RemoteImage};
use crate::repository::Repository;
use crate::transport::{Get, broken, shown};

/// So many layers are fetched at once, as other programs do; more only makes registries refuse.
const AT_ONCE: usize = 3;
const BLOBS: &str = "blobs/sha256";

/// How often it is looked whether another pull has fetched a layer. Locks of files have no other way to be waited for that can be given up.
const LOOKS_AGAIN: Duration = Duration::from_millis(50);

/// What happens while an image is found and its layers are fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchEvent {
    /// A place, a mirror, does not have or give it, and the next is asked.
    Skipped {
        /// The registry that does not.
        registry: String,
        /// The registry that is asked next.
        next: String,
        /// Why.
        why: String,
    },
    /// The layers that are not here yet are known.
    Begun {
        /// How many, each counted once.
        layers: usize,
        /// Of all of them, as they come.
        bytes: u64,
    },
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
    /// Another pull is fetching it, and is waited for.
    Waiting {
        /// Its digest.
        layer: Digest,
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

/// Where an image is fetched to, and what need not be fetched.
#[derive(Clone, Copy)]
pub struct Destination<'a> {
    /// A place of its own.
    pub download: &'a Download,
    /// Says of a layer, by its place among [`RemoteImage::diff_ids`], whether it is here already. It is asked again when another pull
    /// may have brought it.
    pub is_present: &'a (dyn Fn(usize) -> io::Result<bool> + Sync),
}

struct Blob<'a> {
    layer: &'a Descriptor,
    url: Url,
    path: &'a Path,
}

/// A layer on its way to the disk.
struct Partial {
    file: File,
    hasher: Sha256,
    received: u64,
}

impl Registry {
    /// Fetches an image, save for the layers that are here already. Each is checked by digest and size while it comes. What breaks
    /// off goes on where it was; what one place does not give is asked of the next. A layer that another pull is fetching from
    /// the same registry is waited for and shared.
    ///
    /// # Errors
    ///
    /// [`FetchError`] has a variant for each step. What is in the destination then is of no use.
    pub async fn fetch(
        &self,
        image: &RemoteImage,
        to: &Destination<'_>,
        on_event: OnEvent<'_>,
    ) -> Result<(), FetchError> {
        let wanted = image.missing(|index| is_present(to, index))?;
        let allowed = self.limits().max_bytes;
        let bytes = check_sizes(&wanted, allowed, to.download.path())?;
        on_event(FetchEvent::Begun { layers: wanted.len(), bytes });
        write_documents(image, to.download.path())?;
        let limit = self.limits().max_duration;
        let mut layers = Vec::with_capacity(wanted.len());
        for layer in &wanted {
            // In a box, the compiler can tell that the whole may go to another thread.
            layers.push(self.layer(image, layer, to, on_event).boxed());
        }
        let all = futures_util::stream::iter(layers).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>();
        let done = tokio::time::timeout(limit, all).await;
        done.map_err(|_| FetchError::Duration { allowed: limit })??;
        Ok(())
    }

    async fn layer(
        &self,
        image: &RemoteImage,
        wanted: &MissingLayer<'_>,
        to: &Destination<'_>,
        on_event: OnEvent<'_>,
    ) -> Result<(), FetchError> {
        let Descriptor { digest: layer, size, .. } = *wanted.descriptor;
        let failed = |source| FetchError::Share { layer, source };
        let path = blob_path(to.download.path(), &layer);
        on_event(FetchEvent::Started { layer, size });
        let mut waits = false;
        let claim = loop {
            match to.download.shared(self.name(), &layer).turn(&path).map_err(failed)? {
                FetchTurn::Ours(claim) => break Some(claim),
                FetchTurn::Done => break None,
                FetchTurn::Others => {
                    if !waits {
                        on_event(FetchEvent::Waiting { layer });
                    }
                    waits = true;
                    tokio::time::sleep(LOOKS_AGAIN).await;
                }
            }
        };
        match claim {
            // Who was waited for may have imported it by now.
            Some(_) if waits && is_present(to, wanted.index)? => {}
            Some(claim) => {
                self.layer_into(&claim, image.place, wanted.descriptor, on_event).await?;
                claim.finish(&path).map_err(failed)?;
            }
            None => on_event(FetchEvent::Received { layer, bytes: size }),
        }
        on_event(FetchEvent::Finished { layer });
        Ok(())
    }

    /// Fetches a layer from the place that has the image, or else from those behind it.
    async fn layer_into(
        &self,
        claim: &BlobClaim,
        place: usize,
        layer: &Descriptor,
        on_event: OnEvent<'_>,
    ) -> Result<(), FetchError> {
        for (index, place) in self.places_from(place) {
            match place.repository.layer(layer, claim, on_event).await {
                Ok(()) => return Ok(()),
                Err(error) => self.skip(index, error, on_event)?,
            }
        }
        Err(FetchError::NoPlace)
    }
}

fn is_present(to: &Destination<'_>, index: usize) -> Result<bool, FetchError> {
    (to.is_present)(index).map_err(|source| FetchError::Present { source })
}

/// Refuses before anything is fetched what would be too much. Returns how much it is.
fn check_sizes(wanted: &[MissingLayer<'_>], allowed: u64, directory: &Path) -> Result<u64, FetchError> {
    let needed = wanted.iter().try_fold(0_u64, |sum, layer| sum.checked_add(layer.descriptor.size));
    let needed = needed.filter(|sum| *sum <= allowed).ok_or(FetchError::LayersTooLarge { allowed })?;
    let failed =
        |source: rustix::io::Errno| FetchError::Write { path: directory.to_owned(), source: source.into() };
    let space = rustix::fs::statvfs(directory).map_err(failed)?;
    let available = space.f_bavail.saturating_mul(space.f_frsize);
    if needed > available {
        return Err(FetchError::Space { path: directory.to_owned(), needed, available });
    }
    Ok(needed)
}

impl Repository {
    /// Fetches a layer into a file, from its beginning.
    async fn layer(
        &self,
        layer: &Descriptor,
        claim: &BlobClaim,
        on_event: OnEvent<'_>,
    ) -> Result<(), FetchError> {
        let url = self.transport.url(&format!("blobs/{}", layer.digest));
        let blob = Blob { layer, url, path: claim.path() };
        let unwritable = |source| FetchError::Write { path: blob.path.to_owned(), source };
        let file = File::from_std(claim.file().try_clone().map_err(unwritable)?);
        let mut partial = Partial { file, hasher: Sha256::new(), received: 0 };
        partial.start_again().await.map_err(unwritable)?;
        let layer = layer.digest;
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
        partial.file.flush().await.map_err(unwritable)?;
        let found = Digest::of_hasher(partial.hasher);
        if found != layer {
            return Err(FetchError::Digest { url: shown(&blob.url), expected: layer, found });
        }
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
        let unwritable = |source| FetchError::Write { path: blob.path.to_owned(), source };
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
