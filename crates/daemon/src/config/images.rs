//! The `images` section: where images come from, and what their sessions have.

use std::collections::BTreeMap;

use garde::Validate;
use serde::Deserialize;

use super::{ImageDefaults, rules};

/// The `images` section.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct ImagesConfig {
    /// Hosts, with their port where it is not 80, that are spoken to without TLS when images are pulled.
    #[serde(deserialize_with = "rules::null_is_default")]
    #[garde(inner(custom(rules::host_name)))]
    pub insecure_registries: Vec<String>,
    /// What sessions of single images have in place of the defaults, by patterns of their names.
    #[serde(deserialize_with = "rules::null_is_default")]
    #[garde(dive, custom(rules::image_patterns))]
    pub defaults: BTreeMap<String, ImageDefaults>,
}
