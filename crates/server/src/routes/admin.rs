//! `/`, `/admin` and `/health`. `/admin/verify` is in `verify`.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode};
use axum::response::{Html, Response};
use layer0_api::types as wire;
use layer0_domain::model::access::Action;
use layer0_domain::model::placement::RepositoryPrefix;
use layer0_registry::UpstreamUrl;
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

/// The header in which `/health` says whether the store answers.
const STORE: HeaderName = HeaderName::from_static("store");

/// Whether the server answers
///
/// Open to everyone. The header `version` names its version, and `store` says whether the store answers: `ok` or `unavailable`,
/// looked at every few seconds at most. The status does not depend on that: servers that are taken out and started anew because
/// their store is away for a minute help nobody, and the load balancers go on meanwhile. 503 is answered by a server that is
/// about to stop.
#[utoipa::path(get, path = "/health", operation_id = "health", tag = "admin", security(()),
    responses((status = 200, body = String, description = "It does.",
            headers(("version" = String, description = "Its version."),
                ("store" = String, description = "`ok` or `unavailable`."))),
        (status = 503, body = String, description = "It is about to stop: ask another one.")))]
async fn health(State(app): State<App>) -> (StatusCode, [(HeaderName, &'static str); 1], Json<&'static str>) {
    let status = if app.stop.is_leaving() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let store = if app.store_health.answers(app.store.as_ref()).await { "ok" } else { "unavailable" };
    (status, [(STORE, store)], Json(""))
}

/// The instance's configuration
#[utoipa::path(get, path = "/admin/config", operation_id = "admin_config", tag = "admin",
    responses((status = 200, body = wire::ApiConfig, description = "No secret stands in it."), Errors))]
async fn config(_: SignedIn, State(app): State<App>) -> Result<Json<wire::ApiConfig>, ApiError> {
    let network = app.identity.network.as_ref();
    let mirror = |(prefix, upstream): (&RepositoryPrefix, &UpstreamUrl)| wire::Mirror {
        prefix: prefix.to_string(),
        upstream: upstream.to_string(),
    };
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
        mirrors: app.registry.upstreams().map(mirror).collect(),
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
