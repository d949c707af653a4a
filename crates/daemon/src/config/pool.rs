//! The `pool` section: sandboxes made before anybody asked for them.

use std::collections::BTreeMap;

use garde::Validate;
use schemars::JsonSchema;
use serde::Deserialize;

use super::rules;

/// The `pool` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct PoolConfig {
    /// Whether sandboxes are made in advance.
    #[garde(skip)]
    pub enabled: bool,
    /// How many sandboxes of each image are kept ready at least.
    #[serde(deserialize_with = "rules::null_is_default")]
    #[garde(custom(rules::pooled_images))]
    pub images: BTreeMap<String, u32>,
    /// How many of one image are kept ready at most, where more are asked for than are ready.
    #[garde(range(max = MOST_READY))]
    pub max: u32,
}

/// The most sandboxes of one image that can be kept ready.
pub(super) const MOST_READY: u32 = 1_000;

impl Default for PoolConfig {
    fn default() -> Self {
        Self { enabled: false, images: BTreeMap::new(), max: 8 }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::ConfigWarning;
    use crate::config::tests::{load, refusal};

    #[test]
    fn a_pool_is_of_images_that_can_be_named_and_has_a_bound() {
        let pool = load("pool: {enabled: true, images: {\"python:3\": 2}, max: 5}").expect("valid").pool;
        assert_eq!((pool.enabled, pool.images.get("python:3"), pool.max), (true, Some(&2), 5));
        for (text, expected) in [
            ("pool: {images: {Python: 1}}", "has a key that is no image name"),
            ("pool: {images: {\"py*\": 1}}", "has a key that is no image name"),
            ("pool: {images: {python: 1001}}", "has a number that is too high"),
            ("pool: {max: 1001}", "pool.max: `1001` is"),
        ] {
            assert!(refusal(text).contains(expected), "{}", refusal(text));
        }
    }

    #[test]
    fn a_pool_that_would_be_empty_is_a_warning() {
        let empty = ConfigWarning::PoolWithoutImages;
        assert_eq!(load("pool: {enabled: true}\n").expect("valid").warnings(), [empty]);
        let forbidden = load("allowed_images: [host]\npool: {enabled: true, images: {host: 1, python: 1}}\n");
        let expected = ConfigWarning::PooledImageNotAllowed { image: "python".to_owned() };
        assert_eq!(forbidden.expect("valid").warnings(), [expected]);
        assert_eq!(load("pool: {images: {python: 1}}\n").expect("valid").warnings(), []);
        let forbidden = load("allowed_images: [host]\npool: {enabled: true, images: {host: 1, python: 1}}\n");
        assert_eq!(forbidden.expect("valid").kept_ready().images.into_keys().collect::<Vec<_>>(), ["host"]);
    }
}
