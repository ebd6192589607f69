//! `/image/resolve` and `/image/check`: the steps from a friendly name to what the engine pulls, and whether it can.

use axum::Json;
use axum::extract::State;
use layer0_api::types as wire;
use layer0_domain::model::access::Action;
use layer0_domain::model::image::ImageRef;
use layer0_domain::ops::image::{image_check, image_resolve};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Errors;
use crate::app::App;
use crate::auth::SignedIn;
use crate::convert::{read, write};
use crate::error::ApiError;
use crate::extract::ApiQuery;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(resolve)).routes(routes!(check))
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

/// Whether an image could be pulled
///
/// The pull check that is made before a service or task starts, each part with its evidence: on AWS the image in ECR, its
/// platforms, the policies that let the account in, the role that pulls, and the environment's network. What could not be
/// looked at is `unknown`. Pulls nothing.
#[utoipa::path(get, path = "/image/check", operation_id = "image_check", tag = "image",
    params(("image" = String, Query), ("environment_id" = Option<String>, Query), ("platform" = Option<String>, Query),
        ("stateful" = Option<bool>, Query)),
    responses((status = 200, body = wire::ImageCheck, description = "The checks, failed ones too."), Errors))]
async fn check(
    who: SignedIn,
    State(app): State<App>,
    ApiQuery(query): ApiQuery<wire::ImageCheckQuery>,
) -> Result<Json<wire::ImageCheck>, ApiError> {
    let image = ImageRef::parse(&query.image).map_err(|why| ApiError::value(why.to_string()))?;
    let wanted = read::check_for(&query)?;
    let environment = wanted.environment.clone();
    if let Some(environment) = &environment {
        who.on_environment(&app, environment, Action::Pull).await?;
    }
    let found = image_check(&app.ctx(&who.caller), &image, wanted).await?;
    Ok(Json(write::image_check(&found, environment.as_ref())))
}
