//! ECR's answers in the form of the distribution specification, and its names in ours. Pure.
//!
//! What of ECR's answers differs from the specification is written in `docs/ecr.md`.

use http::{HeaderMap, StatusCode};
use layer0_domain::port::BoxError;
use serde::Deserialize;

use super::replay::Broken;
use super::upstream::UpstreamError;
use crate::error::RegistryError;

/// The codes that clients know (spec.md, "Error Codes", and `TAG_INVALID` of older clients).
const CODES: [&str; 16] = [
    "BLOB_UNKNOWN",
    "BLOB_UPLOAD_INVALID",
    "BLOB_UPLOAD_UNKNOWN",
    "DENIED",
    "DIGEST_INVALID",
    "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID",
    "MANIFEST_UNKNOWN",
    "NAME_INVALID",
    "NAME_UNKNOWN",
    "SIZE_INVALID",
    "TAG_INVALID",
    "TOOMANYREQUESTS",
    "UNAUTHORIZED",
    "UNKNOWN",
    "UNSUPPORTED",
];

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    errors: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// What ECR refused, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// One of [`CODES`].
    pub(crate) code: &'static str,
    /// ECR's words.
    pub(crate) message: String,
}

impl Refusal {
    /// Reads an answer that is no success. One without a document, such as that of a `HEAD`, or with a code that nobody
    /// knows, has the code that its status stands for.
    pub(crate) fn read(status: StatusCode, body: &[u8]) -> Self {
        let entry = serde_json::from_slice::<Document>(body).ok().and_then(|it| it.errors.into_iter().next());
        let Entry { code, message } = entry.unwrap_or(Entry { code: String::new(), message: String::new() });
        let code = CODES.iter().find(|known| **known == code).copied().unwrap_or_else(|| by_status(status));
        let message = if message.is_empty() { format!("ECR answered {status}") } else { message };
        Self { status, code, message }
    }

    /// As the client is told of it, where nothing better is known.
    pub(crate) fn into_error(self) -> RegistryError {
        let Self { status, code, message } = self;
        match (status.as_u16(), code) {
            // The server is who lacks a right there, not the client.
            (401 | 403, _) => RegistryError::Away { source: format!("ECR refuses this server: {message}").into() },
            (429 | 500.., _) => RegistryError::Away { source: format!("ECR answered {status}: {message}").into() },
            // A tag of a repository whose tags are immutable.
            (_, "TAG_INVALID") => RegistryError::Denied(message),
            (404, "BLOB_UPLOAD_UNKNOWN") => RegistryError::UploadUnknown,
            _ => RegistryError::Behind { status, code, message },
        }
    }
}

fn by_status(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "UNAUTHORIZED",
        403 => "DENIED",
        405 => "UNSUPPORTED",
        416 => "BLOB_UPLOAD_INVALID",
        429 => "TOOMANYREQUESTS",
        _ => "UNKNOWN",
    }
}

impl From<UpstreamError> for RegistryError {
    fn from(error: UpstreamError) -> Self {
        match error {
            UpstreamError::Client(Broken::Idle) => Self::TooSlow,
            UpstreamError::Client(Broken::Gone) => Self::BodyBroken,
            error @ (UpstreamError::Token(_)
            | UpstreamError::Away(_)
            | UpstreamError::Late
            | UpstreamError::Spent(_)) => Self::Away { source: BoxError::from(error) },
        }
    }
}

/// What stands in an address of ECR's behind `prefix`, which its path must begin with: the rest of the path, and the query. ECR's
/// addresses may have a host or not.
pub(crate) fn behind<'a>(address: &'a str, prefix: &str) -> Option<&'a str> {
    let path = match address.split_once("://") {
        Some((_, rest)) => &rest[rest.find('/')?..],
        None => address,
    };
    path.strip_prefix(prefix)
}

/// The address of an upload, for the client: without a host, so that it is right behind every proxy.
pub(crate) fn upload_location(address: &str, theirs: &str, ours: &str) -> Option<String> {
    let rest = behind(address, &format!("/v2/{theirs}/blobs/uploads/"))?;
    (!rest.is_empty()).then(|| format!("/v2/{ours}/blobs/uploads/{rest}"))
}

/// The query of the link to the next page (RFC 8288), as ECR gives it: `<…?n=100&last=…>; rel="next"`.
pub(crate) fn next_query(headers: &HeaderMap) -> Option<String> {
    let link = headers.get(http::header::LINK)?.to_str().ok()?;
    let (address, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
    if !rest.replace(' ', "").contains("rel=\"next\"") {
        return None;
    }
    Some(address.split_once('?')?.1.to_owned())
}

/// The last byte that a `Range` of an upload names.
pub(crate) fn last_byte(headers: &HeaderMap) -> Option<u64> {
    headers.get(http::header::RANGE)?.to_str().ok()?.rsplit_once('-')?.1.trim().parse().ok()
}

/// Where an upload goes on, out of ECR's words: `First byte of the layer part is 0 instead of 11304960`.
pub(crate) fn behind_range(words: &str) -> Option<u64> {
    words.rsplit_once("instead of ")?.1.trim_end_matches('.').trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_a_code_that_clients_know() {
        let read = |status: u16, body: &str| {
            let refusal = Refusal::read(StatusCode::from_u16(status).expect("a status"), body.as_bytes());
            (refusal.code, refusal.message)
        };
        let document =
            r#"{"errors":[{"code":"NAME_UNKNOWN","message":"The repository with name 'a' does not exist"}]}"#;
        assert_eq!(read(404, document), ("NAME_UNKNOWN", "The repository with name 'a' does not exist".to_owned()));
        assert_eq!(read(404, ""), ("UNKNOWN", "ECR answered 404 Not Found".to_owned()));
        assert_eq!(read(405, "Not Allowed").0, "UNSUPPORTED");
        assert_eq!(read(400, r#"{"errors":[{"code":"STRANGE"}]}"#).0, "UNKNOWN");
    }

    #[test]
    fn what_the_server_may_not_do_is_no_refusal_of_the_client() {
        for status in [401, 403] {
            let refusal = Refusal::read(StatusCode::from_u16(status).expect("a status"), b"");
            assert!(matches!(refusal.into_error(), RegistryError::Away { .. }), "{status}");
        }
    }

    #[test]
    fn locations_lose_their_host_and_get_our_name() {
        let ours = |address: &str| upload_location(address, "l0/team/app", "team/app");
        let want = Some("/v2/team/app/blobs/uploads/7f?_state=x".to_owned());
        assert_eq!(ours("https://123.dkr.ecr.us-west-2.amazonaws.com/v2/l0/team/app/blobs/uploads/7f?_state=x"), want);
        assert_eq!(ours("/v2/l0/team/app/blobs/uploads/7f?_state=x"), want);
        for wrong in
            ["https://elsewhere.example.com", "/v2/team/app/blobs/uploads/7f", "/v2/l0/team/app/blobs/uploads/"]
        {
            assert_eq!(ours(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn where_an_upload_goes_on_is_read_out_of_words() {
        assert_eq!(behind_range("First byte of the layer part is 0 instead of 11304960"), Some(11_304_960));
        assert_eq!(behind_range("First byte of the layer part is 7 instead of 0."), Some(0));
        for other in ["", "instead of", "instead of what", "11304960"] {
            assert_eq!(behind_range(other), None, "{other}");
        }
    }

    #[test]
    fn the_next_page_is_its_query() {
        let next = |link: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(http::header::LINK, link.parse().expect("a header"));
            next_query(&headers)
        };
        assert_eq!(next(r#"</v2/l0/a/b/tags/list?n=1&last=x>; rel="next""#).as_deref(), Some("n=1&last=x"));
        assert_eq!(next(r#"<https://h/v2/l0/a/b/tags/list?last=x>; rel = "next""#).as_deref(), Some("last=x"));
        assert_eq!(next(r#"</v2/a?last=x>; rel="prev""#), None);
        assert_eq!(next("nonsense"), None);
    }
}
