//! `/repository`: repositories and their images.
//!
//! A repository's name may hold further `/`, so everything behind the owner is one wildcard; what stands behind a last
//! `/image` is a tag or digest.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use layer0_api::error::ErrorCode;
use layer0_api::types as wire;
use layer0_domain::model::access::Action;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::owner::Owner;
use layer0_domain::model::registry::{ManifestRef, Repository, Visibility};
use layer0_domain::ops::OpsError;
use layer0_domain::ops::image::image_holders;
use layer0_domain::port::access_store::AccessStoreError;
use layer0_domain::port::registry_store::Page;
use layer0_registry::TaggedImage;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Errors, created};
use crate::app::App;
use crate::auth::SignedIn;
use crate::convert::read;
use crate::error::ApiError;
use crate::extract::{ApiJson, ApiPath, ApiQuery};
use crate::text_time::rfc3339;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(list_of, create)).routes(routes!(get, update, delete))
}

pub(super) async fn repository(app: &App, it: &Repository) -> Result<wire::Repository, ApiError> {
    let place = app.registry.repository_place(&it.name).await?;
    let home = app.migrations.homes.of(&it.name).await.map_err(OpsError::from)?;
    let moving = home.filter(|home| home.migration.stage.is_running());
    Ok(wire::Repository {
        owner: it.name.owner().to_owned(),
        name: it.name.name().to_owned(),
        created_at: rfc3339(it.created),
        visibility: it.visibility.as_str().to_owned(),
        uri: format!("{}/{}", app.identity.registry_name, it.name),
        backing_uri: app.identity.registry.uri_of(&it.name, place.as_ref()),
        migration: moving.map(|home| home.migration.progress()).unwrap_or_default(),
    })
}

fn image(it: &TaggedImage) -> wire::Image {
    wire::Image {
        tag: it.tag.clone(),
        digest: it.digest.to_string(),
        size: format!("{}MB", it.size.div_ceil(1_000_000)),
        pushed_at: rfc3339(it.pushed),
        size_bytes: it.size,
        media_type: it.media_type.clone(),
        platforms: it.platforms.iter().map(ToString::to_string).collect(),
    }
}

fn gone(name: &RepositoryName) -> ApiError {
    ApiError::new(ErrorCode::RepositoryDoesNotExist, format!("repository `{name}` does not exist"))
}

/// A repository that isn't there, for whoever would look into it.
pub(super) fn no_repository(app: &App, name: &RepositoryName) -> ApiError {
    gone(name).hint(match app.registry.upstream_of(name) {
        Some(upstream) => format!("it mirrors {upstream}: pull it once, and it is here"),
        None => format!("create it: `l0 repository create {name}`"),
    })
}

/// All repositories
#[utoipa::path(get, path = "/repository", operation_id = "repository_list", tag = "repository",
    responses((status = 200, body = wire::RepositoryList, description = "`owner/name`, in byte order."), Errors))]
async fn list(who: SignedIn, State(app): State<App>) -> Result<Json<wire::RepositoryList>, ApiError> {
    let all = app.registry.repository_list(None, Page::default()).await?;
    Ok(Json(wire::RepositoryList {
        repositories: all.iter().filter(|it| who.may_pull(it)).map(|it| it.name.to_string()).collect(),
    }))
}

/// The repositories of one owner
#[utoipa::path(get, path = "/repository/{owner}", operation_id = "repository_list_of", tag = "repository",
    params(("owner" = String, Path)),
    responses((status = 200, body = wire::RepositoryList, description = "Names without the owner, in byte order."), Errors))]
async fn list_of(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(owner): ApiPath<String>,
) -> Result<Json<wire::RepositoryList>, ApiError> {
    let all = app.registry.repository_list(Some(&owner), Page::default()).await?;
    Ok(Json(wire::RepositoryList {
        repositories: all.iter().filter(|it| who.may_pull(it)).map(|it| it.name.name().to_owned()).collect(),
    }))
}

/// Make a repository
#[utoipa::path(post, path = "/repository/{owner}", operation_id = "repository_create", tag = "repository",
    params(("owner" = String, Path)), request_body = wire::CreateRepositoryRequest,
    responses((status = 201, body = wire::Repository, description = "Made; with its backing URI."), Errors))]
async fn create(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(owner): ApiPath<String>,
    ApiJson(request): ApiJson<wire::CreateRepositoryRequest>,
) -> Result<Response, ApiError> {
    let name = read::repository(&owner, &request.name)?;
    let visibility = match request.visibility.as_deref() {
        None => Visibility::default(),
        Some(text) => read::visibility(text)?,
    };
    who.must(Action::Admin, (&name).into())?;
    who.becomes(visibility.as_str());
    if let Some(upstream) = app.registry.upstream_of(&name) {
        // The words of a push: a repository of this name would stand there empty for ever.
        let why = format!("{name} mirrors {upstream}: what is there is pulled from there, and nothing is pushed to it");
        return Err(ApiError::value(why).hint("pull it once, and it is here"));
    }
    let made = app.registry.repository_create(name, visibility).await?;
    owner_ensure(&app, &made).await?;
    Ok(created(repository(&app, &made).await?))
}

/// A repository whose images lie elsewhere makes its owner too, which the data directory's store does by itself.
pub(super) async fn owner_ensure(app: &App, made: &Repository) -> Result<(), ApiError> {
    if app.identity.registry.places.is_empty() {
        return Ok(());
    }
    let (name, created) = (made.name.owner_name(), app.clock.now());
    match app
        .access
        .owner_create(&Owner { name, created, quota_bytes: None, tag_rules: vec![], retention: vec![] })
        .await
    {
        Ok(()) | Err(AccessStoreError::Exists { .. }) => Ok(()),
        Err(why) => Err(why.into()),
    }
}

/// What the path behind the owner names.
enum Below {
    Repository(RepositoryName),
    Images(RepositoryName),
    Image(RepositoryName, ManifestRef, String),
}

fn below(owner: &str, rest: &str) -> Result<Below, ApiError> {
    if let Some(name) = rest.strip_suffix("/image") {
        return Ok(Below::Images(read::repository(owner, name)?));
    }
    if let Some((name, reference)) = rest.rsplit_once("/image/")
        && !reference.contains('/')
    {
        let parsed = match Digest::parse(reference) {
            Ok(digest) => ManifestRef::Digest(digest),
            Err(_) => ManifestRef::Tag(reference.to_owned()),
        };
        return Ok(Below::Image(read::repository(owner, name)?, parsed, reference.to_owned()));
    }
    Ok(Below::Repository(read::repository(owner, rest)?))
}

/// Which images are asked for.
#[derive(Deserialize)]
struct Which {
    #[serde(default)]
    untagged: bool,
}

/// One repository, its images, or one image
///
/// `{name}` answers a `Repository`; `{name}/image` an `ImageList`, with `untagged=true` of the images that no tag leads to;
/// `{name}/image/{tag or digest}` an `Image`.
#[utoipa::path(get, path = "/repository/{owner}/{*rest}", operation_id = "repository_get", tag = "repository",
    params(("owner" = String, Path), ("rest" = String, Path), ("untagged" = Option<bool>, Query)),
    responses((status = 200, body = wire::Repository, description = "What the path names."), Errors))]
async fn get(
    who: SignedIn,
    State(app): State<App>,
    ApiPath((owner, rest)): ApiPath<(String, String)>,
    ApiQuery(Which { untagged }): ApiQuery<Which>,
) -> Result<Response, ApiError> {
    match below(&owner, &rest)? {
        Below::Repository(name) => Ok(Json(repository(&app, &seen(&app, &who, &name).await?).await?).into_response()),
        Below::Images(name) => {
            seen(&app, &who, &name).await?;
            let images = if untagged {
                let digests = app.registry.untagged(&name).await?;
                digests.map(|digests| digests.iter().map(ToString::to_string).collect())
            } else {
                app.registry.tag_list(&name, Page::default()).await?
            };
            let images = images.ok_or_else(|| no_repository(&app, &name))?;
            Ok(Json(wire::ImageList { images }).into_response())
        }
        Below::Image(name, reference, text) => {
            seen(&app, &who, &name).await?;
            match app.registry.image_get(&name, &reference).await? {
                Some(found) => Ok(Json(image(&found)).into_response()),
                None => Err(no_image(&app, &name, &text).await?),
            }
        }
    }
}

async fn no_image(app: &App, name: &RepositoryName, reference: &str) -> Result<ApiError, ApiError> {
    if app.registry.repository_get(name).await?.is_none() {
        return Ok(no_repository(app, name));
    }
    Ok(ApiError::new(ErrorCode::ImageDoesNotExist, format!("repository `{name}` has no image `{reference}`"))
        .hint(match reference.split_once(':') {
            // A tag has no colon.
            Some((algorithm, _)) if Digest::parse(reference).is_err() => format!(
                "a digest is whole (`{algorithm}:` and 64 digits for sha256), as `l0 image get` and `l0 image list --untagged` show it"
            ),
            _ => format!("`l0 image list {name}` shows its tags"),
        }))
}

/// What runs an image keeps it: a copy that must be started again has to be pulled again.
async fn nobody_holds(
    app: &App,
    who: &SignedIn,
    name: &RepositoryName,
    digest: Option<&Digest>,
) -> Result<(), ApiError> {
    let holders = image_holders(&app.ctx(&who.caller), name, digest).await?;
    if holders.is_empty() {
        return Ok(());
    }
    let what = match digest {
        Some(digest) => format!("image `{name}@{digest}`"),
        None => format!("repository `{name}`"),
    };
    Err(ApiError::in_use(&what, &holders))
}

/// Whether the caller may know of a repository.
pub(super) async fn is_shown(app: &App, who: &SignedIn, name: &RepositoryName) -> Result<bool, ApiError> {
    Ok(app.registry.repository_get(name).await?.is_some_and(|it| who.may_pull(&it)))
}

/// A repository that the caller may pull from; another one is not there.
async fn seen(app: &App, who: &SignedIn, name: &RepositoryName) -> Result<Repository, ApiError> {
    known(app, who, name).await?.ok_or_else(|| no_repository(app, name))
}

/// The same for whoever would change or delete it: making it is no way there.
async fn kept(app: &App, who: &SignedIn, name: &RepositoryName) -> Result<Repository, ApiError> {
    known(app, who, name).await?.ok_or_else(|| gone(name).hint("`l0 repository list` shows all"))
}

async fn known(app: &App, who: &SignedIn, name: &RepositoryName) -> Result<Option<Repository>, ApiError> {
    who.about(name);
    Ok(app.registry.repository_get(name).await?.filter(|it| who.may_pull(it)))
}

/// Change a repository
///
/// Who may pull from it: `private` for those who have the right to, `public` for everybody.
#[utoipa::path(patch, path = "/repository/{owner}/{*rest}", operation_id = "repository_update", tag = "repository",
    params(("owner" = String, Path), ("rest" = String, Path)), request_body = wire::UpdateRepositoryRequest,
    responses((status = 200, body = wire::Repository, description = "As it is now."), Errors))]
async fn update(
    who: SignedIn,
    State(app): State<App>,
    ApiPath((owner, rest)): ApiPath<(String, String)>,
    ApiJson(request): ApiJson<wire::UpdateRepositoryRequest>,
) -> Result<Json<wire::Repository>, ApiError> {
    let Below::Repository(name) = below(&owner, &rest)? else {
        return Err(ApiError::request("an image can't be changed: push another one"));
    };
    kept(&app, &who, &name).await?;
    who.must(Action::Admin, (&name).into())?;
    let visibility = read::visibility(&request.visibility)?;
    who.becomes(visibility.as_str());
    let changed = app.registry.repository_update(&name, visibility).await?;
    // Whoever pulls what is private from now on may have no right to.
    app.sign_in.changes.tell();
    Ok(Json(repository(&app, &changed).await?))
}

/// How a delete is meant.
#[derive(Debug, Default, Deserialize)]
struct How {
    #[serde(default)]
    force: bool,
}

/// Delete a repository, a tag or an image
///
/// `{name}` deletes a repository, one with images only with `force=true`, and answers the `Repository`;
/// `{name}/image/{tag}` deletes the tag, and in ECR the image with its last tag; `{name}/image/{digest}` the image with all its
/// tags. Both answer a sentence. What runs is refused.
#[utoipa::path(delete, path = "/repository/{owner}/{*rest}", operation_id = "repository_delete", tag = "repository",
    params(("owner" = String, Path), ("rest" = String, Path), ("force" = Option<bool>, Query)),
    responses((status = 200, body = wire::Repository, description = "It is gone."), Errors))]
async fn delete(
    who: SignedIn,
    State(app): State<App>,
    ApiPath((owner, rest)): ApiPath<(String, String)>,
    ApiQuery(How { force }): ApiQuery<How>,
) -> Result<Response, ApiError> {
    match below(&owner, &rest)? {
        Below::Repository(name) => {
            let found = kept(&app, &who, &name).await?;
            who.must(Action::Admin, (&name).into())?;
            nobody_holds(&app, &who, &name, None).await?;
            // Told as it was: what is gone lies nowhere.
            let gone = repository(&app, &found).await?;
            app.registry.repository_delete(&name, !force).await?;
            Ok(Json(gone).into_response())
        }
        Below::Images(_) => Err(ApiError::request("name a tag or a digest to delete")),
        Below::Image(name, reference, text) => {
            who.does("image_delete");
            kept(&app, &who, &name).await?;
            who.about(format!("{name}{}{text}", if text.contains(':') { '@' } else { ':' }));
            let may = match &reference {
                ManifestRef::Tag(tag) => who.caller.rights.may_tag(Action::Delete, (&name).into(), tag),
                // It goes with whatever tags point to it.
                ManifestRef::Digest(_) => who.caller.rights.may_all_tags(Action::Delete, (&name).into()),
            };
            if !may {
                return Err(who.forbidden(Action::Delete, (&name).into()));
            }
            // What goes: where a tag takes its image along, that too.
            let going = match &reference {
                ManifestRef::Digest(digest) => Some(digest.clone()),
                ManifestRef::Tag(tag) => app.registry.image_of_last_tag(&name, tag).await?,
            };
            if let Some(digest) = &going {
                nobody_holds(&app, &who, &name, Some(digest)).await?;
            }
            if app.registry.image_delete(&name, &reference).await? {
                Ok(Json(format!("Image '{name}:{text}' successfully deleted.")).into_response())
            } else {
                Err(no_image(&app, &name, &text).await?)
            }
        }
    }
}
