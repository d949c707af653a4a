//! One method for each request of the API.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LINK};
use reqwest::{Method, RequestBuilder, Response, StatusCode, multipart, redirect};
use sandkasten_api::error::ErrorBody;
use sandkasten_api::exec::{ExecRequest, ExecResult};
use sandkasten_api::file::{ReadFileQuery, ReadFileResponse, UploadResponse, WriteFileRequest};
use sandkasten_api::file_watch::WatchFilesQuery;
use sandkasten_api::health::{Acknowledged, Health};
use sandkasten_api::id::{SessionId, WorkspaceId};
use sandkasten_api::process::{Process, ProcessRequest};
use sandkasten_api::session::{CreateSessionRequest, Session, SessionStats, UpdateSessionRequest};
use sandkasten_api::workspace::{CreateWorkspaceRequest, Workspace, WorkspaceList, WorkspaceTarget};
use serde::de::DeserializeOwned;

use crate::endpoint::Endpoint;
use crate::exec_stream::ExecStream;
use crate::in_process::{self, InProcess};
use crate::request_error::{BuildClientError, RequestError};
use crate::session_filter::{SessionFilter, next_page};
use crate::watch_stream::WatchStream;

/// How long a connection may take to come up. Answers have no limit: an exec takes as long as it takes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client of one daemon. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    endpoint: Endpoint,
    /// Who answers in place of whatever listens at the endpoint.
    in_process: Option<Arc<dyn InProcess>>,
}

/// A file to upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadFile {
    /// Its name in the target directory.
    pub name: String,
    /// Its content.
    pub content: Vec<u8>,
}

impl Client {
    /// Makes a client; connects to nothing yet.
    ///
    /// # Errors
    /// `Key` where the key cannot be sent; `Transport` where the HTTP library cannot be set up.
    pub fn new(endpoint: Endpoint, api_key: Option<&str>) -> Result<Self, BuildClientError> {
        let mut headers = HeaderMap::new();
        if let Some(key) = api_key {
            let mut value =
                HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| BuildClientError::Key)?;
            // Keeps the key out of every debug print below here.
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("sandkasten/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout(CONNECT_TIMEOUT)
            // Small requests go out at once: an exec is one of them.
            .tcp_nodelay(true)
            .no_proxy()
            // No endpoint is https; see Cargo.toml.
            .tls_certs_only([])
            // Whoever answers with a redirect is no daemon, and must not be handed the key.
            .redirect(redirect::Policy::none());
        if let Some(path) = endpoint.socket() {
            builder = builder.unix_socket(path.to_owned());
        }
        let http = builder.build().map_err(|source| BuildClientError::Transport { source })?;
        Ok(Self { http, endpoint, in_process: None })
    }

    /// Makes a client of the daemon that this process is: requests are calls, and whoever may make them was asked before. There
    /// are no terminals on this way.
    ///
    /// # Errors
    /// `Transport` where the HTTP library cannot be set up.
    pub fn in_process(daemon: Arc<dyn InProcess>) -> Result<Self, BuildClientError> {
        let client = Self::new(Endpoint::Http("http://localhost".to_owned()), None)?;
        Ok(Self { in_process: Some(daemon), ..client })
    }

    /// Returns where the daemon is.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Asks whether the daemon is alive. Needs no key.
    ///
    /// # Errors
    /// As every request: `Unreachable`, `Refused`, `Protocol`.
    pub async fn healthz(&self) -> Result<Health, RequestError> {
        self.call(self.request(Method::GET, "/healthz")).await
    }

    /// Creates a session; it is usable when this returns.
    ///
    /// # Errors
    /// As every request; `Refused` with `INVALID_IMAGE`, `INVALID_WORKSPACE` or `LIMIT_EXCEEDED`.
    pub async fn create_session(&self, request: &CreateSessionRequest) -> Result<Session, RequestError> {
        self.call(self.request(Method::POST, "/v1/sessions").json(request)).await
    }

    /// Creates a session, and lets the daemon wait so long for a turn, for a place among `max_sessions` and for memory.
    /// Dropping the future ends the wait.
    ///
    /// # Errors
    /// As [`create_session`](Self::create_session); `Refused` with `LIMIT_EXCEEDED` where the time was over before.
    pub async fn create_session_within(
        &self,
        request: &CreateSessionRequest,
        wait: Duration,
    ) -> Result<Session, RequestError> {
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let posted = self.request(Method::POST, "/v1/sessions").query(&[("wait_ms", wait_ms)]);
        self.call(posted.json(request)).await
    }

    /// Creates a session once, however often this is called with the same key and request.
    ///
    /// # Errors
    /// As [`create_session`](Self::create_session); `Refused` with `IDEMPOTENCY_KEY_REUSED` where the key was used with
    /// another request.
    pub async fn create_session_once(
        &self,
        request: &CreateSessionRequest,
        key: &str,
    ) -> Result<Session, RequestError> {
        let posted = self.request(Method::POST, "/v1/sessions").json(request);
        self.call(posted.header("idempotency-key", key)).await
    }

    /// Changes what the request names of a live session.
    ///
    /// # Errors
    /// As [`get_session`](Self::get_session); `Refused` with `SESSION_NOT_RUNNING`, or `SESSION_EXISTS` where another live
    /// session has the name.
    pub async fn update_session(
        &self,
        id: &SessionId,
        request: &UpdateSessionRequest,
    ) -> Result<Session, RequestError> {
        self.call(self.session_request(Method::PATCH, id, "").json(request)).await
    }

    /// Lists the sessions that meet conditions, all pages of them.
    ///
    /// # Errors
    /// As every request.
    pub async fn find_sessions(&self, filter: &SessionFilter) -> Result<Vec<Session>, RequestError> {
        let mut request = self.request(Method::GET, "/v1/sessions").query(&filter.parameters());
        let mut sessions = Vec::new();
        loop {
            let response = self.send(request).await?;
            let link = response.headers().get(LINK).and_then(|link| link.to_str().ok());
            let next = link.and_then(next_page).map(str::to_owned);
            let page: Vec<Session> = self.read_json(response).await?;
            let is_last = page.is_empty();
            sessions.extend(page);
            match next {
                Some(next) if !is_last => request = self.request(Method::GET, &next),
                _ => return Ok(sessions),
            }
        }
    }

    /// Lists the live sessions.
    ///
    /// # Errors
    /// As every request.
    pub async fn list_sessions(&self) -> Result<Vec<Session>, RequestError> {
        self.call(self.request(Method::GET, "/v1/sessions")).await
    }

    /// Looks at one session.
    ///
    /// # Errors
    /// As every request; `Refused` with `SESSION_NOT_FOUND` or `SESSION_EXPIRED`.
    pub async fn get_session(&self, id: &SessionId) -> Result<Session, RequestError> {
        self.call(self.session_request(Method::GET, id, "")).await
    }

    /// Destroys a session; its processes are gone when this returns.
    ///
    /// # Errors
    /// As every request; `Refused` with `SESSION_NOT_FOUND`.
    pub async fn destroy_session(&self, id: &SessionId) -> Result<(), RequestError> {
        let Acknowledged { .. } = self.call(self.session_request(Method::DELETE, id, "")).await?;
        Ok(())
    }

    /// Reads what a session uses.
    ///
    /// # Errors
    /// As [`get_session`](Self::get_session).
    pub async fn session_stats(&self, id: &SessionId) -> Result<SessionStats, RequestError> {
        self.call(self.session_request(Method::GET, id, "/stats")).await
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// As every request; `Refused` with `COMMAND_TIMEOUT`, `SESSION_NOT_FOUND`, `SESSION_NOT_RUNNING` and the like.
    pub async fn exec(&self, id: &SessionId, request: &ExecRequest) -> Result<ExecResult, RequestError> {
        self.call(self.session_request(Method::POST, id, "/exec").json(request)).await
    }

    /// Runs a command and returns its output as it is produced.
    ///
    /// # Errors
    /// As every request, before the command starts; what happens later is in the stream.
    pub async fn exec_stream(
        &self,
        id: &SessionId,
        request: &ExecRequest,
    ) -> Result<ExecStream, RequestError> {
        let response =
            self.send(self.session_request(Method::POST, id, "/exec/stream").json(request)).await?;
        Ok(ExecStream::new(self.endpoint.to_string(), response))
    }

    /// Starts a process that runs beside the session's shells until it ends.
    ///
    /// # Errors
    /// As every request; `Refused` with `LIMIT_EXCEEDED` where as many run as may.
    pub async fn start_process(
        &self,
        id: &SessionId,
        request: &ProcessRequest,
    ) -> Result<Process, RequestError> {
        self.call(self.session_request(Method::POST, id, "/processes").json(request)).await
    }

    /// Begins to watch a directory of a session. Dropping the stream ends the watch.
    ///
    /// # Errors
    /// As every request; `Refused` with `LIMIT_EXCEEDED` where there are too many watches.
    pub async fn watch_files(
        &self,
        id: &SessionId,
        query: &WatchFilesQuery,
    ) -> Result<WatchStream, RequestError> {
        let response = self.send(self.session_request(Method::GET, id, "/fs/watch").query(query)).await?;
        Ok(WatchStream::new(self.endpoint.to_string(), response))
    }

    /// Writes a file of a session, whole or not at all. The path is below `/workspace`.
    ///
    /// # Errors
    /// As every request; `Refused` with `INVALID_REQUEST` for a path outside.
    pub async fn write_file(&self, id: &SessionId, path: &str, content: &[u8]) -> Result<(), RequestError> {
        self.write_file_with_mode(id, path, content, None).await
    }

    /// Writes a file of a session that can be run.
    ///
    /// # Errors
    /// As [`write_file`](Self::write_file).
    pub async fn write_program(
        &self,
        id: &SessionId,
        path: &str,
        content: &[u8],
    ) -> Result<(), RequestError> {
        self.write_file_with_mode(id, path, content, Some("0755")).await
    }

    /// Writes a file of a session with these permission bits, in octal; without any it keeps those that it has.
    ///
    /// # Errors
    /// As [`write_file`](Self::write_file).
    pub async fn write_file_with_mode(
        &self,
        id: &SessionId,
        path: &str,
        content: &[u8],
        mode: Option<&str>,
    ) -> Result<(), RequestError> {
        let request = WriteFileRequest {
            path: path.to_owned(),
            content_base64: Some(STANDARD.encode(content)),
            text: None,
            mode: mode.map(str::to_owned),
        };
        let Acknowledged { .. } =
            self.call(self.session_request(Method::POST, id, "/fs/write").json(&request)).await?;
        Ok(())
    }

    /// Reads a file of a session. `max_bytes` absent means the contract's default.
    ///
    /// The flag beside the content tells whether the file goes on behind it.
    ///
    /// # Errors
    /// As every request; `Refused` with `FILE_NOT_FOUND`.
    pub async fn read_file(
        &self,
        id: &SessionId,
        path: &str,
        max_bytes: Option<u64>,
    ) -> Result<(Vec<u8>, bool), RequestError> {
        let query = ReadFileQuery { path: path.to_owned(), max_bytes };
        self.read(self.session_request(Method::GET, id, "/fs/read").query(&query)).await
    }

    async fn read(&self, request: RequestBuilder) -> Result<(Vec<u8>, bool), RequestError> {
        let answer: ReadFileResponse = self.call(request).await?;
        let content = STANDARD
            .decode(&answer.content_base64)
            .map_err(|error| self.odd(format!("the content of the file is no base64: {error}")))?;
        Ok((content, answer.truncated))
    }

    /// Uploads files into a directory of a session and returns where they went.
    ///
    /// # Errors
    /// As every request; `Refused` with `INVALID_REQUEST` for too many or too large files.
    pub async fn upload(
        &self,
        id: &SessionId,
        directory: &str,
        files: Vec<UploadFile>,
    ) -> Result<Vec<String>, RequestError> {
        let form = files
            .into_iter()
            .fold(multipart::Form::new().text("path", directory.to_owned()), |form, file| {
                form.part("files", multipart::Part::bytes(file.content).file_name(file.name))
            });
        let answer: UploadResponse =
            self.call(self.session_request(Method::POST, id, "/fs/upload").multipart(form)).await?;
        Ok(answer.paths)
    }

    /// Lists all workspaces.
    ///
    /// # Errors
    /// As every request; `Refused` with `INVALID_WORKSPACE` where workspaces are disabled.
    pub async fn list_workspaces(&self) -> Result<Vec<Workspace>, RequestError> {
        let WorkspaceList { workspaces } = self.call(self.request(Method::GET, "/v1/workspaces")).await?;
        Ok(workspaces)
    }

    /// Makes an empty workspace.
    ///
    /// # Errors
    /// As [`list_workspaces`](Self::list_workspaces); `Refused` with `WORKSPACE_EXISTS`.
    pub async fn create_workspace(&self, id: &WorkspaceId) -> Result<Workspace, RequestError> {
        let request = CreateWorkspaceRequest { id: id.to_string() };
        self.call(self.request(Method::POST, "/v1/workspaces").json(&request)).await
    }

    /// Makes a workspace with the files of another.
    ///
    /// # Errors
    /// As [`list_workspaces`](Self::list_workspaces); `Refused` with `WORKSPACE_NOT_FOUND` or `WORKSPACE_EXISTS`.
    pub async fn copy_workspace(
        &self,
        id: &WorkspaceId,
        to: &WorkspaceId,
    ) -> Result<Workspace, RequestError> {
        let request = WorkspaceTarget { to: to.to_string() };
        self.call(self.request(Method::POST, &format!("/v1/workspaces/{id}/copy")).json(&request)).await
    }

    /// Writes a file of a workspace, whole or not at all; makes the workspace where there is none.
    ///
    /// # Errors
    /// As [`list_workspaces`](Self::list_workspaces); `Refused` with `INVALID_REQUEST` for a path outside.
    pub async fn write_workspace_file(
        &self,
        id: &WorkspaceId,
        path: &str,
        content: &[u8],
    ) -> Result<(), RequestError> {
        let request = WriteFileRequest {
            path: path.to_owned(),
            content_base64: Some(STANDARD.encode(content)),
            text: None,
            mode: None,
        };
        let request = self.request(Method::POST, &format!("/v1/workspaces/{id}/fs/write")).json(&request);
        let Acknowledged { .. } = self.call(request).await?;
        Ok(())
    }

    /// Reads a file of a workspace; see [`read_file`](Self::read_file).
    ///
    /// # Errors
    /// As [`list_workspaces`](Self::list_workspaces); `Refused` with `WORKSPACE_NOT_FOUND` or `FILE_NOT_FOUND`.
    pub async fn read_workspace_file(
        &self,
        id: &WorkspaceId,
        path: &str,
        max_bytes: Option<u64>,
    ) -> Result<(Vec<u8>, bool), RequestError> {
        let query = ReadFileQuery { path: path.to_owned(), max_bytes };
        self.read(self.request(Method::GET, &format!("/v1/workspaces/{id}/fs/read")).query(&query)).await
    }

    /// Gives a workspace that nobody uses another name.
    ///
    /// # Errors
    /// As [`copy_workspace`](Self::copy_workspace); `Refused` with `WORKSPACE_IN_USE`.
    pub async fn rename_workspace(&self, id: &WorkspaceId, to: &WorkspaceId) -> Result<(), RequestError> {
        let request = WorkspaceTarget { to: to.to_string() };
        let request = self.request(Method::POST, &format!("/v1/workspaces/{id}/rename")).json(&request);
        let Acknowledged { .. } = self.call(request).await?;
        Ok(())
    }

    /// Removes a workspace that nobody uses, with everything in it.
    ///
    /// # Errors
    /// As [`list_workspaces`](Self::list_workspaces); `Refused` with `WORKSPACE_NOT_FOUND` or `WORKSPACE_IN_USE`.
    pub async fn delete_workspace(&self, id: &WorkspaceId) -> Result<(), RequestError> {
        let request = self.request(Method::DELETE, &format!("/v1/workspaces/{id}"));
        let Acknowledged { .. } = self.call(request).await?;
        Ok(())
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.endpoint.base_url()))
    }

    /// Starts a request about a session. The type of the id guarantees that it needs no escaping.
    pub(crate) fn session_request(&self, method: Method, id: &SessionId, path: &str) -> RequestBuilder {
        self.request(method, &format!("/v1/sessions/{id}{path}"))
    }

    pub(crate) async fn call<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, RequestError> {
        let response = self.send(request).await?;
        self.read_json(response).await
    }

    async fn read_json<T: DeserializeOwned>(&self, response: Response) -> Result<T, RequestError> {
        let bytes = response.bytes().await.map_err(|source| self.unreachable(source))?;
        serde_json::from_slice(&bytes)
            .map_err(|error| self.odd(format!("its JSON is not the contract's: {error}")))
    }

    /// Sends a request and returns the response if it is a success.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, RequestError> {
        let answered = match &self.in_process {
            None => request.send().await,
            Some(daemon) => in_process::send(&**daemon, request).await,
        };
        let response = answered.map_err(|source| self.unreachable(source))?;
        let status = response.status();
        if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response);
        }
        let bytes = response.bytes().await.map_err(|source| self.unreachable(source))?;
        match serde_json::from_slice::<ErrorBody>(&bytes) {
            Ok(body) => Err(RequestError::Refused { status: status.as_u16(), body }),
            Err(_) => {
                Err(self
                    .odd(format!("it answers {status} without an error body; is it a Sandkasten daemon?")))
            }
        }
    }

    pub(crate) fn unreachable(&self, source: reqwest::Error) -> RequestError {
        // The URL is said beside it already, in the form that the user knows.
        RequestError::Unreachable { url: self.endpoint.to_string(), source: Box::new(source.without_url()) }
    }

    pub(crate) fn odd(&self, reason: String) -> RequestError {
        RequestError::Protocol { url: self.endpoint.to_string(), reason }
    }
}

#[cfg(test)]
mod tests;
