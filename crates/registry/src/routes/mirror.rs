//! Requests on repositories that mirror another registry: reads are answered from here or from the upstream, nothing is pushed,
//! and what was kept can be deleted as everywhere; the next pull gets it again.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_TYPE, HeaderValue, LINK, WARNING};
use http::{Method, StatusCode};
use layer0_domain::model::access::Action;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::Manifest;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Ask, blob, digest, json as answer, manifest, not_modified, tags};
use crate::error::RegistryError;
use crate::manifest::document::OCI_INDEX;
use crate::mirror::stream::Opened;
use crate::mirror::{Mirror, Mirrors};
use crate::path::Target;
use crate::registry::Registry;

/// Serves a request on a mirrored repository.
pub(super) async fn serve(
    registry: &Registry,
    mirrors: &Mirrors,
    mirror: &Arc<Mirror>,
    ask: &Ask,
    body: Body,
    target: Target,
) -> Result<Response, RegistryError> {
    let is_read = ask.method == Method::GET || ask.method == Method::HEAD;
    // Whoever this is: a server that asks itself shows its upstream's credentials, if any, which are good for nothing here.
    if is_read && mirrors.is_own(&ask.headers) {
        return Err(RegistryError::Upstream {
            status: StatusCode::LOOP_DETECTED,
            code: "UNSUPPORTED",
            message: "this server asked itself: the upstream of a mirror leads back here".to_owned(),
            retry_after: None,
        });
    }
    match target {
        Target::Manifest { name, reference } if is_read => {
            let (name, _) = registry.admit(ask, &name, &[Action::Pull], None).await?;
            let served = mirrors.manifest(registry, mirror, &name, &manifest::parse(&reference)?).await?;
            let Manifest { digest, media_type, bytes, .. } = served.manifest.as_ref().clone();
            let mut response = manifest::answer(ask, &digest, media_type, bytes.into());
            if let Some(why) = served.stale {
                warn(&mut response, &why);
            }
            Ok(response)
        }
        Target::Blob { name, digest: text } if is_read => {
            let (name, _) = registry.admit(ask, &name, &[Action::Pull], None).await?;
            let digest = digest(&text)?;
            match blob::read(registry, ask, &name, &digest).await {
                Err(error) if error.is_missing() => {}
                answered => return answered,
            }
            match ask.method {
                Method::HEAD => blob_head(mirrors, mirror, ask, &name, &digest).await,
                _ => blob_get(registry, mirrors, mirror, ask, &name, &digest).await,
            }
        }
        Target::Manifest { name, reference } if ask.method == Method::DELETE => {
            manifest::serve(registry, ask, body, &name, &reference).await
        }
        Target::Blob { name, digest } => blob::serve(registry, ask, &name, &digest).await,
        Target::Tags { name } => tag_list(registry, mirror, ask, &name).await,
        Target::Referrers { name, digest } => referrer_list(registry, mirror, ask, &name, &digest).await,
        Target::Manifest { name, .. } | Target::Uploads { name } | Target::Upload { name, .. } => {
            let (name, _) = registry.admit(ask, &name, &[Action::Pull, Action::Push], None).await?;
            Err(RegistryError::Denied(format!(
                "{name} mirrors {}: what is there is pulled from there, and nothing is pushed to it",
                mirror.settings.upstream
            )))
        }
        // Without a repository.
        Target::Base | Target::Catalog => Err(RegistryError::PathUnknown),
    }
}

/// Says that an answer may be out of date (RFC 7234, section 5.5.1: newer standards have no such word, clients ignore it).
fn warn(response: &mut Response, why: &str) {
    let why: String =
        why.chars().filter(|c| c.is_ascii() && !c.is_ascii_control() && !matches!(c, '"' | '\\')).collect();
    if let Ok(value) = HeaderValue::from_str(&format!("110 layer0 \"{why}\"")) {
        response.headers_mut().insert(WARNING, value);
    }
}

/// The upstream's tags; those that are here while it fails.
async fn tag_list(registry: &Registry, mirror: &Mirror, ask: &Ask, text: &str) -> Result<Response, RegistryError> {
    #[derive(Deserialize)]
    struct Tags {
        tags: Option<Vec<String>>,
    }
    let (name, _) = registry.admit(ask, text, &[Action::Pull], None).await?;
    let path = "tags/list";
    let listing = match mirror.listing(&name, path, ask.uri.query()).await {
        Ok(listing) => listing,
        Err(refusal) if refusal.is_passing() => {
            let mut response =
                tags::list(registry, ask, text).await.map_err(|_| refusal.clone().into_error("NAME_UNKNOWN"))?;
            warn(&mut response, &refusal.to_string());
            return Ok(response);
        }
        Err(refusal) => return Err(refusal.into_error("NAME_UNKNOWN")),
    };
    let read: Tags = serde_json::from_slice(&listing.body).map_err(|why| no_list(mirror, "tags", &why))?;
    let body = json!({ "name": name.as_str(), "tags": read.tags.unwrap_or_default() }).to_string();
    let mut response = answer(StatusCode::OK, body);
    link(&mut response, &format!("/v2/{name}/{path}"), listing.next.as_deref());
    Ok(response)
}

/// An upstream sent something else than a list.
fn no_list(mirror: &Mirror, of: &str, why: &serde_json::Error) -> RegistryError {
    RegistryError::Upstream {
        status: StatusCode::BAD_GATEWAY,
        code: "UNAVAILABLE",
        message: format!("upstream {} sent no list of {of}: {why}", mirror.settings.upstream.host()),
        retry_after: None,
    }
}

/// An image index (image-spec, "OCI Image Index Specification"), with all that stands in it.
#[derive(Serialize, Deserialize)]
struct Index {
    manifests: Vec<serde_json::Map<String, Value>>,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

/// What the upstream knows of a manifest. Not what is here: an empty list would say that nobody has signed the image.
async fn referrer_list(
    registry: &Registry,
    mirror: &Mirror,
    ask: &Ask,
    name: &str,
    subject: &str,
) -> Result<Response, RegistryError> {
    let (name, _) = registry.admit(ask, name, &[Action::Pull], None).await?;
    let path = format!("referrers/{}", digest(subject)?);
    let listing = mirror.listing(&name, &path, ask.uri.query()).await;
    let listing = listing.map_err(|refusal| refusal.into_error("MANIFEST_UNKNOWN"))?;
    // Passed on as what it is, or not at all: whatever else an upstream may send would come from this host then.
    let read: Index = serde_json::from_slice(&listing.body).map_err(|why| no_list(mirror, "referrers", &why))?;
    let mut response = answer(StatusCode::OK, json!(read).to_string());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(OCI_INDEX));
    response.headers_mut().extend(listing.headers);
    link(&mut response, &format!("/v2/{name}/{path}"), listing.next.as_deref());
    Ok(response)
}

/// The link to the next page, here.
fn link(response: &mut Response, path: &str, query: Option<&str>) {
    let next = query.and_then(|query| HeaderValue::from_str(&format!("<{path}?{query}>; rel=\"next\"")).ok());
    if let Some(next) = next {
        response.headers_mut().insert(LINK, next);
    }
}

/// The head of a blob that is not here.
async fn blob_head(
    mirrors: &Mirrors,
    mirror: &Arc<Mirror>,
    ask: &Ask,
    name: &RepositoryName,
    digest: &Digest,
) -> Result<Response, RegistryError> {
    let size = mirrors.size(mirror, name, digest).await.map_err(|refusal| refusal.into_error("BLOB_UNKNOWN"))?;
    if ask.has_already(digest) {
        return Ok(not_modified(digest));
    }
    Ok(blob::answer(StatusCode::OK, digest, size))
}

/// A blob that was not here a moment ago: fetched, passed on and kept.
async fn blob_get(
    registry: &Registry,
    mirrors: &Mirrors,
    mirror: &Arc<Mirror>,
    ask: &Ask,
    name: &RepositoryName,
    digest: &Digest,
) -> Result<Response, RegistryError> {
    let refused = |refusal: crate::mirror::refusal::Refusal| refusal.into_error("BLOB_UNKNOWN");
    let fill = mirrors.fill(registry, mirror, name, digest);
    let size = match fill.opened().await.map_err(refused)? {
        Opened::Here => return blob::read(registry, ask, name, digest).await,
        Opened::Coming { size } => size,
    };
    if ask.has_already(digest) {
        return Ok(not_modified(digest));
    }
    let (mut response, first, length) = blob::part(ask, digest, size)?;
    let end = first + length;
    // The last byte is what is held back: who does not ask for it waits.
    if end < size || length == 0 {
        fill.proven().await.map_err(refused)?;
    }
    *response.body_mut() = registry.while_pulled(ask, name, fill.body(first, end));
    Ok(response)
}
