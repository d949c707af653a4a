//! Where `run` gets a daemon from: a named one, a running one, or one inside this process.

use sandkasten_client::{Client, Endpoint};
use sandkasten_daemon::PrivateDaemon;
use sandkasten_daemon::config::Config;

use crate::arguments::GlobalArguments;
use crate::cli_error::{CliError, Exit};
use crate::connection;
use crate::logging::{self, LogLevel};

/// Finds the daemon that `run` uses: a named one, a running one, or a private one.
pub(crate) async fn find_or_start(
    global: &GlobalArguments,
) -> Result<(Client, Option<PrivateDaemon>), CliError> {
    if let Some(client) = connection::named(global)? {
        return Ok((client, None));
    }
    let config = connection::load_config(global)?;
    let client = connection::configured(global, &connection::in_force(config.clone()))?;
    if connection::is_alive(&client).await {
        return Ok((client, None));
    }
    let (client, private) = start(config).await?;
    Ok((client, Some(private)))
}

/// Ends a private daemon, of which no client may be left.
pub(crate) async fn stop(private: PrivateDaemon) -> Result<(), CliError> {
    let hint = "see `sandkasten doctor` for what may be left behind";
    private.stop().await.map_err(|error| CliError::ours("cannot end the private daemon", &error, hint))
}

async fn start(config: Config) -> Result<(Client, PrivateDaemon), CliError> {
    require_root(&config)?;
    // What it warns of would otherwise be lost.
    logging::start(LogLevel::Warn);
    let key = config.api_key.clone();
    let hint = "run `sandkasten doctor` to see what is missing";
    let daemon = PrivateDaemon::start(config)
        .await
        .map_err(|error| CliError::ours("cannot start a private daemon", &error, hint))?;
    let client =
        Client::new(Endpoint::Unix(daemon.socket().to_owned()), key.as_ref().map(|key| key.expose()))
            .map_err(|error| {
                CliError::ours("cannot make a client", &error, "correct api_key in the configuration")
            })?;
    Ok((client, daemon))
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
