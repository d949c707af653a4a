//! `GET /healthz`.

use axum::Json;
use sandkasten_api::health::Health;

/// Answers as long as the daemon does.
pub(in crate::http) async fn show() -> Json<Health> {
    Json(Health { status: "ok".to_owned() })
}
