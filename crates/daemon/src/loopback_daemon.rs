//! A private daemon that is spoken to over TCP, as most daemons are.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use crate::config::{ApiKey, Config, ListenAddress};
use crate::private_daemon::Serving;
use crate::{StartPrivateError, StopPrivateError};

/// A daemon on a port of the loopback interface that the kernel chooses. Every user of the host can reach it, so it has a key that
/// was drawn for it; in everything else it is a [`PrivateDaemon`](crate::PrivateDaemon).
#[derive(Debug)]
pub struct LoopbackDaemon {
    address: ListenAddress,
    key: ApiKey,
    serving: Serving,
}

impl LoopbackDaemon {
    /// Starts one on the configured data directory. Needs root.
    ///
    /// # Errors
    /// [`StartPrivateError`], with what to do about it.
    pub async fn start(mut config: Config) -> Result<Self, StartPrivateError> {
        let key = ApiKey::draw().map_err(|source| StartPrivateError::Key { source })?;
        config.api_key = Some(key.clone());
        config.listen = ListenAddress::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0));
        let run = Serving::new_directory(&config);
        let (serving, address) = Serving::start(config, run).await?;
        Ok(Self { address, key, serving })
    }

    /// Returns where it listens.
    #[must_use]
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// Returns the key that it wants to see.
    #[must_use]
    pub fn key(&self) -> &ApiKey {
        &self.key
    }

    /// Returns the directory of what it has to itself, which goes with it; root alone can reach it.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.serving.directory()
    }

    /// Ends it and its sessions, as [`PrivateDaemon::stop`](crate::PrivateDaemon::stop).
    ///
    /// # Errors
    /// [`StopPrivateError`].
    pub async fn stop(self) -> Result<(), StopPrivateError> {
        self.serving.stop().await
    }
}
