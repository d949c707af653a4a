//! What steps have come to before: a small file for each, named by the hash of all that the step depends on.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::claim::remove_if_there;
use crate::digest::Digest;
use crate::manifest::is_layer_name;
use crate::staging::temporary_name;
use crate::store::ImageStore;

/// Changes whenever the same step would make another layer.
const FORMAT: &str = "1";
const LARGEST: usize = 4096;

/// The hash of what a step depends on.
#[derive(Debug, Clone)]
pub struct StepKey(Sha256);

/// What a step has come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CachedStep {
    /// Its layer, by its name in the store and its diff id; none where nothing had changed.
    pub(super) layer: Option<(String, Digest)>,
    pub(super) created_at: Timestamp,
}

impl StepKey {
    pub(super) fn new<'a>(below: impl Iterator<Item = (&'a str, Digest)>) -> Self {
        let mut key = Self(Sha256::new());
        key.part(FORMAT);
        for (layer, diff_id) in below {
            key.part(layer);
            key.part(&diff_id.to_string());
        }
        key.part("");
        key
    }

    /// Adds something that the step depends on. Parts do not run into each other.
    pub fn part(&mut self, text: &str) {
        self.0.update((text.len() as u64).to_be_bytes());
        self.0.update(text);
    }

    fn name(&self) -> String {
        Digest::of_hasher(self.0.clone()).hexadecimal()
    }
}

impl ImageStore {
    fn cached_steps(&self) -> PathBuf {
        self.layers.with_file_name("build-cache")
    }

    /// What a step has come to. An entry that cannot be read is none.
    pub(super) fn cached_step(&self, key: &StepKey) -> Option<CachedStep> {
        let bytes = fs::read(self.cached_steps().join(key.name())).ok()?;
        let step: CachedStep = serde_json::from_slice(bytes.get(..bytes.len().min(LARGEST))?).ok()?;
        let sound = step.layer.as_ref().is_none_or(|(layer, _)| is_layer_name(layer));
        sound.then_some(step)
    }

    /// Writes down what a step has come to.
    pub(super) fn remember_step(&self, key: &StepKey, step: &CachedStep) -> io::Result<()> {
        let directory = self.cached_steps();
        match DirBuilder::new().mode(0o700).create(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let temporary = directory.join(temporary_name());
        let text = serde_json::to_vec(step).map_err(io::Error::other)?;
        let written = fs::File::create_new(&temporary)
            .and_then(|mut file| file.write_all(&text))
            .and_then(|()| fs::rename(&temporary, directory.join(key.name())));
        if written.is_err() {
            // A name that no key has; pruning takes it.
            drop(fs::remove_file(&temporary));
        }
        written
    }

    /// Forgets all steps whose layers are gone. Called with the store's lock.
    pub(crate) fn forget_lost_steps(&self) -> io::Result<()> {
        let directory = self.cached_steps();
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        for entry in entries {
            let path = entry?.path();
            if !self.is_whole(&path) {
                remove_if_there(&path)?;
            }
        }
        Ok(())
    }

    fn is_whole(&self, entry: &Path) -> bool {
        let step = fs::read(entry).ok().and_then(|bytes| serde_json::from_slice::<CachedStep>(&bytes).ok());
        let layer = step.and_then(|step| step.layer);
        layer.is_some_and(|(layer, _)| is_layer_name(&layer) && self.layers.join(layer).is_dir())
    }
}
