//! Credentials that `docker login` has stored: in `config.json`, or with a program that the file names.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::credentials::{Credentials, Secret};
use crate::helper::{self, HelperError};
use crate::reference::Reference;

/// As Docker calls its own registry there.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";
const MOST_CONFIG_BYTES: u64 = 1 << 20;

/// Stored credentials could not be had. No message has a secret in it.
#[derive(Debug, thiserror::Error)]
pub enum StoredCredentialsError {
    /// The file is there and cannot be read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is malformed.
    #[error("{path} is no configuration of Docker: line {line}, column {column}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1.
        column: usize,
    },
    /// An entry is none of a user and a password.
    #[error("the entry {key:?} of auths in {path} {problem}")]
    Entry {
        /// The file.
        path: PathBuf,
        /// The key of the entry.
        key: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The program that has them gives none.
    #[error("ask docker-credential-{helper}, which {path} names")]
    Helper {
        /// The file.
        path: PathBuf,
        /// The part of the program's name that the file has.
        helper: String,
        /// Why.
        source: HelperError,
    },
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DockerConfig {
    auths: Option<BTreeMap<String, Entry>>,
    cred_helpers: Option<BTreeMap<String, String>>,
    creds_store: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

/// Where credentials are stored.
#[derive(Debug)]
pub(crate) struct CredentialStore {
    pub(crate) file: PathBuf,
    /// Where programs are looked for, where that is not as usual.
    pub(crate) programs: Option<OsString>,
}

/// Finds the stored credentials for a registry: in `$DOCKER_CONFIG/config.json`, or else in `~/.docker/config.json`, or with
/// a program that the file names. Nobody where there are none.
///
/// # Errors
///
/// Where the file cannot be understood, or the program fails.
pub async fn stored_credentials(reference: &Reference) -> Result<Credentials, StoredCredentialsError> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let directory = set("DOCKER_CONFIG").or_else(|| set("HOME").map(|home| home.join(".docker")));
    let Some(directory) = directory else { return Ok(Credentials::Anonymous) };
    CredentialStore { file: directory.join("config.json"), programs: None }.find(reference).await
}

impl CredentialStore {
    pub(crate) async fn find(&self, reference: &Reference) -> Result<Credentials, StoredCredentialsError> {
        let path = || self.file.clone();
        let bytes = match read(&self.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Credentials::Anonymous),
            other => other.map_err(|source| StoredCredentialsError::Read { path: path(), source })?,
        };
        // The causes of these errors would show what is in the file.
        let config: DockerConfig = serde_json::from_slice(&bytes).map_err(|error| {
            StoredCredentialsError::Parse { path: path(), line: error.line(), column: error.column() }
        })?;
        let helpers = config.cred_helpers.unwrap_or_default();
        let own = helpers.into_iter().find(|(key, _)| is_of(key, reference)).map(|(_, helper)| helper);
        if let Some(helper) = own.or(config.creds_store).filter(|helper| !helper.is_empty()) {
            let key = if reference.is_docker_hub() { DOCKER_HUB_KEY } else { reference.registry() };
            return helper::get(&helper, key, self.programs.as_deref())
                .await
                .map_err(|source| StoredCredentialsError::Helper { path: path(), helper, source });
        }
        let entry = config.auths.unwrap_or_default().into_iter().find(|(key, _)| is_of(key, reference));
        let Some((key, entry)) = entry else { return Ok(Credentials::Anonymous) };
        entry.credentials().map_err(|problem| StoredCredentialsError::Entry { path: path(), key, problem })
    }
}

impl Entry {
    fn credentials(self) -> Result<Credentials, &'static str> {
        let said = |text: Option<String>| text.filter(|text| !text.is_empty());
        if let Some(token) = said(self.identitytoken) {
            return Ok(Credentials::IdentityToken(Secret::new(token)));
        }
        if said(self.registrytoken).is_some() {
            return Err("has a registrytoken, which is not built yet: log in by user and password");
        }
        if let (Some(user), Some(password)) = (said(self.username), said(self.password)) {
            return Ok(Credentials::Password { user, password: Secret::new(password) });
        }
        let Some(auth) = said(self.auth) else { return Ok(Credentials::Anonymous) };
        let wrong = "has something else than a user and a password in base64";
        let bytes = STANDARD.decode(auth).map_err(|_| wrong)?;
        let text = String::from_utf8(bytes).map_err(|_| wrong)?;
        let (user, password) = text.split_once(':').ok_or(wrong)?;
        let password = password.trim_end_matches('\0');
        Ok(Credentials::Password { user: user.to_owned(), password: Secret::new(password) })
    }
}

/// Says whether a key of the file means the registry: a host, or the address that older versions wrote.
fn is_of(key: &str, reference: &Reference) -> bool {
    let host = key.split_once("://").map_or(key, |(_, rest)| rest);
    // With more behind the host it is a part of a registry to others, not to Docker; save for the addresses of old.
    let (host, rest) = host.split_once('/').unwrap_or((host, ""));
    if !matches!(rest, "" | "v1" | "v1/" | "v2" | "v2/") {
        return false;
    }
    let host = host.to_ascii_lowercase();
    match reference.is_docker_hub() {
        true => matches!(host.as_str(), "docker.io" | "index.docker.io" | "registry-1.docker.io"),
        false => host == reference.registry(),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST_CONFIG_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_CONFIG_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it has more than 1 MiB"));
    }
    Ok(bytes)
}
