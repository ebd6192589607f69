//! `/v2/<name>/tags/list` (spec.md, "Listing Tags") and `/v2/_catalog` (not in the specification; every client of old
//! asks for it).

use axum::response::Response;
use http::StatusCode;
use http::header::{HeaderValue, LINK};
use layer0_domain::model::access::Action;
use layer0_domain::port::registry_store::Page;
use serde::Serialize;

use super::{Ask, json};
use crate::error::RegistryError;
use crate::registry::Registry;

/// The largest page. A client that asks for more gets so many and a link to the rest.
const PAGE_MAX: u32 = 10_000;
/// The most tags in a list that was asked for whole (spec.md, "Listing Tags": a number asks for a part). Some clients do not
/// follow links then. Tags have up to 128 characters, so that the answer has at most 13 MB.
const WHOLE_MAX: u32 = 100_000;
/// How many repositories of the store are read at a time when the caller may not see all of them: a page of a thousand, and the one
/// that tells whether there are more.
const LOOK: u32 = 1_001;

/// A page of a repository's tags, as it is sent.
#[derive(Serialize)]
struct Tags<'a> {
    name: &'a str,
    tags: &'a [String],
}

/// A page of the catalogue, as it is sent.
#[derive(Serialize)]
struct Repositories<'a> {
    repositories: &'a [String],
}

fn answer(page: &impl Serialize) -> Result<Response, RegistryError> {
    let text = serde_json::to_string(page).map_err(|error| RegistryError::Failed { source: error.into() })?;
    Ok(json(StatusCode::OK, text))
}

/// Reads `n`; `whole` counts when it isn't there.
fn page_size(ask: &Ask, whole: u32) -> Result<u32, RegistryError> {
    match ask.param("n") {
        None => Ok(whole),
        Some(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
            Ok(text.parse().unwrap_or(u32::MAX).min(PAGE_MAX))
        }
        Some(_) => Err(RegistryError::PageInvalid("n must be a number of entries".to_owned())),
    }
}

/// The link to the next page (RFC 8288).
fn link(response: &mut Response, path: &str, size: u32, last: &str) {
    if let Ok(value) = HeaderValue::from_str(&format!("<{path}?n={size}&last={last}>; rel=\"next\"")) {
        response.headers_mut().insert(LINK, value);
    }
}

pub(super) async fn list(registry: &Registry, ask: &Ask, name: &str) -> Result<Response, RegistryError> {
    let (name, _) = registry.admit(ask, name, &[Action::Pull], None).await?;
    let size = page_size(ask, WHOLE_MAX)?;
    // One more than asked for tells whether there is a next page.
    let page = Page { after: ask.param("last").map(str::to_owned), most: Some(size + 1) };
    let Some(mut tags) = registry.tags(&name, page).await? else {
        return Err(RegistryError::NameUnknown(name));
    };
    let more = tags.len() > size as usize;
    tags.truncate(size as usize);
    let mut response = answer(&Tags { name: name.as_str(), tags: &tags })?;
    if let Some(last) = tags.last().filter(|_| more) {
        link(&mut response, &format!("/v2/{name}/tags/list"), size, last);
    }
    Ok(response)
}

/// The repositories that the caller may pull from.
pub(super) async fn catalog(registry: &Registry, ask: &Ask) -> Result<Response, RegistryError> {
    let caller = registry.admit_anyone(ask).await?;
    let size = page_size(ask, PAGE_MAX)?;
    let mut after = ask.param("last").map(str::to_owned);
    let mut names: Vec<String> = Vec::new();
    // ECR gives all of it for whatever part is asked for: looked at in parts, a registry would be listed once for each of them.
    let most = (!registry.lists_elsewhere()).then(|| size.saturating_add(1).clamp(100, LOOK));
    while names.len() <= size as usize {
        let found = registry.repository_list(None, Page { after, most }).await?;
        let full = most.is_some_and(|most| found.len() >= most as usize);
        after = found.last().map(|repository| repository.name.to_string());
        names.extend(
            found
                .into_iter()
                .filter(|repository| caller.rights.may_pull(&repository.name, repository.visibility))
                .map(|repository| repository.name.into()),
        );
        if !full {
            break;
        }
    }
    let more = names.len() > size as usize;
    names.truncate(size as usize);
    let mut response = answer(&Repositories { repositories: &names })?;
    if let Some(last) = names.last().filter(|_| more) {
        link(&mut response, "/v2/_catalog", size, last);
    }
    Ok(response)
}
