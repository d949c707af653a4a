//! A daemon inside this process, for `run` where no other one is there.

use std::path::PathBuf;
use std::process;
use std::time::Duration;

use sandkasten_client::Client;
use sandkasten_daemon::Daemon;
use sandkasten_daemon::config::{Config, ListenAddress};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::arguments::GlobalArguments;
use crate::cli_error::{CliError, Exit};
use crate::connection;
use crate::logging::{self, LogLevel};

/// How long the end may take before we leave without it.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// A daemon that serves this process alone, on a socket of its own.
#[derive(Debug)]
pub(crate) struct PrivateDaemon {
    client: Client,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), CliError>>,
    /// What it has to itself; removed with it.
    run: PathBuf,
}

impl PrivateDaemon {
    /// Starts one on the configured data directory.
    pub(crate) async fn start(mut config: Config) -> Result<Self, CliError> {
        require_root(&config)?;
        // What it warns of would otherwise be lost.
        logging::start(LogLevel::Warn);
        let run = config.run_dir().join(format!("private-{}", process::id()));
        let socket = run.join("api.sock");
        config.listen = ListenAddress::unix(&socket).map_err(|error| {
            CliError::ours(
                format!("cannot listen on {}", socket.display()),
                &error,
                "choose a shorter data_dir",
            )
        })?;
        let key = config.api_key.clone();
        let daemon = Daemon::start_private(config, run.clone()).await.map_err(|error| {
            CliError::ours(
                "cannot start a private daemon",
                &error,
                "run `sandkasten doctor` to see what is missing",
            )
        })?;

        let endpoint = connection::endpoint(&daemon.address());
        let client = Client::new(endpoint, key.as_ref().map(|key| key.expose())).map_err(|error| {
            CliError::ours("cannot make a client", &error, "correct api_key in the configuration")
        })?;
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(async move {
            // A dropped sender asks for the end just as well.
            let shutdown = async move { drop(stopped.await) };
            daemon
                .serve(shutdown)
                .await
                .map_err(|error| CliError::ours("the private daemon failed", &error, ""))
        });
        Ok(Self { client, stop, serving, run })
    }

    /// Returns a client of it.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Ends it and waits until it is gone.
    pub(crate) async fn stop(self) -> Result<(), CliError> {
        drop(self.stop);
        // Idle connections would hold up the graceful end.
        drop(self.client);
        let failed = |why: String| CliError {
            what: "cannot end the private daemon".to_owned(),
            why,
            hint: "see `sandkasten doctor` for what may be left behind".to_owned(),
            exit: Exit::Ours,
        };
        match tokio::time::timeout(STOP_TIMEOUT, self.serving).await {
            Ok(Ok(result)) => result.and(
                std::fs::remove_dir_all(&self.run)
                    .map_err(|error| failed(format!("{} stays: {error}", self.run.display()))),
            ),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed(format!("it did not end within {} s", STOP_TIMEOUT.as_secs()))),
        }
    }
}

/// Finds the daemon that `run` uses: a named one, a running one, or a private one.
pub(crate) async fn find_or_start(
    global: &GlobalArguments,
) -> Result<(Client, Option<PrivateDaemon>), CliError> {
    if let Some(client) = connection::named(global)? {
        return Ok((client, None));
    }
    let config = connection::load_config(global)?;
    let client = connection::configured(global, &config)?;
    if connection::is_alive(&client).await {
        return Ok((client, None));
    }
    let private = PrivateDaemon::start(config).await?;
    Ok((private.client().clone(), Some(private)))
}

fn require_root(config: &Config) -> Result<(), CliError> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(CliError {
        what: "cannot start a private daemon".to_owned(),
        why: format!("building sandboxes and writing to {} needs root", config.data_dir.display()),
        hint: "run it as root, or start a daemon as root and name it with --url".to_owned(),
        exit: Exit::Ours,
    })
}
