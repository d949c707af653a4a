//! The daemon that is measured, from outside: a process of this very binary.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use sandkasten_client::{BuildClientError, Client};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use crate::serve::Access;

/// How long the daemon may take to start, and to end with all its sessions. Only bounds on a hang.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(120);

/// A running daemon. It ends, and its sessions with it, when this is dropped or the process of it ends; [`stop`](Self::stop)
/// waits for that.
#[derive(Debug)]
pub struct DaemonProcess {
    child: Child,
    pid: u32,
    /// Closing it asks for the end.
    input: ChildStdin,
    client: Client,
    scratch: PathBuf,
}

/// Why the daemon to measure is not there.
#[derive(Debug, thiserror::Error)]
pub enum DaemonProcessError {
    /// It could not be started.
    #[error("failed to start the daemon's process")]
    Spawn {
        /// The kernel's reason.
        source: io::Error,
    },
    /// It has not said where it listens; it has said why on standard error.
    #[error("the daemon did not start")]
    Start,
    /// It took too long.
    #[error("the daemon did not start within {} s", START_TIMEOUT.as_secs())]
    LateStart,
    /// What it said could not be read.
    #[error("failed to read where the daemon listens")]
    Read {
        /// Why.
        source: io::Error,
    },
    /// No client could be made for it.
    #[error("failed to make a client for the daemon")]
    Client {
        /// Why.
        source: BuildClientError,
    },
    /// Its end could not be awaited.
    #[error("failed to wait for the end of the daemon")]
    Wait {
        /// The kernel's reason.
        source: io::Error,
    },
    /// It did not end well; it has said why on standard error.
    #[error("the daemon ended with {status}")]
    Ended {
        /// How.
        status: ExitStatus,
    },
    /// It did not end.
    #[error("the daemon did not end within {} s", STOP_TIMEOUT.as_secs())]
    LateStop,
}

impl DaemonProcess {
    /// Starts `command`, which has to call [`serve`](crate::serve()) with its standard input and output, and waits until the
    /// daemon listens. It is put into a process group of its own: Ctrl-C on the terminal is for us, who then end it in order.
    ///
    /// # Errors
    /// [`DaemonProcessError`].
    pub async fn start(command: std::process::Command) -> Result<Self, DaemonProcessError> {
        let mut command = Command::from(command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().map_err(|source| DaemonProcessError::Spawn { source })?;
        let (Some(pid), Some(input), Some(output)) = (child.id(), child.stdin.take(), child.stdout.take())
        else {
            return Err(DaemonProcessError::Start);
        };
        let mut line = String::new();
        let mut output = BufReader::new(output);
        let read = tokio::time::timeout(START_TIMEOUT, output.read_line(&mut line)).await;
        match read.map_err(|_| DaemonProcessError::LateStart)? {
            Ok(0) => return Err(DaemonProcessError::Start),
            result => result.map_err(|source| DaemonProcessError::Read { source })?,
        };
        let access: Access =
            serde_json::from_str(&line).map_err(|error| DaemonProcessError::Read { source: error.into() })?;
        let client = access.client().map_err(|source| DaemonProcessError::Client { source })?;
        Ok(Self { child, pid, input, client, scratch: access.scratch })
    }

    /// Returns a client, which keeps its connections.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Returns its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns a directory for our own files, which goes with it.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Ends it and its sessions, and waits until all of it is gone. Other clients of it must have been dropped: idle connections
    /// hold the graceful end up.
    ///
    /// # Errors
    /// [`DaemonProcessError`].
    pub async fn stop(self) -> Result<(), DaemonProcessError> {
        let Self { mut child, input, client, .. } = self;
        drop((client, input));
        let ended = tokio::time::timeout(STOP_TIMEOUT, child.wait()).await;
        let status = ended
            .map_err(|_| DaemonProcessError::LateStop)?
            .map_err(|source| DaemonProcessError::Wait { source })?;
        if status.success() { Ok(()) } else { Err(DaemonProcessError::Ended { status }) }
    }
}
