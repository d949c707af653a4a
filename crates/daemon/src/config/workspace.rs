//! The `workspace` section: directories that outlive sessions.

use garde::Validate;
use serde::Deserialize;

/// The `workspace` section.
///
/// `enabled: true` loads although workspaces are not built yet, because published configurations carry it: the
/// daemon refuses the requests that name a workspace instead, and [`ConfigWarning`](super::ConfigWarning) says so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct WorkspaceConfig {
    /// Whether requests may name workspaces.
    #[garde(skip)]
    pub enabled: bool,
    /// Whether a session without a named workspace gets one that outlives it.
    #[garde(skip)]
    pub persist_by_default: bool,
}
