//! Loading: the file, then the environment over it, then the rules between keys.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use garde::Validate;

use super::key_file::{ReadKeyFileError, read_key_file};
use super::setting::{API_KEY, API_KEY_FILE, SETTINGS, Setting};
use super::{Config, ConfigWarning, ListenAddress, Source, diagnosis, document};

/// A configuration file is a page of text; whatever is larger is none.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A configuration that the daemon does not start with.
#[derive(Debug, thiserror::Error)]
pub enum LoadConfigError {
    /// The file cannot be read.
    #[error("read the configuration file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is no configuration. The message has several lines: what, the source line, a caret.
    #[error("{}:{line}:{column}: {message}\n{excerpt}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The column in characters, counted from 1.
        column: usize,
        /// What was wrong, with the value, and what is allowed.
        message: String,
        /// The source line with a caret below it; the key is left out.
        excerpt: String,
    },
    /// An environment variable holds what its key does not take.
    #[error("environment variable {variable} sets {message}")]
    Environment {
        /// The variable.
        variable: &'static str,
        /// The key, the value, what was wrong with it and what is allowed.
        message: String,
    },
    /// The key is given twice in one place.
    #[error("both api_key and api_key_file are set by {place}; keep one")]
    TwoKeys {
        /// Where: the file or the environment.
        place: String,
    },
    /// The key file cannot be used.
    #[error(transparent)]
    KeyFile(#[from] ReadKeyFileError),
    /// The API would be open to other hosts.
    #[error(
        "listen on {listen} without an api_key: that would let every host that reaches it run commands; set api_key \
         or SANDKASTEN_API_KEY, or listen on 127.0.0.1 or a unix socket"
    )]
    OpenToOthers {
        /// The address.
        listen: ListenAddress,
    },
    /// The API would be open to other hosts by a key that everybody knows.
    #[error(
        "listen on {listen} with the api_key of the security guide's example: everybody knows it; replace it by a long \
         random one (openssl rand -hex 32)"
    )]
    PublishedKey {
        /// The address.
        listen: ListenAddress,
    },
}

/// Collects the variables of this process that can override keys.
///
/// Bytes that are not UTF-8 come out as U+FFFD, which no key but a path takes.
#[must_use]
pub fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .filter(|(name, _)| name.starts_with("SANDKASTEN_"))
        .collect()
}

impl Config {
    /// Loads the configuration: the file, or the defaults where there is none, and the environment over it.
    ///
    /// Blocks on the disk. A variable that is empty counts as not set.
    ///
    /// # Errors
    /// `Read` and `Invalid` about the file, `Environment` about a variable, `KeyFile` about the file of the key,
    /// `TwoKeys`, `OpenToOthers` and `PublishedKey` about keys that do not go together.
    pub fn load(path: Option<&Path>, env: &BTreeMap<String, String>) -> Result<Self, LoadConfigError> {
        let mut config = match path {
            Some(path) => read_file(path)?,
            None => Self::default(),
        };
        for setting in SETTINGS {
            if let Some(value) = env.get(setting.variable).filter(|value| !value.is_empty()) {
                config.set_from_environment(setting, value)?;
            }
        }
        config.settle_key()?;
        config.refuse_open_api()?;
        Ok(config)
    }

    /// Refuses an address that other hosts reach without a key of one's own.
    pub(crate) fn refuse_open_api(&self) -> Result<(), LoadConfigError> {
        if self.listen.is_local() {
            return Ok(());
        }
        let listen = || self.listen.clone();
        match &self.api_key {
            None => Err(LoadConfigError::OpenToOthers { listen: listen() }),
            Some(key) if key.is_published() => Err(LoadConfigError::PublishedKey { listen: listen() }),
            Some(_) => Ok(()),
        }
    }

    fn set_from_environment(&mut self, setting: &Setting, value: &str) -> Result<(), LoadConfigError> {
        let refused = |reason: String| LoadConfigError::Environment {
            variable: setting.variable,
            message: diagnosis::refusal(setting, value, &reason),
        };
        (setting.set)(self, value).map_err(refused)?;
        // The file passed all rules, so whatever fails now is this value.
        if let Err(report) = self.validate() {
            let reason = report.iter().next().map(|(_, error)| error.message().to_owned());
            return Err(refused(reason.unwrap_or_else(|| "is not valid".to_owned())));
        }
        self.sources.insert(setting.name, Source::Environment { variable: setting.variable });
        Ok(())
    }

    /// Reads the key file, unless a key from a stronger place makes it irrelevant.
    fn settle_key(&mut self) -> Result<(), LoadConfigError> {
        let Some(path) = self.api_key_file.clone() else { return Ok(()) };
        let from_environment = |name| matches!(self.sources.get(name), Some(Source::Environment { .. }));
        if self.api_key.is_some() {
            match (from_environment(API_KEY), from_environment(API_KEY_FILE)) {
                (true, false) => return Ok(()),
                (false, true) => {}
                (true, true) => return Err(LoadConfigError::TwoKeys { place: "the environment".to_owned() }),
                (false, false) => return Err(LoadConfigError::TwoKeys { place: "the file".to_owned() }),
            }
        }
        self.api_key = Some(read_key_file(&path)?);
        self.sources.insert(API_KEY, Source::KeyFile { path });
        Ok(())
    }
}

fn read_file(path: &Path) -> Result<Config, LoadConfigError> {
    let failed = |source| LoadConfigError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
    let mut text = String::new();
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if u64::try_from(text.len()).is_ok_and(|length| length > MAX_FILE_BYTES) {
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, "it has more than 1 MiB")));
    }

    let mut config: Config = document::read(&text).map_err(|error| {
        let found = diagnosis::diagnose(&text, &error);
        LoadConfigError::Invalid {
            path: path.to_owned(),
            line: found.position.line,
            column: found.position.column,
            message: found.message,
            excerpt: found.excerpt,
        }
    })?;
    let positions = document::value_positions(&text);
    for setting in SETTINGS {
        if let Some(position) = positions.get(setting.name) {
            let source = Source::File { path: path.to_owned(), line: position.line };
            config.sources.insert(setting.name, source);
        }
    }
    if config.api_key.is_some() && mode & 0o044 != 0 {
        config.file_warnings.push(ConfigWarning::ExposedFile { path: path.to_owned(), mode });
    }
    Ok(config)
}
