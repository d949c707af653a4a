//! The measured daemon's own process: a private daemon that lives as long as somebody holds its standard input open, so that it
//! ends, and its sessions with it, however the program that measures came to its end.

use std::io;
use std::path::PathBuf;

use futures_util::{StreamExt, stream};
use sandkasten_client::{BuildClientError, Client, Endpoint, RequestError};
use sandkasten_daemon::config::Config;
use sandkasten_daemon::{LoopbackDaemon, StartPrivateError, StopPrivateError};
use sandkasten_isolation::plan::RANGES;
use serde::{Deserialize, Serialize};

/// How many sessions are destroyed at once at the end.
const DESTROYED_AT_ONCE: usize = 16;
/// More CPU time than one program can use: what a limit of it costs is not what is measured.
const CORES: f64 = 2.0;
/// Sessions must not expire while they are measured.
const TTL_SECONDS: u64 = 86_400;

/// How the daemon is reached, as a line of JSON between the two processes and nobody else.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Access {
    /// Its address.
    pub(crate) address: String,
    /// Its key.
    pub(crate) key: String,
    /// A directory for files of the measuring process, which goes with the daemon; on the disk of the layers.
    pub(crate) scratch: PathBuf,
}

/// Why the daemon could not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It did not start.
    #[error(transparent)]
    Start(#[from] StartPrivateError),
    /// It could not say where it is.
    #[error("failed to say where the daemon listens")]
    Announce {
        /// Why.
        source: io::Error,
    },
    /// No client could be made for the end.
    #[error("failed to make a client for the daemon")]
    Client {
        /// Why.
        source: BuildClientError,
    },
    /// Sessions could not be destroyed.
    #[error("failed to destroy the sessions that were measured")]
    Destroy {
        /// Why.
        source: RequestError,
    },
    /// It did not end well.
    #[error("failed to end the daemon")]
    Stop {
        /// Why.
        source: StopPrivateError,
    },
}

/// Runs a daemon with this configuration until `ended` completes. `announce` is given a line that says where it is, with its key.
/// Needs root. What the configuration says about who may have which image and how many sessions does not count.
///
/// # Errors
/// [`ServeError`].
pub async fn serve(
    config: &Config,
    announce: impl FnOnce(&str) -> io::Result<()>,
    ended: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let mut own = config.clone();
    own.allowed_images.clear();
    own.images.defaults.clear();
    own.max_sessions = RANGES;
    own.session_ttl_seconds = TTL_SECONDS;
    own.workspace.persist_by_default = false;
    own.defaults.cpu_limit = own.defaults.cpu_limit.max(CORES);
    let daemon = LoopbackDaemon::start(own).await?;
    let access = Access {
        address: daemon.address().to_string(),
        key: daemon.key().expose().to_owned(),
        scratch: daemon.directory().join("bench"),
    };
    let announced = std::fs::create_dir(&access.scratch)
        .and_then(|()| serde_json::to_string(&access).map_err(io::Error::other))
        .and_then(|line| announce(&line))
        .map_err(|source| ServeError::Announce { source });
    if announced.is_ok() {
        ended.await;
    }
    // Whatever became of it, nothing may stay; the first failure says more than a later one.
    let cleared = clear(&access).await;
    let stopped = daemon.stop().await.map_err(|source| ServeError::Stop { source });
    announced.and(cleared).and(stopped)
}

impl Access {
    pub(crate) fn client(&self) -> Result<Client, BuildClientError> {
        Client::new(Endpoint::Http(format!("http://{}", self.address)), Some(&self.key))
    }
}

/// Destroys every session that there still is.
async fn clear(access: &Access) -> Result<(), ServeError> {
    let client = access.client().map_err(|source| ServeError::Client { source })?;
    let sessions = client.list_sessions().await.map_err(|source| ServeError::Destroy { source })?;
    let destroyed = stream::iter(&sessions).map(|session| client.destroy_session(&session.id));
    let ends: Vec<_> = destroyed.buffer_unordered(DESTROYED_AT_ONCE).collect().await;
    ends.into_iter().collect::<Result<(), _>>().map_err(|source| ServeError::Destroy { source })
}
