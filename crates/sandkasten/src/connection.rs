//! Finds the daemon that a command speaks to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use sandkasten_client::{Client, Endpoint};
use sandkasten_daemon::config::{self, Config, ListenAddress, LoadConfigError, Source};
use sandkasten_daemon::{ListenerOrigin, RunningDaemon};

use crate::arguments::GlobalArguments;
use crate::cli_error::{CliError, Exit, with_causes};

/// How long a daemon may take to say that it is there before `run` starts one of its own.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// Connects to the daemon that the command line names, or else to the configured one.
pub(crate) fn connect(global: &GlobalArguments) -> Result<Client, CliError> {
    match named(global)? {
        Some(client) => Ok(client),
        None => configured(global, &in_force(load_config(global)?)),
    }
}

/// Puts the address of the daemon that runs in place of the configured one, where that does not count: it serves on a socket
/// that it was handed. Nobody but root can know.
pub(crate) fn in_force(mut config: Config) -> Config {
    let running = RunningDaemon::find(&config.run_dir()).ok().flatten();
    let record = running.as_ref().and_then(RunningDaemon::record);
    if let Some(record) = record.filter(|record| record.listener == ListenerOrigin::Passed)
        && let Ok(address) = record.address.parse()
    {
        config.listen_elsewhere(address, Source::PassedSocket { pid: record.pid });
    }
    config
}

/// Returns a client for the daemon that was named by `--url`, if one was.
pub(crate) fn named(global: &GlobalArguments) -> Result<Option<Client>, CliError> {
    let Some(url) = given(global.url.as_deref()) else { return Ok(None) };
    let endpoint: Endpoint = url.parse().map_err(|error| CliError {
        what: "cannot use the address of the daemon".to_owned(),
        why: with_causes(&error),
        hint: "correct --url or SANDKASTEN_URL".to_owned(),
        exit: Exit::Usage,
    })?;
    // The configured key belongs to the configured daemon; whoever is named here does not get to see it.
    client(endpoint, given(global.api_key.as_deref())).map(Some)
}

/// Returns a client for the configured daemon, whether or not it runs.
pub(crate) fn configured(global: &GlobalArguments, config: &Config) -> Result<Client, CliError> {
    let configured_key = config.api_key.as_ref().map(config::ApiKey::expose);
    client(endpoint(&config.listen), given(global.api_key.as_deref()).or(configured_key))
}

/// Tells whether a daemon answers.
pub(crate) async fn is_alive(client: &Client) -> bool {
    let health = tokio::time::timeout(HEALTH_TIMEOUT, client.healthz()).await;
    health.is_ok_and(|answer| answer.is_ok_and(|health| health.status == "ok"))
}

/// Loads the configuration that the command line and the environment describe.
pub(crate) fn load_config(global: &GlobalArguments) -> Result<Config, CliError> {
    let path = config::locate_config_file(global.config.as_deref());
    Config::load(path.as_deref(), &config::environment()).map_err(|error| config_error(&error))
}

/// Returns where a listener of this host is reached: a wildcard address stands for the loopback one.
fn endpoint(listen: &ListenAddress) -> Endpoint {
    match listen {
        ListenAddress::Unix(path) => Endpoint::Unix(path.clone()),
        ListenAddress::Tcp(address) => {
            let ip = match address.ip() {
                IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
                ip => ip,
            };
            Endpoint::Http(format!("http://{}", SocketAddr::new(ip, address.port())))
        }
    }
}

fn client(endpoint: Endpoint, key: Option<&str>) -> Result<Client, CliError> {
    Client::new(endpoint, key).map_err(|error| {
        CliError::ours("cannot make a client", &error, "correct --api-key or SANDKASTEN_API_KEY")
    })
}

/// An option that is empty, as a variable that is set to nothing, counts as not given.
fn given(option: Option<&str>) -> Option<&str> {
    option.filter(|text| !text.is_empty())
}

fn config_error(error: &LoadConfigError) -> CliError {
    let hint = match error {
        LoadConfigError::Read { .. } => "correct --config, or its permissions",
        LoadConfigError::Invalid { .. } => "correct the file, then run `sandkasten config check`",
        LoadConfigError::Environment { .. } => "correct or unset the variable",
        LoadConfigError::TwoKeys { .. }
        | LoadConfigError::KeyFile(_)
        | LoadConfigError::OpenToOthers { .. }
        | LoadConfigError::PublishedKey { .. } => {
            "correct the configuration, then run `sandkasten config check`"
        }
    };
    CliError {
        what: "cannot use the configuration".to_owned(),
        why: with_causes(error),
        hint: hint.to_owned(),
        exit: Exit::Usage,
    }
}

#[cfg(test)]
mod tests {
    use super::{endpoint, given};

    #[test]
    fn wildcard_listeners_are_reached_by_loopback() {
        for (listen, expected) in [
            ("0.0.0.0:80", "http://127.0.0.1:80"),
            ("[::]:80", "http://[::1]:80"),
            ("192.168.0.1:80", "http://192.168.0.1:80"),
            ("unix:/run/s.sock", "unix:/run/s.sock"),
        ] {
            assert_eq!(endpoint(&listen.parse().expect(listen)).to_string(), expected);
        }
    }

    #[test]
    fn an_empty_option_is_none() {
        assert_eq!([given(Some("")), given(None), given(Some("x"))], [None, None, Some("x")]);
    }
}
