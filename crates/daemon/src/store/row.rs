//! One session as it is written down.

use jiff::Timestamp;
use sandkasten_api::id::{SessionId, WorkspaceId};
use sandkasten_api::label::Labels;
use sandkasten_api::name::SessionName;
use sandkasten_api::session::{AcquireSource, SessionStatus};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::StoreError;

/// A session, and what it takes to find its sandbox again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionRow {
    pub(crate) id: SessionId,
    pub(crate) image: String,
    /// The names of the layers that it stands on; none where an older daemon made it.
    pub(crate) layers: Option<Vec<String>>,
    pub(crate) status: SessionStatus,
    pub(crate) cwd: String,
    pub(crate) ttl_seconds: u64,
    pub(crate) created_at: Timestamp,
    pub(crate) last_activity: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) uid_range: u32,
    pub(crate) runner_pid: i32,
    pub(crate) runner_started: u64,
    pub(crate) landlock_abi: u32,
    pub(crate) workspace_id: Option<WorkspaceId>,
    pub(crate) name: Option<SessionName>,
    pub(crate) labels: Labels,
    /// Why it ended, where there is more to say than the status does.
    pub(crate) reason: Option<String>,
    pub(crate) acquire_source: AcquireSource,
}

/// What a client may change of a session, as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionChange {
    pub(crate) name: Option<SessionName>,
    pub(crate) labels: Labels,
    pub(crate) ttl_seconds: u64,
    /// When the time to live began anew, where it did.
    pub(crate) restarted_at: Option<Timestamp>,
}

impl SessionRow {
    pub(super) fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        let broken = |source| StoreError::Statement { action: "read a session", source };
        let text = |field: &'static str| row.try_get::<String, _>(field).map_err(broken);
        let number = |field: &'static str| row.try_get::<i64, _>(field).map_err(broken);
        let time = |field: &'static str| {
            let value = number(field)?;
            Timestamp::from_millisecond(value)
                .map_err(|_| StoreError::Corrupt { field, value: value.to_string() })
        };
        let unsigned = |field: &'static str| {
            let value = number(field)?;
            u64::try_from(value).map_err(|_| StoreError::Corrupt { field, value: value.to_string() })
        };
        let small = |field: &'static str| {
            let value = unsigned(field)?;
            u32::try_from(value).map_err(|_| StoreError::Corrupt { field, value: value.to_string() })
        };
        let workspace: Option<String> = row.try_get("workspace_id").map_err(broken)?;
        let workspace_id = workspace
            .map(|id| id.parse().map_err(|_| StoreError::Corrupt { field: "workspace_id", value: id }))
            .transpose()?;
        let name: Option<String> = row.try_get("name").map_err(broken)?;
        let name = name
            .map(|name| name.parse().map_err(|_| StoreError::Corrupt { field: "name", value: name }))
            .transpose()?;
        let layers: Option<String> = row.try_get("layers").map_err(broken)?;
        let layers = layers
            .map(|layers| {
                serde_json::from_str(&layers)
                    .map_err(|_| StoreError::Corrupt { field: "layers", value: layers })
            })
            .transpose()?;
        let labels = text("labels")?;
        let (id, status) = (text("id")?, text("status")?);
        let source = text("acquire_source")?;
        Ok(Self {
            id: id.parse().map_err(|_| StoreError::Corrupt { field: "id", value: id })?,
            image: text("image")?,
            layers,
            status: parse_status(&status).ok_or(StoreError::Corrupt { field: "status", value: status })?,
            cwd: text("cwd")?,
            ttl_seconds: unsigned("ttl_seconds")?,
            created_at: time("created_at")?,
            last_activity: time("last_activity")?,
            expires_at: time("expires_at")?,
            uid_range: small("uid_range")?,
            runner_pid: row.try_get("runner_pid").map_err(broken)?,
            runner_started: unsigned("runner_started")?,
            landlock_abi: small("landlock_abi")?,
            workspace_id,
            name,
            labels: serde_json::from_str(&labels)
                .map_err(|_| StoreError::Corrupt { field: "labels", value: labels })?,
            reason: row.try_get("reason").map_err(broken)?,
            acquire_source: AcquireSource::ALL
                .into_iter()
                .find(|known| known.as_str() == source)
                .ok_or(StoreError::Corrupt { field: "acquire_source", value: source })?,
        })
    }
}

fn parse_status(text: &str) -> Option<SessionStatus> {
    SessionStatus::ALL.into_iter().find(|status| status.as_str() == text)
}

/// Renders labels as the store keeps them.
pub(super) fn labels_text(labels: &Labels) -> String {
    serde_json::to_string(labels).expect("a map of strings is JSON")
}

/// Renders names of layers as the store keeps them.
pub(super) fn layers_text(layers: &[String]) -> String {
    serde_json::to_string(layers).expect("a list of strings is JSON")
}
