//! `/v2/<name>/blobs/uploads/` (spec.md, "Pushing blobs", "Mounting a blob from another repository").

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_RANGE, LOCATION, RANGE};
use http::{HeaderName, Method, StatusCode};
use layer0_domain::model::access::{Action, Caller};
use layer0_domain::model::digest::{Algorithm, Digest};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::Visibility;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::blob_bytes::Settling;
use layer0_domain::port::registry_store::{Along, Room};

use super::{Ask, created, digest, empty, scope};
use crate::error::RegistryError;
use crate::gate::Admission;
use crate::range;
use crate::registry::Registry;
use crate::uploads::{Claim, Held, Push, Relief, Share, Then, Upload, UploadId, receive};

/// Older clients match requests to uploads by it.
const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");
/// What a push needs: clients look at what is there before they push.
const PUSH: [Action; 2] = [Action::Pull, Action::Push];

/// `POST`: begins an upload, takes a whole blob (`?digest=`), or mounts one (`?mount=`).
pub(super) async fn begin(registry: &Registry, ask: &Ask, body: Body, name: &str) -> Result<Response, RegistryError> {
    let from = ask.param("from").and_then(|from| RepositoryName::parse(from).ok());
    let (name, caller) = registry.admit(ask, name, &PUSH, from.as_ref()).await?;
    let create = registry.to_make(&name).await?;
    let share = room(registry, ask, &name).await?;
    if let Some(mount) = ask.param("mount") {
        // What can't be mounted is uploaded: the specification wants a new upload as the answer, whatever the reason.
        if let Ok(digest) = Digest::parse(mount)
            && let Some(response) = try_mount(registry, ask, &caller, (&name, create), &digest, from).await?
        {
            return Ok(response);
        }
        return open(registry, ask, (&name, create), share, Algorithm::Sha256).await;
    }
    if let Some(wanted) = ask.param("digest") {
        let wanted = digest(wanted)?;
        return whole(registry, ask, body, (&name, create), share, wanted).await;
    }
    let algorithm = match ask.param("digest-algorithm") {
        None | Some("sha256") => Algorithm::Sha256,
        Some("sha512") => Algorithm::Sha512,
        Some(other) => {
            return Err(RegistryError::DigestInvalid(format!(
                "the digest algorithm {other:?} is not known; sha256 and sha512 are"
            )));
        }
    };
    open(registry, ask, (&name, create), share, algorithm).await
}

/// Refuses early what the owner's quota can't take; the write of the blob decides. Answers what the upload's bytes count with.
async fn room(registry: &Registry, ask: &Ask, name: &RepositoryName) -> Result<Share, RegistryError> {
    let room = registry.parts().store.room(name).await?;
    has_room(ask, name, room.map(Room::left))?;
    Ok(registry.parts().uploads.share(name, room))
}

/// What makes room for a push that finds none.
fn relief<'a>(registry: &'a Registry, name: &'a RepositoryName) -> Option<Relief<'a>> {
    let parts = registry.parts();
    Some(Relief { uploads: &parts.uploads, store: &*parts.store, repository: name })
}

/// Whether something may be begun where so much room is left.
pub(super) fn has_room(ask: &Ask, name: &RepositoryName, room: Option<u64>) -> Result<(), RegistryError> {
    // A mount or a digest names a blob that may count for the owner already.
    let known = ask.param("mount").is_some() || ask.param("digest").is_some();
    match room {
        Some(0) if !known => Err(RegistryError::Denied(format!(
            "the quota of owner {} is used up: delete images, or have it raised (`l0 owner update`)",
            name.owner()
        ))),
        _ => Ok(()),
    }
}

/// A repository that is pushed to, and the moment at which it is made if it isn't there.
type To<'a> = (&'a RepositoryName, Option<Timestamp>);

/// Answers with a new upload.
async fn open(
    registry: &Registry,
    ask: &Ask,
    (name, create): To<'_>,
    share: Share,
    algorithm: Algorithm,
) -> Result<Response, RegistryError> {
    registry.make(ask, name, create).await?;
    let parts = registry.parts();
    let id = UploadId::new(parts.clock.random(), name);
    parts.uploads.begin(id.clone(), algorithm, share, parts.clock.now()).await?;
    Ok(status(StatusCode::ACCEPTED, name, &id, 0))
}

/// A whole blob in one `POST`. The client never learns the upload's name, so it ends with the request, whatever comes.
async fn whole(
    registry: &Registry,
    ask: &Ask,
    body: Body,
    (name, create): To<'_>,
    share: Share,
    wanted: Digest,
) -> Result<Response, RegistryError> {
    let parts = registry.parts();
    let id = UploadId::new(parts.clock.random(), name);
    let upload = parts.uploads.begin_private(id, wanted.algorithm(), share, parts.clock.now()).await?;
    let expected = ask.content_length();
    let (idle, relief) = (parts.config.body_idle, relief(registry, name));
    let receiving = receive(upload.hold()?, body, None, expected, Then::Finish, idle, relief);
    let (held, received) = match registry.while_allowed(ask, name, Action::Push, receiving).await {
        Ok(done) => done,
        Err(error) => {
            if let Ok(held) = upload.hold() {
                upload.cancel(held).await;
            }
            return Err(error);
        }
    };
    if let Err(error) = received {
        upload.cancel(held).await;
        return Err(error);
    }
    let push = push(registry, ask, (name, create));
    let along = push.along.clone();
    let size = upload.finish(held, Claim::Said(wanted.clone()), push, &parts.blobs).await?;
    Ok(finished(ask, name, &along, &wanted, size))
}

/// Mounts, if the caller may read the blob somewhere; `None` when not.
///
/// A credential that does not cover the source, of a caller who may read it, is answered with a challenge for both
/// repositories: some clients (regctl) ask for the second one only then, and would upload what is here already.
async fn try_mount(
    registry: &Registry,
    ask: &Ask,
    caller: &Caller,
    (to, create): To<'_>,
    digest: &Digest,
    from: Option<RepositoryName>,
) -> Result<Option<Response>, RegistryError> {
    let parts = registry.parts();
    let named = ask.param("from").is_some();
    let candidates = match from {
        Some(from) => vec![from],
        // A source was named that can't be: no reason to look elsewhere.
        None if named => Vec::new(),
        None => parts.store.blob_holders(digest).await?.into_iter().map(|(holder, _)| holder).collect(),
    };
    for from in candidates {
        // What the caller may push to, it was admitted to pull from too.
        let by_right = from == *to || caller.rights.may(Action::Pull, (&from).into());
        // As its pulls would be judged, wherever it lies now.
        if !by_right && registry.repository_visibility(&from).await? != Visibility::Public {
            // Somebody whose token was made for another scope may get one for this.
            if named
                && let Admission::Challenge =
                    parts.gate.admit(&ask.headers, ask.peer, Some((&from, &[Action::Pull]))).await
            {
                return Err(registry.challenge(ask, Some(&scope(to, &PUSH, Some(&from)))));
            }
            continue;
        }
        let along = registry.along(ask, create);
        let mounted = parts.blobs.mount(from.clone(), to.clone(), digest.clone(), parts.clock.now(), along.clone());
        if mounted.await? {
            ask.wrote(to, &along);
            tracing::info!(repository.name = %to, blob.digest = %digest, "mounted blob {digest} from {from} into {to}");
            return Ok(Some(created(location_of(to, digest), digest)));
        }
    }
    Ok(None)
}

/// Everything on an upload that was begun.
pub(super) async fn serve(
    registry: &Registry,
    ask: &Ask,
    body: Body,
    name: &str,
    id: &str,
) -> Result<Response, RegistryError> {
    let (name, _) = registry.admit(ask, name, &PUSH, None).await?;
    let parts = registry.parts();
    let id = UploadId::parse(id, &name).ok_or(RegistryError::UploadUnknown)?;
    let now = parts.clock.now();
    let upload = match parts.uploads.known(&id, now) {
        Some(upload) => upload,
        None => {
            let share = parts.uploads.share(&name, parts.store.room(&name).await?);
            parts.uploads.find(&id, share, now).await?
        }
    };
    match ask.method {
        Method::PATCH => {
            let (held, _) = append(registry, ask, body, &name, &id, &upload).await?;
            Ok(status(StatusCode::ACCEPTED, &name, &id, held.offset()))
        }
        Method::PUT => {
            let wanted = ask
                .param("digest")
                .ok_or_else(|| RegistryError::DigestInvalid("the parameter digest is missing".to_owned()))?;
            let wanted = digest(wanted)?;
            upload.hold()?.expect(wanted.algorithm());
            let (held, _) = append(registry, ask, body, &name, &id, &upload).await?;
            let push = push(registry, ask, (&name, None));
            let along = push.along.clone();
            let size = parts.uploads.finish(id, held, Claim::Said(wanted.clone()), push, &parts.blobs).await?;
            Ok(finished(ask, &name, &along, &wanted, size))
        }
        Method::DELETE => {
            parts.uploads.cancel(&id, upload.hold()?).await;
            given_up(&name);
            Ok(empty(StatusCode::NO_CONTENT, []))
        }
        _ => {
            // One that is being written to here is as it is shown; any other may have gone on at another server.
            if let Ok(held) = upload.hold() {
                parts.uploads.refresh(&id, held).await?;
            }
            Ok(status(StatusCode::NO_CONTENT, &name, &id, upload.offset()))
        }
    }
}

/// Logs that an upload ended before its time because its client said so.
pub(super) fn given_up(name: &RepositoryName) {
    tracing::info!(repository.name = %name, "an upload to {name} was given up");
}

/// Appends a request's body; a `Content-Range` must fit.
async fn append(
    registry: &Registry,
    ask: &Ask,
    body: Body,
    name: &RepositoryName,
    id: &UploadId,
    upload: &Arc<Upload>,
) -> Result<(Held, u64), RegistryError> {
    let parts = registry.parts();
    let mut held = upload.hold()?;
    let length = ask.content_length();
    let announced = match ask.headers.get(CONTENT_RANGE) {
        None => None,
        Some(header) => {
            let chunk = header.to_str().ok().and_then(range::chunk);
            if chunk.is_some_and(|(first, _)| first != held.offset()) {
                // Another server may have got what comes before it.
                (held, _) = parts.uploads.refresh(id, held).await?;
            }
            let offset = held.offset();
            let Some((first, last)) = chunk.filter(|(first, _)| *first == offset) else {
                return Err(RegistryError::OutOfOrder { location: location(name, id), range: shown(offset) });
            };
            Some((last - first).saturating_add(1))
        }
    };
    if let (Some(announced), Some(length)) = (announced, length)
        && announced != length
    {
        return Err(RegistryError::SizeInvalid(format!(
            "the Content-Range has {announced} bytes, the Content-Length says {length}"
        )));
    }
    // What ends an upload settles nothing: all of it is completed at once.
    let then = match ask.method {
        Method::PATCH if parts.uploads.are_shared() => {
            Then::Settle(if announced.is_some() { Settling::Chunk } else { Settling::Whole })
        }
        Method::PATCH => Then::Rest,
        _ => Then::Finish,
    };
    let receiving = receive(held, body, announced, length, then, parts.config.body_idle, relief(registry, name));
    let (held, received) = registry.while_allowed(ask, name, Action::Push, receiving).await?;
    // It may have taken hours: its age counts from its last byte.
    parts.uploads.known(id, parts.clock.now());
    match received {
        Ok(count) => Ok((held, count)),
        Err(error) => {
            if held.is_gone() {
                parts.uploads.forget(id);
            }
            Err(error)
        }
    }
}

/// Where an upload goes as a blob.
fn push(registry: &Registry, ask: &Ask, (name, create): To<'_>) -> Push {
    Push { repository: name.clone(), at: registry.parts().clock.now(), along: registry.along(ask, create) }
}

/// The answer to who has finished an upload: the blob is in the repository, durable.
fn finished(ask: &Ask, name: &RepositoryName, along: &Along, wanted: &Digest, size: u64) -> Response {
    ask.wrote(name, along);
    tracing::info!(repository.name = %name, blob.digest = %wanted, blob.size = size, "stored blob {wanted} ({size} bytes) in {name}");
    created(location_of(name, wanted), wanted)
}

fn location(name: &RepositoryName, id: &UploadId) -> String {
    format!("/v2/{name}/blobs/uploads/{id}")
}

fn location_of(name: &RepositoryName, digest: &Digest) -> String {
    format!("/v2/{name}/blobs/{digest}")
}

/// The `Range` of an upload: first and last byte. An empty one is written `0-0` too, as the distribution project does
/// and docker's parser needs; only the status of an upload that holds one byte is ambiguous by that.
fn shown(offset: u64) -> String {
    format!("0-{}", offset.saturating_sub(1))
}

fn status(code: StatusCode, name: &RepositoryName, id: &UploadId, offset: u64) -> Response {
    let mut response =
        empty(code, [(LOCATION, location(name, id)), (RANGE, shown(offset)), (UPLOAD_UUID, id.to_string())]);
    *response.body_mut() = Body::empty();
    response
}
