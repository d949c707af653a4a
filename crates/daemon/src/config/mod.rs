//! The configuration of the daemon: one section a file, loaded from YAML and the environment.
//!
//! Owns every key, its default, its range and its environment variable. Must not know what the daemon does with a
//! value. The keys are listed once, in `setting`.

mod admission;
mod api_key;
mod automatic;
mod dashboard;
mod defaults;
mod diagnosis;
mod document;
mod effective;
mod image_defaults;
mod images;
mod key_file;
mod listen;
mod load;
mod locate;
mod pool;
mod rules;
mod schema;
mod security;
mod setting;
mod template;
mod warning;
mod workspace;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use garde::Validate;
use sandkasten_image::{Image, ImagePattern};
use sandkasten_isolation::controls::Controls;
use schemars::JsonSchema;
use serde::Deserialize;

pub use self::admission::AdmissionConfig;
pub use self::api_key::ApiKey;
pub use self::automatic::{Automatic, ParseAutomaticError};
pub use self::dashboard::DashboardConfig;
pub use self::defaults::{DefaultsConfig, ExecMode, NetworkMode, ShellPreference};
pub use self::effective::{EffectiveSetting, Source};
pub use self::image_defaults::ImageDefaults;
pub use self::images::ImagesConfig;
pub use self::key_file::ReadKeyFileError;
pub use self::listen::{ListenAddress, ParseListenAddressError};
pub use self::load::{LoadConfigError, environment};
pub use self::locate::{SEARCHED_FILES, locate_config_file};
pub use self::pool::PoolConfig;
pub use self::rules::UnknownKeyword;
pub use self::schema::schema;
pub use self::security::{SeccompProfile, SecurityConfig};
pub use self::template::FirstConfig;
pub use self::warning::ConfigWarning;
pub use self::workspace::WorkspaceConfig;

/// Everything that can be configured, with the defaults filled in and every value checked.
///
/// Made by [`Config::load`] only, or by [`Config::default`] in tests; changing a field afterwards skips the checks.
#[derive(Debug, Clone, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the HTTP API listens.
    #[garde(skip)]
    #[schemars(with = "String")]
    pub listen: ListenAddress,
    /// The key every request must carry; `None` leaves the API open, which only a local listener may.
    #[serde(deserialize_with = "rules::empty_is_none")]
    #[garde(inner(custom(rules::header_safe)))]
    #[schemars(with = "Option<String>")]
    pub api_key: Option<ApiKey>,
    /// A file that holds the key, where it is not in the configuration itself.
    #[serde(deserialize_with = "rules::empty_is_none")]
    #[garde(inner(custom(rules::absolute_path)))]
    pub api_key_file: Option<PathBuf>,
    /// `Host` headers that are accepted besides the listener's own names, for reverse proxies.
    #[serde(deserialize_with = "rules::null_is_default")]
    #[garde(inner(custom(rules::host_name)))]
    pub allowed_hosts: Vec<String>,
    /// Where images, layers, sessions and the database are kept.
    #[garde(custom(rules::absolute_path))]
    pub data_dir: PathBuf,
    /// The database file; see [`Config::database_path`] for the default.
    #[serde(deserialize_with = "rules::empty_is_none")]
    #[garde(inner(custom(rules::absolute_path)))]
    pub db_path: Option<PathBuf>,
    /// The most database connections that are open at once.
    #[garde(range(min = 1, max = 64))]
    pub db_max_open_conns: u32,
    /// The image of a session whose request names none.
    #[garde(custom(rules::image_name))]
    pub default_image: String,
    /// The images that sessions may use; empty means all that are present.
    #[serde(deserialize_with = "rules::null_is_default")]
    #[garde(skip)]
    #[schemars(with = "Vec<String>")]
    pub allowed_images: Vec<ImagePattern>,
    /// The most sessions that exist at once. Every session takes a range of 65,536 uids, of which there are 4,095
    /// (`sandkasten_isolation::plan::RANGES`).
    #[garde(range(min = 1, max = 4_095))]
    pub max_sessions: u32,
    /// Seconds of idleness until a session ends, where the request names none.
    #[garde(range(min = 1, max = 86_400))]
    pub session_ttl_seconds: u64,
    /// Who waits, and for what, when sessions are made.
    #[serde(deserialize_with = "rules::null_is_default")]
    #[garde(dive)]
    pub admission: AdmissionConfig,
    /// Limits and behaviour of every session.
    #[serde(deserialize_with = "rules::null_is_default")]
    #[garde(dive)]
    pub defaults: DefaultsConfig,
    /// Where images come from, and what their sessions have.
    #[serde(deserialize_with = "rules::null_is_default")]
    #[garde(dive)]
    pub images: ImagesConfig,
    /// Sandboxes made in advance.
    #[serde(deserialize_with = "rules::null_is_default")]
    #[garde(dive)]
    pub pool: PoolConfig,
    /// Directories that outlive sessions.
    #[serde(deserialize_with = "rules::null_is_default")]
    #[garde(dive)]
    pub workspace: WorkspaceConfig,
    /// Kernel-side hardening.
    #[serde(deserialize_with = "rules::null_is_default")]
    #[garde(dive)]
    pub security: SecurityConfig,
    /// The web dashboard.
    #[serde(deserialize_with = "rules::null_is_default")]
    #[garde(dive)]
    pub dashboard: DashboardConfig,
    /// What of a sandbox is in force: everything. No key sets it; see [`Controls`].
    #[serde(skip)]
    #[garde(skip)]
    pub controls: Controls,
    /// Where each value that is no default came from, by the name of the key.
    #[serde(skip)]
    #[garde(skip)]
    sources: BTreeMap<&'static str, Source>,
    /// What was odd about the file itself.
    #[serde(skip)]
    #[garde(skip)]
    file_warnings: Vec<ConfigWarning>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: ListenAddress::default(),
            api_key: None,
            api_key_file: None,
            allowed_hosts: Vec::new(),
            data_dir: PathBuf::from("/var/lib/sandkasten"),
            db_path: None,
            db_max_open_conns: 4,
            default_image: "host".to_owned(),
            allowed_images: Vec::new(),
            max_sessions: 1000,
            session_ttl_seconds: 1800,
            admission: AdmissionConfig::default(),
            defaults: DefaultsConfig::default(),
            images: ImagesConfig::default(),
            pool: PoolConfig::default(),
            workspace: WorkspaceConfig::default(),
            security: SecurityConfig::default(),
            dashboard: DashboardConfig::default(),
            controls: Controls::default(),
            sources: BTreeMap::new(),
            file_warnings: Vec::new(),
        }
    }
}

impl Config {
    /// Returns the database file: `db_path`, or `sandkasten.db` in the data directory.
    #[must_use]
    pub fn database_path(&self) -> PathBuf {
        self.db_path.clone().unwrap_or_else(|| self.data_dir.join("sandkasten.db"))
    }

    /// Returns the directory of sockets and pid files.
    #[must_use]
    pub fn run_dir(&self) -> PathBuf {
        self.data_dir.join("run")
    }

    /// Returns what of the pool can be handed out: no image that no session may use.
    #[must_use]
    pub fn kept_ready(&self) -> PoolConfig {
        let mut pool = self.pool.clone();
        pool.images.retain(|image, _| self.allows_image_name(image));
        pool
    }

    /// Tells whether sessions may use an image of this name, perhaps one content of it alone.
    #[must_use]
    pub fn allows_image_name(&self, name: &str) -> bool {
        self.allowed_images.is_empty() || self.allowed_images.iter().any(|allowed| allowed.matches_name(name))
    }

    /// Tells whether sessions may use this image.
    #[must_use]
    pub fn allows_image(&self, image: &Image) -> bool {
        self.allows_image_content(image.name.as_str(), &image.digest)
    }

    /// Tells whether sessions may use an image of this name and digest.
    #[must_use]
    pub fn allows_image_content(&self, name: &str, digest: &str) -> bool {
        self.allowed_images.is_empty()
            || self.allowed_images.iter().any(|allowed| allowed.matches_content(name, digest))
    }
}

/// Returns the file that a path names, for messages: as given, never resolved.
fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests;
