//! `/environment`.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use layer0_api::types as wire;
use layer0_domain::model::entity::{EntityKind, EntityRef};
use layer0_domain::model::id::EnvironmentId;
use layer0_domain::ops::{entity_delete, environment};
use layer0_domain::port::engine::Scope;
use layer0_domain::port::store::StoreExt;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Errors, accepted, created, log};
use crate::app::App;
use crate::auth::SignedIn;
use crate::convert::{read, write};
use crate::error::{ApiError, missing};
use crate::extract::{ApiJson, ApiPath, ApiQuery};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, update, delete)).routes(routes!(logs))
}

fn id(text: &str) -> Result<EnvironmentId, ApiError> {
    read::environment_id(text)
}

/// All environments
#[utoipa::path(get, path = "/environment", operation_id = "environment_list", tag = "environment",
    responses((status = 200, body = Vec<wire::EnvironmentSummary>, description = "By name."), Errors))]
async fn list(_: SignedIn, State(app): State<App>) -> Result<Json<Vec<wire::EnvironmentSummary>>, ApiError> {
    let all = app.store.summary_list(EntityKind::Environment).await?;
    let summary = |it: layer0_domain::port::store::Summary| wire::EnvironmentSummary {
        environment_id: it.entity.id().to_owned(),
        environment_name: it.name,
        operating_system: it.label,
    };
    Ok(Json(all.into_iter().map(summary).collect()))
}

/// Make an environment
#[utoipa::path(post, path = "/environment", operation_id = "environment_create", tag = "environment",
    request_body = wire::CreateEnvironmentRequest,
    responses((status = 201, body = wire::CreateEntityResponse, description = "Being made."), Errors))]
async fn create(
    _: SignedIn,
    State(app): State<App>,
    ApiJson(request): ApiJson<wire::CreateEnvironmentRequest>,
) -> Result<Response, ApiError> {
    let new = read::new_environment(request)?;
    let scaled = new.scale > 0;
    let mut made = environment::environment_create(&app.ctx(), new).await?;
    if scaled {
        made.warnings.extend(environment::scale_warning(&app.ctx()));
    }
    app.nudge.nudge();
    Ok(created(write::accepted(made)))
}

/// One environment
#[utoipa::path(get, path = "/environment/{id}", operation_id = "environment_get", tag = "environment",
    params(("id" = String, Path)),
    responses((status = 200, body = wire::Environment, description = "The environment."), Errors))]
async fn get(
    _: SignedIn,
    State(app): State<App>,
    ApiPath(text): ApiPath<String>,
) -> Result<Json<wire::Environment>, ApiError> {
    let id = id(&text)?;
    let entity = EntityRef::Environment(id.clone());
    let found = app.store.environment_get(&id).await?.ok_or_else(|| missing(&entity))?;
    let seen = log::seen(&app, Scope::One(entity)).await;
    Ok(Json(write::environment(&found, seen.environments.iter().find(|it| it.id == id))))
}

/// Change an environment
#[utoipa::path(patch, path = "/environment/{id}", operation_id = "environment_update", tag = "environment",
    params(("id" = String, Path)), request_body = wire::UpdateEnvironmentRequest,
    responses((status = 202, body = wire::CreateEntityResponse, description = "Being changed."), Errors))]
async fn update(
    _: SignedIn,
    State(app): State<App>,
    ApiPath(text): ApiPath<String>,
    ApiJson(request): ApiJson<wire::UpdateEnvironmentRequest>,
) -> Result<Response, ApiError> {
    let changed = environment::environment_update(&app.ctx(), &id(&text)?, read::environment_change(request)?).await?;
    app.nudge.nudge();
    Ok(accepted(write::accepted(changed)))
}

/// Delete an environment
#[utoipa::path(delete, path = "/environment/{id}", operation_id = "environment_delete", tag = "environment",
    params(("id" = String, Path)),
    responses((status = 202, body = wire::CreateEntityResponse, description = "Being deleted."), Errors))]
async fn delete(_: SignedIn, State(app): State<App>, ApiPath(text): ApiPath<String>) -> Result<Response, ApiError> {
    let gone = entity_delete(&app.ctx(), &EntityRef::Environment(id(&text)?)).await?;
    app.nudge.nudge();
    Ok(accepted(write::accepted(gone)))
}

/// What happened in an environment
///
/// The events of its operations, as a log.
#[utoipa::path(get, path = "/environment/{id}/logs", operation_id = "environment_logs", tag = "environment",
    params(("id" = String, Path), ("tail" = Option<i64>, Query), ("start" = Option<String>, Query), ("end" = Option<String>, Query)),
    responses((status = 200, body = Vec<wire::LogFile>, description = "One file."), Errors))]
async fn logs(
    _: SignedIn,
    State(app): State<App>,
    ApiPath(text): ApiPath<String>,
    ApiQuery(query): ApiQuery<wire::LogQuery>,
) -> Result<Json<Vec<wire::LogFile>>, ApiError> {
    let id = id(&text)?;
    let entity = EntityRef::Environment(id.clone());
    app.store.environment_get(&id).await?.ok_or_else(|| missing(&entity))?;
    let query = log::query(&query)?;
    Ok(Json(log::operations(&app, &query, Some(id)).await?))
}
