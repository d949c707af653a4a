//! What this kernel and host can do: every feature that sandboxes are built of, tried rather than guessed.
//!
//! Nothing here compares kernel versions, and nothing changes the host: what has to be made to be tried is made by a
//! short-lived process in namespaces of its own, or is never attached anywhere. One file per topic; each has the pure
//! judgement apart from the reading.

mod cgroups;
mod check;
mod confinement;
mod data_directory;
mod data_filesystem;
mod host_ids;
mod host_image;
mod mitigations;
mod mount_table;
mod mounts;
mod namespace_limits;
mod namespaces;
mod privileges;
mod process_calls;
mod trial;

#[cfg(test)]
mod tests;

use std::path::Path;

use serde::Serialize;

use self::trial::Trial;

/// All that was found out about a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostReport {
    /// The release of the running kernel.
    pub kernel: String,
    /// The machine's architecture, in the kernel's words.
    pub architecture: String,
    /// The features, by topic.
    pub features: Vec<Feature>,
}

impl HostReport {
    /// Whether sandboxes can run: no required feature is missing.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.features.iter().all(|feature| !feature.required || feature.status.is_available())
    }
}

/// One feature of the kernel or the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Feature {
    /// Its name; no two are the same.
    pub name: &'static str,
    /// Whether it is there.
    pub status: FeatureStatus,
    /// Whether no sandbox runs without it. One that is not required only weakens or informs.
    pub required: bool,
    /// What depends on it, to be read after "needed for".
    pub why: &'static str,
    /// What to do where it is missing, to be read after "what to do".
    pub advice: &'static str,
}

/// Whether a feature is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum FeatureStatus {
    /// It works.
    Available {
        /// How it was tried, or what was found.
        detail: String,
    },
    /// It does not, or could not be tried.
    Missing {
        /// Why, down to the kernel's reason.
        reason: String,
    },
}

impl FeatureStatus {
    /// Whether the feature works.
    #[must_use]
    pub fn is_available(&self) -> bool {
        matches!(self, Self::Available { .. })
    }
}

/// Tries every feature on the running kernel, for sandboxes whose layers are in `data_dir`, which need not exist.
/// Blocking, some tens of milliseconds; never changes the host. Worth its name only as root: another user is told that
/// root is missing, and what cannot be tried without it.
#[must_use]
pub fn probe(data_dir: &Path) -> HostReport {
    let mounts = mount_table::read();
    let place = data_directory::Place::find(data_dir);
    let trial = Trial::run(place.as_ref().map(|place| place.existing.as_path()));
    let system = rustix::system::uname();
    let features = [
        privileges::features(),
        process_calls::features(),
        namespaces::features(&trial),
        namespace_limits::features(),
        mounts::features(&trial, &mounts),
        confinement::features(&trial),
        cgroups::features(&mounts),
        data_directory::features(&place),
        data_filesystem::features(&place, &mounts),
        host_ids::features(),
        host_image::features(),
        mitigations::features(),
    ];
    HostReport {
        kernel: system.release().to_string_lossy().into_owned(),
        architecture: system.machine().to_string_lossy().into_owned(),
        features: features.into_iter().flatten().collect(),
    }
}
