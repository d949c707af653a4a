//! Sandboxes of the pool as they are written down: what it takes to find them again.

use jiff::Timestamp;
use sandkasten_api::id::SessionId;
use sandkasten_api::label::Labels;
use sandkasten_api::session::{AcquireSource, SessionStatus};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{SessionRow, Store, StoreError, row};

/// A sandbox that nobody has asked for yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdleSandboxRow {
    /// The id of the session that it becomes.
    pub(crate) id: SessionId,
    pub(crate) image: String,
    pub(crate) image_digest: String,
    /// The digest of everything else that decided how it was made.
    pub(crate) recipe: String,
    /// The names of the layers that it stands on.
    pub(crate) layers: Vec<String>,
    pub(crate) uid_range: u32,
    pub(crate) runner_pid: i32,
    pub(crate) runner_started: u64,
    pub(crate) landlock_abi: u32,
}

impl Store {
    /// Writes a sandbox of the pool down.
    ///
    /// # Errors
    /// [`StoreError::Statement`].
    pub(crate) async fn insert_idle(&self, row: &IdleSandboxRow) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO idle_sandboxes (id, image, image_digest, recipe, layers, uid_range, runner_pid, runner_started, \
             landlock_abi) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(row.id.as_str())
        .bind(&row.image)
        .bind(&row.image_digest)
        .bind(&row.recipe)
        .bind(row::layers_text(&row.layers))
        .bind(row.uid_range)
        .bind(row.runner_pid)
        .bind(row.runner_started.cast_signed())
        .bind(row.landlock_abi)
        .execute(&self.pool)
        .await
        .map(drop)
        .map_err(|source| StoreError::Statement { action: "write a sandbox of the pool", source })
    }

    /// Returns the sandboxes of the pool, in no order.
    ///
    /// # Errors
    /// [`StoreError::Statement`] or [`StoreError::Corrupt`].
    pub(crate) async fn idle(&self) -> Result<Vec<IdleSandboxRow>, StoreError> {
        sqlx::query("SELECT * FROM idle_sandboxes")
            .fetch_all(&self.pool)
            .await
            .map_err(|source| StoreError::Statement { action: "list the pool", source })?
            .iter()
            .map(IdleSandboxRow::read)
            .collect()
    }

    /// Forgets a sandbox of the pool that has ended.
    ///
    /// # Errors
    /// [`StoreError::Statement`].
    pub(crate) async fn forget_idle(&self, id: &SessionId) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM idle_sandboxes WHERE id = ?")
            .bind(id.as_str())
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(|source| StoreError::Statement { action: "forget a sandbox of the pool", source })
    }
}

impl IdleSandboxRow {
    /// The session that it would be if it were handed out at an instant to somebody who has no wishes.
    pub(crate) fn as_session(&self, ttl_seconds: u64, at: Timestamp) -> SessionRow {
        SessionRow {
            id: self.id.clone(),
            image: self.image.clone(),
            layers: Some(self.layers.clone()),
            status: SessionStatus::Running,
            cwd: String::new(),
            ttl_seconds,
            created_at: at,
            last_activity: at,
            expires_at: at,
            uid_range: self.uid_range,
            runner_pid: self.runner_pid,
            runner_started: self.runner_started,
            landlock_abi: self.landlock_abi,
            workspace_id: None,
            name: None,
            labels: Labels::default(),
            reason: None,
            acquire_source: AcquireSource::Pool,
        }
    }

    fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        let broken = |source| StoreError::Statement { action: "read a sandbox of the pool", source };
        let text = |field: &'static str| row.try_get::<String, _>(field).map_err(broken);
        let (id, layers) = (text("id")?, text("layers")?);
        let started: i64 = row.try_get("runner_started").map_err(broken)?;
        Ok(Self {
            id: id.parse().map_err(|_| StoreError::Corrupt { field: "id", value: id })?,
            image: text("image")?,
            image_digest: text("image_digest")?,
            recipe: text("recipe")?,
            layers: serde_json::from_str(&layers)
                .map_err(|_| StoreError::Corrupt { field: "layers", value: layers })?,
            uid_range: row.try_get("uid_range").map_err(broken)?,
            runner_pid: row.try_get("runner_pid").map_err(broken)?,
            runner_started: started.cast_unsigned(),
            landlock_abi: row.try_get("landlock_abi").map_err(broken)?,
        })
    }
}
