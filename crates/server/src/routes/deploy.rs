//! `/deploy`.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use layer0_api::types as wire;
use layer0_domain::model::access::{Action, Place};
use layer0_domain::model::entity::{EntityKind, EntityRef};
use layer0_domain::model::id::DeployId;
use layer0_domain::ops::deploy;
use layer0_domain::ops::owner::owner_of_deploy;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Errors, Visible, created};
use crate::app::App;
use crate::auth::SignedIn;
use crate::convert::{read, write};
use crate::error::ApiError;
use crate::extract::{ApiJson, ApiPath};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, delete))
}

/// All deploys
#[utoipa::path(get, path = "/deploy", operation_id = "deploy_list", tag = "deploy",
    responses((status = 200, body = Vec<wire::DeploySummary>, description = "By name and version."), Errors))]
async fn list(who: SignedIn, State(app): State<App>) -> Result<Json<Vec<wire::DeploySummary>>, ApiError> {
    let visible = Visible::to(&app, &who).await?;
    let all = app.store.summary_list(EntityKind::Deploy).await?;
    let summary = |it: layer0_domain::port::store::Summary| wire::DeploySummary {
        compatibilities: it.label.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect(),
        deploy_id: it.entity.id().to_owned(),
        deploy_name: it.name,
        version: it.version.to_string(),
        owner_name: it.owner.map(|owner| owner.to_string()),
    };
    Ok(Json(all.into_iter().filter(|it| visible.shows(it)).map(summary).collect()))
}

/// Make the next version of a deploy
#[utoipa::path(post, path = "/deploy", operation_id = "deploy_create", tag = "deploy", request_body = wire::CreateDeployRequest,
    responses((status = 201, body = wire::CreateEntityResponse, description = "Made; with what each image became."), Errors))]
async fn create(
    who: SignedIn,
    State(app): State<App>,
    ApiJson(request): ApiJson<wire::CreateDeployRequest>,
) -> Result<Response, ApiError> {
    let name = read::name(&request.deploy_name, "Deploy Name")?;
    if request.deploy_file.is_empty() {
        return Err(ApiError::value("Deploy file is required"));
    }
    let document = read::base64_field(&request.deploy_file, "Deploy file")?;
    let ctx = app.ctx(&who.caller);
    let owner = owner_of_deploy(&ctx, &name, read::owner(request.owner_name.as_deref())?).await?;
    who.must(Action::Deploy, Place::of(owner.as_ref(), name.as_str()))?;
    let (made, warnings) = deploy::deploy_create(&ctx, name, owner, &document).await?;
    who.about(EntityRef::Deploy(made.id.clone()));
    Ok(created(wire::CreateEntityResponse {
        entity_id: made.id.to_string(),
        operation_id: None,
        warnings,
        images: made.images.iter().map(write::mapped).collect(),
    }))
}

fn id(text: &str) -> Result<DeployId, ApiError> {
    match read::entity(EntityKind::Deploy, text)? {
        EntityRef::Deploy(id) => Ok(id),
        other => Err(crate::error::missing(&other)),
    }
}

/// Demands that somebody who runs a deploy may see it. (Its images are another matter: the pull check asks for them.)
pub(super) async fn may_deploy(app: &App, who: &SignedIn, id: &DeployId) -> Result<(), ApiError> {
    who.on_entity(app, &EntityRef::Deploy(id.clone()), Action::Pull).await.map(drop)
}

/// One deploy
#[utoipa::path(get, path = "/deploy/{id}", operation_id = "deploy_get", tag = "deploy", params(("id" = String, Path)),
    responses((status = 200, body = wire::Deploy, description = "The deploy."), Errors))]
async fn get(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(text): ApiPath<String>,
) -> Result<Json<wire::Deploy>, ApiError> {
    let id = id(&text)?;
    who.on_entity(&app, &EntityRef::Deploy(id.clone()), Action::Pull).await?;
    let found = deploy::deploy_get(&app.ctx(&who.caller), &id).await?;
    Ok(Json(write::deploy(&found)))
}

/// Delete a deploy
///
/// A service that runs it runs on.
#[utoipa::path(delete, path = "/deploy/{id}", operation_id = "deploy_delete", tag = "deploy", params(("id" = String, Path)),
    responses((status = 200, body = wire::CreateEntityResponse, description = "Gone."), Errors))]
async fn delete(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(text): ApiPath<String>,
) -> Result<Json<wire::CreateEntityResponse>, ApiError> {
    let id = id(&text)?;
    who.on_entity(&app, &EntityRef::Deploy(id.clone()), Action::Delete).await?;
    deploy::deploy_delete(&app.ctx(&who.caller), &id).await?;
    let gone =
        wire::CreateEntityResponse { entity_id: id.to_string(), operation_id: None, warnings: vec![], images: vec![] };
    Ok(Json(gone))
}
