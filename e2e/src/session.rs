//! A session of a test, with verbs that read like the tests' sentences.

use sandkasten_api::exec::{ExecRequest, ExecResult};
use sandkasten_api::id::SessionId;
use sandkasten_client::{Client, RequestError};

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
        let request = ExecRequest { cmd: command.to_owned(), timeout_ms, raw_output: false };
        self.client.exec(&self.id, &request).await
    }
}
