//! A configuration to start from, with every key and what it is for.

use std::path::Path;

use super::{ApiKey, ListenAddress};

const TEMPLATE: &str = include_str!("template.yaml");

/// What is chosen when a configuration is written for the first time.
#[derive(Debug)]
pub struct FirstConfig<'a> {
    /// Where the API listens.
    pub listen: &'a ListenAddress,
    /// The key of the API.
    pub api_key: &'a ApiKey,
    /// Where everything is kept.
    pub data_dir: &'a Path,
    /// The image of sessions that name none.
    pub default_image: &'a str,
}

impl FirstConfig<'_> {
    /// Renders the file. It holds the key, and is for its owner alone.
    #[must_use]
    pub fn render(&self) -> String {
        let path = |path: &Path| quoted(&path.to_string_lossy());
        let values = [
            ("{listen}", quoted(&self.listen.to_string())),
            ("{api_key}", quoted(self.api_key.expose())),
            ("{data_dir}", path(self.data_dir)),
            ("{db_path}", path(&self.data_dir.join("sandkasten.db"))),
            ("{default_image}", quoted(self.default_image)),
        ];
        // Line by line, so that a value is never taken for a place.
        let fill = |line: &str| {
            let found = values.iter().find(|(place, _)| line.contains(place));
            found.map_or_else(|| line.to_owned(), |(place, value)| line.replace(place, value)) + "\n"
        };
        TEMPLATE.lines().map(fill).collect()
    }
}

/// Text as YAML takes it: what JSON makes of it is YAML as well.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::FirstConfig;
    use crate::config::{ApiKey, Config, Source};

    fn load(text: &str) -> Config {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("sandkasten.yaml");
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a mode");
        Config::load(Some(&path), &BTreeMap::new()).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    fn render(data_dir: &str) -> String {
        let listen = "127.0.0.1:9999".parse().expect("an address");
        let api_key = ApiKey::draw().expect("a key");
        let first = FirstConfig {
            listen: &listen,
            api_key: &api_key,
            data_dir: Path::new(data_dir),
            default_image: "python:3.12",
        };
        first.render()
    }

    #[test]
    fn it_loads_with_what_was_chosen_and_the_defaults_for_the_rest() {
        let config = load(&render("/srv/a \"b\" {api_key}"));
        assert_eq!(config.data_dir, Path::new("/srv/a \"b\" {api_key}"));
        assert_eq!(config.listen.to_string(), "127.0.0.1:9999");
        assert_eq!(config.default_image, "python:3.12");
        assert!(config.warnings().is_empty(), "{:?}", config.warnings());
        let defaults = Config::default().effective();
        for (setting, default) in config.effective().iter().zip(&defaults) {
            if !["listen", "api_key", "data_dir", "db_path", "default_image"].contains(&setting.key) {
                assert_eq!(setting.value, default.value, "{}", setting.key);
            }
        }
    }

    #[test]
    fn every_key_is_in_it_with_its_default() {
        let uncommented: String = render("/srv")
            .lines()
            .filter(|line| !line.contains("api_key_file"))
            .map(|line| match line.split_once('#') {
                Some((indent, setting)) if indent.trim().is_empty() && !setting.starts_with(' ') => {
                    format!("{indent}{setting}\n")
                }
                _ => format!("{line}\n"),
            })
            .collect();
        let config = load(&uncommented);
        let defaults = Config::default().effective();
        for (setting, default) in config.effective().iter().zip(&defaults) {
            if setting.key != "api_key_file" {
                assert!(matches!(setting.source, Source::File { .. }), "{} is not in it", setting.key);
            }
            if !["listen", "api_key", "data_dir", "db_path", "default_image"].contains(&setting.key) {
                assert_eq!(setting.value, default.value, "{}", setting.key);
            }
        }
    }
}
