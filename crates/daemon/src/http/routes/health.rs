//! `GET /healthz`.

use axum::Json;
use sandkasten_api::health::Health;

/// Answers as long as the daemon does.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "health",
    tag = "daemon",
    responses(
        (status = 200, description = "It is alive", body = Health)
    ),
)]
pub(in crate::http) async fn show() -> Json<Health> {
    Json(Health { status: "ok".to_owned() })
}
