//! `/task`.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use layer0_api::types as wire;
use layer0_domain::model::access::Action;
use layer0_domain::model::entity::{EntityKind, EntityRef};
use layer0_domain::model::id::TaskId;
use layer0_domain::ops::{entity_delete, task};
use layer0_domain::port::engine::Scope;
use layer0_domain::port::store::StoreExt;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::deploy::may_deploy;
use super::{Errors, Visible, accepted, columns, created, environment_name, environment_names, listed, log};
use crate::app::App;
use crate::auth::SignedIn;
use crate::convert::{read, write};
use crate::error::{ApiError, missing};
use crate::extract::{ApiJson, ApiPath, ApiQuery};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, delete))
        .routes(routes!(stop))
        .routes(routes!(logs))
}

fn id(text: &str) -> Result<TaskId, ApiError> {
    match read::entity(EntityKind::Task, text)? {
        EntityRef::Task(id) => Ok(id),
        other => Err(missing(&other)),
    }
}

/// All tasks
#[utoipa::path(get, path = "/task", operation_id = "task_list", tag = "task",
    responses((status = 200, body = Vec<wire::TaskSummary>, description = "By name."), Errors))]
async fn list(who: SignedIn, State(app): State<App>) -> Result<Response, ApiError> {
    let visible = Visible::to(&app, &who).await?;
    listed(&app, EntityKind::Task, &visible, all(&app, &visible)).await
}

async fn all(app: &App, visible: &Visible) -> Result<Vec<wire::TaskSummary>, ApiError> {
    let names = environment_names(app).await?;
    let all = app.store.summary_list(EntityKind::Task).await?;
    let summary = |it: layer0_domain::port::store::Summary| {
        let (task_id, task_name, environment_id, environment_name) = columns(it, &names);
        wire::TaskSummary { task_id, task_name, environment_id, environment_name }
    };
    Ok(all.into_iter().filter(|it| visible.shows(it)).map(summary).collect())
}

/// Run a task
///
/// After the pull check has shown that the engine can pull every image; each is pinned to its digest.
#[utoipa::path(post, path = "/task", operation_id = "task_create", tag = "task", request_body = wire::CreateTaskRequest,
    responses((status = 201, body = wire::CreateEntityResponse, description = "Being started."), Errors))]
async fn create(
    who: SignedIn,
    State(app): State<App>,
    ApiJson(request): ApiJson<wire::CreateTaskRequest>,
) -> Result<Response, ApiError> {
    let new = read::new_task(request)?;
    who.on_environment(&app, &new.environment, Action::Deploy).await?;
    may_deploy(&app, &who, &new.deploy).await?;
    let made = task::task_create(&app.ctx(&who.caller), new).await?;
    who.about(&made.entity);
    app.nudge.nudge();
    Ok(created(write::accepted(made)))
}

/// One task
#[utoipa::path(get, path = "/task/{id}", operation_id = "task_get", tag = "task", params(("id" = String, Path)),
    responses((status = 200, body = wire::Task, description = "The task."), Errors))]
async fn get(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(text): ApiPath<String>,
) -> Result<Json<wire::Task>, ApiError> {
    let id = id(&text)?;
    let entity = EntityRef::Task(id.clone());
    who.on_entity(&app, &entity, Action::Pull).await?;
    let found = app.store.task_get(&id).await?.ok_or_else(|| missing(&entity))?;
    let name = environment_name(&app, &found.environment).await?;
    let (seen, away) = log::seen_or_away(&app, Scope::One(entity)).await;
    let mut task = write::task(&found, name, seen.tasks.iter().find(|it| it.id == id));
    if found.outcome.is_none() {
        task.waiting_for = task.waiting_for.or(away);
    }
    Ok(Json(task))
}

/// Stop a task
///
/// Its log stays until it is deleted.
#[utoipa::path(post, path = "/task/{id}/stop", operation_id = "task_stop", tag = "task", params(("id" = String, Path)),
    responses((status = 202, body = wire::CreateEntityResponse, description = "Being stopped."), Errors))]
async fn stop(who: SignedIn, State(app): State<App>, ApiPath(text): ApiPath<String>) -> Result<Response, ApiError> {
    let id = id(&text)?;
    who.on_entity(&app, &EntityRef::Task(id.clone()), Action::Deploy).await?;
    let stopped = task::task_stop(&app.ctx(&who.caller), &id).await?;
    app.nudge.nudge();
    Ok(accepted(write::accepted(stopped)))
}

/// Delete a task
#[utoipa::path(delete, path = "/task/{id}", operation_id = "task_delete", tag = "task", params(("id" = String, Path)),
    responses((status = 202, body = wire::CreateEntityResponse, description = "Being deleted."), Errors))]
async fn delete(who: SignedIn, State(app): State<App>, ApiPath(text): ApiPath<String>) -> Result<Response, ApiError> {
    let entity = EntityRef::Task(id(&text)?);
    who.on_entity(&app, &entity, Action::Delete).await?;
    let gone = entity_delete(&app.ctx(&who.caller), &entity).await?;
    app.nudge.nudge();
    Ok(accepted(write::accepted(gone)))
}

/// A task's log
///
/// With `follow=true` as server-sent events: `event: line`, each a `LogLine`; ends when the task has ended.
#[utoipa::path(get, path = "/task/{id}/logs", operation_id = "task_logs", tag = "task",
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
    let entity = EntityRef::Task(id.clone());
    log::answer(&app, &who, &entity, &query).await
}
