//! `/migration`: repositories that are moved from one backing to another. In which of its registries an instance keeps what,
//! and pays for it, is the business of its admins; how far a move is is seen by whoever may pull.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use axum::response::sse::Event;
use layer0_api::types as wire;
use layer0_domain::model::home::{Home, Source};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::placement::BackingName;
use layer0_domain::ops::OpsError;
use layer0_domain::ops::image::image_holders_in;
use layer0_domain::ops::migration::{self as ops, WantedMove};
use layer0_domain::port::home_store::HomeStore as _;
use tokio::sync::mpsc::Sender;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Errors, accepted, events};
use crate::app::App;
use crate::auth::SignedIn;
use crate::convert::{migration as convert, read};
use crate::error::ApiError;
use crate::extract::{ApiJson, ApiPath, ApiQuery};

/// How often a follower looks in the store though nobody nudged: another server may be at it.
const BACKSTOP: Duration = Duration::from_secs(2);

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, ask)).routes(routes!(follow)).routes(routes!(get, update, cancel))
}

fn parsed(text: &str) -> Result<RepositoryName, ApiError> {
    RepositoryName::parse(text).map_err(|why| ApiError::value(why.to_string()))
}

fn missing(repository: &RepositoryName) -> ApiError {
    OpsError::MigrationMissing { repository: repository.clone() }.into()
}

/// The last move of a repository, when the caller may pull from there.
async fn seen(app: &App, who: &SignedIn, repository: &RepositoryName) -> Result<Home, ApiError> {
    let found = app.migrations.homes.now(repository).await.map_err(OpsError::from)?;
    let may = super::repository::is_shown(app, who, repository).await?;
    found.filter(|_| may).map(|home| home.as_ref().clone()).ok_or_else(|| missing(repository))
}

/// The moves of repositories
///
/// The last one of each repository that was ever moved.
#[utoipa::path(get, path = "/migration", operation_id = "migration_list", tag = "repository",
    responses((status = 200, body = wire::MigrationList, description = "By repository."), Errors))]
async fn list(who: SignedIn, State(app): State<App>) -> Result<Json<wire::MigrationList>, ApiError> {
    let mut migrations = Vec::new();
    for home in app.migrations.homes.home_list().await.map_err(OpsError::from)? {
        if super::repository::is_shown(&app, &who, &home.repository).await? {
            migrations.push(convert::migration(&home));
        }
    }
    Ok(Json(wire::MigrationList { migrations }))
}

/// Move a repository to another backing
///
/// All its images are copied and compared, then the other backing answers under the same name. The answer comes at once; `GET
/// /migration/events` follows. Admins only.
#[utoipa::path(post, path = "/migration", operation_id = "migration_ask", tag = "repository",
    request_body = wire::MigrateRequest,
    responses((status = 202, body = wire::Migration, description = "It is being moved."), Errors))]
async fn ask(
    who: SignedIn,
    State(app): State<App>,
    ApiJson(request): ApiJson<wire::MigrateRequest>,
) -> Result<Response, ApiError> {
    who.must_administer()?;
    let repository = parsed(&request.repository)?;
    who.about(&repository);
    let to = BackingName::parse(&request.to).map_err(|why| ApiError::value(format!("to: {why}")))?;
    if app.registry.end(&to, &repository).is_none() {
        let all = app.registry.backing_names().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let message = format!("there is no registry `{to}` behind this instance");
        return Err(ApiError::value(message).hint(format!("there are: {all}")));
    }
    if app.registry.repository_get(&repository).await?.is_none() {
        return Err(super::repository::no_repository(&app, &repository));
    }
    if let Some(upstream) = app.registry.upstream_of(&repository) {
        return Err(ApiError::value(format!(
            "{repository} mirrors {upstream}: what was fetched is kept in the embedded registry"
        )));
    }
    let from = app.registry.backing_of(&repository).await?;
    let source = if request.delete_source { Source::Delete } else { Source::Keep };
    let wanted = WantedMove { repository, from, to, source };
    if source == Source::Delete {
        nobody_runs(&app, &who, &wanted.repository, &wanted.from).await?;
    }
    let home = ops::migration_ask(app.migrations.homes.as_ref(), &wanted, app.clock.now()).await?;
    app.migrations.asked.nudge();
    Ok(accepted(convert::migration(&home)))
}

/// What runs an image keeps it where it was pulled from: a copy that must be started again is pulled again.
async fn nobody_runs(
    app: &App,
    who: &SignedIn,
    repository: &RepositoryName,
    backing: &BackingName,
) -> Result<(), ApiError> {
    let place = app.identity.registry.places.get(backing);
    let holders = image_holders_in(&app.ctx(&who.caller), repository, place).await?;
    if holders.is_empty() {
        return Ok(());
    }
    let in_use = ApiError::in_use(&format!("an image of `{repository}` in {backing}"), &holders);
    Err(in_use.hint("deploy these anew first, so that they pull from where the repository lies"))
}

/// The last move of a repository
#[utoipa::path(get, path = "/migration/{owner}/{*name}", operation_id = "migration_get", tag = "repository",
    params(("owner" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = wire::Migration, description = "How far it is."), Errors))]
async fn get(
    who: SignedIn,
    State(app): State<App>,
    ApiPath((owner, name)): ApiPath<(String, String)>,
) -> Result<Json<wire::Migration>, ApiError> {
    let repository = read::repository(&owner, &name)?;
    who.about(&repository);
    Ok(Json(convert::migration(&seen(&app, &who, &repository).await?)))
}

/// Delete the images that a move has left
///
/// With `delete_source`: those in the backing where the repository lay before. Admins only.
#[utoipa::path(patch, path = "/migration/{owner}/{*name}", operation_id = "migration_update", tag = "repository",
    params(("owner" = String, Path), ("name" = String, Path)), request_body = wire::UpdateMigrationRequest,
    responses((status = 202, body = wire::Migration, description = "They are being deleted."), Errors))]
async fn update(
    who: SignedIn,
    State(app): State<App>,
    ApiPath((owner, name)): ApiPath<(String, String)>,
    ApiJson(request): ApiJson<wire::UpdateMigrationRequest>,
) -> Result<Response, ApiError> {
    who.must_administer()?;
    let repository = read::repository(&owner, &name)?;
    who.about(&repository);
    if !request.delete_source {
        return Err(ApiError::value("delete_source: only `true` changes anything"));
    }
    let known = seen(&app, &who, &repository).await?;
    nobody_runs(&app, &who, &repository, &known.migration.from).await?;
    let home = ops::migration_delete_source(app.migrations.homes.as_ref(), &repository).await?;
    app.migrations.asked.nudge();
    Ok(accepted(convert::migration(&home)))
}

/// Call a move off
///
/// The old backing answers as before, and what was copied is deleted. Admins only.
#[utoipa::path(delete, path = "/migration/{owner}/{*name}", operation_id = "migration_cancel", tag = "repository",
    params(("owner" = String, Path), ("name" = String, Path)),
    responses((status = 202, body = wire::Migration, description = "It is being called off."), Errors))]
async fn cancel(
    who: SignedIn,
    State(app): State<App>,
    ApiPath((owner, name)): ApiPath<(String, String)>,
) -> Result<Response, ApiError> {
    who.must_administer()?;
    let repository = read::repository(&owner, &name)?;
    who.about(&repository);
    let home = ops::migration_cancel(app.migrations.homes.as_ref(), &repository).await?;
    app.migrations.asked.nudge();
    Ok(accepted(convert::migration(&home)))
}

/// Follow a move
///
/// Server-sent events: `event: migration`, each a `Migration`, as it changes; one `event: end` when nothing more happens by
/// itself, and the stream closes.
#[utoipa::path(get, path = "/migration/events", operation_id = "migration_follow", tag = "repository",
    params(("repository" = String, Query)),
    responses((status = 200, content_type = "text/event-stream", body = String, description = "Events."), Errors))]
async fn follow(
    who: SignedIn,
    State(app): State<App>,
    ApiQuery(query): ApiQuery<wire::MigrationQuery>,
) -> Result<Response, ApiError> {
    let repository = parsed(&query.repository)?;
    who.about(&repository);
    let found = seen(&app, &who, &repository).await?;
    let visibility = app.registry.repository_get(&repository).await?.map(|it| it.visibility).unwrap_or_default();
    let ended = who.ended_unless(&app, move |rights| rights.may_pull(&repository, visibility));
    Ok(events::answer(ended, |sender| send_events(app, found, sender)))
}

/// Sends events until the move is at an end, the client goes, or the server stops.
async fn send_events(app: App, mut last: Home, sender: Sender<Event>) {
    let mut nudges = app.nudge.listen();
    let mut sent = None;
    loop {
        nudges.mark_unchanged();
        let row = match app.migrations.homes.now(&last.repository).await {
            Ok(row) => row,
            // Whoever follows asks again.
            Err(_) => return,
        };
        let is_gone = row.is_none();
        if let Some(row) = row {
            last = row.as_ref().clone();
        }
        let state = convert::migration(&last);
        let has_ended = is_gone || state.ended;
        if has_ended || sent.as_ref() != Some(&state) {
            let name = if has_ended { "end" } else { "migration" };
            let Ok(event) = Event::default().event(name).json_data(&state) else { return };
            if sender.send(event).await.is_err() || has_ended {
                return;
            }
            sent = Some(state);
        }
        tokio::select! {
            _ = nudges.changed() => {}
            () = tokio::time::sleep(BACKSTOP) => {}
            () = sender.closed() => return,
            () = app.stop.wait() => return,
        }
    }
}
