//! `/v2/<name>/blobs/<digest>` of a repository in ECR.

use axum::response::Response;
use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderValue, IF_RANGE, LOCATION, RANGE,
};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use layer0_domain::model::access::Action;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;

use super::{chosen, copy, not_here};
use crate::ecr::images::{refusal, streamed};
use crate::ecr::upstream::Question;
use crate::ecr::{Blobs, Ecr};
use crate::error::RegistryError;
use crate::registry::Registry;
use crate::routes::{Ask, CONTENT_DIGEST, digest, empty, etag, not_modified};

pub(super) async fn serve(
    registry: &Registry,
    ecr: &Ecr,
    ask: &Ask,
    name: &str,
    reference: &str,
) -> Result<Response, RegistryError> {
    match ask.method {
        Method::GET | Method::HEAD => {
            let (name, _) = registry.admit(ask, name, &[Action::Pull], None).await?;
            get(registry, ecr, ask, &name, &digest(reference)?).await
        }
        // ECR has no such request: it takes layers away by itself some time after the last image with them is gone.
        Method::DELETE => {
            registry.admit(ask, name, &[Action::Delete], None).await?;
            Err(RegistryError::Method { allow: "GET, HEAD" })
        }
        _ => Err(RegistryError::Method { allow: "GET, HEAD" }),
    }
}

async fn get(
    registry: &Registry,
    ecr: &Ecr,
    ask: &Ask,
    name: &RepositoryName,
    digest: &Digest,
) -> Result<Response, RegistryError> {
    let is_head = ask.method == Method::HEAD;
    let mut question = Question::new(ask.method.clone(), ecr.path(name, &format!("blobs/{digest}")));
    let ranges = chosen(ask, &[RANGE, IF_RANGE]);
    question.headers = ranges.clone();
    let mut answer = ecr.upstream().ask(question).await?;
    if ecr.blobs() == Blobs::Streamed && !is_head {
        answer = ecr.followed(answer, &ranges).await?;
    }
    match answer.status() {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT if ask.has_already(digest) => Ok(not_modified(digest)),
        status @ (StatusCode::OK | StatusCode::PARTIAL_CONTENT) => {
            let mut response = head(status, digest);
            copy(&mut response, &answer, &[CONTENT_LENGTH, CONTENT_RANGE, ACCEPT_RANGES]);
            // Some proxies drop it from the answer to a `HEAD`, and docker takes the size of a layer from there.
            if is_head && !response.headers().contains_key(CONTENT_LENGTH) {
                let size = measured(ecr, name, digest).await?;
                response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(size));
            }
            if !is_head {
                *response.body_mut() = registry.while_pulled(ask, name, streamed(answer));
            }
            Ok(response)
        }
        // Where ECR sends the client for the bytes. The address is signed for this blob alone, and for minutes.
        status if status.is_redirection() => {
            let mut response = empty(status, [(CONTENT_DIGEST, digest.to_string())]);
            copy(&mut response, &answer, &[LOCATION]);
            Ok(response)
        }
        StatusCode::RANGE_NOT_SATISFIABLE => {
            let size = total(answer.headers()).unwrap_or_default();
            Err(RegistryError::RangeUnsatisfiable { size })
        }
        _ => Err(not_here(refusal(answer).await?, name, RegistryError::BlobUnknown(digest.clone()))),
    }
}

/// How large a blob is, where its head does not say: what a read of it says, or brings.
async fn measured(ecr: &Ecr, name: &RepositoryName, digest: &Digest) -> Result<u64, RegistryError> {
    let question = Question::new(Method::GET, ecr.path(name, &format!("blobs/{digest}")));
    let answer = ecr.followed(ecr.upstream().ask(question).await?, &HeaderMap::new()).await?;
    if answer.status() != StatusCode::OK {
        let source = format!("the size of {digest} was asked for, and the answer was {}", answer.status()).into();
        return Err(RegistryError::Away { source });
    }
    let mut body = answer.into_body();
    let Some(size) = body.size_hint().exact() else {
        let mut size = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|source| RegistryError::Away { source: source.into() })?;
            size += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        return Ok(size);
    };
    Ok(size)
}

/// The size of the whole, out of `Content-Range: bytes */SIZE`.
fn total(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_RANGE)?.to_str().ok()?.rsplit_once('/')?.1.parse().ok()
}

fn head(status: StatusCode, digest: &Digest) -> Response {
    let mut response = empty(status, [(ETAG, etag(digest)), (CONTENT_DIGEST, digest.to_string())]);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response
}
