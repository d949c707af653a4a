//! The `pool` section: sandboxes made before anybody asked for them.

use std::collections::BTreeMap;

use garde::Validate;
use serde::Deserialize;

use super::rules;

/// The `pool` section. Only the disabled pool is built so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct PoolConfig {
    /// Whether sandboxes are made in advance.
    #[garde(custom(rules::not_built_yet))]
    pub enabled: bool,
    /// How many sandboxes of each image are kept ready.
    #[serde(deserialize_with = "rules::null_is_default")]
    #[garde(skip)]
    pub images: BTreeMap<String, u32>,
}
