//! The `images` section: where images come from.

use garde::Validate;
use serde::Deserialize;

use super::rules;

/// The `images` section.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct ImagesConfig {
    /// Hosts, with their port where it is not 80, that are spoken to without TLS when images are pulled.
    #[serde(deserialize_with = "rules::null_is_default")]
    #[garde(inner(custom(rules::host_name)))]
    pub insecure_registries: Vec<String>,
}
