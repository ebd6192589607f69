//! `POST /repository`: a repository that is in ECR already becomes one of the instance's.

use axum::Json;
use axum::extract::State;
use layer0_api::types as wire;
use layer0_domain::model::access::Action;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::placement::BackingName;
use layer0_domain::plan::adoption::adoptee;
use layer0_domain::plan::grants::Change;
use layer0_registry::{Adopted, Adoption};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Errors;
use super::repository::{owner_ensure, repository};
use crate::app::App;
use crate::auth::SignedIn;
use crate::error::ApiError;
use crate::extract::ApiJson;
use crate::grants::PreviewChange;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(import))
}

/// Adopt a repository of ECR
///
/// It is marked as the instance's, and its policy gets what account grants say. Its images, tags and settings stay, and so do
/// the statements of others in its policy. The friendly name is what the registry's prefix leaves of the name there. With
/// `dry_run` nothing is changed. The same rights as to create it; whoever has no right to the `name` given, and gives none,
/// has to be an admin to hear why something can't be adopted.
#[utoipa::path(post, path = "/repository", operation_id = "repository_import", tag = "repository",
    request_body = wire::ImportRepositoryRequest,
    responses((status = 200, body = wire::ImportedRepository, description = "Adopted, or what would change."), Errors))]
async fn import(
    who: SignedIn,
    State(app): State<App>,
    ApiJson(request): ApiJson<wire::ImportRepositoryRequest>,
) -> Result<Json<wire::ImportedRepository>, ApiError> {
    let unfit = |field: &str, why: String| ApiError::value(format!("Field '{field}': {why}"));
    let name = request.name.as_deref().map(RepositoryName::parse).transpose();
    let name = name.map_err(|why| unfit("name", why.to_string()))?;
    if let Some(name) = &name {
        who.must(Action::Admin, name.into())?;
    }
    let registry = request.registry.as_deref().map(BackingName::parse).transpose();
    let registry = registry.map_err(|why| unfit("registry", why.to_string()))?;
    let places = &app.identity.registry.places;
    let found = match adoptee(places, &request.backing, registry.as_ref(), name.as_ref()) {
        Ok(found) => found,
        Err(why) => {
            // Names and places of registries are not for everybody.
            if name.is_none() {
                who.must_administer()?;
            }
            return Err(ApiError::value(why.to_string()));
        }
    };
    who.about(&found.repository);
    who.must(Action::Admin, (&found.repository).into())?;

    let adoption = if request.dry_run { Adoption::Tried } else { Adoption::Made };
    let backing = found.backing.to_string();
    // Before it is changed: afterwards there is nothing left to tell.
    let tried = app.registry.repository_adopt(found.clone(), Adoption::Tried).await?;
    let changes = changes(&app, &tried).await?;
    if adoption == Adoption::Made {
        app.registry.repository_adopt(found, Adoption::Made).await?;
        owner_ensure(&app, &tried.repository).await?;
    }
    let repository = repository(&app, &tried.repository).await?;
    Ok(Json(wire::ImportedRepository { repository, registry: backing, dry_run: request.dry_run, changes }))
}

/// What an adoption changes in ECR, a sentence each.
async fn changes(app: &App, adopted: &Adopted) -> Result<Vec<String>, ApiError> {
    let mut changes: Vec<String> =
        adopted.tag.iter().map(|tag| format!("the repository gets the tag `{tag}`")).collect();
    if let Some(keeper) = &app.grants.keeper {
        changes.extend(match keeper.preview_coming(&adopted.repository.name).await? {
            PreviewChange::Change(Change::Keep) => None,
            PreviewChange::Change(Change::Write(_)) => {
                Some("its policy gets the statements of the account grants".to_owned())
            }
            PreviewChange::Change(Change::Delete) => {
                Some("its policy, which holds nothing but old statements of this instance, goes".to_owned())
            }
            PreviewChange::Refused(why) => Some(format!("its policy stays as it is: {why}")),
        });
    }
    Ok(changes)
}
