//! The `images` section: where images come from, and what their sessions have.

use std::collections::BTreeMap;

use garde::Validate;
use sandkasten_registry::Mirror;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::{ImageDefaults, rules};

/// The `images` section.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct ImagesConfig {
    /// Hosts, with their port where it is not 80, that are spoken to without TLS when images are pulled.
    #[serde(deserialize_with = "rules::null_is_default")]
    #[garde(inner(custom(rules::host_name)))]
    pub insecure_registries: Vec<String>,
    /// Registries that are asked for the images of another one before that is, by the name of that.
    #[serde(deserialize_with = "rules::null_is_default")]
    #[garde(custom(rules::mirrors))]
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Registries, with their port where a reference has one, that clients of the API may pull from. The command line pulls
    /// from any.
    #[serde(deserialize_with = "null_is_docker_hub")]
    #[garde(inner(custom(rules::host_name)))]
    pub pull_registries: Vec<String>,
    /// What sessions of single images have in place of the defaults, by patterns of their names.
    #[serde(deserialize_with = "rules::null_is_default")]
    #[garde(dive, custom(rules::image_patterns))]
    pub defaults: BTreeMap<String, ImageDefaults>,
}

impl Default for ImagesConfig {
    fn default() -> Self {
        Self {
            insecure_registries: Vec::new(),
            mirrors: BTreeMap::new(),
            pull_registries: docker_hub(),
            defaults: BTreeMap::new(),
        }
    }
}

impl ImagesConfig {
    /// Tells whether clients of the API may pull from a registry, as a reference has it: a host, perhaps with a port.
    #[must_use]
    pub fn allows_pulls_from(&self, registry: &str) -> bool {
        self.pull_registries.iter().any(|allowed| allowed.eq_ignore_ascii_case(registry))
    }

    /// The mirrors of a registry, as a reference has it, in the order in which they are asked.
    pub fn mirrors_of(&self, registry: &str) -> impl Iterator<Item = Mirror> {
        let own = self.mirrors.iter().filter(move |(name, _)| name.eq_ignore_ascii_case(registry));
        // All of them are mirrors: that was checked when the configuration was loaded.
        own.flat_map(|(_, mirrors)| mirrors).filter_map(|mirror| mirror.parse().ok())
    }
}

fn docker_hub() -> Vec<String> {
    vec!["docker.io".to_owned()]
}

/// As [`rules::null_is_default`]; an empty list is one that somebody has written.
fn null_is_docker_hub<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_else(docker_hub))
}

#[cfg(test)]
mod tests {
    use garde::Validate;

    use super::ImagesConfig;

    #[test]
    fn clients_pull_from_docker_hub_alone_unless_it_is_said_otherwise() {
        let parsed = |text| serde_json::from_str::<ImagesConfig>(text).expect(text);
        for (text, registries) in [
            ("{}", &["docker.io"][..]),
            (r#"{"pull_registries": null}"#, &["docker.io"]),
            (r#"{"pull_registries": []}"#, &[]),
            (r#"{"pull_registries": ["R.example:5000"]}"#, &["R.example:5000"]),
        ] {
            assert_eq!(parsed(text).pull_registries, registries, "{text}");
        }
        let images = parsed(r#"{"pull_registries": ["R.example:5000"]}"#);
        assert!(images.allows_pulls_from("r.example:5000"));
        assert!(!images.allows_pulls_from("r.example") && !images.allows_pulls_from("docker.io"));
        assert!(!parsed(r#"{"pull_registries": []}"#).allows_pulls_from("docker.io"));
        assert!(images.validate().is_ok());
        assert!(parsed(r#"{"pull_registries": ["https://r.example"]}"#).validate().is_err());
    }

    #[test]
    fn mirrors_are_those_of_one_registry_in_their_order() {
        let parsed = |text| serde_json::from_str::<ImagesConfig>(text).expect(text);
        let images = parsed(
            r#"{"mirrors": {"docker.io": ["m.example/hub", "localhost:5000"], "r.example": ["m.example"]}}"#,
        );
        assert!(images.validate().is_ok());
        let of =
            |registry: &str| images.mirrors_of(registry).map(|mirror| mirror.to_string()).collect::<Vec<_>>();
        assert_eq!(of("docker.io"), ["m.example/hub", "localhost:5000"]);
        assert_eq!(of("R.example"), ["m.example"]);
        assert_eq!(of("r.example:443"), [""; 0]);
        for wrong in [
            r#"{"docker.io": ["https://m.example"]}"#,
            r#"{"docker.io": []}"#,
            r#"{"https://docker.io": ["m.example"]}"#,
            r#"{"": ["m.example"]}"#,
        ] {
            let text = format!("{{\"mirrors\": {wrong}}}");
            assert!(serde_json::from_str::<ImagesConfig>(&text).expect(wrong).validate().is_err(), "{wrong}");
        }
    }
}
