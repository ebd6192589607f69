//! `/v2/<name>/referrers/<digest>` of a repository in ECR.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HeaderValue, LINK};
use http::{HeaderName, Method, StatusCode};
use layer0_domain::model::access::Action;
use serde_json::json;

use super::copy;
use crate::ecr::Ecr;
use crate::ecr::images::{LIST_MAX, read, refusal};
use crate::ecr::translate::next_query;
use crate::ecr::upstream::Question;
use crate::error::RegistryError;
use crate::manifest::document::OCI_INDEX;
use crate::registry::Registry;
use crate::routes::{Ask, digest};

const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// What refers to a digest. Empty, not missing, when ECR knows nothing of it: a 404 would tell clients that this registry has no
/// such API (spec.md, "Unavailable Referrers API").
pub(super) async fn list(
    registry: &Registry,
    ecr: &Ecr,
    ask: &Ask,
    name: &str,
    reference: &str,
) -> Result<Response, RegistryError> {
    let (name, _) = registry.admit(ask, name, &[Action::Pull], None).await?;
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
