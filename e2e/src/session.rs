//! A session of a test, with verbs that read like the tests' sentences.

use sandkasten_api::error::ErrorDetails;
use sandkasten_api::exec::{ExecRequest, ExecResult};
use sandkasten_api::id::SessionId;
use sandkasten_client::{Client, ExecStream, RequestError};

use crate::patience::patience_ms;

/// A live session.
#[derive(Debug, Clone)]
pub struct TestSession {
    /// Its id.
    pub id: SessionId,
    /// A client of its daemon.
    pub client: Client,
}

impl TestSession {
    /// Runs a command and returns its whole result; a refusal fails the test.
    ///
    /// # Panics
    /// Where the daemon refuses.
    pub async fn exec(&self, command: &str) -> ExecResult {
        self.try_exec(command, None)
            .await
            .unwrap_or_else(|error| panic!("exec of {:.80?} was refused: {error}", command))
    }

    /// Runs a command that must succeed and returns its output without the last line break.
    ///
    /// # Panics
    /// Where the command fails.
    pub async fn output(&self, command: &str) -> String {
        let result = self.exec(command).await;
        assert_eq!(result.exit_code, 0, "{command:.200}: {}", result.output);
        result.output.strip_suffix('\n').unwrap_or(&result.output).to_owned()
    }

    /// Runs a command that may be refused.
    ///
    /// # Errors
    /// The daemon's refusal.
    pub async fn try_exec(&self, command: &str, timeout_ms: Option<u64>) -> Result<ExecResult, RequestError> {
        let request = ExecRequest { cmd: Some(command.to_owned()), timeout_ms, ..ExecRequest::default() };
        self.client.exec(&self.id, &request).await
    }

    /// Runs a Python program that must succeed and returns what it prints, without the last line break.
    ///
    /// # Panics
    /// Where the program fails.
    pub async fn python(&self, program: &str) -> String {
        self.output(&format!("python3 - <<'END_OF_PROGRAM'\n{program}\nEND_OF_PROGRAM")).await
    }

    /// Runs a command that must run past its timeout, given for a usual host, and returns what the daemon says about it.
    ///
    /// # Panics
    /// Where the command ends by itself, or is refused for another reason.
    pub async fn timed_out(&self, command: &str, timeout_ms: u64) -> ErrorDetails {
        match self.try_exec(command, Some(patience_ms(timeout_ms))).await {
            Err(RequestError::Refused { status: 504, body }) => *body.details.unwrap_or_default(),
            other => panic!("{command:.200} did not time out: {other:?}"),
        }
    }
    /// Destroys the session.
    ///
    /// # Panics
    /// Where the daemon refuses.
    pub async fn destroy(self) {
        let Self { id, client } = self;
        client.destroy_session(&id).await.unwrap_or_else(|error| panic!("{id} was not destroyed: {error}"));
    }

    /// Begins a command whose output comes as it is produced; dropping the stream stops the command.
    ///
    /// # Panics
    /// Where the daemon refuses.
    pub async fn stream(&self, command: &str) -> ExecStream {
        let request = ExecRequest { cmd: Some(command.to_owned()), ..ExecRequest::default() };
        self.client.exec_stream(&self.id, &request).await.unwrap_or_else(|error| panic!("no stream: {error}"))
    }
}
