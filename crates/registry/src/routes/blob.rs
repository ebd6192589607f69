//! `/v2/<name>/blobs/<digest>` (spec.md, "Pulling blobs", "Deleting Blobs").

use axum::response::Response;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, LOCATION, RANGE};
use http::{Method, StatusCode};
use layer0_domain::model::access::Action;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;

use super::{Ask, CONTENT_DIGEST, denied_tag, digest, empty, etag, not_modified};
use crate::answers::Lasting;
use crate::blobs::Opened;
use crate::download;
use crate::error::RegistryError;
use crate::range::{Wanted, wanted};
use crate::registry::Registry;

pub(super) async fn serve(
    registry: &Registry,
    ask: &Ask,
    name: &str,
    reference: &str,
) -> Result<Response, RegistryError> {
    match ask.method {
        Method::GET | Method::HEAD => {
            let (name, _) = registry.admit(ask, name, &[Action::Pull], None).await?;
            read(registry, ask, &name, &digest(reference)?).await
        }
        Method::DELETE => {
            let (name, caller) = registry.admit(ask, name, &[Action::Delete], None).await?;
            if !caller.rights.may_all_tags(Action::Delete, (&name).into()) {
                return Err(denied_tag(&caller, Action::Delete, &name, reference));
            }
            delete(registry, &name, digest(reference)?).await
        }
        _ => Err(RegistryError::Method { allow: "GET, HEAD, DELETE" }),
    }
}

/// Answers GET and HEAD.
pub(super) async fn read(
    registry: &Registry,
    ask: &Ask,
    name: &RepositoryName,
    digest: &Digest,
) -> Result<Response, RegistryError> {
    match ask.method {
        Method::HEAD => head(registry, ask, name, digest).await,
        _ => get(registry, ask, name, digest).await,
    }
}

async fn head(
    registry: &Registry,
    ask: &Ask,
    name: &RepositoryName,
    digest: &Digest,
) -> Result<Response, RegistryError> {
    let parts = registry.parts();
    match parts.blobs.promise(name, digest, parts.config.blob_grace).await? {
        None => Err(registry.missing_in(name, RegistryError::BlobUnknown(digest.clone())).await),
        Some(_) if ask.has_already(digest) => Ok(not_modified(digest)),
        Some(size) => {
            let mut response = answer(StatusCode::OK, digest, size);
            response.extensions_mut().insert(Lasting(None));
            Ok(response)
        }
    }
}

pub(super) async fn get(
    registry: &Registry,
    ask: &Ask,
    name: &RepositoryName,
    digest: &Digest,
) -> Result<Response, RegistryError> {
    let parts = registry.parts();
    let blobs = &parts.blobs;
    if parts.config.redirect
        && !ask.has_already(digest)
        && let Some(address) = blobs.address(name, digest).await?
    {
        let length = (CONTENT_LENGTH, "0".to_owned());
        return Ok(empty(
            StatusCode::TEMPORARY_REDIRECT,
            [(LOCATION, address), length, (CONTENT_DIGEST, digest.to_string())],
        ));
    }
    let reader = match blobs.open_blob(name, digest).await? {
        Opened::Whole(reader) => reader,
        Opened::Damaged => return Err(RegistryError::BlobDamaged(digest.clone())),
        Opened::Missing => {
            return Err(registry.missing_in(name, RegistryError::BlobUnknown(digest.clone())).await);
        }
    };
    let size = reader.size();
    if ask.has_already(digest) {
        return Ok(not_modified(digest));
    }
    let (mut response, first, length) = part(ask, digest, size)?;
    let ended = || Some(registry.pull_ended(ask, name));
    *response.body_mut() = download::body(blobs, reader, first, length, ended).await?;
    Ok(response)
}

/// The head of an answer to a request for a blob of so many bytes, the first byte of what it asks for and how many there are.
pub(super) fn part(ask: &Ask, digest: &Digest, size: u64) -> Result<(Response, u64, u64), RegistryError> {
    // A range that was meant for other content gets the whole (RFC 9110, section 13.1.5).
    let same = ask.header(&IF_RANGE).is_none_or(|tag| tag == etag(digest));
    let range = match ask.header(&RANGE) {
        Some(header) if same => wanted(header, size),
        _ => Wanted::Whole,
    };
    match range {
        Wanted::Whole => Ok((answer(StatusCode::OK, digest, size), 0, size)),
        Wanted::Part { first, last } => {
            let length = last - first + 1;
            let mut response = answer(StatusCode::PARTIAL_CONTENT, digest, length);
            let range = format!("bytes {first}-{last}/{size}");
            response.headers_mut().insert(CONTENT_RANGE, range.parse().expect("numbers make a header value"));
            Ok((response, first, length))
        }
        Wanted::Unsatisfiable => Err(RegistryError::RangeUnsatisfiable { size }),
    }
}

/// The head of an answer about a blob, of which `length` bytes follow.
pub(super) fn answer(status: StatusCode, digest: &Digest, length: u64) -> Response {
    empty(
        status,
        [
            (CONTENT_TYPE, "application/octet-stream".to_owned()),
            (CONTENT_LENGTH, length.to_string()),
            (ACCEPT_RANGES, "bytes".to_owned()),
            (ETAG, etag(digest)),
            (CONTENT_DIGEST, digest.to_string()),
        ],
    )
}

async fn delete(registry: &Registry, name: &RepositoryName, digest: Digest) -> Result<Response, RegistryError> {
    if registry.parts().blobs.unlink(name.clone(), digest.clone()).await? {
        tracing::info!(repository.name = %name, blob.digest = %digest, "deleted blob {digest} from repository {name}");
        return Ok(empty(StatusCode::ACCEPTED, []));
    }
    Err(registry.missing_in(name, RegistryError::BlobUnknown(digest)).await)
}
