//! `/v1/workspaces`: not built yet, and refused by name.

use axum::extract::State;
use sandkasten_api::error::ErrorCode;

use crate::http::api_error::ApiError;
use crate::http::router::ApiState;

/// Refuses every use of workspaces.
pub(in crate::http) async fn refuse(State(state): State<ApiState>) -> ApiError {
    refusal(state.sessions.config().workspace.enabled)
}

/// Says why there is no workspace.
pub(in crate::http) fn refusal(enabled: bool) -> ApiError {
    ApiError::new(
        ErrorCode::InvalidWorkspace,
        if enabled {
            "workspaces are not built yet in this version; leave workspace_id out"
        } else {
            "workspaces are disabled: workspace.enabled is false in the configuration"
        },
    )
}
