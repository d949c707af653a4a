//! The `workspace` section: directories that outlive sessions.

use garde::Validate;
use schemars::JsonSchema;
use serde::Deserialize;

/// The `workspace` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct WorkspaceConfig {
    /// Whether requests may name workspaces.
    #[garde(skip)]
    pub enabled: bool,
    /// Whether a session without a named workspace gets one that outlives it.
    #[garde(skip)]
    pub persist_by_default: bool,
    /// What the disk of the data directory must have free, in MiB, for workspaces to be written to by requests or to be
    /// given to sessions.
    #[garde(range(max = 1 << 30))]
    pub min_free_mb: u64,
}

impl WorkspaceConfig {
    /// Whether every session has a workspace that outlives it.
    #[must_use]
    pub const fn is_for_every_session(&self) -> bool {
        self.enabled && self.persist_by_default
    }
}

impl Default for WorkspaceConfig {
    fn default() -> Self {
        Self { enabled: false, persist_by_default: false, min_free_mb: 1_024 }
    }
}
