//! `/v1/sessions`: make, list, show, change, measure and destroy.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use sandkasten_api::error::ErrorCode;
use sandkasten_api::health::Acknowledged;
use sandkasten_api::id::WorkspaceId;
use sandkasten_api::limits::{MAX_TTL_SECONDS, MAX_WAIT_MS};
use sandkasten_api::schema::WaitMs;
use sandkasten_api::session::{CreateSessionRequest, Session, SessionStats, UpdateSessionRequest};

use serde::Deserialize;
use utoipa::IntoParams;

use crate::admission::Patience;
use crate::config::Config;
use crate::http::api_error::ApiError;
use crate::http::idempotency_key::{Given, IdempotencyKey, kept};
use crate::http::json_body::JsonBody;
use crate::http::openapi::codes::{SESSION, join};
use crate::http::path_id::{self, PathId};
use crate::http::query::CheckedQuery;
use crate::http::router::ApiState;
use crate::http::session_query::SessionQuery;
use crate::idempotency::{Begun, KeptAnswer, Turn};
use crate::session::{Keep, NewSession, Update};

/// The scope of the keys of creates.
const CREATE: &str = "POST /v1/sessions";

/// How long a create waits.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct CreateQuery {
    /// How many milliseconds it may wait for its turn, for a place among `max_sessions` and for memory of the host. Absent:
    /// as long as is configured, and not for a place.
    #[param(value_type = Option<WaitMs>)]
    wait_ms: Option<u64>,
}

impl CreateQuery {
    fn patience(&self, config: &Config) -> Result<Patience, ApiError> {
        match self.wait_ms {
            None => {
                let wait = Duration::from_secs(config.admission.wait_seconds.into());
                Ok(Patience { wait, for_place: false })
            }
            Some(wait) if wait <= MAX_WAIT_MS => {
                Ok(Patience { wait: Duration::from_millis(wait), for_place: true })
            }
            Some(wait) => {
                Err(ApiError::invalid(format!("wait_ms is {wait}; allowed are 0 to {MAX_WAIT_MS}")))
            }
        }
    }
}

/// Makes a session. When it answers, the sandbox stands and its shell has been started; commands wait for the shell where it is not up
/// yet. Of an image that has made no session since the daemon began, it answers when the shell takes commands.
#[utoipa::path(
    post,
    path = "/v1/sessions",
    operation_id = "create_session",
    tag = "sessions",
    params(IdempotencyKey, CreateQuery),
    request_body = CreateSessionRequest,
    responses(
        (
            status = 201,
            description = "The session, which takes commands",
            body = Session,
            headers(
                ("Idempotency-Replayed" = String, description = "`true` where the answer is the one of an earlier request")
            )
        )
    ),
    extensions(("x-error-codes" = json!(&[
        ErrorCode::InvalidImage,
        ErrorCode::InvalidWorkspace,
        ErrorCode::WorkspaceNotFound,
        ErrorCode::WorkspaceInUse,
        ErrorCode::SessionExists,
        ErrorCode::IdempotencyKeyReused,
        ErrorCode::LimitExceeded,
    ]))),
)]
pub(in crate::http) async fn create(
    State(state): State<ApiState>,
    IdempotencyKey(key): IdempotencyKey,
    CheckedQuery(query): CheckedQuery<CreateQuery>,
    JsonBody(request): JsonBody<CreateSessionRequest>,
) -> Result<Response, ApiError> {
    let patience = query.patience(state.sessions.config())?;
    let turn = match key {
        None => None,
        Some(key) => match state.sessions.idempotency().begin(CREATE, &key, &request).await? {
            Begun::Kept(answer) => return Ok(kept(answer, Given::Again)),
            Begun::Turn(turn) => Some(turn),
        },
    };
    let new = accept(state.sessions.config(), request)?;
    let keep = turn.map(|turn| Keep { turn, answer: created });
    let (session, answer) = state.sessions.create(new, keep, patience).await?;
    Ok(match answer {
        Some(answer) => kept(answer, Given::First),
        None => (StatusCode::CREATED, Json(session.describe())).into_response(),
    })
}

/// Makes the answer that is kept with a session.
fn created(turn: &Turn, session: &Session) -> KeptAnswer {
    let body = serde_json::to_string(session).expect("a session is JSON");
    turn.answer(StatusCode::CREATED.as_u16(), body)
}

fn accept(config: &Config, request: CreateSessionRequest) -> Result<NewSession, ApiError> {
    let workspace = match &request.workspace_id {
        Some(_) if !config.workspace.enabled => return Err(path_id::workspaces_disabled()),
        id => id.as_deref().map(str::parse::<WorkspaceId>).transpose()?,
    };
    Ok(NewSession {
        image: request.image,
        ttl_seconds: ttl_seconds(config, request.ttl_seconds)?,
        workspace,
        name: request.name,
        labels: request.labels.unwrap_or_default(),
    })
}

fn ttl_seconds(config: &Config, asked_for: Option<u64>) -> Result<u64, ApiError> {
    let configured = config.session_ttl_seconds;
    match asked_for {
        None | Some(0) => Ok(configured),
        Some(ttl) if ttl <= MAX_TTL_SECONDS => Ok(ttl),
        Some(ttl) => Err(ApiError::invalid(format!(
            "ttl_seconds is {ttl}; allowed are 1 to {MAX_TTL_SECONDS}, or 0 for the configured {configured}"
        ))),
    }
}

/// Lists sessions, oldest first: the live ones, unless others are asked for.
#[utoipa::path(
    get,
    path = "/v1/sessions",
    operation_id = "list_sessions",
    tag = "sessions",
    params(SessionQuery),
    responses(
        (
            status = 200,
            description = "Sessions, oldest first",
            body = Vec<Session>,
            headers(
                ("Link" = String, description = "The next page, with `rel=\"next\"`, where there may be one")
            )
        )
    ),
    extensions(("x-error-codes" = json!(&[ErrorCode::InvalidWorkspace]))),
)]
pub(in crate::http) async fn list(
    State(state): State<ApiState>,
    query: SessionQuery,
) -> Result<Response, ApiError> {
    let page = state.sessions.list(&query.listing).await?;
    let mut response = Json(page.sessions).into_response();
    if let Some(link) = page.next.and_then(|next| query.link(&next)) {
        response.headers_mut().insert(header::LINK, link);
    }
    Ok(response)
}

/// Changes what the request names. When it answers, the change is written down.
#[utoipa::path(
    patch,
    path = "/v1/sessions/{id}",
    operation_id = "update_session",
    tag = "sessions",
    params(PathId),
    request_body = UpdateSessionRequest,
    responses(
        (status = 200, description = "The session as it is now", body = Session)
    ),
    extensions(("x-error-codes" = json!(join(&[SESSION, &[ErrorCode::SessionExists]])))),
)]
pub(in crate::http) async fn update(
    State(state): State<ApiState>,
    PathId(id): PathId,
    JsonBody(request): JsonBody<UpdateSessionRequest>,
) -> Result<Json<Session>, ApiError> {
    let config = state.sessions.config();
    let ttl_seconds = request.ttl_seconds.map(|ttl| ttl_seconds(config, ttl)).transpose()?;
    let update = Update { ttl_seconds, labels: request.labels, name: request.name };
    let session = state.sessions.update(&id, update).await?;
    Ok(Json(session.describe()))
}

/// Shows one session, ended ones of the last day included.
#[utoipa::path(
    get,
    path = "/v1/sessions/{id}",
    operation_id = "show_session",
    tag = "sessions",
    params(PathId),
    responses(
        (status = 200, description = "The session", body = Session)
    ),
    extensions(("x-error-codes" = json!(&[ErrorCode::SessionNotFound]))),
)]
pub(in crate::http) async fn show(
    State(state): State<ApiState>,
    PathId(id): PathId,
) -> Result<Json<Session>, ApiError> {
    Ok(Json(state.sessions.describe(&id).await?))
}

/// Ends a session. When it answers, its processes are gone.
#[utoipa::path(
    delete,
    path = "/v1/sessions/{id}",
    operation_id = "destroy_session",
    tag = "sessions",
    params(PathId),
    responses(
        (
            status = 200,
            description = "Its processes are gone, and its files cannot be reached",
            body = Acknowledged
        )
    ),
    extensions(("x-error-codes" = json!(&[ErrorCode::SessionNotFound]))),
)]
pub(in crate::http) async fn destroy(
    State(state): State<ApiState>,
    PathId(id): PathId,
) -> Result<Json<Acknowledged>, ApiError> {
    state.sessions.destroy(&id).await?;
    Ok(Json(Acknowledged { ok: true }))
}

/// Shows what a session uses.
#[utoipa::path(
    get,
    path = "/v1/sessions/{id}/stats",
    operation_id = "session_stats",
    tag = "sessions",
    params(PathId),
    responses(
        (status = 200, description = "What it uses", body = SessionStats)
    ),
    extensions(("x-error-codes" = json!(SESSION))),
)]
pub(in crate::http) async fn stats(
    State(state): State<ApiState>,
    PathId(id): PathId,
) -> Result<Json<SessionStats>, ApiError> {
    Ok(Json(state.sessions.stats(&id).await?))
}
