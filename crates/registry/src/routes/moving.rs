//! What the move of a repository from one backing to another means for requests on it.
//!
//! - A read that finds nothing where the repository lay a moment ago asks where it lies now, and looks there.
//! - An upload goes on where it was begun: its address says where.
//! - A manifest that is pushed while a repository is closed for the last changes waits. One that was written to the old
//!   backing is written to the new one too, if that answers by the time that the first write has ended. What the
//!   client was told is there is there, whichever server it asked (docs/decisions/0015-moving-house.md).

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::header::LOCATION;
use http::{HeaderValue, Method};
use layer0_domain::model::home::{Home, Stage};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::placement::BackingName;
use layer0_domain::ops::copy::{CopyError, Counters, Side, blobs_follow};
use layer0_domain::port::BoxError;
use layer0_domain::port::home_store::{HomeStore as _, HomeStoreError};
use layer0_domain::port::image_end::EndError;
use tokio::time::Instant;

use super::manifest::Pushed;
use super::{Ask, BACKING, at};
use crate::ends::end_manifest;
use crate::error::RegistryError;
use crate::path::Target;
use crate::registry::Registry;
use crate::uploads::UploadId;

/// How often a write that waits looks whether it may go on.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long a write waits. A repository is closed for half of that at most, and then opened again.
const WAIT_MAX: Duration = Duration::from_secs(50);

/// Serves a request on a repository, wherever it lies.
pub(super) async fn serve(
    registry: &Registry,
    ask: &Ask,
    body: Body,
    target: Target,
    name: &RepositoryName,
) -> Result<Response, RegistryError> {
    match &target {
        Target::Uploads { .. } | Target::Upload { .. } => {
            let backing = match &target {
                Target::Upload { id, .. } => upload_at(registry, ask, name, id).await?,
                _ => registry.backing_of(name).await?,
            };
            let mut response = at(registry, &backing, ask, body, target).await?;
            mark(registry, name, &backing, &mut response).await?;
            Ok(response)
        }
        _ if ask.method == Method::GET || ask.method == Method::HEAD => {
            let backing = registry.backing_of(name).await?;
            let answered = at(registry, &backing, ask, body, target.clone()).await;
            if answered.as_ref().is_err_and(RegistryError::is_missing)
                && let Some(now) = moved_from(registry, name, &backing).await?
            {
                return at(registry, &now, ask, Body::empty(), target).await;
            }
            answered
        }
        _ => {
            let backing = registry.backing_of(name).await?;
            at(registry, &backing, ask, body, target).await
        }
    }
}

/// Where a repository lies now, when that is not where it was looked for.
async fn moved_from(
    registry: &Registry,
    name: &RepositoryName,
    looked: &BackingName,
) -> Result<Option<BackingName>, RegistryError> {
    let Some(homes) = registry.homes() else { return Ok(None) };
    // One that is not on the move for this server has not moved for as long as servers may be behind.
    if homes.of(name).await?.is_none() {
        return Ok(None);
    }
    let now = homes.now(name).await?;
    Ok(now.map(|home| home.backing.clone()).filter(|backing| backing != looked))
}

/// Where an upload was begun.
async fn upload_at(
    registry: &Registry,
    ask: &Ask,
    name: &RepositoryName,
    id: &str,
) -> Result<BackingName, RegistryError> {
    let now = registry.backing_of(name).await?;
    let Some(homes) = registry.homes() else { return Ok(now) };
    let Some(home) = homes.of(name).await? else { return Ok(now) };
    let (from, to) = (&home.migration.from, &home.migration.to);
    // Nobody gets an upload of this repository in a backing that has nothing to do with it.
    if let Some(said) = ask.backing.as_ref().and_then(|said| [from, to].into_iter().find(|it| it.as_str() == said)) {
        return Ok(said.clone());
    }
    // One that was begun before the move says nothing, but for its name: those of the embedded registry are known.
    let is_local = UploadId::parse(id, name).is_some();
    if is_local == now.is_local() {
        return Ok(now);
    }
    Ok([from, to].into_iter().find(|it| it.is_local() == is_local).unwrap_or(&now).clone())
}

/// Notes in the address of an upload where it is.
async fn mark(
    registry: &Registry,
    name: &RepositoryName,
    backing: &BackingName,
    response: &mut Response,
) -> Result<(), RegistryError> {
    let Some(homes) = registry.homes() else { return Ok(()) };
    if homes.of(name).await?.is_none() {
        return Ok(());
    }
    let Some(location) = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()) else { return Ok(()) };
    if !location.contains("/blobs/uploads/") {
        return Ok(());
    }
    let joined = if location.contains('?') { '&' } else { '?' };
    if let Ok(marked) = HeaderValue::try_from(format!("{location}{joined}{BACKING}={backing}")) {
        response.headers_mut().insert(LOCATION, marked);
    }
    Ok(())
}

/// Waits until a repository may be written to, and answers where.
pub(crate) async fn open_for_writes(registry: &Registry, name: &RepositoryName) -> Result<BackingName, RegistryError> {
    if let Some(homes) = registry.homes()
        && let Some(home) = homes.for_writes(name).await?
    {
        opened(registry, name, Some(home.as_ref().clone())).await?;
    }
    Ok(registry.backing_of(name).await?)
}

/// Waits while a row says that writes wait; answers the row that says so no more. One whose time has run out is opened by this: whoever closed it
/// may not have noticed (its machine slept, its clock stood still, its last write is on the way), and would switch past what is written now.
async fn opened(
    registry: &Registry,
    name: &RepositoryName,
    mut home: Option<Home>,
) -> Result<Option<Home>, RegistryError> {
    let Some(homes) = registry.homes() else { return Ok(home) };
    let until = Instant::now() + WAIT_MAX;
    while let Some(closed) = home.take_if(|home| matches!(home.migration.stage, Stage::Closing(_))) {
        if closed.migration.stage.is_closed(registry.parts().clock.now()) {
            if Instant::now() >= until {
                return Err(RegistryError::Moving(name.clone()));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        } else {
            let mut open = closed.clone();
            open.migration.stage = Stage::Copying;
            if let Some(generation) = homes.home_put(&open, Some(closed.generation)).await? {
                return Ok(Some(Home { generation, ..open }));
            }
        }
        home = homes.now(name).await?.map(|home| home.as_ref().clone());
    }
    Ok(home)
}

/// After a write to one backing has ended: where it has to be made once more, because another one answers now.
pub(crate) async fn written_elsewhere(
    registry: &Registry,
    name: &RepositoryName,
    here: &BackingName,
) -> Result<Option<BackingName>, RegistryError> {
    let Some(homes) = registry.homes() else { return Ok(None) };
    let Some(known) = homes.for_writes(name).await? else { return Ok(None) };
    if known.backing == *here && !known.migration.stage.may_switch() {
        return Ok(None);
    }
    let now = homes.now(name).await?.map(|home| home.as_ref().clone());
    let now = opened(registry, name, now).await?;
    Ok(now.map(|home| home.backing).filter(|backing| backing != here))
}

/// Sees to it that a manifest that was written to `here`, or could not be, is where the repository lies.
pub(super) async fn manifest_follow(
    registry: &Registry,
    name: &RepositoryName,
    here: &BackingName,
    pushed: &Pushed,
    tags: &[String],
    outcome: Result<(), RegistryError>,
) -> Result<(), RegistryError> {
    match outcome {
        Ok(()) => match written_elsewhere(registry, name, here).await? {
            Some(there) => manifest_write(registry, name, &there, pushed, tags).await,
            None => Ok(()),
        },
        Err(error) if error.is_content_missing() => {
            // Its blobs came before the move, to the backing that answered then.
            let Some(homes) = registry.homes() else { return Err(error) };
            match homes.now(name).await? {
                Some(home) if home.old().is_some() && home.backing == *here => {
                    manifest_write(registry, name, here, pushed, tags).await
                }
                _ => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

/// Writes a manifest to a backing, with those of its blobs that are in the old one only. The owner's rules and quota hold for it as for
/// any push: whoever waited for a switch is no exception.
pub(super) async fn manifest_write(
    registry: &Registry,
    name: &RepositoryName,
    there: &BackingName,
    pushed: &Pushed,
    tags: &[String],
) -> Result<(), RegistryError> {
    let of_end = |error| end_error(error, name);
    let end = registry.end(there, name).ok_or_else(|| unknown(there))?;
    let Pushed { document, bytes, digest } = pushed;
    let manifest = end_manifest(digest.clone(), document.media_type.clone(), bytes.to_vec()).map_err(of_end)?;
    // The embedded registry sees to them itself, in the unit of work that writes.
    #[cfg(feature = "ecr")]
    let reserved = match registry.backings().and_then(|all| all.get(there)) {
        Some(ecr) => super::ecr::manifest::allowed(ecr, name, pushed, tags).await?,
        None => None,
    };
    if let Some(homes) = registry.homes()
        && let Some(home) = homes.of(name).await?
        && let Some(old) = home.old().filter(|old| *old != there).and_then(|old| registry.end(old, name))
    {
        match blobs_follow(old.as_ref(), end.as_ref(), &manifest.blobs, &Counters::default()).await {
            // It has just been cleared: the new one says what it lacks.
            Err(CopyError::End(Side::From, EndError::NoRepository)) => {}
            followed => drop(followed.map_err(|error| RegistryError::Failed { source: error.into() })?),
        }
    }
    if tags.is_empty() {
        end.manifest_write(&manifest, None, None).await.map_err(of_end)?;
    }
    for tag in tags {
        end.manifest_write(&manifest, Some(tag), None).await.map_err(of_end)?;
    }
    #[cfg(feature = "ecr")]
    if let Some(reserved) = reserved {
        reserved.used();
    }
    tracing::info!(repository.name = %name, manifest.digest = %digest, "manifest {digest} of {name} follows to {there}");
    Ok(())
}

/// A row leads to a backing that the configuration has no more.
pub(super) fn unknown(backing: &BackingName) -> RegistryError {
    let why = format!("a repository lies in the registry `{backing}`, which the configuration does not have");
    RegistryError::Failed { source: why.into() }
}

fn end_error(error: EndError, name: &RepositoryName) -> RegistryError {
    match error {
        EndError::NoRepository => RegistryError::NameUnknown(name.clone()),
        EndError::Damaged { what } => RegistryError::ManifestInvalid(what),
        EndError::Refused { why } => RegistryError::Denied(why),
        EndError::Unavailable { source } => RegistryError::Failed { source },
    }
}

impl From<HomeStoreError> for RegistryError {
    fn from(error: HomeStoreError) -> Self {
        Self::Failed { source: BoxError::from(error) }
    }
}
