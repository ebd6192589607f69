//! What every answer of the registry keeps to, whatever was asked.

use axum::body::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use layer0_domain::model::digest::Digest;
use serde_json::Value;

use crate::path::Target;
use crate::routes::CONTENT_DIGEST;

/// The most that an answer with an error may have: a hundred lines about missing blobs.
const ERROR_MAX: usize = 64 << 10;

/// The most that one message may have, in bytes.
const MESSAGE_MAX: usize = 2_000;

/// The codes of the distribution specification ("Error Codes"), and the one more that a request can be answered with.
/// Those of a server that fails are not here: none of these requests may make it fail.
const CODES: [&str; 15] = [
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
    "PAGINATION_NUMBER_INVALID",
    "SIZE_INVALID",
    "TOOMANYREQUESTS",
    "UNAUTHORIZED",
    "UNSUPPORTED",
];

/// An answer, read whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn text(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("the registry's own headers are ASCII"))
    }

    /// The digest that the answer names its content by.
    pub(super) fn digest(&self) -> Option<Digest> {
        self.text(&CONTENT_DIGEST).map(|text| Digest::parse(text).expect("a digest is named"))
    }

    /// Panics where the answer breaks a rule.
    pub(super) fn judge(&self, method: &Method, path: &str) {
        assert!(!self.status.is_server_error(), "{method} {path}: {self:?}");
        assert_eq!(self.headers["docker-distribution-api-version"], "registry/2.0");
        assert_eq!(self.headers["x-content-type-options"], "nosniff");
        if self.status.is_client_error() {
            self.judge_error(method, path);
        } else {
            self.judge_success(method, path);
        }
    }

    /// Panics where an error breaks a rule.
    pub(super) fn judge_error(&self, method: &Method, path: &str) {
        let has = |name: HeaderName| self.headers.contains_key(name);
        assert!(self.status != StatusCode::UNAUTHORIZED || has(WWW_AUTHENTICATE), "{method} {path}: {self:?}");
        assert!(self.status != StatusCode::METHOD_NOT_ALLOWED || has(ALLOW), "{method} {path}: {self:?}");
        assert_eq!(self.text(&CONTENT_TYPE), Some("application/json"), "{method} {path}: {self:?}");
        // An answer to HEAD has no body to say more in.
        if method == Method::HEAD {
            return;
        }
        assert!(self.body.len() < ERROR_MAX, "{method} {path}: an error of {} bytes", self.body.len());
        let body: Value = serde_json::from_slice(&self.body).expect("an error is JSON");
        let errors = body["errors"].as_array().expect("an error has a list of errors");
        assert!((1..=100).contains(&errors.len()), "{method} {path}: {body}");
        for error in errors {
            let (code, message) = (error["code"].as_str(), error["message"].as_str());
            assert!(code.is_some_and(|code| CODES.contains(&code)), "{method} {path}: {body}");
            let is_short = |message: &str| !message.is_empty() && message.len() <= MESSAGE_MAX;
            assert!(message.is_some_and(is_short), "{method} {path}: {body}");
        }
    }

    fn judge_success(&self, method: &Method, path: &str) {
        if let Some(location) = self.text(&LOCATION) {
            assert!(Target::parse(location).is_some(), "{method} {path}: {location}");
        }
        if method != Method::GET {
            return;
        }
        let length = self.text(&CONTENT_LENGTH).map(|text| text.parse().expect("a length is a number"));
        assert!(length.is_none_or(|length: usize| length == self.body.len()), "{method} {path}: {self:?}");
        match (self.status, self.digest()) {
            (StatusCode::OK, Some(digest)) => {
                assert_eq!(digest, digest.algorithm().digest_of(&self.body), "{method} {path}");
            }
            (StatusCode::PARTIAL_CONTENT, _) => {
                let range = self.text(&CONTENT_RANGE).and_then(|text| text.strip_prefix("bytes "));
                let (first, last) = range.and_then(crate::range::chunk).expect("a part says which it is");
                assert_eq!(last - first + 1, u64::try_from(self.body.len()).expect("64 bits"), "{method} {path}");
            }
            _ => {}
        }
    }
}
