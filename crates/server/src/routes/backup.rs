//! `/admin/backup`: what a backup of the running instance is made of.

use std::error::Error;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use layer0_api::error::ErrorCode;
use layer0_api::types as wire;
use layer0_domain::model::access::Action;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::placement::BackingName;
use layer0_registry::is_passing;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Errors, created};
use crate::app::App;
use crate::auth::{OwnedPlace, SignedIn};
use crate::backups::{self, BackupError, ImagesLie, Reading, Running};
use crate::error::{ApiError, chain};
use crate::extract::{ApiPath, ApiQuery};
use crate::text_time::rfc3339;

/// Blobs of one page.
const PAGE: usize = 10_000;

/// How much of the state is read at once.
const STEP: usize = 256 << 10;

pub(super) fn router() -> OpenApiRouter<App> {
    let all = OpenApiRouter::new().routes(routes!(begin)).routes(routes!(end)).routes(routes!(state));
    all.routes(routes!(blobs)).routes(routes!(blob))
}

/// The backup of this id, for an admin.
fn found(app: &App, who: &SignedIn, id: &str) -> Result<Arc<Running>, ApiError> {
    who.must_administer()?;
    app.backups.find(id).ok_or_else(|| {
        ApiError::new(ErrorCode::BackupDoesNotExist, format!("no backup `{id}` is being made")).hint(
            "it was ended, nothing was asked of it for five minutes, or the server was started anew: begin another one",
        )
    })
}

/// Begin a backup
///
/// Copies the state of the instance as it is now, while all goes on, and keeps the bytes of all blobs that it names until the backup is
/// ended or nothing was asked of it for five minutes. It does not outlive the server. The state holds everything: hashes of tokens and
/// passwords, the signing key, the variables of deploys. Only where the state is in the data directory. Admins only.
#[utoipa::path(post, path = "/admin/backup", operation_id = "admin_backup", tag = "admin",
    responses((status = 201, body = wire::Backup, description = "The state is copied."), Errors))]
async fn begin(who: SignedIn, State(app): State<App>) -> Result<Response, ApiError> {
    who.must_administer()?;
    let settings = app.backups.settings().map_err(BackupError::Disk)?;
    let running = backups::begin(&app).await?;
    let names = app.registry.backing_names();
    let not_copied = names.iter().filter(|name| **name != BackingName::local()).map(ToString::to_string).collect();
    Ok(created(wire::Backup {
        backup_id: running.id.clone(),
        instance: app.identity.instance.clone(),
        instance_id: app.backups.instance_id.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        begun: rfc3339(running.begun),
        state_bytes: running.copy_bytes,
        blobs: u64::try_from(running.blobs.len()).unwrap_or(u64::MAX),
        blob_bytes: running.blobs.iter().fold(0, |sum, it| sum.saturating_add(it.held.size)),
        settings,
        not_copied,
        in_bucket: app.backups.images_lie == ImagesLie::InBucket,
    }))
}

/// End a backup
///
/// What was kept for it goes. One that has ended is no error. Admins only.
#[utoipa::path(delete, path = "/admin/backup/{id}", operation_id = "admin_backup_end", tag = "admin", params(("id" = String, Path)),
    responses((status = 200, description = "It has ended."), Errors))]
async fn end(who: SignedIn, State(app): State<App>, ApiPath(id): ApiPath<String>) -> Result<Json<()>, ApiError> {
    who.must_administer()?;
    app.backups.end(&id);
    Ok(Json(()))
}

/// The copy of the state
///
/// A SQLite database. Admins only.
#[utoipa::path(get, path = "/admin/backup/{id}/state", operation_id = "admin_backup_state", tag = "admin",
    params(("id" = String, Path)),
    responses((status = 200, content_type = "application/octet-stream", body = String, description = "The database."), Errors))]
async fn state(who: SignedIn, State(app): State<App>, ApiPath(id): ApiPath<String>) -> Result<Response, ApiError> {
    let running = found(&app, &who, &id)?;
    let (copy, length) = (Arc::clone(&running.copy), running.copy_bytes);
    let pieces = stream::try_unfold(0, move |offset| {
        let copy = Arc::clone(&copy);
        async move {
            let piece = tokio::task::spawn_blocking(move || piece(&copy, offset)).await.map_err(io::Error::other)??;
            let next = offset + u64::try_from(piece.len()).expect("a step is small");
            Ok::<_, io::Error>((!piece.is_empty()).then_some((piece, next)))
        }
    });
    Ok(streamed(&app, &who, running, Body::from_stream(pieces), Some(length)))
}

fn piece(copy: &File, offset: u64) -> io::Result<Bytes> {
    let mut piece = vec![0; STEP];
    let length = copy.read_at(&mut piece, offset)?;
    piece.truncate(length);
    Ok(piece.into())
}

/// The blobs that the state names
///
/// In byte order of their digests, 10,000 at most after `after`. Admins only.
#[utoipa::path(get, path = "/admin/backup/{id}/blobs", operation_id = "admin_backup_blobs", tag = "admin",
    params(("id" = String, Path), ("after" = Option<String>, Query)),
    responses((status = 200, body = wire::BackupBlobs, description = "A page."), Errors))]
async fn blobs(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(id): ApiPath<String>,
    ApiQuery(query): ApiQuery<wire::BackupBlobQuery>,
) -> Result<Json<wire::BackupBlobs>, ApiError> {
    let running = found(&app, &who, &id)?;
    let after = query.after.filter(|text| !text.is_empty()).map(|text| digest(&text)).transpose()?;
    let from = after.map_or(0, |after| running.blobs.partition_point(|it| it.held.digest <= after));
    let page = running.blobs[from..].iter().take(PAGE).map(|it| wire::BackupBlob {
        digest: it.held.digest.to_string(),
        size: it.held.size,
        damaged: it.held.damaged,
    });
    Ok(Json(wire::BackupBlobs { blobs: page.collect() }))
}

/// The bytes of a blob that the state names
///
/// As they lie there, compared with nothing: compare the digest. The answer breaks off when they can't be read; what it was is told when
/// they are asked for again: 503 and the like pass, 500 does not. Admins only.
#[utoipa::path(get, path = "/admin/backup/{id}/blob/{digest}", operation_id = "admin_backup_blob", tag = "admin",
    params(("id" = String, Path), ("digest" = String, Path)),
    responses((status = 200, content_type = "application/octet-stream", body = String, description = "The bytes."), Errors))]
async fn blob(
    who: SignedIn,
    State(app): State<App>,
    ApiPath((id, name)): ApiPath<(String, String)>,
) -> Result<Response, ApiError> {
    let running = found(&app, &who, &id)?;
    let name = digest(&name)?;
    let gone = || ApiError::new(ErrorCode::BlobDoesNotExist, format!("the bytes of {name} are not there"));
    let named = running.blobs.binary_search_by(|it| it.held.digest.cmp(&name)).map_err(|_| gone())?;
    let place = running.blobs[named].place.clone();
    if running.is_unreadable(&name) {
        return Err(unreadable(&name));
    }
    let body = app.registry.blob_raw(&name, place).await.map_err(|why| unread(&name, &why))?.ok_or_else(gone)?;
    // An answer that has begun can only break off, which does not say why: the next question has to.
    let noted = Arc::clone(&running);
    let pieces = body.into_data_stream().inspect_err(move |why| match io_error(why) {
        Some(why) if !is_passing(why) => {
            tracing::error!(blob.digest = %name, error = chain(why), "blob {name} can't be read to its end for a backup: {why}");
            noted.unreadable_note(&name);
        }
        _ => {}
    });
    Ok(streamed(&app, &who, running, Body::from_stream(pieces), None))
}

/// What is answered for bytes that can't be read, or not now: whoever makes a backup has to know which, since he writes down what is lost.
fn unread(name: &Digest, why: &io::Error) -> ApiError {
    if is_passing(why) {
        tracing::warn!(blob.digest = %name, error = chain(why), "blob {name} can't be read for a backup now: {why}");
        return ApiError::new(ErrorCode::StoreUnavailable, format!("the bytes of {name} can't be read now"))
            .hint("the server's log says why");
    }
    tracing::error!(blob.digest = %name, error = chain(why), "blob {name} can't be read for a backup: {why}");
    unreadable(name)
}

fn unreadable(name: &Digest) -> ApiError {
    ApiError::new(ErrorCode::UnexpectedError, format!("the bytes of {name} can't be read"))
}

/// What the system said, below all that was said of it.
fn io_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    let below = |error: &&'a (dyn Error + 'static)| (*error).source();
    std::iter::successors(Some(error), below).find_map(|error| error.downcast_ref())
}

fn digest(text: &str) -> Result<Digest, ApiError> {
    Digest::parse(text).map_err(|why| ApiError::value(format!("`{text}` is no digest: {why}")))
}

/// An answer that keeps the backup going while it is read, and breaks off when the right to it ends.
fn streamed(app: &App, who: &SignedIn, running: Arc<Running>, body: Body, length: Option<u64>) -> Response {
    let reading = Reading::new(running);
    let ended = Box::pin(who.ended(app, Action::Admin, OwnedPlace::new(None, "")));
    let pieces =
        stream::try_unfold((body.into_data_stream(), ended, reading), |(mut pieces, mut ended, reading)| async {
            tokio::select! {
                piece = pieces.next() => match piece {
                    Some(piece) => Ok(Some((piece.map_err(io::Error::other)?, (pieces, ended, reading)))),
                    None => Ok(None),
                },
                () = &mut ended => Err(io::Error::other("the right to it has ended")),
            }
        });
    let mut response = ([(CONTENT_TYPE, "application/octet-stream")], Body::from_stream(pieces)).into_response();
    if let Some(length) = length {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_no_loss() {
        let name = Digest::sha256_of(b"x");
        let status = |why: io::Error| unread(&name, &why).into_response().status().as_u16();
        assert_eq!(status(io::ErrorKind::TimedOut.into()), 503);
        assert_eq!(status(io::ErrorKind::PermissionDenied.into()), 503);
        assert_eq!(status(rustix::io::Errno::MFILE.into()), 503);
        assert_eq!(status(rustix::io::Errno::IO.into()), 500);
    }

    #[tokio::test]
    async fn what_the_system_said_is_found_below_a_body() {
        let broken = stream::iter([Err::<Bytes, io::Error>(rustix::io::Errno::IO.into())]);
        // As it comes out of a body that was made of another one's pieces.
        let mut pieces = Body::from_stream(Body::from_stream(broken).into_data_stream()).into_data_stream();
        let why = pieces.next().await.expect("a piece").expect_err("it is broken");
        assert_eq!(io_error(&why).and_then(io::Error::raw_os_error), Some(rustix::io::Errno::IO.raw_os_error()));
    }
}
