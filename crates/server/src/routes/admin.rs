//! `/`, `/admin` and `/health`. `/admin/verify` is in `verify`.

use axum::Json;
use axum::extract::State;
use axum::response::{Html, Response};
use layer0_api::types as wire;
use layer0_domain::model::access::Action;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::happened::{self, About};
use super::{Errors, log};
use crate::app::App;
use crate::auth::{OwnedPlace, SignedIn};
use crate::error::ApiError;
use crate::extract::ApiQuery;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(index)).routes(routes!(health)).routes(routes!(config)).routes(routes!(logs))
}

/// Where to read on
#[utoipa::path(get, path = "/", operation_id = "index", tag = "admin",
    responses((status = 200, body = String, content_type = "text/html", description = "A page with links."), Errors))]
async fn index(_: SignedIn) -> Html<&'static str> {
    Html(concat!(
        "<!doctype html><html lang=\"en\"><title>Layer0</title><h1>Layer0 ",
        env!("CARGO_PKG_VERSION"),
        "</h1><p><a href=\"/openapi.json\">The API as an OpenAPI document</a></p></html>\n"
    ))
}

/// Whether the server answers
///
/// Open to everyone. Asks neither the store nor the engine: both may be away while the load balancers go on.
#[utoipa::path(get, path = "/health", operation_id = "health", tag = "admin", security(()),
    responses((status = 200, body = String, description = "It does.")))]
async fn health() -> Json<&'static str> {
    Json("")
}

/// The instance's configuration
#[utoipa::path(get, path = "/admin/config", operation_id = "admin_config", tag = "admin",
    responses((status = 200, body = wire::ApiConfig, description = "No secret stands in it."), Errors))]
async fn config(_: SignedIn, State(app): State<App>) -> Result<Json<wire::ApiConfig>, ApiError> {
    let network = app.identity.network.as_ref();
    Ok(Json(wire::ApiConfig {
        instance: app.identity.instance.clone(),
        vpc_id: network.map(|network| network.vpc.clone()).unwrap_or_default(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        public_subnets: network.map(|network| network.public_subnets.clone()).unwrap_or_default(),
        private_subnets: network.map(|network| network.private_subnets.clone()).unwrap_or_default(),
        kind: if network.is_some() { "aws" } else { "local" }.to_owned(),
        engine: app.engine.capabilities().name.to_owned(),
        registry_name: app.identity.registry_name.clone(),
        registry_address: app.identity.registry.current.clone(),
    }))
}

/// What happened in the instance
///
/// The events of all operations, the audit log, and, on AWS, what CloudTrail wrote down about what this instance's role did: one
/// log in the order of time. With `follow=true` as server-sent events, `event: line`, each a `LogLine`. Admins only.
#[utoipa::path(get, path = "/admin/logs", operation_id = "admin_logs", tag = "admin",
    params(("tail" = Option<i64>, Query), ("start" = Option<String>, Query), ("end" = Option<String>, Query),
        ("follow" = Option<bool>, Query)),
    responses((status = 200, body = Vec<wire::LogFile>, description = "One file."), Errors))]
async fn logs(
    who: SignedIn,
    State(app): State<App>,
    ApiQuery(query): ApiQuery<wire::LogQuery>,
) -> Result<Response, ApiError> {
    who.must_administer()?;
    let query = log::query(&query)?;
    if query.follow {
        let ended = who.ended(&app, Action::Admin, OwnedPlace::new(None, ""));
        return happened::followed(&app, About::Instance, query, ended).await;
    }
    happened::answer(&app, About::Instance, &query).await
}
