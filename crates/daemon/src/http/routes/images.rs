//! `/v1/images`: list, look at and remove.
//!
//! One that is called `pull`, as the route for pulls is, is looked at and removed on the host alone.

use axum::Json;
use axum::extract::State;
use sandkasten_api::error::ErrorCode;
use sandkasten_api::health::Acknowledged;
use sandkasten_api::image::{Image, ImageList};

use crate::http::api_error::ApiError;
use crate::http::openapi::codes::{IMAGE, join};
use crate::http::path_id::PathImage;
use crate::http::router::ApiState;

/// Lists all images of the host, by name.
#[utoipa::path(
    get,
    path = "/v1/images",
    operation_id = "list_images",
    tag = "images",
    responses(
        (status = 200, description = "All images", body = ImageList)
    ),
)]
pub(in crate::http) async fn list(State(state): State<ApiState>) -> Result<Json<ImageList>, ApiError> {
    Ok(Json(ImageList { images: state.images.list().await? }))
}

/// Looks at one image.
#[utoipa::path(
    get,
    path = "/v1/images/{name}",
    operation_id = "show_image",
    tag = "images",
    params(PathImage),
    responses(
        (status = 200, description = "The image", body = Image)
    ),
    extensions(("x-error-codes" = json!(IMAGE))),
)]
pub(in crate::http) async fn show(
    State(state): State<ApiState>,
    PathImage(name): PathImage,
) -> Result<Json<Image>, ApiError> {
    Ok(Json(state.images.show(name).await?))
}

/// Removes an image that no session uses, with the layers that nothing else needs.
#[utoipa::path(
    delete,
    path = "/v1/images/{name}",
    operation_id = "remove_image",
    tag = "images",
    params(PathImage),
    responses(
        (status = 200, description = "Done", body = Acknowledged)
    ),
    extensions(("x-error-codes" = json!(join(&[IMAGE, &[ErrorCode::ImageInUse]])))),
)]
pub(in crate::http) async fn remove(
    State(state): State<ApiState>,
    PathImage(name): PathImage,
) -> Result<Json<Acknowledged>, ApiError> {
    let idle_of = name.clone();
    state.sessions.without_idle_of(&idle_of, state.images.remove(name)).await?;
    Ok(Json(Acknowledged { ok: true }))
}
