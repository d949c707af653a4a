//! An image on its way into the store: layer by layer, the lowest first, then its manifest. Until the manifest is in its
//! place nothing has changed for anybody; an assembly that is given up takes with it the layers that it has added.

use std::collections::BTreeSet;
use std::io::Read;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::account::{self, AccountLayerError};
use crate::claim::Claim;
use crate::digest::Digest;
use crate::image::ImageConfig;
use crate::import::{ImportError, ImportReport, ImportedLayer};
use crate::limits::{Deadline, LimitError, UnpackLimits};
use crate::manifest::Manifest;
use crate::name::ImageName;
use crate::root_view::RootView;
use crate::staging::{self, Pin, StagedLayer};
use crate::store::ImageStore;
use crate::unpack::{self, Content, Progress, Recorder, TarStream, UnpackError, UnpackSummary, Unpacked};

/// As many as can be stacked with the account layer on top: docs/adr/0008-skeleton-layer.md.
pub const MOST_LAYERS: usize = 63;
/// As much of a layer's archive as is written at once.
const WRITTEN_BYTES: usize = 128 * 1024;
/// Before the chain of hashes in the name of a layer that is what it is only on the layers below it.
const CHAINED: &str = "chained-";

/// What a layer has to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExpectedLayer {
    /// Of its uncompressed archive.
    pub(crate) diff_id: Digest,
    /// Of the archive as it comes, with its size; where that is known.
    pub(crate) blob: Option<(Digest, u64)>,
}

/// What is known about a layer in the store.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LayerFacts {
    /// Of its uncompressed archive.
    pub(crate) diff_id: Digest,
    pub(crate) summary: UnpackSummary,
}

/// An image that is being made.
pub(crate) struct Assembly<'a> {
    store: &'a ImageStore,
    limits: UnpackLimits,
    deadline: Deadline,
    layers: Vec<Part>,
    /// Layers that were not in the store before.
    added: Vec<String>,
    summary: UnpackSummary,
    size_bytes: u64,
    /// Layers that were added stay, whatever becomes of the image.
    finished: bool,
    origin: Option<String>,
}

struct Part {
    layer: String,
    report: ImportedLayer,
    /// Until the manifest says that the layer is needed.
    _pin: Pin,
}

type OnProgress<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

impl<'a> Assembly<'a> {
    pub(crate) fn begin(store: &'a ImageStore, limits: &UnpackLimits) -> Self {
        Self {
            store,
            limits: limits.clone(),
            deadline: Deadline::begin(limits),
            layers: Vec::new(),
            added: Vec::new(),
            summary: UnpackSummary::default(),
            size_bytes: 0,
            finished: false,
            origin: None,
        }
    }

    /// Begins one whose layers stay in the store even if no image is made of them.
    pub(crate) fn begin_keeping(store: &'a ImageStore, limits: &UnpackLimits) -> Self {
        let mut assembly = Self::begin(store, limits);
        assembly.finished = true;
        assembly
    }

    /// Says by what the image was pulled.
    pub(crate) fn pulled_by(&mut self, origin: Option<String>) {
        self.origin = origin;
    }

    /// Bytes of the contents of all files.
    pub(crate) const fn bytes(&self) -> u64 {
        self.size_bytes
    }

    pub(crate) const fn limits(&self) -> &UnpackLimits {
        &self.limits
    }

    /// The layers so far, by their names in the store with their diff ids, lowest first.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (&str, Digest)> {
        self.layers.iter().map(|part| (part.layer.as_str(), part.report.diff_id))
    }

    /// Adds a layer whose archive is written by `write`, on a thread of its own, while it is unpacked. Returns the name of the
    /// layer and its diff id.
    ///
    /// # Errors
    /// That of `write`, or else that of the unpacking.
    pub(crate) fn add_written<E: From<ImportError> + Send>(
        &mut self,
        write: impl FnOnce(std::io::BufWriter<std::io::PipeWriter>) -> Result<(), E> + Send,
        progress: OnProgress<'_>,
    ) -> Result<(String, Digest), E> {
        let pipe = std::io::pipe().map_err(|source| ImportError::OpenLayers { source })?;
        let (staged, unpacked) = std::thread::scope(|scope| {
            let writing =
                scope.spawn(move || write(std::io::BufWriter::with_capacity(WRITTEN_BYTES, pipe.1)));
            let unpacked = self.unpack_written(pipe.0, progress);
            // A panic of the writer is one of ours.
            let written = writing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            match (written, unpacked) {
                // It could not write any more because the unpacking had ended, which says why.
                (Err(_), Err(error))
                    if !matches!(
                        error,
                        ImportError::Unpack { source: UnpackError::Truncated { .. } | UnpackError::Empty }
                    ) =>
                {
                    Err(error.into())
                }
                (Err(error), _) => Err(error),
                (Ok(()), unpacked) => unpacked.map_err(E::from),
            }
        })?;
        let below: Vec<Digest> = self.layers.iter().map(|part| part.report.diff_id).collect();
        let [plain, chained] = layer_names(&below, unpacked.diff_id);
        let layer = if unpacked.depends_on_below { chained } else { plain };
        self.publish(staged, layer.clone(), &unpacked)?;
        Ok((layer, unpacked.diff_id))
    }

    /// Makes sure that one more layer can be stacked.
    pub(crate) fn check_room(&self) -> Result<(), ImportError> {
        if self.layers.len() < MOST_LAYERS {
            Ok(())
        } else {
            Err(ImportError::TooManyLayers { allowed: MOST_LAYERS })
        }
    }

    fn unpack_written(
        &self,
        archive: std::io::PipeReader,
        progress: OnProgress<'_>,
    ) -> Result<(StagedLayer, Unpacked), ImportError> {
        self.check_room()?;
        let failed = |source| ImportError::Unpack { source };
        let staged = self.store.stage()?;
        let below = self.view()?;
        // The first name in it could begin like a compressed file.
        // A build takes as long as its steps do; the time of a layer is its own.
        let stream = unpack::open_plain(archive, &self.limits, Deadline::begin(&self.limits));
        let unpacked = unpack_into(&staged, stream, Content::Layer(&below), &self.limits, progress);
        Ok((staged, unpacked.map_err(failed)?))
    }

    /// When it has to be done, layers and all.
    pub(crate) const fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Unpacks the archive of a root file system.
    pub(crate) fn add_root_file_system(
        &mut self,
        stream: TarStream<'_>,
        progress: OnProgress<'_>,
    ) -> Result<Digest, ImportError> {
        let staged = self.store.stage()?;
        let unpacked = unpack_into(&staged, stream, Content::RootFileSystem, &self.limits, progress)
            .map_err(|source| ImportError::Unpack { source })?;
        // As a layer of some image, the same archive may have become something else.
        let layer = match unpacked.depends_on_below {
            true => format!("{CHAINED}{}", unpacked.diff_id.hexadecimal()),
            false => unpacked.diff_id.hexadecimal(),
        };
        self.publish(staged, layer, &unpacked)?;
        Ok(unpacked.diff_id)
    }

    /// Adds a layer on top of those that are there. Where the store has it, `open` is not called; where somebody is
    /// unpacking it, waits for that.
    pub(crate) fn add_layer(
        &mut self,
        expected: &ExpectedLayer,
        open: impl FnOnce() -> Result<Box<dyn Read>, ImportError>,
        progress: OnProgress<'_>,
    ) -> Result<(), ImportError> {
        let diff_id = expected.diff_id;
        let below: Vec<Digest> = self.layers.iter().map(|part| part.report.diff_id).collect();
        let [plain, chained] = layer_names(&below, diff_id);
        let path = self.store.layers.clone();
        let _claim =
            Claim::wait(&path, &diff_id).map_err(|source| ImportError::Claim { layer: diff_id, source })?;
        for layer in [&plain, &chained] {
            if self.take_present(layer, diff_id)? {
                return Ok(());
            }
        }
        let staged = self.store.stage()?;
        let unpacked = self.unpack_layer(&staged, expected, open, progress)?;
        let layer = if unpacked.depends_on_below { chained } else { plain };
        self.publish(staged, layer, &unpacked)
    }

    /// Writes the manifest: from then on there is an image of this name.
    pub(crate) fn finish(
        mut self,
        name: &ImageName,
        digest: Digest,
        config: ImageConfig,
        configuration: Option<String>,
    ) -> Result<ImportReport, ImportError> {
        let diff_ids = self.layers.iter().map(|part| part.report.diff_id).collect();
        let account_layer = self.add_account_layer()?;
        let store = self.store;
        let imported: Vec<String> = self.layers.iter().map(|part| part.layer.clone()).collect();
        let account = account_layer.iter().map(|(layer, _)| layer.clone());
        let mut layers: Vec<String> = account.chain(imported.iter().rev().cloned()).collect();
        // An overlay mount takes a directory once: ELOOP. All that a layer has hides what it has further down, and only one
        // that says nothing of those below it can be there twice.
        let mut stacked = BTreeSet::new();
        layers.retain(|layer| stacked.insert(layer.clone()));
        let mut manifest = Manifest::new(name.clone(), digest.to_string(), layers, self.size_bytes);
        (manifest.diff_ids, manifest.imported) = (diff_ids, imported);
        (manifest.config, manifest.configuration) = (config, configuration);
        manifest.origin = self.origin.take();
        let path = store.lock_file().to_owned();
        let lock = store.lock().map_err(|source| ImportError::Lock { path, source })?;
        let replaced = Manifest::read(&store.images, name).ok().map(|old| old.digest);
        let written = manifest.write(&store.images, &lock);
        // The manifest may be in its place although the directory could not be synced: then the layers stay.
        self.finished = self.finished
            || written.is_ok()
            || Manifest::read(&store.images, name).is_ok_and(|there| there == manifest);
        drop(lock);
        written.map_err(|source| ImportError::Manifest { name: name.clone(), source })?;
        Ok(ImportReport {
            name: name.clone(),
            digest: digest.to_string(),
            layers: self.layers.iter().map(|part| part.report).collect(),
            summary: self.summary,
            account_layer: account_layer.is_some(),
            replaced,
        })
    }

    /// Takes a layer that the store has.
    pub(crate) fn take_present(&mut self, layer: &str, diff_id: Digest) -> Result<bool, ImportError> {
        let pinned = self.store.pin_known(layer);
        let pinned = pinned.map_err(|source| ImportError::Pin { layer: layer.to_owned(), source })?;
        let Some((pin, facts)) = pinned else { return Ok(false) };
        self.count(&facts.summary)?;
        let report = ImportedLayer { diff_id, compression: None, was_present: true };
        self.layers.push(Part { layer: layer.to_owned(), report, _pin: pin });
        Ok(true)
    }

    fn unpack_layer(
        &self,
        staged: &StagedLayer,
        expected: &ExpectedLayer,
        open: impl FnOnce() -> Result<Box<dyn Read>, ImportError>,
        progress: OnProgress<'_>,
    ) -> Result<Unpacked, ImportError> {
        let layer = expected.diff_id;
        let broken = |source| ImportError::Layer { layer, source };
        self.check_room()?;
        let below = self.view()?;
        let stream = unpack::open(open()?, &self.limits, self.deadline).map_err(broken)?;
        let unpacked =
            unpack_into(staged, stream, Content::Layer(&below), &self.limits, progress).map_err(broken)?;
        if let Some((digest, size)) = expected.blob
            && (digest, size) != (unpacked.blob, unpacked.blob_bytes)
        {
            let (found, found_bytes) = (unpacked.blob, unpacked.blob_bytes);
            return Err(ImportError::Blob { expected: digest, size, found, found_bytes });
        }
        if unpacked.diff_id != layer {
            return Err(ImportError::DiffId { expected: layer, found: unpacked.diff_id });
        }
        Ok(unpacked)
    }

    /// Puts an unpacked layer into the store, or takes the one that is there by now.
    fn publish(
        &mut self,
        staged: StagedLayer,
        layer: String,
        unpacked: &Unpacked,
    ) -> Result<(), ImportError> {
        let facts = LayerFacts { diff_id: unpacked.diff_id, summary: unpacked.summary };
        let facts = serde_json::to_vec(&facts).map_err(std::io::Error::other);
        facts
            .and_then(|facts| staged.write_facts(&facts))
            .map_err(|source| ImportError::Facts { layer: layer.clone(), source })?;
        let pin = self.store_layer(staged, &layer)?;
        self.count(&unpacked.summary)?;
        let was_present = !self.added.contains(&layer);
        let (diff_id, compression) = (unpacked.diff_id, Some(unpacked.compression));
        self.layers.push(Part {
            layer,
            report: ImportedLayer { diff_id, compression, was_present },
            _pin: pin,
        });
        Ok(())
    }

    /// Moves a layer to its place, and keeps it there.
    fn store_layer(&mut self, staged: StagedLayer, layer: &str) -> Result<Pin, ImportError> {
        let unpublished = |source| ImportError::Publish { layer: layer.to_owned(), source };
        staged.sync().map_err(unpublished)?;
        let path = self.store.lock_file().to_owned();
        let lock = self.store.lock().map_err(|source| ImportError::Lock { path, source })?;
        if staged.publish(&self.store.layers, layer, &lock).map_err(unpublished)? {
            self.added.push(layer.to_owned());
        }
        let pinned = staging::pin_layer(&self.store.layers.join(layer))
            .and_then(|pin| pin.ok_or_else(|| std::io::ErrorKind::NotFound.into()));
        pinned.map_err(|source| ImportError::Pin { layer: layer.to_owned(), source })
    }

    /// Adds up what all layers have, which together are bound by the limits of one archive.
    fn count(&mut self, summary: &UnpackSummary) -> Result<(), ImportError> {
        self.summary.add(summary);
        self.size_bytes += summary.bytes;
        let limits = &mut self.limits;
        let past = |limit| ImportError::Unpack { source: UnpackError::Limit(limit) };
        limits.max_bytes = limits
            .max_bytes
            .checked_sub(summary.bytes)
            .ok_or_else(|| past(LimitError::Bytes { allowed: limits.max_bytes }))?;
        limits.max_entries = limits
            .max_entries
            .checked_sub(summary.entries)
            .ok_or_else(|| past(LimitError::Entries { allowed: limits.max_entries }))?;
        Ok(())
    }

    fn add_account_layer(&mut self) -> Result<Option<(String, Pin)>, ImportError> {
        let failed = |source| ImportError::Account { source };
        let Some(plan) = account::plan(&self.view()?) else { return Ok(None) };
        let staged = self.store.stage()?;
        plan.write(staged.root().as_fd())
            .map_err(|error| failed(AccountLayerError::Write { path: error.path, source: error.source }))?;
        let layer = format!("account-{}", plan.hash());
        let pin = self.store_layer(staged, &layer)?;
        self.size_bytes += plan.size();
        Ok(Some((layer, pin)))
    }

    /// The layers so far, as a program on them would see them.
    pub(crate) fn view(&self) -> Result<RootView, ImportError> {
        let paths: Vec<PathBuf> =
            self.layers.iter().rev().map(|part| self.store.layers.join(&part.layer)).collect();
        RootView::open(&paths, &[]).map_err(|source| ImportError::OpenLayers { source: source.into() })
    }
}

impl Drop for Assembly<'_> {
    fn drop(&mut self) {
        if self.finished || self.added.is_empty() {
            return;
        }
        // Whoever else is using them by now has pins of their own, or a manifest.
        self.layers.clear();
        // What cannot be removed is whole, has no image, and goes with the next pruning.
        let Ok(lock) = self.store.lock() else { return };
        let Ok(referenced) = self.store.referenced_layers() else { return };
        for layer in self.added.iter().filter(|layer| !referenced.contains(*layer)) {
            drop(staging::remove_layer(&self.store.layers, layer, |_| false, &lock));
        }
    }
}

impl ImageStore {
    pub(crate) fn stage(&self) -> Result<StagedLayer, ImportError> {
        StagedLayer::create(&self.layers, self.lock_file()).map_err(|source| ImportError::Stage { source })
    }

    /// Keeps a layer that the store has. None of one from before there were facts and records, or that has lost them: it is
    /// unpacked again to no effect but having them.
    pub(crate) fn pin_known(&self, layer: &str) -> std::io::Result<Option<(Pin, LayerFacts)>> {
        let Some(pin) = staging::pin_layer(&self.layers.join(layer))? else { return Ok(None) };
        let has_record = staging::record_path(&self.layers, layer).is_file();
        Ok(self.facts(layer).filter(|_| has_record).map(|facts| (pin, facts)))
    }

    /// What is known about a layer; none where that is lost.
    pub(crate) fn facts(&self, layer: &str) -> Option<LayerFacts> {
        let bytes = std::fs::read(staging::facts_path(&self.layers, layer)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}

/// The two names that a layer may have on those below it, the lowest first: by itself, and by the chain of hashes that stands
/// for it there (the image specification of OCI, "Layer ChainID").
pub(crate) fn layer_names(below: &[Digest], top: Digest) -> [String; 2] {
    let chain = below
        .iter()
        .chain([&top])
        .copied()
        .reduce(|chain, layer| Digest::of_hasher(Sha256::new_with_prefix(format!("{chain} {layer}"))));
    [top.hexadecimal(), format!("{CHAINED}{}", chain.unwrap_or(top).hexadecimal())]
}

fn unpack_into(
    staged: &StagedLayer,
    stream: TarStream<'_>,
    content: Content<'_>,
    limits: &UnpackLimits,
    progress: OnProgress<'_>,
) -> Result<Unpacked, UnpackError> {
    let record = staged.create_record().and_then(Recorder::new);
    let recorder = record.map_err(|source| UnpackError::Record { source })?;
    unpack::unpack(staged.root().as_fd(), stream, content, recorder, limits, progress)
}
