//! A sandbox that is started for the sake of being looked at and attacked, by the daemon's own code and configuration.

mod attacks;
mod bait;
mod links;
mod truth;
mod workspace;

use std::io;
use std::time::Duration;

use sandkasten_api::exec::ExecRequest;
use sandkasten_api::session::{CreateSessionRequest, Session};
use sandkasten_client::{Client, Endpoint, ExecEvent, ExecStream, RequestError};
use sandkasten_daemon::config::Config;
use sandkasten_daemon::{PrivateDaemon, StartPrivateError, StopPrivateError};

use self::bait::Baits;
use crate::running::{self, Sandbox};
use crate::{ATTACKS, Finding, Part};

/// The built-in image, for where the default one is not there.
const HOST_IMAGE: &str = "host";
/// What the attacks may take; a bound on a hang.
const PATIENCE: Duration = Duration::from_secs(300);
/// Where the program and what it is to attack are put, below `/workspace`.
const PROGRAM: &str = ".sandkasten-attacks/program";
const TARGET: &str = ".sandkasten-attacks/target.json";
/// The milliseconds that a command stays at most that is only there to be looked at.
const STAY_MS: u64 = 60_000;

/// Why a canary could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum CanaryError {
    /// The daemon did not start.
    #[error(transparent)]
    Start(#[from] StartPrivateError),
    /// The daemon did not end well.
    #[error("failed to end the canary's daemon")]
    Stop {
        /// Why.
        source: StopPrivateError,
    },
    /// No client could be made for it.
    #[error("failed to make a client for the canary's daemon")]
    Client {
        /// Why.
        source: sandkasten_client::BuildClientError,
    },
    /// What is put out on the host to be found could not be made.
    #[error("failed to prepare {what} on the host")]
    Bait {
        /// What.
        what: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A request failed.
    #[error("failed to {what}")]
    Request {
        /// What was asked for.
        what: &'static str,
        /// Why.
        source: RequestError,
    },
    /// The command that stays did not say that it is there.
    #[error("the program of the attacks did not start in the canary: {what}")]
    Program {
        /// What it said instead.
        what: String,
    },
    /// The workspace could not be named.
    #[error("failed to name a workspace for the canary")]
    Workspace {
        /// Why.
        source: sandkasten_api::id::ParseIdError,
    },
    /// Something of `/proc` could not be read.
    #[error("failed to read what the kernel says of the canary")]
    Read {
        /// Why.
        source: io::Error,
    },
    /// Somebody asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// The attacks took too long.
    #[error("the attacks did not end within {} s", PATIENCE.as_secs())]
    Late,
}

/// Starts a sandbox with this configuration, reads back what is in force, attacks it from inside, and destroys it. Needs
/// root. Takes some seconds, ends early where `interrupted` completes, and leaves nothing behind either way.
///
/// The configuration is changed where it says who may use the daemon: it listens on a socket of its own, every image is
/// allowed, and commands may take as long as the attacks do.
///
/// # Errors
/// [`CanaryError`], where the sandbox could not be started or looked at; what was found out about it is a [`Finding`].
pub async fn check_canary(
    config: &Config,
    interrupted: impl Future<Output = ()>,
) -> Result<Vec<Finding>, CanaryError> {
    let mut own = config.clone();
    own.allowed_images.clear();
    own.images.defaults.clear();
    // What is filled and littered below is to end with the session.
    own.workspace.persist_by_default = false;
    own.defaults.max_exec_timeout_ms = own.defaults.max_exec_timeout_ms.max(STAY_MS);
    let daemon = PrivateDaemon::start(own.clone()).await?;
    let outcome = tokio::select! {
        looked = look(&own, &daemon) => looked,
        () = tokio::time::sleep(PATIENCE) => Err(CanaryError::Late),
        () = interrupted => Err(CanaryError::Interrupted),
    };
    // Whatever became of it, nothing may stay; the first failure says more than a later one.
    let cleared = clear(&own, &daemon).await;
    let stopped = daemon.stop().await.map_err(|source| CanaryError::Stop { source });
    let findings = outcome?;
    cleared.and(stopped)?;
    Ok(findings)
}

/// Destroys every session that there still is.
async fn clear(config: &Config, daemon: &PrivateDaemon) -> Result<(), CanaryError> {
    let failed = |source| CanaryError::Request { what: "destroy the canary", source };
    let client = connect(config, daemon)?;
    for session in client.list_sessions().await.map_err(failed)? {
        client.destroy_session(&session.id).await.map_err(failed)?;
    }
    if config.workspace.enabled {
        workspace::remove(&client).await?;
    }
    Ok(())
}

fn connect(config: &Config, daemon: &PrivateDaemon) -> Result<Client, CanaryError> {
    let key = config.api_key.as_ref().map(|key| key.expose());
    Client::new(Endpoint::Unix(daemon.socket().to_owned()), key)
        .map_err(|source| CanaryError::Client { source })
}

async fn look(config: &Config, daemon: &PrivateDaemon) -> Result<Vec<Finding>, CanaryError> {
    let client = connect(config, daemon)?;
    let baits = Baits::put_out(daemon)?;
    let mut findings = Vec::new();
    let (session, remark) = create(&client, config).await?;
    findings.extend(remark);
    let canary = Canary { client: &client, config, session, baits: &baits };
    findings.extend(canary.look().await?);
    findings.extend(canary.destroy().await?);
    Ok(findings)
}

/// Makes a session of the default image, or of the built-in one where that is not there.
async fn create(client: &Client, config: &Config) -> Result<(Session, Option<Finding>), CanaryError> {
    let failed = |source| CanaryError::Request { what: "create the canary", source };
    match client.create_session(&CreateSessionRequest::default()).await {
        Ok(session) => Ok((session, None)),
        Err(RequestError::Refused { body, .. }) if config.default_image != HOST_IMAGE => {
            let request = CreateSessionRequest {
                image: Some(HOST_IMAGE.to_owned()),
                ..CreateSessionRequest::default()
            };
            let session = client.create_session(&request).await.map_err(failed)?;
            let remark = Finding::warn(
                Part::Sandbox,
                "canary",
                "default image",
                format!(
                    "no sandbox of {} could be started, so that host was taken: {}",
                    config.default_image, body.message
                ),
                "import the image, or name another one in default_image",
            );
            Ok((session, Some(remark)))
        }
        Err(error) => Err(failed(error)),
    }
}

/// The sandbox that is looked at.
struct Canary<'a> {
    client: &'a Client,
    config: &'a Config,
    session: Session,
    baits: &'a Baits,
}

impl Canary<'_> {
    async fn look(&self) -> Result<Vec<Finding>, CanaryError> {
        self.put_program_in().await?;
        let mut findings = self.read_back().await?;
        findings.extend(self.compare_with_another().await?);
        findings.extend(self.attack().await?);
        findings.extend(self.abuse_links().await?);
        findings.extend(self.look_at_workspace().await?);
        findings.extend(self.forge_results().await?);
        Ok(findings)
    }

    async fn put_program_in(&self) -> Result<(), CanaryError> {
        let failed = |source| CanaryError::Request { what: "put the attacks into the canary", source };
        self.client.write_program(&self.session.id, PROGRAM, ATTACKS).await.map_err(failed)?;
        let target =
            serde_json::to_vec(&self.target()).map_err(|error| CanaryError::Read { source: error.into() })?;
        self.client.write_file(&self.session.id, TARGET, &target).await.map_err(failed)
    }

    /// Looks at all kinds of processes there are: the supervisor, the shell, and a command.
    async fn read_back(&self) -> Result<Vec<Finding>, CanaryError> {
        let staying = self.stay().await?;
        let described = self
            .client
            .get_session(&self.session.id)
            .await
            .map_err(|source| CanaryError::Request { what: "look at the canary", source })?;
        let stats = self
            .client
            .session_stats(&self.session.id)
            .await
            .map_err(|source| CanaryError::Request { what: "read the canary's limits", source })?;
        let sandbox =
            Sandbox::find(self.session.id.as_str()).map_err(|source| CanaryError::Read { source })?;
        let findings = running::check(self.config, &sandbox, &described, &stats)
            .map_err(|source| CanaryError::Read { source });
        // The command ends with the client that listens to it.
        drop(staying);
        findings
    }

    /// Starts a command that stays until nobody listens to it any more.
    async fn stay(&self) -> Result<ExecStream, CanaryError> {
        let failed = |source| CanaryError::Request { what: "start a command in the canary", source };
        let request = ExecRequest {
            cmd: Some(format!("/workspace/{PROGRAM} hold")),
            timeout_ms: Some(STAY_MS),
            raw_output: true,
            ..ExecRequest::default()
        };
        let mut stream = self.client.exec_stream(&self.session.id, &request).await.map_err(failed)?;
        match stream.next().await {
            Some(Ok(ExecEvent::Chunk(_))) => Ok(stream),
            Some(Ok(event)) => Err(CanaryError::Program { what: format!("{event:?}") }),
            Some(Err(source)) => Err(failed(source)),
            None => Err(CanaryError::Program { what: "nothing".to_owned() }),
        }
    }

    /// Starts a second session beside the canary, and sees that they share nothing.
    async fn compare_with_another(&self) -> Result<Vec<Finding>, CanaryError> {
        let request = CreateSessionRequest {
            image: Some(self.session.image.clone()),
            ..CreateSessionRequest::default()
        };
        let other = self
            .client
            .create_session(&request)
            .await
            .map_err(|source| CanaryError::Request { what: "create a second session", source })?;
        let find = |id: &str| Sandbox::find(id).map_err(|source| CanaryError::Read { source });
        let own = find(self.session.id.as_str())?;
        let compared = running::compare(&own, &find(other.id.as_str())?);
        self.client
            .destroy_session(&other.id)
            .await
            .map_err(|source| CanaryError::Request { what: "destroy a second session", source })?;
        Ok(compared)
    }

    /// Ends the canary and sees that nothing of it is left.
    async fn destroy(&self) -> Result<Vec<Finding>, CanaryError> {
        let id = self.session.id.as_str();
        let sandbox = Sandbox::find(id).map_err(|source| CanaryError::Read { source })?;
        self.client
            .destroy_session(&self.session.id)
            .await
            .map_err(|source| CanaryError::Request { what: "destroy the canary", source })?;
        Ok(vec![running::nothing_left(id, &sandbox)])
    }

    /// Runs a command and returns its exit status and output.
    async fn exec(&self, command: String) -> Result<(i32, String), CanaryError> {
        let request = ExecRequest {
            cmd: Some(command),
            timeout_ms: Some(STAY_MS),
            raw_output: true,
            ..ExecRequest::default()
        };
        let failed = |source| CanaryError::Request { what: "run a command in the canary", source };
        let result = self.client.exec(&self.session.id, &request).await.map_err(failed)?;
        Ok((result.exit_code, result.output))
    }
}
