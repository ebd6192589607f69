//! `/v2/<name>/tags/list` and `/v2/<name>/referrers/<digest>` of a repository in ECR.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HeaderValue, LINK};
use http::{HeaderName, Method, StatusCode};
use layer0_domain::model::access::Action;
use serde_json::{Value, json};

use super::copy;
use crate::ecr::Ecr;
use crate::ecr::images::{LIST_MAX, read, refusal};
use crate::ecr::translate::next_query;
use crate::ecr::upstream::Question;
use crate::error::RegistryError;
use crate::manifest::document::OCI_INDEX;
use crate::path::percent;
use crate::registry::Registry;
use crate::routes::{Ask, digest, json as answer_json, read_only};

const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
/// The most entries of one page that ECR gives.
const PAGE_MAX: u32 = 1_000;

/// Tags, in ECR's order and pages: what it calls the last of a page is its own word, which its next page wants.
pub(super) async fn tags(registry: &Registry, ecr: &Ecr, ask: &Ask, name: &str) -> Result<Response, RegistryError> {
    let (name, _) = registry.admit(ask, name, &[Action::Pull], None).await?;
    read_only(ask)?;
    let size = match ask.param("n") {
        None => PAGE_MAX,
        Some(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse().unwrap_or(u32::MAX).min(PAGE_MAX)
        }
        Some(_) => return Err(RegistryError::PageInvalid("n must be a number of entries".to_owned())),
    };
    // ECR has no page of no entries.
    let mut query = format!("n={}", size.max(1));
    if let Some(last) = ask.param("last").filter(|last| !last.is_empty()) {
        query.push_str(&format!("&last={}", percent::encode(last)));
    }
    let answer = ecr.upstream().ask(Question::new(Method::GET, ecr.path(&name, &format!("tags/list?{query}")))).await?;
    if answer.status() != StatusCode::OK {
        let refusal = refusal(answer).await?;
        return Err(match refusal.status {
            StatusCode::NOT_FOUND => RegistryError::NameUnknown(name),
            _ => refusal.into_error(),
        });
    }
    let next = next_query(answer.headers()).filter(|_| size > 0);
    let list: Value = document(&read(answer, LIST_MAX).await?)?;
    let tags = list["tags"].as_array().filter(|_| size > 0).cloned().unwrap_or_default();
    let mut response = answer_json(StatusCode::OK, json!({ "name": name.as_str(), "tags": tags }).to_string());
    link(&mut response, &format!("/v2/{name}/tags/list"), next);
    Ok(response)
}

/// What refers to a digest. Empty, not missing, when ECR knows nothing of it: a 404 would tell clients that this registry has no
/// such API (spec.md, "Unavailable Referrers API").
pub(super) async fn referrers(
    registry: &Registry,
    ecr: &Ecr,
    ask: &Ask,
    name: &str,
    reference: &str,
) -> Result<Response, RegistryError> {
    let (name, _) = registry.admit(ask, name, &[Action::Pull], None).await?;
    read_only(ask)?;
    let subject = digest(reference)?;
    let own = format!("referrers/{subject}");
    let path = match ask.uri.query() {
        Some(query) => ecr.path(&name, &format!("{own}?{query}")),
        None => ecr.path(&name, &own),
    };
    let answer = ecr.upstream().ask(Question::new(Method::GET, path)).await?;
    if answer.status() != StatusCode::OK {
        let refusal = refusal(answer).await?;
        if refusal.status != StatusCode::NOT_FOUND {
            return Err(refusal.into_error());
        }
        let none = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [] });
        return Ok(index(none.to_string()));
    }
    let next = next_query(answer.headers());
    let mut response = index(Body::empty());
    copy(&mut response, &answer, &[FILTERS_APPLIED]);
    *response.body_mut() = Body::from(read(answer, LIST_MAX).await?);
    link(&mut response, &format!("/v2/{name}/{own}"), next);
    Ok(response)
}

fn index(body: impl Into<Body>) -> Response {
    (StatusCode::OK, [(CONTENT_TYPE, OCI_INDEX)], body.into()).into_response()
}

/// The link to the next page (RFC 8288), at our address.
fn link(response: &mut Response, path: &str, query: Option<String>) {
    let value = query.and_then(|query| HeaderValue::try_from(format!("<{path}?{query}>; rel=\"next\"")).ok());
    if let Some(value) = value {
        response.headers_mut().insert(LINK, value);
    }
}

fn document(bytes: &[u8]) -> Result<Value, RegistryError> {
    serde_json::from_slice(bytes).map_err(|source| RegistryError::Away { source: source.into() })
}
