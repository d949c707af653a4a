//! A daemon inside of the calling process, for as long as one command takes.

use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle};

use crate::config::{Config, ListenAddress};
use crate::{Daemon, ServeError, StartError};

/// How long the end may take before it is left alone.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// A daemon that serves this process alone, on a socket of its own. It shares the images of its data directory with
/// others and has everything else to itself.
#[derive(Debug)]
pub struct PrivateDaemon {
    socket: PathBuf,
    serving: Serving,
}

/// A private daemon that serves, wherever it listens.
#[derive(Debug)]
pub(crate) struct Serving {
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), ServeError>>,
    /// What it has to itself; removed with it.
    run: PathBuf,
}

/// Why a private daemon could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartPrivateError {
    /// Its socket would have a longer path than the kernel takes.
    #[error("failed to name a socket below {}; choose a shorter data_dir", run.display())]
    Socket {
        /// The directory of the socket.
        run: PathBuf,
        /// What is wrong with the path.
        source: crate::config::ParseListenAddressError,
    },
    /// No key could be drawn for it.
    #[error("failed to draw a key for the private daemon")]
    Key {
        /// The kernel's reason.
        source: io::Error,
    },
    /// The daemon could not start.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Why a private daemon did not end well.
#[derive(Debug, thiserror::Error)]
pub enum StopPrivateError {
    /// It had failed.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// Its task ended early.
    #[error("the daemon's task ended early")]
    Task {
        /// Why.
        source: JoinError,
    },
    /// It did not end.
    #[error("it did not end within {} s", STOP_TIMEOUT.as_secs())]
    Late,
    /// Its directory stays.
    #[error("failed to remove {}", run.display())]
    Remove {
        /// The directory.
        run: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
}

impl PrivateDaemon {
    /// Starts one on the configured data directory. Needs root.
    ///
    /// # Errors
    /// [`StartPrivateError`], with what to do about it.
    pub async fn start(mut config: Config) -> Result<Self, StartPrivateError> {
        let run = Serving::new_directory(&config);
        let socket = run.join("api.sock");
        // It lives for one command.
        config.pool.enabled = false;
        config.listen = ListenAddress::unix(&socket)
            .map_err(|source| StartPrivateError::Socket { run: run.clone(), source })?;
        let (serving, _) = Serving::start(config, run).await?;
        Ok(Self { socket, serving })
    }

    /// Returns the unix socket that it listens on, which root alone can reach.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Ends it and waits until it is gone. Clients must have been dropped: idle connections hold the graceful end up.
    ///
    /// # Errors
    /// [`StopPrivateError`].
    pub async fn stop(self) -> Result<(), StopPrivateError> {
        self.serving.stop().await
    }
}

impl Serving {
    /// Names a directory for what a private daemon has to itself.
    pub(crate) fn new_directory(config: &Config) -> PathBuf {
        config.run_dir().join(own_name())
    }

    /// Starts a private daemon in such a directory, and says where it listens.
    pub(crate) async fn start(
        config: Config,
        run: PathBuf,
    ) -> Result<(Self, ListenAddress), StartPrivateError> {
        let daemon = Daemon::start_private(config, run.clone()).await?;
        let address = daemon.address();
        let (stop, stopped) = oneshot::channel();
        // A dropped sender asks for the end just as well.
        let serving = tokio::spawn(daemon.serve(async move { drop(stopped.await) }));
        Ok((Self { stop, serving, run }, address))
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.run
    }

    pub(crate) async fn stop(self) -> Result<(), StopPrivateError> {
        drop(self.stop);
        match tokio::time::timeout(STOP_TIMEOUT, self.serving).await {
            Ok(Ok(served)) => served?,
            Ok(Err(source)) => return Err(StopPrivateError::Task { source }),
            Err(_) => return Err(StopPrivateError::Late),
        }
        std::fs::remove_dir_all(&self.run)
            .map_err(|source| StopPrivateError::Remove { run: self.run.clone(), source })
    }
}

/// A name that no other private daemon of this host has.
pub(crate) fn own_name() -> String {
    static STARTED: AtomicU32 = AtomicU32::new(0);
    match STARTED.fetch_add(1, Ordering::Relaxed) {
        0 => format!("private-{}", process::id()),
        earlier => format!("private-{}-{earlier}", process::id()),
    }
}
