//! The `dashboard` section: the web pages of the daemon.

use garde::Validate;
use schemars::JsonSchema;
use serde::Deserialize;

use super::rules;

/// The `dashboard` section. Only the disabled dashboard is built so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct DashboardConfig {
    /// Whether the daemon serves its dashboard.
    #[garde(custom(rules::not_built_yet))]
    pub enabled: bool,
}
