//! Lists that only the upstream can give: which tags there are, what refers to a manifest. They are passed on, a page at a time.

use axum::body::Bytes;
use http::header::{ACCEPT, LINK};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use layer0_domain::model::image::RepositoryName;

use super::Mirror;
use super::refusal::Refusal;

const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
/// The longest list that is passed on.
const LIST_MAX: usize = 16 << 20;

/// A page of a list.
pub(crate) struct Listing {
    pub(crate) body: Bytes,
    /// What of the answer's head belongs to it.
    pub(crate) headers: HeaderMap,
    /// The query of the next page.
    pub(crate) next: Option<String>,
}

impl Mirror {
    /// A list of the upstream's. `path` stands behind the repository's name, `query` is the client's.
    pub(crate) async fn listing(
        &self,
        name: &RepositoryName,
        path: &str,
        query: Option<&str>,
    ) -> Result<Listing, Refusal> {
        let theirs = self.theirs(name)?;
        let path = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.oci.image.index.v1+json, application/json"));
        let answer = self.upstream.ask(Method::GET, &theirs, &path, headers).await?;
        let (head, body) = answer.into_parts();
        let applied = head.headers.get(FILTERS_APPLIED).cloned();
        let headers = HeaderMap::from_iter(applied.map(|value| (FILTERS_APPLIED, value)));
        let next = head.headers.get_all(LINK).iter().filter_map(|link| next(link.to_str().ok()?)).next();
        Ok(Listing { body: self.upstream.collect(body, LIST_MAX).await?, headers, next })
    }
}

/// The query of a link to the next page (RFC 8288).
fn next(link: &str) -> Option<String> {
    let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
    let is_next = parameters.split(';').any(|it| matches!(it.trim(), "rel=\"next\"" | "rel=next"));
    let (_, query) = target.split_once('?')?;
    is_next.then(|| query.to_owned())
}

#[cfg(test)]
mod tests {
    use super::next;

    #[test]
    fn the_next_page_is_found() {
        let link = "</v2/library/alpine/tags/list?n=2&last=3.1>; rel=\"next\"";
        assert_eq!(next(link).as_deref(), Some("n=2&last=3.1"));
        assert_eq!(next("<https://hub/v2/x/tags/list?page=2>; rel=next").as_deref(), Some("page=2"));
        for other in ["<x?n=1>; rel=\"prev\"", "x?n=1; rel=\"next\"", "<x>; rel=\"next\"", ""] {
            assert_eq!(next(other), None);
        }
    }
}
