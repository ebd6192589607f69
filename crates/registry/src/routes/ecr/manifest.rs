//! `/v2/<name>/manifests/<reference>` of a repository in ECR.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderValue, LOCATION};
use http::{HeaderName, Method, StatusCode};
use layer0_domain::model::access::{Action, Caller};
use layer0_domain::model::digest::{Algorithm, Digest};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::ManifestRef;
use layer0_domain::port::registry_store::RegistryStoreError;

use super::{ask_for_push, copy, not_here};
use crate::ecr::images::{ACCEPTED, read, refusal};
use crate::ecr::replay::Replay;
use crate::ecr::upstream::Question;
use crate::ecr::{Ecr, Reserved, Taking};
use crate::error::RegistryError;
use crate::manifest::document::MANIFEST_MAX;
use crate::registry::Registry;
use crate::routes::manifest::{Pushed, may_delete, may_push, parse, ready, shown};
use crate::routes::{Ask, CONTENT_DIGEST, empty, etag, moving, not_modified};

/// Tries to read a manifest.
const TRIES: usize = 3;
const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const TAG: HeaderName = HeaderName::from_static("oci-tag");

pub(super) async fn serve(
    registry: &Registry,
    ecr: &Ecr,
    ask: &Ask,
    body: Body,
    name: &str,
    reference: &str,
) -> Result<Response, RegistryError> {
    match ask.method {
        Method::GET | Method::HEAD => {
            let (name, _) = registry.admit(ask, name, &[Action::Pull], None).await?;
            get(registry, ecr, ask, &name, parse(reference)?).await
        }
        Method::PUT => {
            let (name, caller) = registry.admit(ask, name, &[Action::Pull, Action::Push], None).await?;
            put(registry, ecr, ask, body, name, &caller, parse(reference)?).await
        }
        Method::DELETE => {
            let (name, caller) = registry.admit(ask, name, &[Action::Delete], None).await?;
            let reference = parse(reference)?;
            may_delete(&caller, &name, &reference)?;
            match registry.image_delete(&name, &reference).await {
                Ok(true) => return Ok(empty(StatusCode::ACCEPTED, [])),
                Ok(false) => {}
                // What an index names goes after the index: no right is missing.
                Err(RegistryStoreError::Refused { why }) => {
                    let (status, code) = (StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED");
                    return Err(RegistryError::Behind { status, code, message: why });
                }
                Err(error) => return Err(error.into()),
            }
            Err(registry.missing_in(&name, RegistryError::ManifestUnknown(shown(&reference))).await)
        }
        _ => Err(RegistryError::Method { allow: "GET, HEAD, PUT, DELETE" }),
    }
}

async fn get(
    registry: &Registry,
    ecr: &Ecr,
    ask: &Ask,
    name: &RepositoryName,
    reference: ManifestRef,
) -> Result<Response, RegistryError> {
    for _ in 0..TRIES {
        if let Some(response) = get_once(registry, ecr, ask, name, &reference).await? {
            return Ok(response);
        }
        tracing::warn!(repository.name = %name, "a manifest of {name} did not come whole from ECR");
    }
    Err(RegistryError::Away { source: "a manifest did not come whole from ECR".into() })
}

/// Reads a manifest whole before it goes on; `None` when it arrived by half, or is not what its digest says.
async fn get_once(
    registry: &Registry,
    ecr: &Ecr,
    ask: &Ask,
    name: &RepositoryName,
    reference: &ManifestRef,
) -> Result<Option<Response>, RegistryError> {
    let path = ecr.path(name, &format!("manifests/{}", shown(reference)));
    let mut question = Question::new(ask.method.clone(), path);
    // ECR looks at it: what it can't give in an accepted form is not there.
    for accepted in ask.headers.get_all(ACCEPT) {
        question.headers.append(ACCEPT, accepted.clone());
    }
    let wildcard = |value: &HeaderValue| value.as_bytes() == b"*/*";
    if question.headers.get_all(ACCEPT).iter().all(wildcard) {
        question.headers.insert(ACCEPT, ACCEPTED);
    }
    let answer = ecr.upstream().ask(question).await?;
    if answer.status() != StatusCode::OK {
        return Err(not_here(refusal(answer).await?, name, RegistryError::ManifestUnknown(shown(reference))));
    }
    let told = answer.headers().get(CONTENT_DIGEST).and_then(|value| Digest::parse(value.to_str().ok()?).ok());
    let digest = match (reference, told) {
        (ManifestRef::Digest(digest), _) => Some(digest.clone()),
        (ManifestRef::Tag(_), told) => told,
    };
    if let Some(digest) = digest.as_ref().filter(|digest| ask.has_already(digest)) {
        return Ok(Some(not_modified(digest)));
    }
    // Whoever asks for the head alone asks for the length: one without it did not come whole.
    if ask.method == Method::HEAD && !answer.headers().contains_key(CONTENT_LENGTH) {
        return Ok(None);
    }
    let known = digest.clone().map(|digest| [(ETAG, etag(&digest)), (CONTENT_DIGEST, digest.to_string())]);
    let mut response = empty(StatusCode::OK, known.into_iter().flatten());
    copy(&mut response, &answer, &[CONTENT_TYPE, CONTENT_LENGTH]);
    if ask.method == Method::GET {
        let Ok(bytes) = read(answer, MANIFEST_MAX).await else { return Ok(None) };
        if digest.is_some_and(|digest| digest.algorithm().digest_of(&bytes) != digest) {
            return Ok(None);
        }
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        *response.body_mut() = registry.while_pulled(ask, name, Body::from(bytes));
    }
    Ok(Some(response))
}

async fn put(
    registry: &Registry,
    ecr: &Ecr,
    ask: &Ask,
    body: Body,
    name: RepositoryName,
    caller: &Caller,
    reference: ManifestRef,
) -> Result<Response, RegistryError> {
    let tags = may_push(ask, caller, &name, &reference)?;
    let (pushed, open) = ready(registry, ask, body, &name, &reference).await?;
    let mut subject = pushed.document.subject.as_ref().map(ToString::to_string);
    match registry.backings().and_then(|all| all.get(&open)) {
        Some(there) if there.is(ecr) => {
            let put = keep(registry, ecr, &name, &pushed, &tags).await;
            let put = put.map(|noted| subject = noted);
            moving::manifest_follow(registry, &name, &open, &pushed, &tags, put).await?;
        }
        _ => moving::manifest_write(registry, &name, &open, &pushed, &tags).await?,
    }
    let digest = pushed.digest;
    tracing::info!(repository.name = %name, manifest.digest = %digest, manifest.tags = ?tags, "stored manifest {digest} in {name} as {}, in ECR", shown(&reference));
    // ECR sends no location.
    let mut headers = vec![(LOCATION, format!("/v2/{name}/manifests/{digest}")), (CONTENT_DIGEST, digest.to_string())];
    headers.extend(subject.map(|subject| (SUBJECT, subject)));
    if matches!(reference, ManifestRef::Digest(_)) {
        headers.extend(tags.into_iter().map(|tag| (TAG, tag)));
    }
    Ok(empty(StatusCode::CREATED, headers))
}

/// Refuses what the owner's rules of immutable tags and quota do not allow, which ECR knows nothing of; answers the room that was
/// taken for it.
pub(in crate::routes) async fn allowed(
    ecr: &Ecr,
    name: &RepositoryName,
    pushed: &Pushed,
    tags: &[String],
) -> Result<Option<Reserved>, RegistryError> {
    let Pushed { document, bytes, digest } = pushed;
    if digest.algorithm() != Algorithm::Sha256 {
        return Err(RegistryError::DigestInvalid("ECR knows manifests by their sha256 only".to_owned()));
    }
    for tag in tags {
        ecr.may_point(name, tag, digest).await?;
    }
    let needs = document.blobs.iter().map(|blob| blob.size).fold(bytes.len() as u64, u64::saturating_add);
    Ok(ecr.reserve(name, digest, needs).await?)
}

/// Puts a manifest under its tags, or its digest where it has none; answers the subject that ECR has taken note of.
async fn keep(
    registry: &Registry,
    ecr: &Ecr,
    name: &RepositoryName,
    pushed: &Pushed,
    tags: &[String],
) -> Result<Option<String>, RegistryError> {
    let Pushed { document, bytes, digest } = pushed;
    let reserved = allowed(ecr, name, pushed, tags).await?;
    // ECR points one tag at a time.
    let places = if tags.is_empty() { vec![digest.to_string()] } else { tags.to_vec() };
    let mut subject = None;
    for place in &places {
        subject = put_at(registry, ecr, name, place, &document.media_type, bytes).await?;
    }
    if let Some(reserved) = reserved {
        reserved.used();
    }
    Ok(subject)
}

/// Puts a manifest under one tag, or its digest; answers the subject that ECR has taken note of.
async fn put_at(
    registry: &Registry,
    ecr: &Ecr,
    name: &RepositoryName,
    place: &str,
    media_type: &str,
    bytes: &Bytes,
) -> Result<Option<String>, RegistryError> {
    let question = || {
        Question::new(Method::PUT, ecr.path(name, &format!("manifests/{place}")))
            .with(CONTENT_TYPE, HeaderValue::from_str(media_type).ok().as_ref())
            .with(CONTENT_LENGTH, Some(&HeaderValue::from(bytes.len())))
            .body(Replay::of(bytes.clone()))
            .repeatable()
    };
    let answer = ask_for_push(registry, ecr, name, Taking::Manifest, question).await?;
    let subject = answer.headers().get(SUBJECT).and_then(|value| value.to_str().ok());
    Ok(subject.map(str::to_owned))
}
