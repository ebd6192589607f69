//! `/v2/<name>/referrers/<digest>` (spec.md, "Listing Referrers").

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, LINK};
use http::{HeaderName, HeaderValue, StatusCode};
use layer0_domain::model::access::Action;
use layer0_domain::port::registry_store::ReferrerPage;
use serde_json::{Value, json};

use super::{Ask, digest};
use crate::error::RegistryError;
use crate::manifest::document::{MANIFEST_MAX, OCI_INDEX};
use crate::path::percent;
use crate::registry::Registry;

const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// At most so much in one answer, which has the form of a manifest: clients read no larger one. What is beyond is behind the
/// link. A quarter is left for what JSON puts around it.
const PAGE_BYTES: usize = MANIFEST_MAX / 4 * 3;

/// An index of everything that names the digest as its subject. Empty, not missing, when nothing does: neither the
/// subject nor the repository need be there, since a 404 would tell clients that this registry has no such API, and
/// they would fall back to tags (spec.md, "Unavailable Referrers API").
pub(super) async fn list(
    registry: &Registry,
    ask: &Ask,
    name: &str,
    reference: &str,
) -> Result<Response, RegistryError> {
    let (name, _) = registry.admit(ask, name, &[Action::Pull], None).await?;
    let subject = digest(reference)?;
    let filter = ask.param("artifactType").filter(|text| !text.is_empty());
    let after = ask.param("last").filter(|text| !text.is_empty()).map(digest).transpose()?;
    let page = ReferrerPage { after, most_bytes: PAGE_BYTES };
    let found = registry.parts().store.referrers(&name, &subject, filter, page).await?;
    let next = found.entries.last().filter(|_| found.more).map(|last| {
        let filter = filter.map(|filter| format!("&artifactType={}", percent::encode(filter))).unwrap_or_default();
        format!("</v2/{name}/referrers/{subject}?last={}{filter}>; rel=\"next\"", last.digest)
    });
    let manifests: Vec<Value> = found
        .entries
        .into_iter()
        .map(|referrer| {
            let mut entry = json!({ "mediaType": referrer.media_type, "digest": referrer.digest.to_string(), "size": referrer.size });
            if let Some(kind) = referrer.artifact_type {
                entry["artifactType"] = kind.into();
            }
            if !referrer.annotations.is_empty() {
                entry["annotations"] = json!(referrer.annotations);
            }
            entry
        })
        .collect();
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests });
    let mut response = (StatusCode::OK, index.to_string()).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(OCI_INDEX));
    if filter.is_some() {
        response.headers_mut().insert(FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
    }
    if let Some(next) = next.and_then(|next| HeaderValue::try_from(next).ok()) {
        response.headers_mut().insert(LINK, next);
    }
    Ok(response)
}
