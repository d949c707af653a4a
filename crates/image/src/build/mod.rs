//! Images on their way from a Dockerfile into the store: a stage is a stack of layers, to which copies and what steps have changed
//! are added, each as an archive through the one unpacker. Knows no Dockerfile and runs nothing.

mod accounts;
mod added_archive;
mod archive;
mod cache;
mod changes;
mod configuration;
mod copy;
mod copy_request;
mod error;
mod planned;
mod scratch;

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;

use crate::assembly::Assembly;
use crate::digest::Digest;
use crate::import::ImportError;
use crate::limits::UnpackLimits;
use crate::manifest::Manifest;
use crate::name::ImageName;
use crate::root_view::RootView;
use crate::source::documents::{Configuration, Platform};
use crate::store::ImageStore;
use crate::unpack::UnpackError;

use cache::CachedStep;
use configuration::Base;
use copy::{Planner, Sources};

pub use accounts::BuildAccount;
pub use cache::StepKey;
pub use configuration::BuiltConfig;
use configuration::HistoryStep;
pub use copy_request::{Context, ContextRules, CopyItem, CopyRequest, PathTest};
pub use error::BuildError;
pub use planned::CopyPlan;
pub use scratch::Scratch;

/// A stage: the layers so far. Layers that were added stay in the store, for later builds, until they are pruned.
pub struct StageLayers<'a> {
    store: &'a ImageStore,
    assembly: Assembly<'a>,
    base: Base,
    /// What was done on top of the image below.
    history: Vec<HistoryStep>,
}

/// What a step has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepLayer {
    /// Whether it made a layer.
    pub has_layer: bool,
    /// When it was carried out.
    pub created_at: Timestamp,
    /// Pipes, sockets and devices that were left out.
    pub skipped_nodes: u64,
}

/// An image that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltImage {
    /// As [`Image::digest`](crate::Image::digest): of its configuration.
    pub digest: String,
    /// Its layers.
    pub layers: usize,
    /// Bytes of its file contents.
    pub bytes: u64,
    /// The digest of the image that had its name before.
    pub replaced: Option<String>,
}

/// Says whether to go on.
type GoOn<'a> = &'a AtomicBool;

impl ImageStore {
    /// Begins a stage with nothing.
    #[must_use]
    pub fn stage_of_nothing(&self) -> StageLayers<'_> {
        let assembly = Assembly::begin_keeping(self, &UnpackLimits::default());
        StageLayers { store: self, assembly, base: Base::default(), history: Vec::new() }
    }

    /// Begins a stage with an image. Returns what the image says of itself, too.
    ///
    /// # Errors
    /// [`BuildError`] where the image is not there, or nothing can be built on it.
    pub fn stage_of_image(&self, name: &ImageName) -> Result<(StageLayers<'_>, BuiltConfig), BuildError> {
        if name.is_reserved() {
            return Err(BuildError::BuiltIn { name: name.clone() });
        }
        let manifest = match Manifest::read(&self.images, name) {
            Err(error) if error.is_absent() => return Err(BuildError::NotPresent { name: name.clone() }),
            Err(source) => return Err(BuildError::Manifest { name: name.clone(), source }),
            Ok(manifest) => manifest,
        };
        let lost = |layer: &str| BuildError::LayerLost { name: name.clone(), layer: layer.to_owned() };
        let mut stage = self.stage_of_nothing();
        if manifest.imported.len() != manifest.diff_ids.len() || manifest.imported.is_empty() {
            return Err(lost(manifest.layers.first().map_or("", String::as_str)));
        }
        for (layer, diff_id) in manifest.imported.iter().zip(&manifest.diff_ids) {
            if !stage.assembly.take_present(layer, *diff_id)? {
                return Err(lost(layer));
            }
        }
        stage.base = Base::parse(name, manifest.configuration.as_deref())?;
        let config = stage.base.built_config(&manifest.config);
        Ok((stage, config))
    }
}

impl<'a> StageLayers<'a> {
    /// Begins a stage with what this one is by now.
    ///
    /// # Errors
    /// [`BuildError::Store`].
    pub fn fork(&self) -> Result<Self, BuildError> {
        let mut stage = self.store.stage_of_nothing();
        for (layer, diff_id) in self.assembly.parts() {
            if !stage.assembly.take_present(layer, diff_id)? {
                // It is pinned by this stage.
                let source = std::io::ErrorKind::NotFound.into();
                return Err(ImportError::Pin { layer: layer.to_owned(), source }.into());
            }
        }
        stage.base = self.base.clone();
        stage.history.clone_from(&self.history);
        Ok(stage)
    }

    /// The directories of its layers, topmost first, each once.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        let mut seen = std::collections::BTreeSet::new();
        let mut paths: Vec<PathBuf> =
            self.assembly.parts().map(|(layer, _)| self.store.layers.join(layer)).collect();
        paths.reverse();
        paths.retain(|path| seen.insert(path.clone()));
        paths
    }

    /// Finds `USER` or `USER:GROUP` in its files.
    ///
    /// # Errors
    /// [`BuildError::NoSuchUser`] and its like.
    pub fn account(&self, text: &str) -> Result<BuildAccount, BuildError> {
        accounts::find(&self.view()?, text)
    }

    /// Begins the key of a step on it.
    #[must_use]
    pub fn key(&self) -> StepKey {
        StepKey::new(self.assembly.parts())
    }

    /// Takes what a step has come to before, if that is still there.
    ///
    /// # Errors
    /// [`BuildError::Store`].
    pub fn take_cached(&mut self, key: &StepKey) -> Result<Option<StepLayer>, BuildError> {
        let Some(CachedStep { layer, created_at }) = self.store.cached_step(key) else { return Ok(None) };
        if let Some((layer, diff_id)) = &layer {
            self.assembly.check_room()?;
            if !self.assembly.take_present(layer, *diff_id)? {
                return Ok(None);
            }
        }
        Ok(Some(StepLayer { has_layer: layer.is_some(), created_at, skipped_nodes: 0 }))
    }

    /// Finds out what a copy is to copy, and where to: from a context, or from another stage. Reads all of it, for the key.
    ///
    /// # Errors
    /// [`BuildError`]
    pub fn plan_copy(
        &self,
        origin: &CopyOrigin<'_, '_>,
        request: &CopyRequest,
        go_on: GoOn<'_>,
    ) -> Result<CopyPlan, BuildError> {
        let image = self.view()?;
        let owner = request.owner.as_deref().map(|owner| accounts::owner(&image, owner)).transpose()?;
        let opened = origin.open()?;
        let sources = opened.sources();
        let mut planner = self.planner(sources, &image, owner, request.mode);
        planner.unpacks = request.unpacks;
        planner.items(&request.items, &request.destination)?;
        let skipped_nodes = planner.skipped_nodes;
        let mut entries = planned::each_once(planner.entries)?;
        let digest = planned::hash(&mut entries, sources, &|| flow(go_on))?;
        Ok(CopyPlan { entries, digest, skipped_nodes })
    }

    /// Adds a layer of what was planned, or takes the one that the key knows.
    ///
    /// # Errors
    /// [`BuildError`]
    pub fn add_copy(
        &mut self,
        origin: &CopyOrigin<'_, '_>,
        plan: &CopyPlan,
        key: &StepKey,
        go_on: GoOn<'_>,
    ) -> Result<StepLayer, BuildError> {
        let opened = origin.open()?;
        let sources = opened.sources();
        let limits = self.assembly.limits().clone();
        let entries = &plan.entries;
        let write = move |output| planned::write(entries, sources, &limits, &|| flow(go_on), output);
        let layer = match entries.is_empty() {
            true => None,
            false => Some(self.assembly.add_written(write, &mut |_| flow(go_on)).map_err(cancelled)?),
        };
        self.remember(key, layer, plan.skipped_nodes)
    }

    /// Adds a layer with a directory, and those above it, where they are not there.
    ///
    /// # Errors
    /// [`BuildError`]
    pub fn add_directory(
        &mut self,
        path: &str,
        owner: &str,
        go_on: GoOn<'_>,
    ) -> Result<StepLayer, BuildError> {
        let image = self.view()?;
        let nothing = RootView::empty();
        let owner = accounts::owner(&image, owner)?;
        let sources = Sources { view: &nothing, rules: None };
        let mut planner = self.planner(sources, &image, Some(owner), None);
        // The same directory on the same layers is the same layer.
        planner.now = 0;
        planner.make_directory(path)?;
        let entries = planner.entries;
        if entries.is_empty() {
            return Ok(self.nothing());
        }
        let limits = self.assembly.limits().clone();
        let mut key = self.key();
        key.part("directory");
        key.part(path);
        key.part(&format!("{owner:?}"));
        if let Some(known) = self.take_cached(&key)? {
            return Ok(known);
        }
        let entries = &entries;
        let write = move |output| planned::write(entries, sources, &limits, &|| flow(go_on), output);
        let layer = self.assembly.add_written(write, &mut |_| flow(go_on)).map_err(cancelled)?;
        self.remember(&key, Some(layer), 0)
    }

    /// Adds a layer of what a step has changed. The step has to be dead.
    ///
    /// # Errors
    /// [`BuildError`]
    pub fn add_changes(
        &mut self,
        scratch: &Scratch,
        key: &StepKey,
        go_on: GoOn<'_>,
    ) -> Result<StepLayer, BuildError> {
        let limits = self.assembly.limits().clone();
        let Some(root) = scratch.changed()? else { return self.remember(key, None, 0) };
        let found = changes::look(root.as_fd(), &limits, &|| flow(go_on))?;
        let root = &root;
        let write = move |output| changes::write(root.as_fd(), &limits, &|| flow(go_on), output);
        let layer = match found.entries {
            0 => None,
            _ => Some(self.assembly.add_written(write, &mut |_| flow(go_on)).map_err(cancelled)?),
        };
        self.remember(key, layer, found.skipped_nodes)
    }

    /// What a step that changes no file has come to: as old as what is below it, so that the same build has the same digest.
    #[must_use]
    pub fn nothing(&self) -> StepLayer {
        let created_at = self.history.last().map_or_else(|| self.base.created_at(), |step| step.created_at);
        StepLayer { has_layer: false, created_at, skipped_nodes: 0 }
    }

    /// Notes a step, for those who read how the image was made.
    pub fn note(&mut self, created_by: String, created_at: Timestamp, has_layer: bool) {
        self.history.push(HistoryStep { created_by, created_at, has_layer });
    }

    /// Makes an image of it, if there is a name for it; else only says what it would be.
    ///
    /// # Errors
    /// [`BuildError`]; an older image of that name is unchanged then.
    pub fn finish(self, name: Option<&ImageName>, config: &BuiltConfig) -> Result<BuiltImage, BuildError> {
        let diff_ids: Vec<Digest> = self.assembly.parts().map(|(_, diff_id)| diff_id).collect();
        if diff_ids.is_empty() {
            return Err(BuildError::Empty);
        }
        let document = self.base.document(config, &diff_ids, &self.history);
        let digest = Digest::of(document.as_bytes());
        let parsed: Configuration =
            serde_json::from_str(&document).map_err(|source| BuildError::Configuration { source })?;
        let (layers, bytes) = (diff_ids.len(), self.assembly.bytes());
        let replaced = match name {
            Some(name) if name.is_reserved() => {
                return Err(ImportError::Reserved { name: name.clone() }.into());
            }
            Some(name) => self.assembly.finish(name, digest, parsed.image_config(), Some(document))?.replaced,
            None => None,
        };
        Ok(BuiltImage { digest: digest.to_string(), layers, bytes, replaced })
    }

    fn planner<'b>(
        &'b self,
        sources: Sources<'b>,
        image: &'b RootView,
        owner: Option<(u32, u32)>,
        mode: Option<u32>,
    ) -> Planner<'b> {
        Planner {
            sources,
            image,
            owner,
            mode,
            unpacks: false,
            limits: self.assembly.limits(),
            now: u64::try_from(Timestamp::now().as_second()).unwrap_or(0),
            entries: Vec::new(),
            bytes: 0,
            skipped_nodes: 0,
        }
    }

    fn remember(
        &self,
        key: &StepKey,
        layer: Option<(String, Digest)>,
        skipped_nodes: u64,
    ) -> Result<StepLayer, BuildError> {
        let created_at = now();
        let has_layer = layer.is_some();
        let step = CachedStep { layer, created_at };
        let path = self.store.lock_file().to_owned();
        // Pruning looks through the entries with the lock.
        let _lock = self.store.lock().map_err(|source| ImportError::Lock { path, source })?;
        self.store
            .remember_step(key, &step)
            .map_err(|source| ImportError::Facts { layer: "of a step".to_owned(), source })?;
        Ok(StepLayer { has_layer, created_at, skipped_nodes })
    }

    fn view(&self) -> Result<RootView, BuildError> {
        Ok(self.assembly.view()?)
    }
}

/// Where a copy takes its sources from.
pub enum CopyOrigin<'a, 's> {
    /// The context.
    Context(&'a Context),
    /// A stage, or an image.
    Stage(&'a StageLayers<'s>),
}

/// Where sources are looked up, opened.
enum Opened<'a> {
    Context(&'a Context),
    Layers(RootView),
}

impl CopyOrigin<'_, '_> {
    fn open(&self) -> Result<Opened<'_>, BuildError> {
        Ok(match self {
            Self::Context(context) => Opened::Context(context),
            Self::Stage(stage) => Opened::Layers(stage.view()?),
        })
    }
}

impl Opened<'_> {
    fn sources(&self) -> Sources<'_> {
        match self {
            Self::Context(context) => Sources::of(context),
            Self::Layers(view) => Sources { view, rules: None },
        }
    }
}

impl CopyPlan {
    /// The hash of all that is copied: names, attributes and contents, but not times.
    #[must_use]
    pub fn digest(&self) -> String {
        self.digest.to_string()
    }
}

/// This machine in the words of images: `linux/amd64`.
#[must_use]
pub fn platform() -> String {
    Platform::of_this_machine().to_string()
}

/// Whole seconds are what people read.
fn now() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default()
}

fn flow(go_on: GoOn<'_>) -> ControlFlow<()> {
    if go_on.load(Ordering::Relaxed) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

/// Whoever stopped it need not be told where.
fn cancelled(error: BuildError) -> BuildError {
    match error {
        BuildError::Store(ImportError::Unpack { source: UnpackError::Cancelled }) => BuildError::Cancelled,
        error => error,
    }
}
