//! The sandboxes that belong to one MCP session: made when they are first needed, and ended with it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sandkasten_api::id::SessionId;
use sandkasten_api::label::{LabelChanges, Labels};
use sandkasten_api::session::{CreateSessionRequest, Session};
use sandkasten_client::{Client, RequestError, SessionReference};
use tokio::sync::Mutex;

use crate::tool_error::ToolError;

/// Which sandbox calls use that name none.
#[derive(Debug, Clone)]
pub enum OwnSession {
    /// One that is made for the MCP session at the first such call, and destroyed with it.
    New(Box<CreateSessionRequest>),
    /// One that is somebody else's, and stays.
    Existing(SessionReference),
}

/// The sandboxes of one MCP session.
#[derive(Debug)]
pub(crate) struct OwnSessions {
    client: Client,
    own: OwnSession,
    /// Whether there may be something to destroy.
    is_used: AtomicBool,
    /// Held while a sandbox is made, so that there is one, and that none is made behind the end.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    own: Option<SessionId>,
    others: Vec<SessionId>,
    is_over: bool,
}

impl OwnSessions {
    pub(crate) fn new(client: Client, own: OwnSession) -> Arc<Self> {
        Arc::new(Self { client, own, is_used: AtomicBool::new(false), state: Mutex::default() })
    }

    /// The sandbox for calls that name none, made where there is none yet. Dropping the future does not lose it.
    pub(crate) async fn own(self: &Arc<Self>) -> Result<SessionId, ToolError> {
        if let Some(id) = self.state.lock().await.own.clone() {
            return Ok(id);
        }
        let this = Arc::clone(self);
        tokio::spawn(async move { this.make_own().await }).await?
    }

    /// The same, where it is there already.
    pub(crate) async fn own_if_there(&self) -> Option<SessionId> {
        self.state.lock().await.own.clone()
    }

    /// Makes one more sandbox that ends with the MCP session.
    pub(crate) async fn make_other(
        self: &Arc<Self>,
        request: CreateSessionRequest,
    ) -> Result<Session, ToolError> {
        let this = Arc::clone(self);
        let made = async move {
            let mut state = this.state.lock().await;
            if state.is_over {
                return Err(ToolError::Over);
            }
            this.is_used.store(true, Ordering::Release);
            let session = this.client.create_session(&request).await?;
            state.others.push(session.id.clone());
            Ok(session)
        };
        tokio::spawn(made).await?
    }

    /// Whether a sandbox is one of these.
    pub(crate) async fn owns(&self, id: &SessionId) -> bool {
        let state = self.state.lock().await;
        state.own.as_ref() == Some(id) || state.others.contains(id)
    }

    /// Knows a sandbox no longer, because it is gone.
    pub(crate) async fn forget(&self, id: &SessionId) {
        let mut state = self.state.lock().await;
        state.others.retain(|other| other != id);
        if state.own.as_ref() == Some(id) {
            state.own = None;
        }
    }

    /// Turns what the engine said about a call on this sandbox into what its caller is told. One that is gone is forgotten.
    pub(crate) async fn explain(&self, id: &SessionId, is_named: bool, error: ToolError) -> ToolError {
        let ToolError::Request(request) = error else { return error };
        let Some(body) = ToolError::session_loss(&request) else { return ToolError::Request(request) };
        self.forget(id).await;
        if is_named || matches!(self.own, OwnSession::Existing(_)) {
            return ToolError::Request(request);
        }
        ToolError::SandboxGone { body: body.clone() }
    }

    /// Whether anything was ever made.
    pub(crate) fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Acquire)
    }

    /// Destroys everything that was made; nothing is made from then on. What cannot be destroyed is logged, and ends by its time
    /// to live.
    pub(crate) async fn end(&self) {
        let mut state = self.state.lock().await;
        state.is_over = true;
        let own = state.own.take().filter(|_| matches!(self.own, OwnSession::New(_)));
        for id in own.into_iter().chain(std::mem::take(&mut state.others)) {
            match self.client.destroy_session(&id).await {
                Ok(()) => {}
                Err(error) if ToolError::session_loss(&error).is_some() => {}
                Err(error) => {
                    let error: &(dyn std::error::Error + 'static) = &error;
                    tracing::warn!(session = %id, error, "the sandbox of an MCP session stays until it expires");
                }
            }
        }
    }

    async fn make_own(&self) -> Result<SessionId, ToolError> {
        let mut state = self.state.lock().await;
        if state.is_over {
            return Err(ToolError::Over);
        }
        if let Some(id) = &state.own {
            return Ok(id.clone());
        }
        let id = match &self.own {
            OwnSession::Existing(reference) => reference.resolve(&self.client).await?,
            OwnSession::New(request) => {
                self.is_used.store(true, Ordering::Release);
                self.client.create_session(request).await.map_err(|error| hold(error, request))?.id
            }
        };
        state.own = Some(id.clone());
        Ok(id)
    }
}

/// What sandboxes of MCP sessions are found by: the label `mcp` with the way that they came.
pub(crate) fn labels(way: &str) -> Labels {
    let changes = LabelChanges(BTreeMap::from([("mcp".to_owned(), Some(way.to_owned()))]));
    // Nothing else is known of a key and a value that are fit.
    Labels::default().with(changes).unwrap_or_default()
}

/// Says of an image that cannot be had which one it is: whoever reads it has not named it.
fn hold(error: RequestError, request: &CreateSessionRequest) -> ToolError {
    match (error, &request.image) {
        (RequestError::Refused { status, mut body }, Some(image)) => {
            body.message = format!("no sandbox of image {image:?}: {}", body.message);
            ToolError::Request(RequestError::Refused { status, body })
        }
        (error, _) => ToolError::Request(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use sandkasten_client::{Answer, Body, Client, InProcess};
    use tokio::sync::Semaphore;

    use super::{OwnSession, OwnSessions};
    use crate::tool_error::ToolError;

    /// An engine that makes a sandbox when it may, and keeps what it was asked.
    #[derive(Debug)]
    struct Engine {
        may: Semaphore,
        asked: Mutex<Vec<String>>,
    }

    #[derive(Debug)]
    struct Calls(Arc<Engine>);

    impl InProcess for Calls {
        fn answer(&self, request: http::Request<Body>) -> Answer {
            let engine = Arc::clone(&self.0);
            let asked = format!("{} {}", request.method(), request.uri().path());
            Box::pin(async move {
                let is_create = asked.starts_with("POST");
                engine.asked.lock().expect("not poisoned").push(asked);
                if !is_create {
                    return http::Response::new(Body::from("{\"ok\":true}"));
                }
                engine.may.acquire().await.expect("open").forget();
                let session = serde_json::json!({
                    "id": "0123abcd-ef01", "image": "host", "status": "running", "cwd": "/workspace",
                    "acquire_source": "cold", "created_at": "2026-01-01T00:00:00Z",
                    "expires_at": "2026-01-01T01:00:00Z",
                });
                http::Response::new(Body::from(session.to_string()))
            })
        }
    }

    fn sessions() -> (Arc<OwnSessions>, Arc<Engine>) {
        let engine = Arc::new(Engine { may: Semaphore::new(0), asked: Mutex::default() });
        let client = Client::in_process(Arc::new(Calls(Arc::clone(&engine)))).expect("a client");
        let own = OwnSession::New(Box::default());
        (OwnSessions::new(client, own), engine)
    }

    fn asked(engine: &Engine) -> Vec<String> {
        engine.asked.lock().expect("not poisoned").clone()
    }

    #[tokio::test]
    async fn calls_at_once_make_one_sandbox() {
        let (sessions, engine) = sessions();
        engine.may.add_permits(9);
        let calls: Vec<_> = (0..9)
            .map(|_| {
                let sessions = Arc::clone(&sessions);
                tokio::spawn(async move { sessions.own().await.expect("made") })
            })
            .collect();
        for call in calls {
            assert_eq!(call.await.expect("no panic").as_str(), "0123abcd-ef01");
        }
        assert_eq!(asked(&engine), ["POST /v1/sessions"]);
    }

    #[tokio::test]
    async fn a_sandbox_that_is_made_for_a_call_that_was_cancelled_ends_as_well() {
        let (sessions, engine) = sessions();
        let call = sessions.own();
        assert!(tokio::time::timeout(Duration::from_millis(20), call).await.is_err(), "it waits");
        assert!(sessions.is_used());
        let ending = tokio::spawn({
            let sessions = Arc::clone(&sessions);
            async move { sessions.end().await }
        });
        engine.may.add_permits(1);
        ending.await.expect("no panic");
        assert_eq!(asked(&engine), ["POST /v1/sessions", "DELETE /v1/sessions/0123abcd-ef01"]);
        engine.may.add_permits(1);
        assert!(matches!(sessions.own().await, Err(ToolError::Over)), "none is made behind the end");
    }
}
