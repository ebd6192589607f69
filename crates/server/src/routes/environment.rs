//! `/environment`.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use layer0_api::types as wire;
use layer0_domain::model::access::{Action, Place};
use layer0_domain::model::entity::{EntityKind, EntityRef};
use layer0_domain::model::id::EnvironmentId;
use layer0_domain::ops::owner::owner_of_new;
use layer0_domain::ops::{entity_delete, environment};
use layer0_domain::port::engine::Scope;
use layer0_domain::port::store::StoreExt;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::happened::{self, About};
use super::{Errors, Visible, accepted, created, log};
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
async fn list(who: SignedIn, State(app): State<App>) -> Result<Json<Vec<wire::EnvironmentSummary>>, ApiError> {
    let visible = Visible::to(&app, &who).await?;
    let all = app.store.summary_list(EntityKind::Environment).await?;
    let summary = |it: layer0_domain::port::store::Summary| wire::EnvironmentSummary {
        environment_id: it.entity.id().to_owned(),
        environment_name: it.name,
        operating_system: it.label,
    };
    Ok(Json(all.into_iter().filter(|it| visible.shows(it)).map(summary).collect()))
}

/// Make an environment
#[utoipa::path(post, path = "/environment", operation_id = "environment_create", tag = "environment",
    request_body = wire::CreateEnvironmentRequest,
    responses((status = 201, body = wire::CreateEntityResponse, description = "Being made."), Errors))]
async fn create(
    who: SignedIn,
    State(app): State<App>,
    ApiJson(request): ApiJson<wire::CreateEnvironmentRequest>,
) -> Result<Response, ApiError> {
    let ctx = app.ctx(&who.caller);
    let mut new = read::new_environment(request)?;
    new.owner = owner_of_new(&ctx, new.owner, Action::Admin)?;
    who.must(Action::Admin, Place::of(new.owner.as_ref(), new.name.as_str()))?;
    let scaled = new.scale > 0;
    let mut made = environment::environment_create(&ctx, new).await?;
    who.about(&made.entity);
    if let EntityRef::Environment(id) = &made.entity {
        who.within(id);
    }
    if scaled {
        made.warnings.extend(environment::scale_warning(&ctx));
    }
    app.nudge.nudge();
    Ok(created(write::accepted(made)))
}

/// One environment
#[utoipa::path(get, path = "/environment/{id}", operation_id = "environment_get", tag = "environment",
    params(("id" = String, Path)),
    responses((status = 200, body = wire::Environment, description = "The environment."), Errors))]
async fn get(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(text): ApiPath<String>,
) -> Result<Json<wire::Environment>, ApiError> {
    let id = id(&text)?;
    let entity = EntityRef::Environment(id.clone());
    who.on_entity(&app, &entity, Action::Pull).await?;
    let found = app.store.environment_get(&id).await?.ok_or_else(|| missing(&entity))?;
    let seen = log::seen(&app, Scope::One(entity)).await;
    Ok(Json(write::environment(&found, seen.environments.iter().find(|it| it.id == id))))
}

/// Change an environment
#[utoipa::path(patch, path = "/environment/{id}", operation_id = "environment_update", tag = "environment",
    params(("id" = String, Path)), request_body = wire::UpdateEnvironmentRequest,
    responses((status = 202, body = wire::CreateEntityResponse, description = "Being changed."), Errors))]
async fn update(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(text): ApiPath<String>,
    ApiJson(request): ApiJson<wire::UpdateEnvironmentRequest>,
) -> Result<Response, ApiError> {
    let id = id(&text)?;
    let change = read::environment_change(request)?;
    who.on_environment(&app, &id, Action::Admin).await?;
    // Whoever opens a way between two environments decides about both.
    for other in change.links.iter().flatten().chain(&change.add_links) {
        who.on_environment(&app, other, Action::Admin).await?;
    }
    who.about(EntityRef::Environment(id.clone()));
    who.within(&id);
    let changed = environment::environment_update(&app.ctx(&who.caller), &id, change).await?;
    app.nudge.nudge();
    Ok(accepted(write::accepted(changed)))
}

/// Delete an environment
#[utoipa::path(delete, path = "/environment/{id}", operation_id = "environment_delete", tag = "environment",
    params(("id" = String, Path)),
    responses((status = 202, body = wire::CreateEntityResponse, description = "Being deleted."), Errors))]
async fn delete(who: SignedIn, State(app): State<App>, ApiPath(text): ApiPath<String>) -> Result<Response, ApiError> {
    let entity = EntityRef::Environment(id(&text)?);
    who.on_entity(&app, &entity, Action::Admin).await?;
    let gone = entity_delete(&app.ctx(&who.caller), &entity).await?;
    app.nudge.nudge();
    Ok(accepted(write::accepted(gone)))
}

/// What happened in an environment
///
/// The events of its operations, what was asked for (the audit log, without addresses), and, on AWS, what CloudTrail wrote down about
/// it: one log in the order of time. With `follow=true` as server-sent events, `event: line`, each a `LogLine`, until the
/// environment is gone.
#[utoipa::path(get, path = "/environment/{id}/logs", operation_id = "environment_logs", tag = "environment",
    params(("id" = String, Path), ("tail" = Option<i64>, Query), ("start" = Option<String>, Query), ("end" = Option<String>, Query),
        ("follow" = Option<bool>, Query)),
    responses((status = 200, body = Vec<wire::LogFile>, description = "One file."), Errors))]
async fn logs(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(text): ApiPath<String>,
    ApiQuery(query): ApiQuery<wire::LogQuery>,
) -> Result<Response, ApiError> {
    let id = id(&text)?;
    let place = who.on_entity(&app, &EntityRef::Environment(id.clone()), Action::Pull).await?;
    let (query, about) = (log::query(&query)?, About::Environment(id));
    if query.follow {
        return happened::followed(&app, about, query, who.ended(&app, Action::Pull, place)).await;
    }
    happened::answer(&app, about, &query).await
}
