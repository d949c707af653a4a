//! What the daemon remembers of sessions: SQLite in WAL mode. The only place that knows SQL.
//!
//! The store is the truth about which sessions exist and how they ended; the kernel is the truth about what runs.

mod idle_sandbox;
mod kept_answer;
mod row;

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use sandkasten_api::id::{SessionId, WorkspaceId};
use sandkasten_api::name::SessionName;
use sandkasten_api::session::SessionStatus;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

pub(crate) use idle_sandbox::IdleSandboxRow;
pub(crate) use kept_answer::KeptAnswer;
pub(crate) use row::{SessionChange, SessionRow};

/// The open database.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pool: SqlitePool,
}

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database could not be opened.
    #[error("failed to open the database {path}")]
    Open {
        /// Which file.
        path: String,
        /// The library's reason.
        source: sqlx::Error,
    },
    /// Its tables could not be brought up to date.
    #[error("failed to bring the database {path} up to date; an older daemon cannot use a newer one's")]
    Migrate {
        /// Which file.
        path: String,
        /// The library's reason.
        source: sqlx::migrate::MigrateError,
    },
    /// A statement failed.
    #[error("failed to {action} in the database")]
    Statement {
        /// What was tried.
        action: &'static str,
        /// The library's reason.
        source: sqlx::Error,
    },
    /// A row holds what no daemon writes.
    #[error("the database holds {value:?} as the {field} of a session")]
    Corrupt {
        /// Which field.
        field: &'static str,
        /// What it holds.
        value: String,
    },
}

impl Store {
    /// Opens the database, making it where it is missing, and brings it up to date.
    ///
    /// # Errors
    /// [`StoreError::Open`] or [`StoreError::Migrate`].
    pub(crate) async fn open(path: &Path, connections: u32) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // What was acknowledged survives the daemon's death; a power cut ends the sandboxes as well.
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(Duration::from_secs(10));
        let shown = || path.display().to_string();
        let pool = SqlitePoolOptions::new()
            .max_connections(connections)
            // A file does not go away as a server does, and asking takes as long as a statement.
            .test_before_acquire(false)
            .connect_with(options)
            .await
            .map_err(|source| StoreError::Open { path: shown(), source })?;
        sqlx::migrate!().run(&pool).await.map_err(|source| StoreError::Migrate { path: shown(), source })?;
        Ok(Self { pool })
    }

    /// Begins a transaction that may write, and ends it without having written: whether the database could.
    ///
    /// # Errors
    /// [`StoreError::Statement`].
    pub(crate) async fn begin_nothing(&self) -> Result<(), StoreError> {
        let failed = |source| StoreError::Statement { action: "begin a transaction", source };
        // The write lock is taken at once, not by the first statement that writes.
        let transaction = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        transaction.rollback().await.map_err(failed)
    }

    /// Writes a new session down, and in the same transaction the answer that is kept for a repeated request. Its sandbox is none
    /// of the pool any more then, if it was.
    ///
    /// # Errors
    /// [`StoreError::Statement`], also where it is said to be out of the pool and is not.
    pub(crate) async fn insert(
        &self,
        row: &SessionRow,
        answer: Option<&KeptAnswer>,
    ) -> Result<(), StoreError> {
        let failed = |source| StoreError::Statement { action: "write a session", source };
        let insert = sqlx::query(
            "INSERT INTO sessions (id, image, status, cwd, ttl_seconds, created_at, last_activity, expires_at, uid_range, \
             runner_pid, runner_started, landlock_abi, workspace_id, name, labels, reason, layers, acquire_source) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(row.id.as_str())
        .bind(&row.image)
        .bind(row.status.as_str())
        .bind(&row.cwd)
        .bind(row.ttl_seconds.cast_signed())
        .bind(row.created_at.as_millisecond())
        .bind(row.last_activity.as_millisecond())
        .bind(row.expires_at.as_millisecond())
        .bind(row.uid_range)
        .bind(row.runner_pid)
        .bind(row.runner_started.cast_signed())
        .bind(row.landlock_abi)
        .bind(row.workspace_id.as_ref().map(WorkspaceId::as_str))
        .bind(row.name.as_ref().map(SessionName::as_str))
        .bind(row::labels_text(&row.labels))
        .bind(&row.reason)
        .bind(row.layers.as_deref().map(row::layers_text))
        .bind(row.acquire_source.as_str());
        let Some(answer) = answer else {
            return insert.execute(&self.pool).await.map(drop).map_err(failed);
        };
        let mut transaction = self.pool.begin().await.map_err(failed)?;
        insert.execute(&mut *transaction).await.map_err(failed)?;
        kept_answer::keep(&mut transaction, answer).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    /// Notes that a session was used. Uses may be noted in any order, and beside a [change](Store::change) of the time to
    /// live: the last use and the time to live that is in force decide the expiry.
    ///
    /// # Errors
    /// [`StoreError::Statement`].
    pub(crate) async fn touch(
        &self,
        id: &SessionId,
        cwd: &str,
        used_at: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE sessions SET cwd = ?1, last_activity = MAX(last_activity, ?2), \
             expires_at = MAX(last_activity, ?2) + ttl_seconds * 1000 \
             WHERE id = ?3 AND status NOT IN ('expired', 'destroyed', 'crashed')",
        )
        .bind(cwd)
        .bind(used_at.as_millisecond())
        .bind(id.as_str())
        .execute(&self.pool)
        .await
        .map(drop)
        .map_err(|source| StoreError::Statement { action: "note the use of a session", source })
    }

    /// Changes what a client may change of a session that has not ended, and says whether there was one.
    ///
    /// # Errors
    /// [`StoreError::Statement`].
    pub(crate) async fn change(&self, id: &SessionId, change: &SessionChange) -> Result<bool, StoreError> {
        sqlx::query(
            "UPDATE sessions SET name = ?1, labels = ?2, ttl_seconds = ?3, \
             last_activity = MAX(last_activity, COALESCE(?4, 0)), \
             expires_at = MAX(last_activity, COALESCE(?4, 0)) + ?3 * 1000 \
             WHERE id = ?5 AND status NOT IN ('expired', 'destroyed', 'crashed')",
        )
        .bind(change.name.as_ref().map(SessionName::as_str))
        .bind(row::labels_text(&change.labels))
        .bind(change.ttl_seconds.cast_signed())
        .bind(change.restarted_at.map(Timestamp::as_millisecond))
        .bind(id.as_str())
        .execute(&self.pool)
        .await
        .map(|done| done.rows_affected() > 0)
        .map_err(|source| StoreError::Statement { action: "change a session", source })
    }

    /// Notes how, when and why a session ended.
    ///
    /// # Errors
    /// [`StoreError::Statement`].
    pub(crate) async fn set_ended(
        &self,
        id: &SessionId,
        status: SessionStatus,
        reason: Option<&str>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE sessions SET status = ?, reason = ?, last_activity = ? WHERE id = ?")
            .bind(status.as_str())
            .bind(reason)
            .bind(at.as_millisecond())
            .bind(id.as_str())
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(|source| StoreError::Statement { action: "note the end of a session", source })
    }

    /// Returns sessions that have ended, oldest first: at most `most`, beginning behind the one that was made at the instant
    /// and has the id given.
    ///
    /// # Errors
    /// [`StoreError::Statement`] or [`StoreError::Corrupt`].
    pub(crate) async fn ended(
        &self,
        behind: Option<(Timestamp, &SessionId)>,
        most: u32,
    ) -> Result<Vec<SessionRow>, StoreError> {
        let (at, id) = behind.map_or((i64::MIN, ""), |(at, id)| (at.as_millisecond(), id.as_str()));
        sqlx::query(
            "SELECT * FROM sessions WHERE status IN ('expired', 'destroyed', 'crashed') AND (created_at, id) > (?, ?) \
             ORDER BY created_at, id LIMIT ?",
        )
        .bind(at)
        .bind(id)
        .bind(most)
        .fetch_all(&self.pool)
        .await
        .map_err(|source| StoreError::Statement { action: "list ended sessions", source })?
        .iter()
        .map(SessionRow::read)
        .collect()
    }

    /// Finds a session, ended ones of the last day included.
    ///
    /// # Errors
    /// [`StoreError::Statement`] or [`StoreError::Corrupt`].
    pub(crate) async fn find(&self, id: &SessionId) -> Result<Option<SessionRow>, StoreError> {
        sqlx::query("SELECT * FROM sessions WHERE id = ?")
            .bind(id.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(|source| StoreError::Statement { action: "look for a session", source })?
            .map(|row| SessionRow::read(&row))
            .transpose()
    }

    /// Returns the sessions that were running when the daemon last looked.
    ///
    /// # Errors
    /// [`StoreError::Statement`] or [`StoreError::Corrupt`].
    pub(crate) async fn running(&self) -> Result<Vec<SessionRow>, StoreError> {
        sqlx::query("SELECT * FROM sessions WHERE status = ? ORDER BY created_at")
            .bind(SessionStatus::Running.as_str())
            .fetch_all(&self.pool)
            .await
            .map_err(|source| StoreError::Statement { action: "list sessions", source })?
            .iter()
            .map(SessionRow::read)
            .collect()
    }

    /// Forgets sessions that ended before `before`.
    ///
    /// # Errors
    /// [`StoreError::Statement`].
    pub(crate) async fn forget_ended(&self, before: Timestamp) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM sessions WHERE status <> ? AND last_activity < ?")
            .bind(SessionStatus::Running.as_str())
            .bind(before.as_millisecond())
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(|source| StoreError::Statement { action: "forget ended sessions", source })
    }

    /// Closes the database, with everything written.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

#[cfg(test)]
pub(crate) mod tests;
