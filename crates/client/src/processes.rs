//! Processes of a session.

use reqwest::Method;
use sandkasten_api::health::Acknowledged;
use sandkasten_api::id::{ExecId, SessionId};
use sandkasten_api::process::{Process, ProcessList, ProcessLogs, SignalRequest};

use crate::client::Client;
use crate::log_stream::LogStream;
use crate::request_error::RequestError;

impl Client {
    /// Lists the processes and execs of a session, oldest first; those that have ended as long as they are kept.
    ///
    /// # Errors
    /// As [`get_session`](Self::get_session).
    pub async fn list_processes(&self, id: &SessionId) -> Result<Vec<Process>, RequestError> {
        let ProcessList { processes } =
            self.call(self.session_request(Method::GET, id, "/processes")).await?;
        Ok(processes)
    }

    /// Sends a signal, by name or number, to a process or exec with everything that it has started.
    ///
    /// # Errors
    /// As [`get_session`](Self::get_session); `Refused` with `PROCESS_NOT_FOUND` or `PROCESS_NOT_RUNNING`.
    pub async fn signal_process(
        &self,
        id: &SessionId,
        process: ExecId,
        signal: &str,
    ) -> Result<(), RequestError> {
        let request = SignalRequest { signal: signal.to_owned() };
        let path = format!("/processes/{process}/signal");
        let Acknowledged { .. } =
            self.call(self.session_request(Method::POST, id, &path).json(&request)).await?;
        Ok(())
    }

    /// Looks at a process or exec.
    ///
    /// # Errors
    /// As [`get_session`](Self::get_session); `Refused` with `PROCESS_NOT_FOUND`.
    pub async fn show_process(&self, id: &SessionId, process: ExecId) -> Result<Process, RequestError> {
        self.call(self.session_request(Method::GET, id, &format!("/processes/{process}"))).await
    }

    /// Reads what is kept of the output of a process from a byte of it on.
    ///
    /// # Errors
    /// As [`get_session`](Self::get_session); `Refused` with `PROCESS_NOT_FOUND`.
    pub async fn read_logs(
        &self,
        id: &SessionId,
        process: ExecId,
        since: u64,
    ) -> Result<ProcessLogs, RequestError> {
        let path = format!("/processes/{process}/logs");
        self.call(self.session_request(Method::GET, id, &path).query(&[("since", since)])).await
    }

    /// Follows the output of a process from a byte of it on, to its end. Dropping the stream ends nothing else.
    ///
    /// # Errors
    /// As [`read_logs`](Self::read_logs); `Refused` with `LIMIT_EXCEEDED` where too many follow.
    pub async fn follow_logs(
        &self,
        id: &SessionId,
        process: ExecId,
        since: u64,
    ) -> Result<LogStream, RequestError> {
        let request = self.session_request(Method::GET, id, &format!("/processes/{process}/logs"));
        let request = request.query(&[("since", since)]).query(&[("follow", true)]);
        let response = self.send(request).await?;
        Ok(LogStream::new(self.endpoint().to_string(), response))
    }

    /// Ends a process with everything that it has started, or cancels an exec, and returns how it ended.
    ///
    /// # Errors
    /// As [`get_session`](Self::get_session); `Refused` with `PROCESS_NOT_FOUND`.
    pub async fn end_process(&self, id: &SessionId, process: ExecId) -> Result<Process, RequestError> {
        self.call(self.session_request(Method::DELETE, id, &format!("/processes/{process}"))).await
    }
}
