//! `/v2/<name>/manifests/<reference>` (spec.md, "Pulling manifests", "Pushing Manifests", "Deleting Manifests",
//! "Deleting tags").

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderName, Method, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use layer0_domain::model::access::{Action, Caller};
use layer0_domain::model::digest::{Algorithm, Digest};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::placement::BackingName;
use layer0_domain::model::registry::{ManifestContent, ManifestRef};
use layer0_domain::port::registry_store::{Along, RegistryStoreError};

use super::{Ask, CONTENT_DIGEST, denied_tag, digest, empty, etag, moving, not_modified};
use crate::answers::Lasting;
use crate::blocking::{blocking, to_the_end};
use crate::error::RegistryError;
use crate::manifest::checked::{self, LARGE, Stored};
use crate::manifest::document::{Document, MANIFEST_MAX};
use crate::manifest::resolve;
use crate::registry::Registry;
use crate::uploads::Patience;

const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const TAG: HeaderName = HeaderName::from_static("oci-tag");
/// At most so many tags in one `PUT`.
const TAGS_MAX: usize = 100;

pub(super) async fn serve(
    registry: &Registry,
    ask: &Ask,
    body: Body,
    name: &str,
    reference: &str,
) -> Result<Response, RegistryError> {
    match ask.method {
        Method::GET | Method::HEAD => {
            let (name, _) = registry.admit(ask, name, &[Action::Pull], None).await?;
            get(registry, ask, &name, parse(reference)?).await
        }
        Method::PUT => {
            let (name, caller) = registry.admit(ask, name, &[Action::Pull, Action::Push], None).await?;
            put(registry, ask, body, name, &caller, parse(reference)?).await
        }
        Method::DELETE => {
            let (name, caller) = registry.admit(ask, name, &[Action::Delete], None).await?;
            delete(registry, &name, &caller, parse(reference)?).await
        }
        _ => Err(RegistryError::Method { allow: "GET, HEAD, PUT, DELETE" }),
    }
}

/// Reads a reference: with a colon it is a digest, else a tag.
pub(crate) fn parse(reference: &str) -> Result<ManifestRef, RegistryError> {
    if reference.contains(':') {
        return digest(reference).map(ManifestRef::Digest);
    }
    tag(reference).map(ManifestRef::Tag)
}

/// A legal tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}` (spec.md, "Pulling manifests").
fn tag(text: &str) -> Result<String, RegistryError> {
    let legal = |(at, byte): (usize, u8)| {
        byte.is_ascii_alphanumeric() || byte == b'_' || (at > 0 && matches!(byte, b'.' | b'-'))
    };
    if (1..=128).contains(&text.len()) && text.bytes().enumerate().all(legal) {
        return Ok(text.to_owned());
    }
    Err(RegistryError::ManifestInvalid(
        "the reference is no tag (up to 128 letters, digits, underscores, periods and hyphens, the first no period or hyphen) and no digest".to_owned(),
    ))
}

/// A reference as it was written.
pub(super) fn shown(reference: &ManifestRef) -> String {
    match reference {
        ManifestRef::Tag(tag) => tag.clone(),
        ManifestRef::Digest(digest) => digest.to_string(),
    }
}

async fn get(
    registry: &Registry,
    ask: &Ask,
    name: &RepositoryName,
    reference: ManifestRef,
) -> Result<Response, RegistryError> {
    // `Accept` is not looked at: a manifest has one form, the one whose digest it is known by.
    let manifest = match checked::content(registry.parts().store.as_ref(), name, &reference).await? {
        Stored::Whole(manifest) => manifest,
        Stored::Damaged(ManifestContent { digest, .. }) => return Err(RegistryError::ManifestDamaged(digest)),
        Stored::Missing => {
            return Err(registry.missing_in(name, RegistryError::ManifestUnknown(shown(&reference))).await);
        }
    };
    let bytes = Bytes::from(manifest.bytes);
    let mut response = answer(ask, &manifest.digest, manifest.media_type, bytes.clone());
    response.extensions_mut().insert(Lasting((ask.method == Method::GET).then_some(bytes)));
    Ok(response)
}

/// The answer to a request for a manifest that is there.
pub(super) fn answer(ask: &Ask, digest: &Digest, media_type: String, bytes: Bytes) -> Response {
    if ask.has_already(digest) {
        return not_modified(digest);
    }
    let mut response = empty(
        StatusCode::OK,
        [
            (CONTENT_TYPE, media_type),
            (CONTENT_LENGTH, bytes.len().to_string()),
            (ETAG, etag(digest)),
            (CONTENT_DIGEST, digest.to_string()),
        ],
    );
    if ask.method == Method::GET {
        *response.body_mut() = Body::from(bytes);
    }
    response
}

async fn put(
    registry: &Registry,
    ask: &Ask,
    body: Body,
    name: RepositoryName,
    caller: &Caller,
    reference: ManifestRef,
) -> Result<Response, RegistryError> {
    let create = registry.to_make(&name).await?;
    let tags = may_push(ask, caller, &name, &reference)?;
    let (pushed, open) = ready(registry, ask, body, &name, &reference).await?;
    let here = BackingName::local();
    match open {
        there if there != here => moving::manifest_write(registry, &name, &there, &pushed, &tags).await?,
        _ => {
            let along = registry.along(ask, create);
            let put = keep(registry, &name, &pushed, &tags, &along).await;
            let is_written = put.is_ok();
            moving::manifest_follow(registry, &name, &here, &pushed, &tags, put).await?;
            if is_written {
                ask.wrote(&name, &along);
            }
        }
    }
    let Pushed { document, digest, .. } = pushed;
    let subject = document.subject;
    tracing::info!(repository.name = %name, manifest.digest = %digest, manifest.tags = ?tags, "stored manifest {digest} in {name} as {}", shown(&reference));

    let mut headers = vec![(LOCATION, format!("/v2/{name}/manifests/{digest}")), (CONTENT_DIGEST, digest.to_string())];
    headers.extend(subject.map(|subject| (SUBJECT, subject.to_string())));
    if matches!(reference, ManifestRef::Digest(_)) {
        headers.extend(tags.into_iter().map(|tag| (TAG, tag)));
    }
    Ok(empty(StatusCode::CREATED, headers))
}

/// Keeps a manifest and its tags here.
async fn keep(
    registry: &Registry,
    name: &RepositoryName,
    pushed: &Pushed,
    tags: &[String],
    along: &Along,
) -> Result<(), RegistryError> {
    let parts = registry.parts();
    let (document, bytes, digest) = (pushed.document.clone(), pushed.bytes.clone(), pushed.digest.clone());
    let now = parts.clock.now();
    let manifest = resolve(parts.store.as_ref(), &parts.blobs, name, document, bytes.into(), digest, now).await?;
    let (store, repository) = (std::sync::Arc::clone(&parts.store), name.clone());
    let (pointed, along) = (tags.to_vec(), along.clone());
    to_the_end(async move { store.manifest_put(&repository, &manifest, &pointed, &along).await })
        .await
        .map_err(RegistryError::from_io)?
        .map_err(|why| match why {
            why @ RegistryStoreError::TagImmutable { .. } => {
                RegistryError::Denied(format!("{why}: push under another tag"))
            }
            why => why.into(),
        })
}

/// The tags that a manifest is to get, all of which the caller may push to.
pub(super) fn may_push(
    ask: &Ask,
    caller: &Caller,
    name: &RepositoryName,
    reference: &ManifestRef,
) -> Result<Vec<String>, RegistryError> {
    let tags = tags(ask, reference)?;
    match tags.iter().find(|tag| !caller.rights.may_tag(Action::Push, name.into(), tag)) {
        Some(tag) => Err(denied_tag(caller, Action::Push, name, tag)),
        None => Ok(tags),
    }
}

/// Refuses a delete that the caller has no right to. A manifest goes with whatever tags point to it, so a right to some tags
/// is not enough for it.
pub(super) fn may_delete(caller: &Caller, name: &RepositoryName, reference: &ManifestRef) -> Result<(), RegistryError> {
    let may = match reference {
        ManifestRef::Tag(tag) => caller.rights.may_tag(Action::Delete, name.into(), tag),
        ManifestRef::Digest(_) => caller.rights.may_all_tags(Action::Delete, name.into()),
    };
    if may { Ok(()) } else { Err(denied_tag(caller, Action::Delete, name, &shown(reference))) }
}

/// A manifest that came, read and found to be what its digest says.
pub(super) struct Pushed {
    pub(super) document: Document,
    pub(super) bytes: Bytes,
    pub(super) digest: Digest,
}

/// Returns when all of a push is here and its repository may be written to, and says where that is; or when the right to push has ended.
pub(super) async fn ready(
    registry: &Registry,
    ask: &Ask,
    body: Body,
    name: &RepositoryName,
    reference: &ManifestRef,
) -> Result<(Pushed, BackingName), RegistryError> {
    let work = async {
        let pushed = pushed(ask, body, reference, registry.parts().config.body_idle).await?;
        Ok((pushed, moving::open_for_writes(registry, name).await?))
    };
    registry.while_allowed(ask, name, Action::Push, work).await?
}

/// All of a body. As for blobs, next to nothing of it may come for as long as `idle`.
async fn collected(mut body: Body, idle: Duration) -> Result<Bytes, RegistryError> {
    let (mut all, mut patience) = (BytesMut::new(), Patience::new(idle));
    loop {
        let data = match tokio::time::timeout_at(patience.until(), body.frame()).await {
            Err(_) => return Err(RegistryError::TooSlow),
            Ok(Some(Err(_))) => return Err(RegistryError::BodyBroken),
            Ok(None) => return Ok(all.freeze()),
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        };
        if all.len() + data.len() > MANIFEST_MAX {
            return Err(RegistryError::ManifestTooLarge { most: MANIFEST_MAX });
        }
        // Nearly all come in one piece.
        if all.is_empty() && body.is_end_stream() {
            return Ok(data);
        }
        patience.came(data.len());
        all.extend_from_slice(&data);
    }
}

/// Reads the body of a push.
async fn pushed(ask: &Ask, body: Body, reference: &ManifestRef, idle: Duration) -> Result<Pushed, RegistryError> {
    if ask.content_length().is_some_and(|length| length > MANIFEST_MAX as u64) {
        return Err(RegistryError::ManifestTooLarge { most: MANIFEST_MAX });
    }
    let content_type =
        ask.header(&CONTENT_TYPE).map(|text| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    let bytes = collected(body, idle).await?;
    let wanted = match reference {
        ManifestRef::Digest(digest) => Some(digest.clone()),
        ManifestRef::Tag(_) => {
            ask.query.iter().find(|(key, _)| key == "digest").map(|(_, value)| digest(value)).transpose()?
        }
    };
    let read = move || {
        let algorithm = wanted.as_ref().map_or(Algorithm::Sha256, Digest::algorithm);
        let found = algorithm.digest_of(&bytes);
        if let Some(wanted) = wanted.filter(|wanted| *wanted != found) {
            return Err(RegistryError::DigestMismatch { wanted, found });
        }
        let document = Document::parse(&bytes, content_type.as_deref())?;
        Ok(Pushed { document, bytes, digest: found })
    };
    if ask.content_length().is_some_and(|length| length <= LARGE) {
        read()
    } else {
        blocking(move || Ok(read())).await.map_err(RegistryError::from_io)?
    }
}

/// The tags that the manifest gets: the one in the path, or the `tag` parameters of a push by digest (specification
/// after 1.1).
fn tags(ask: &Ask, reference: &ManifestRef) -> Result<Vec<String>, RegistryError> {
    match reference {
        ManifestRef::Tag(tag) => Ok(vec![tag.clone()]),
        ManifestRef::Digest(_) => {
            let mut tags = ask
                .query
                .iter()
                .filter(|(key, _)| key == "tag")
                .map(|(_, value)| tag(value))
                .collect::<Result<Vec<_>, _>>()?;
            tags.sort();
            tags.dedup();
            if tags.len() > TAGS_MAX {
                return Err(RegistryError::BadRequest(format!("at most {TAGS_MAX} tags can be pushed at once")));
            }
            Ok(tags)
        }
    }
}

async fn delete(
    registry: &Registry,
    name: &RepositoryName,
    caller: &Caller,
    reference: ManifestRef,
) -> Result<Response, RegistryError> {
    may_delete(caller, name, &reference)?;
    if registry.manifest_remove(name, &reference).await? {
        return Ok(empty(StatusCode::ACCEPTED, []));
    }
    Err(registry.missing_in(name, RegistryError::ManifestUnknown(shown(&reference))).await)
}
