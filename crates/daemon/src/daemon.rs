//! The daemon as a whole: started, served, stopped.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sandkasten_image::{ImageStore, OpenStoreError, RefreshHostError};
use sandkasten_isolation::host::cgroup::DetectError;
use sandkasten_isolation::host::{LeaseError, PathError, RunnerImageError};

use crate::admission::HostMemoryError;
use crate::config::{Config, ListenAddress};
use crate::heartbeat::Heartbeat;
use crate::http::{Server, ServerError};
use crate::images::Images;
use crate::passed_socket::{PassedSocket, PassedSocketError};
use crate::places::{Places, PlacesError, private_directory};
use crate::presence::ListenerOrigin;
use crate::recovery::RecoveryError;
use crate::session::Sessions;
use crate::store::{Store, StoreError};
use crate::{reaper, recovery};

/// A daemon that is ready to serve: its socket listens, and what an earlier daemon left is adopted or cleaned.
#[derive(Debug)]
pub struct Daemon {
    server: Server,
    sessions: Sessions,
    images: Images,
    /// Lives for one command, and its sessions with it.
    is_private: bool,
}

/// Why a daemon could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It needs privileges that it does not have.
    #[error("the daemon needs root to build sandboxes; start it with sudo")]
    NotRoot,
    /// A directory of its own cannot be used.
    #[error(transparent)]
    Places(#[from] PlacesError),
    /// Where the API listens could not be written down for others.
    #[error("failed to write down that the daemon is ready")]
    Announce {
        /// Why.
        source: PathError,
    },
    /// The images cannot be used.
    #[error("failed to open the image store")]
    Images {
        /// The image crate's reason.
        source: OpenStoreError,
    },
    /// The built-in image could not be made.
    #[error("failed to prepare the built-in image `host`")]
    HostImage {
        /// The image crate's reason.
        source: RefreshHostError,
    },
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The host's cgroups do not suffice.
    #[error("sessions cannot be limited on this host")]
    Cgroups {
        /// What is missing.
        source: DetectError,
    },
    /// The daemon's cgroups could not be made.
    #[error("failed to prepare the daemon's cgroups")]
    PrepareCgroups {
        /// The kernel's reason.
        source: PathError,
    },
    /// The uid ranges cannot be used.
    #[error("failed to open the uid ranges")]
    UidLeases {
        /// Why.
        source: LeaseError,
    },
    /// The host's memory is not known.
    #[error("failed to find out how much memory the host has")]
    HostMemory {
        /// Why.
        source: HostMemoryError,
    },
    /// The kernel gives no random number.
    #[error("failed to draw a random number")]
    Random {
        /// Its reason.
        source: std::io::Error,
    },
    /// The runner could not be prepared.
    #[error(transparent)]
    Runner {
        /// Why.
        source: RunnerImageError,
    },
    /// What an earlier daemon left could not be put in order.
    #[error("failed to recover the sessions of an earlier daemon")]
    Recovery {
        /// Why.
        source: RecoveryError,
    },
    /// The API is not served on the socket that was handed over.
    #[error(transparent)]
    PassedSocket(#[from] PassedSocketError),
    /// The API cannot listen.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A task of the daemon ended early.
    #[error("a task of the daemon ended early")]
    Task {
        /// Why.
        source: tokio::task::JoinError,
    },
}

/// Why a daemon stopped serving other than by request.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The server failed.
    #[error(transparent)]
    Server(#[from] ServerError),
}

/// Lets the daemon have as many open files as its starter allows at all: connections and sessions need several each, and the
/// usual soft limit of 1024 would make a few hundred idle connections a denial of service. Processes in sandboxes have
/// limits of their own.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, current = limit.current, "the limit of open files stays");
    }
}

impl Daemon {
    /// Starts a daemon on its data directory: locks it, recovers, listens, and writes down in the run directory that it does,
    /// with the file that it logs to, if there is one. A socket that was handed over takes the place of the configured address.
    /// Needs root.
    ///
    /// # Errors
    /// [`StartError`], with what to do about it.
    pub async fn start(
        config: Config,
        log: Option<PathBuf>,
        socket: Option<PassedSocket>,
    ) -> Result<Self, StartError> {
        let (config, origin) = match &socket {
            Some(socket) => (socket.admit(config)?, ListenerOrigin::Passed),
            None => (config, ListenerOrigin::Bound),
        };
        let run = config.run_dir();
        let database = config.database_path();
        let daemon = Self::start_in(config, socket, move || Places::open(&run, database)).await?;
        let address = daemon.address().to_string();
        let announced = daemon.sessions.places().announce_ready(address, origin, log);
        announced.map_err(|source| StartError::Announce { source })?;
        Ok(daemon)
    }

    /// Starts a daemon that shares the images of a data directory with others and has everything else to itself, in the
    /// directory `run`, for as long as one command takes. Needs root.
    ///
    /// # Errors
    /// [`StartError`], with what to do about it.
    pub async fn start_private(config: Config, run: PathBuf) -> Result<Self, StartError> {
        let database = run.join("sandkasten.db");
        let daemon = Self::start_in(config, None, move || Places::open_private(&run, database)).await?;
        Ok(Self { is_private: true, ..daemon })
    }

    async fn start_in(
        config: Config,
        socket: Option<PassedSocket>,
        open: impl FnOnce() -> Result<Places, PlacesError> + Send + 'static,
    ) -> Result<Self, StartError> {
        if !rustix::process::geteuid().is_root() {
            return Err(StartError::NotRoot);
        }
        // Nothing the daemon makes is for anybody else; what sandboxes see has its mode set by name.
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
        raise_open_files();
        let data_dir = config.data_dir.clone();
        let prepared = tokio::task::spawn_blocking(move || {
            private_directory(&data_dir)?;
            private_directory(&data_dir.join("run"))?;
            let places = open()?;
            let images = ImageStore::open(&data_dir).map_err(|source| StartError::Images { source })?;
            images.refresh_host().map_err(|source| StartError::HostImage { source })?;
            Ok::<_, StartError>((places, images))
        });
        let (places, images) = prepared.await.map_err(|source| StartError::Task { source })??;
        let store = Store::open(&places.database, config.db_max_open_conns).await?;
        let config = Arc::new(config);
        let image_requests = Images::new(Arc::clone(&config), images.clone());
        let sessions = {
            let config = Arc::clone(&config);
            tokio::task::spawn_blocking(move || Sessions::new(config, places, images, store))
                .await
                .map_err(|source| StartError::Task { source })??
        };
        recovery::recover(&sessions).await.map_err(|source| StartError::Recovery { source })?;
        tokio::spawn(reaper::reap(sessions.clone()));
        tokio::spawn(sessions.clone().keep_pool());
        let server = Server::bind(&config, sessions.clone(), image_requests.clone(), socket).await?;
        Ok(Self { server, sessions, images: image_requests, is_private: false })
    }

    /// Returns where the API listens, with the port that was chosen where none was named.
    #[must_use]
    pub fn address(&self) -> ListenAddress {
        self.server.address()
    }

    /// Returns what tells whether it works while it serves.
    #[must_use]
    pub fn heartbeat(&self) -> Heartbeat {
        Heartbeat::new(self.server.ping(), self.sessions.store().clone())
    }

    /// Serves until `shutdown` completes, then lets running requests end. Sessions live on, and are adopted by the next
    /// daemon; the pool ends.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), ServeError> {
        let (sessions, images) = (self.sessions.clone(), self.images.clone());
        // One that lives for a single command makes a single sandbox.
        if !self.is_private {
            sessions.make_berths_ahead();
        }
        // Watches never end by themselves, pulls may take hours and creates wait for minutes; all would hold the end up.
        let shutdown = async move {
            shutdown.await;
            sessions.admit_no_more();
            sessions.end_watches();
            images.end_pulls();
        };
        self.server.serve(shutdown).await?;
        // Nobody has asked for those; sessions are somebody's.
        self.sessions.end_pool().await;
        self.sessions.settle().await;
        self.sessions.clear_next_berth();
        if self.is_private {
            // Nobody adopts them: one whose client went away while it was being made is left.
            for session in self.sessions.all() {
                if let Err(error) = self.sessions.destroy(&session.id).await {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(session = %session.id, error, "a sandbox stays until the next private daemon");
                }
            }
        }
        if self.sessions.all().is_empty() {
            let (layout, instance) = (self.sessions.layout(), &self.sessions.places().instance);
            if let Err(error) = layout.release(instance) {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "the daemon's cgroups stay");
            }
        }
        self.sessions.store().close().await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use super::raise_open_files;

    #[test]
    fn the_daemon_takes_all_the_open_files_that_it_may_have() {
        let limit = getrlimit(Resource::Nofile);
        let low = limit.maximum.map(|most| most.min(512));
        setrlimit(Resource::Nofile, Rlimit { current: low, ..limit }).expect("it can be lowered");
        raise_open_files();
        assert_eq!(getrlimit(Resource::Nofile).current, limit.maximum);
    }
}
