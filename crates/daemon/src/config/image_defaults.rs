//! What sessions of single images have in place of the defaults.

use std::collections::BTreeMap;
use std::fmt;

use garde::Validate;
use schemars::JsonSchema;
use serde::Deserialize;

use super::rules;
use super::{Config, DefaultsConfig};

/// What sessions of some images have in place of `defaults`: what is not given is as it is there.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct ImageDefaults {
    /// As [`DefaultsConfig::cpu_limit`].
    #[garde(inner(custom(rules::cores)))]
    pub cpu_limit: Option<f64>,
    /// As [`DefaultsConfig::mem_limit_mb`].
    #[garde(inner(range(min = 16, max = 1_048_576)))]
    pub mem_limit_mb: Option<u64>,
    /// As [`DefaultsConfig::pids_limit`].
    #[garde(inner(range(min = 8, max = 4_194_304)))]
    pub pids_limit: Option<u32>,
    /// As [`DefaultsConfig::max_exec_timeout_ms`].
    #[garde(inner(range(min = 1, max = 600_000)))]
    pub max_exec_timeout_ms: Option<u64>,
    /// As [`DefaultsConfig::workspace_mb`].
    #[garde(inner(range(min = 1, max = 1_048_576)))]
    pub workspace_mb: Option<u64>,
    /// As [`DefaultsConfig::tmp_mb`].
    #[garde(inner(range(min = 1, max = 1_048_576)))]
    pub tmp_mb: Option<u64>,
    /// Variables of every process of the session, over those of the image.
    #[serde(deserialize_with = "rules::null_is_default")]
    #[garde(custom(rules::variables))]
    pub env: BTreeMap<String, String>,
}

impl fmt::Display for ImageDefaults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = [
            ("cpu_limit", self.cpu_limit.map(|cores| format!("{cores:?}"))),
            ("mem_limit_mb", self.mem_limit_mb.map(|number| number.to_string())),
            ("pids_limit", self.pids_limit.map(|number| number.to_string())),
            ("max_exec_timeout_ms", self.max_exec_timeout_ms.map(|number| number.to_string())),
            ("workspace_mb", self.workspace_mb.map(|number| number.to_string())),
            ("tmp_mb", self.tmp_mb.map(|number| number.to_string())),
        ];
        let numbers = numbers.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?)));
        // A value may be a secret.
        let variables = self.env.keys().map(|name| format!("${name}"));
        formatter.write_str(&numbers.chain(variables).collect::<Vec<_>>().join(" "))
    }
}

impl Config {
    /// Returns what sessions of an image have: the defaults, changed by what is configured for this image.
    #[must_use]
    pub fn defaults_of(&self, image: &str) -> DefaultsConfig {
        let defaults = self.defaults.clone();
        let Some(own) = self.image_defaults(image) else { return defaults };
        DefaultsConfig {
            cpu_limit: own.cpu_limit.unwrap_or(defaults.cpu_limit),
            mem_limit_mb: own.mem_limit_mb.unwrap_or(defaults.mem_limit_mb),
            pids_limit: own.pids_limit.unwrap_or(defaults.pids_limit),
            max_exec_timeout_ms: own.max_exec_timeout_ms.unwrap_or(defaults.max_exec_timeout_ms),
            workspace_mb: own.workspace_mb.unwrap_or(defaults.workspace_mb),
            tmp_mb: own.tmp_mb.unwrap_or(defaults.tmp_mb),
            ..defaults
        }
    }

    /// Returns the longest that an exec may run in a session of any image, in milliseconds.
    #[must_use]
    pub fn longest_exec_ms(&self) -> u64 {
        let own = self.images.defaults.values().filter_map(|own| own.max_exec_timeout_ms);
        own.chain([self.defaults.max_exec_timeout_ms]).max().unwrap_or_default()
    }

    /// Returns what is configured for an image: under its very name, or else under the longest of the patterns that match it.
    #[must_use]
    pub fn image_defaults(&self, image: &str) -> Option<&ImageDefaults> {
        let own = &self.images.defaults;
        own.get(image).or_else(|| {
            let matching = own.iter().filter(|(pattern, _)| {
                pattern
                    .parse()
                    .is_ok_and(|pattern: sandkasten_image::ImagePattern| pattern.matches_name(image))
            });
            // Of patterns of one length the first in the alphabet, so that the choice is always the same.
            matching.min_by_key(|(pattern, _)| std::cmp::Reverse(pattern.len())).map(|(_, own)| own)
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, ImageDefaults};

    #[test]
    fn values_of_variables_are_not_shown() {
        let own = ImageDefaults {
            cpu_limit: Some(2.0),
            tmp_mb: Some(7),
            env: [("TOKEN".to_owned(), "secret".to_owned())].into(),
            ..ImageDefaults::default()
        };
        assert_eq!(own.to_string(), "cpu_limit=2.0 tmp_mb=7 $TOKEN");
    }

    #[test]
    fn the_very_name_goes_before_the_longest_pattern_and_that_before_the_defaults() {
        let mut config = Config::default();
        for (number, pattern) in [(101, "python:3.12"), (102, "python:*"), (103, "*"), (104, "python:3*")] {
            let own = ImageDefaults { mem_limit_mb: Some(number), ..ImageDefaults::default() };
            config.images.defaults.insert(pattern.to_owned(), own);
        }
        for (image, expected) in
            [("python:3.12", 101), ("python:2", 102), ("python:3.11", 104), ("python", 103), ("node", 103)]
        {
            let defaults = config.defaults_of(image);
            assert_eq!(defaults.mem_limit_mb, expected, "{image}");
            assert_eq!(defaults.pids_limit, config.defaults.pids_limit);
        }
        config.images.defaults.remove("*");
        assert_eq!(config.defaults_of("node"), config.defaults);
    }
}
