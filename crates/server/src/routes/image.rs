//! `/image/resolve`: the steps from a friendly name to what the engine pulls.

use axum::Json;
use axum::extract::State;
use layer0_api::types as wire;
use layer0_domain::model::image::ImageRef;
use layer0_domain::ops::image::image_resolve;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Errors;
use crate::app::App;
use crate::auth::SignedIn;
use crate::convert::write;
use crate::error::ApiError;
use crate::extract::ApiQuery;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(resolve))
}

/// Which image.
#[derive(Debug, Deserialize)]
struct Which {
    image: String,
}

/// What an image name becomes
///
/// Rule, backing reference, digest, platforms, size, and what the pull check comes to. Pulls nothing.
#[utoipa::path(get, path = "/image/resolve", operation_id = "image_resolve", tag = "image", params(("image" = String, Query)),
    responses((status = 200, body = wire::ImageResolution, description = "The steps; `problem` when the pull check fails."), Errors))]
async fn resolve(
    who: SignedIn,
    State(app): State<App>,
    ApiQuery(Which { image }): ApiQuery<Which>,
) -> Result<Json<wire::ImageResolution>, ApiError> {
    let image = ImageRef::parse(&image).map_err(|why| ApiError::value(why.to_string()))?;
    Ok(Json(write::resolution(&image_resolve(&app.ctx(&who.caller), &image).await?)))
}
