//! `/service`.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use layer0_api::types as wire;
use layer0_domain::model::access::Action;
use layer0_domain::model::entity::{EntityKind, EntityRef};
use layer0_domain::model::id::ServiceId;
use layer0_domain::ops::{entity_delete, service};
use layer0_domain::port::engine::Scope;
use layer0_domain::port::store::StoreExt;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::deploy::may_deploy;
use super::{Errors, Visible, accepted, columns, created, environment_name, environment_names, listed, log};
use crate::app::App;
use crate::auth::SignedIn;
use crate::convert::write::ServiceAround;
use crate::convert::{read, write};
use crate::error::{ApiError, missing};
use crate::extract::{ApiJson, ApiPath, ApiQuery};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
        .routes(routes!(abort))
        .routes(routes!(rollback))
        .routes(routes!(logs))
}

fn id(text: &str) -> Result<ServiceId, ApiError> {
    match read::entity(EntityKind::Service, text)? {
        EntityRef::Service(id) => Ok(id),
        other => Err(missing(&other)),
    }
}

/// All services
#[utoipa::path(get, path = "/service", operation_id = "service_list", tag = "service",
    responses((status = 200, body = Vec<wire::ServiceSummary>, description = "By name."), Errors))]
async fn list(who: SignedIn, State(app): State<App>) -> Result<Response, ApiError> {
    let visible = Visible::to(&app, &who).await?;
    listed(&app, EntityKind::Service, &visible, all(&app, &visible)).await
}

async fn all(app: &App, visible: &Visible) -> Result<Vec<wire::ServiceSummary>, ApiError> {
    let names = environment_names(app).await?;
    let all = app.store.summary_list(EntityKind::Service).await?;
    let summary = |it: layer0_domain::port::store::Summary| {
        let (service_id, service_name, environment_id, environment_name) = columns(it, &names);
        wire::ServiceSummary { service_id, service_name, environment_id, environment_name }
    };
    Ok(all.into_iter().filter(|it| visible.shows(it)).map(summary).collect())
}

/// Make a service
///
/// After the pull check has shown that the engine can pull every image; each is pinned to its digest.
#[utoipa::path(post, path = "/service", operation_id = "service_create", tag = "service",
    request_body = wire::CreateServiceRequest,
    responses((status = 201, body = wire::CreateEntityResponse, description = "Being rolled out."), Errors))]
async fn create(
    who: SignedIn,
    State(app): State<App>,
    ApiJson(request): ApiJson<wire::CreateServiceRequest>,
) -> Result<Response, ApiError> {
    let new = read::new_service(request)?;
    who.on_environment(&app, &new.environment, Action::Deploy).await?;
    may_deploy(&app, &who, &new.deploy).await?;
    let made = service::service_create(&app.ctx(&who.caller), new).await.map_err(ApiError::of_service)?;
    who.about(&made.entity);
    app.nudge.nudge();
    Ok(created(write::accepted(made)))
}

/// One service
#[utoipa::path(get, path = "/service/{id}", operation_id = "service_get", tag = "service", params(("id" = String, Path)),
    responses((status = 200, body = wire::Service, description = "The service."), Errors))]
async fn get(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(text): ApiPath<String>,
) -> Result<Json<wire::Service>, ApiError> {
    let id = id(&text)?;
    let entity = EntityRef::Service(id.clone());
    who.on_entity(&app, &entity, Action::Pull).await?;
    let found = app.store.service_get(&id).await?.ok_or_else(|| missing(&entity))?;
    let load_balancer_name = match &found.load_balancer {
        Some(id) => app.store.load_balancer_get(id).await?.map(|it| it.name.to_string()).unwrap_or_default(),
        None => String::new(),
    };
    let around =
        ServiceAround { environment_name: environment_name(&app, &found.environment).await?, load_balancer_name };
    let (seen, away) = log::seen_or_away(&app, Scope::One(entity)).await;
    let mut service = write::service(&found, around, seen.services.iter().find(|it| it.id == id));
    service.waiting_for = service.waiting_for.or(away);
    Ok(Json(service))
}

/// Change a service
///
/// Roll out a deploy, after the pull check, or change the number of copies, or both.
#[utoipa::path(patch, path = "/service/{id}", operation_id = "service_update", tag = "service",
    params(("id" = String, Path)), request_body = wire::UpdateServiceRequest,
    responses((status = 202, body = wire::CreateEntityResponse, description = "Being rolled out."), Errors))]
async fn update(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(text): ApiPath<String>,
    ApiJson(request): ApiJson<wire::UpdateServiceRequest>,
) -> Result<Response, ApiError> {
    let id = id(&text)?;
    let change = read::service_change(request)?;
    if let Some(deploy) = &change.deploy {
        may_deploy(&app, &who, deploy).await?;
    }
    who.on_entity(&app, &EntityRef::Service(id.clone()), Action::Deploy).await?;
    let changed = service::service_update(&app.ctx(&who.caller), &id, change).await.map_err(ApiError::of_service)?;
    app.nudge.nudge();
    Ok(accepted(write::accepted(changed)))
}

/// Abort a service's roll-out
///
/// The deployment that ran before takes its place again; where there is none, no copy is left running.
#[utoipa::path(post, path = "/service/{id}/abort", operation_id = "service_abort", tag = "service",
    params(("id" = String, Path)),
    responses((status = 202, body = wire::CreateEntityResponse, description = "Being aborted."), Errors))]
async fn abort(who: SignedIn, State(app): State<App>, ApiPath(text): ApiPath<String>) -> Result<Response, ApiError> {
    let id = id(&text)?;
    who.on_entity(&app, &EntityRef::Service(id.clone()), Action::Deploy).await?;
    let aborted = service::service_abort(&app.ctx(&who.caller), &id).await?;
    app.nudge.nudge();
    Ok(accepted(write::accepted(aborted)))
}

/// Roll a service back
///
/// A new roll-out of the newest other deployment that was healthy, with the images that it ran, after the pull check.
#[utoipa::path(post, path = "/service/{id}/rollback", operation_id = "service_rollback", tag = "service",
    params(("id" = String, Path)), request_body = wire::RollbackServiceRequest,
    responses((status = 202, body = wire::CreateEntityResponse, description = "Being rolled out."), Errors))]
async fn rollback(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(text): ApiPath<String>,
    ApiJson(request): ApiJson<wire::RollbackServiceRequest>,
) -> Result<Response, ApiError> {
    let id = id(&text)?;
    who.on_entity(&app, &EntityRef::Service(id.clone()), Action::Deploy).await?;
    let check = read::pull_check(request.skip_pull_check);
    let back = service::service_rollback(&app.ctx(&who.caller), &id, check).await?;
    app.nudge.nudge();
    Ok(accepted(write::accepted(back)))
}

/// Delete a service
#[utoipa::path(delete, path = "/service/{id}", operation_id = "service_delete", tag = "service",
    params(("id" = String, Path)),
    responses((status = 202, body = wire::CreateEntityResponse, description = "Being deleted."), Errors))]
async fn delete(who: SignedIn, State(app): State<App>, ApiPath(text): ApiPath<String>) -> Result<Response, ApiError> {
    let entity = EntityRef::Service(id(&text)?);
    who.on_entity(&app, &entity, Action::Delete).await?;
    let gone = entity_delete(&app.ctx(&who.caller), &entity).await?;
    app.nudge.nudge();
    Ok(accepted(write::accepted(gone)))
}

/// A service's log
///
/// With `follow=true` as server-sent events: `event: line`, each a `LogLine`.
#[utoipa::path(get, path = "/service/{id}/logs", operation_id = "service_logs", tag = "service",
    params(("id" = String, Path), ("tail" = Option<i64>, Query), ("start" = Option<String>, Query),
        ("end" = Option<String>, Query), ("follow" = Option<bool>, Query)),
    responses((status = 200, body = Vec<wire::LogFile>, description = "A file for each container."), Errors))]
async fn logs(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(text): ApiPath<String>,
    ApiQuery(query): ApiQuery<wire::LogQuery>,
) -> Result<Response, ApiError> {
    let id = id(&text)?;
    let entity = EntityRef::Service(id.clone());
    log::answer(&app, &who, &entity, &query).await
}
