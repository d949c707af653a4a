//! The effective values with where each came from, for `config show`.

use std::fmt;
use std::path::PathBuf;

use super::setting::{LISTEN, SETTINGS};
use super::{Config, ListenAddress};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// A line of the configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        variable: &'static str,
    },
    /// The file that `api_key_file` names.
    KeyFile {
        /// The file.
        path: PathBuf,
    },
    /// A socket that the daemon was handed at its start.
    PassedSocket {
        /// Which process.
        pid: u32,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File { path, line } => write!(formatter, "{}:{line}", path.display()),
            Self::Environment { variable } => write!(formatter, "env {variable}"),
            Self::PassedSocket { pid } => write!(formatter, "the socket passed to process {pid}"),
            Self::KeyFile { path } => write!(formatter, "{}", path.display()),
        }
    }
}

/// One key with its effective value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveSetting {
    /// The key: `defaults.cpu_limit`.
    pub key: &'static str,
    /// The value as text, lists joined by commas; the API key masked.
    pub value: String,
    /// Where the value came from.
    pub source: Source,
    /// The environment variable that overrides it.
    pub variable: &'static str,
}

impl Config {
    /// Puts another address in place of the one that was configured. The rule about an open API is the caller's to apply.
    pub fn listen_elsewhere(&mut self, address: ListenAddress, source: Source) {
        self.listen = address;
        self.sources.insert(LISTEN, source);
    }

    /// Lists all keys, in the order of the contract.
    #[must_use]
    pub fn effective(&self) -> Vec<EffectiveSetting> {
        SETTINGS
            .iter()
            .map(|setting| EffectiveSetting {
                key: setting.name,
                value: (setting.show)(self),
                source: self.sources.get(setting.name).cloned().unwrap_or(Source::Default),
                variable: setting.variable,
            })
            .collect()
    }
}
