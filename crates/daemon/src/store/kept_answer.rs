//! Answers that are kept for whoever repeats a request with the same `Idempotency-Key`.

use jiff::{SignedDuration, Timestamp};
use sandkasten_api::limits::IDEMPOTENCY_SECONDS;
use sqlx::{Row, SqliteConnection};

use super::{Store, StoreError};

/// The most answers that are kept; beyond it the oldest go first.
const MOST: i64 = 10_000;

/// The answer to a request, with what tells the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptAnswer {
    /// Method and path.
    pub(crate) route: String,
    /// What the client sent as its key.
    pub(crate) key: String,
    /// The digest of what was asked for.
    pub(crate) fingerprint: [u8; 32],
    /// The HTTP status.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: String,
}

impl Store {
    /// Finds the answer that was given to a key less than a day ago.
    ///
    /// # Errors
    /// [`StoreError::Statement`] or [`StoreError::Corrupt`].
    pub(crate) async fn kept_answer(&self, route: &str, key: &str) -> Result<Option<KeptAnswer>, StoreError> {
        let broken = |source| StoreError::Statement { action: "read a kept answer", source };
        let found = sqlx::query(
            "SELECT fingerprint, status, body FROM idempotency_keys WHERE route = ? AND key = ? AND created_at > ?",
        )
        .bind(route)
        .bind(key)
        .bind(oldest().as_millisecond())
        .fetch_optional(&self.pool)
        .await
        .map_err(|source| StoreError::Statement { action: "look for a kept answer", source })?;
        let Some(row) = found else { return Ok(None) };
        let fingerprint: Vec<u8> = row.try_get("fingerprint").map_err(broken)?;
        let status: i64 = row.try_get("status").map_err(broken)?;
        let corrupt = |field, value: String| StoreError::Corrupt { field, value };
        Ok(Some(KeptAnswer {
            route: route.to_owned(),
            key: key.to_owned(),
            fingerprint: fingerprint
                .try_into()
                .map_err(|other| corrupt("kept fingerprint", format!("{other:?}")))?,
            status: u16::try_from(status).map_err(|_| corrupt("kept status", status.to_string()))?,
            body: row.try_get("body").map_err(broken)?,
        }))
    }

    /// Forgets answers that are older than a day.
    ///
    /// # Errors
    /// [`StoreError::Statement`].
    pub(crate) async fn forget_answers(&self) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM idempotency_keys WHERE created_at <= ?")
            .bind(oldest().as_millisecond())
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(|source| StoreError::Statement { action: "forget kept answers", source })
    }
}

/// Writes an answer down as part of a transaction. One of the same key that is still there is too old to count.
pub(super) async fn keep(connection: &mut SqliteConnection, answer: &KeptAnswer) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT OR REPLACE INTO idempotency_keys (route, key, fingerprint, status, body, created_at) \
         VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(&answer.route)
    .bind(&answer.key)
    .bind(answer.fingerprint.as_slice())
    .bind(i64::from(answer.status))
    .bind(&answer.body)
    .bind(Timestamp::now().as_millisecond())
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "DELETE FROM idempotency_keys WHERE created_at < \
         (SELECT created_at FROM idempotency_keys ORDER BY created_at DESC LIMIT 1 OFFSET ?)",
    )
    .bind(MOST - 1)
    .execute(connection)
    .await
    .map(drop)
}

fn oldest() -> Timestamp {
    Timestamp::now().saturating_sub(SignedDuration::from_secs(IDEMPOTENCY_SECONDS)).unwrap_or(Timestamp::MIN)
}
