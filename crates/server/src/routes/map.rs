//! `/map`: the image map.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use layer0_api::types as wire;
use layer0_domain::model::image_map::MapRule;
use layer0_domain::ops::map;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Errors, created};
use crate::app::App;
use crate::auth::SignedIn;
use crate::convert::write;
use crate::error::ApiError;
use crate::extract::{ApiJson, ApiQuery};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, add, remove))
}

/// All map rules
#[utoipa::path(get, path = "/map", operation_id = "map_list", tag = "image",
    responses((status = 200, body = Vec<wire::MapRule>, description = "Those of the instance first."), Errors))]
async fn list(who: SignedIn, State(app): State<App>) -> Result<Json<Vec<wire::MapRule>>, ApiError> {
    let all = map::map_list(&app.ctx(&who.caller)).await?;
    Ok(Json(all.iter().map(write::map_rule).collect()))
}

/// Add a map rule
///
/// It is in force for deploys made from now on; those that are keep what their images became.
#[utoipa::path(post, path = "/map", operation_id = "map_add", tag = "image", request_body = wire::AddMapRuleRequest,
    responses((status = 201, body = wire::MapRule, description = "The rule."), Errors))]
async fn add(
    who: SignedIn,
    State(app): State<App>,
    ApiJson(request): ApiJson<wire::AddMapRuleRequest>,
) -> Result<Response, ApiError> {
    who.must_administer()?;
    let text = match (request.rule, request.prefix, request.target) {
        (Some(rule), None, None) => rule,
        (None, Some(prefix), Some(target)) => format!("{prefix}|{target}"),
        _ => return Err(ApiError::value("give either `rule`, or `prefix` and `target`")),
    };
    let rule = MapRule::parse(&text).map_err(|why| ApiError::value(why.to_string()))?;
    who.about(rule.prefix());
    Ok(created(write::map_rule(&map::map_add(&app.ctx(&who.caller), rule).await?)))
}

/// Which rule.
#[derive(Debug, Deserialize)]
struct Which {
    prefix: String,
}

/// Take a map rule away
#[utoipa::path(delete, path = "/map", operation_id = "map_remove", tag = "image", params(("prefix" = String, Query)),
    responses((status = 200, body = wire::MapRule, description = "The rule that is gone."), Errors))]
async fn remove(
    who: SignedIn,
    State(app): State<App>,
    ApiQuery(Which { prefix }): ApiQuery<Which>,
) -> Result<Json<wire::MapRule>, ApiError> {
    who.must_administer()?;
    who.about(&prefix);
    Ok(Json(write::map_rule(&map::map_remove(&app.ctx(&who.caller), &prefix).await?)))
}
