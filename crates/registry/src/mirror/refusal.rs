//! Why an upstream gave nothing, and what of that clients are told: what it is, in the upstream's words.

use std::sync::Arc;
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;

use crate::error::{RegistryError, chain};

/// How much of an upstream's words is repeated.
const WORDS_MAX: usize = 300;

/// What kind of refusal it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It does not have it (404).
    Unknown,
    /// It does not let this server in (401, 403).
    Denied,
    /// It has had enough of this server for now (429).
    Busy { retry_after: Option<HeaderValue> },
    /// It fails (5xx), or answers what nobody can make sense of.
    Failed,
    /// It can't be reached.
    Away,
    /// It does not answer, or stops in the middle.
    Late,
    /// What it sends is not what its digest says.
    Lies,
    /// It is this server, over some detours.
    Ourselves,
    /// It is not the upstream's fault: the disk, the bucket or the store here.
    Here(Fault),
}

/// What is wrong here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The disk is full.
    Full,
    /// What keeps the bytes does not answer.
    Away,
    /// The log says it.
    Other,
}

/// Why an upstream gave nothing. Cloned to everybody who waited for it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{words}")]
pub(crate) struct Refusal {
    pub(crate) kind: Kind,
    words: Arc<str>,
}

impl Refusal {
    /// An answer with this status and body.
    pub(super) fn answered(upstream: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let said = said(body).map(|text| format!(": {text}")).unwrap_or_default();
        let (kind, words) = match status {
            StatusCode::NOT_FOUND => (Kind::Unknown, format!("upstream {upstream} does not have it{said}")),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => (
                Kind::Denied,
                format!("upstream {upstream} does not let this server in, or does not have it ({status}){said}"),
            ),
            StatusCode::TOO_MANY_REQUESTS => (
                Kind::Busy { retry_after: headers.get(RETRY_AFTER).cloned() },
                format!("upstream {upstream} says that there were too many requests{said}"),
            ),
            StatusCode::LOOP_DETECTED => (Kind::Ourselves, format!("upstream {upstream} is this server again")),
            status => (Kind::Failed, format!("upstream {upstream} answered {status}{said}")),
        };
        Self { kind, words: words.into() }
    }

    /// The same of the server that gives tokens for it: what that one does not have says nothing about images.
    pub(super) fn of_tokens(self) -> Self {
        match self.kind {
            Kind::Unknown => Self { kind: Kind::Failed, words: format!("{}, asked for a token", self.words).into() },
            _ => self,
        }
    }

    /// It answered what makes no sense.
    pub(super) fn nonsense(upstream: &str, why: impl std::fmt::Display) -> Self {
        Self { kind: Kind::Failed, words: format!("upstream {upstream} {why}").into() }
    }

    /// It can't be reached.
    pub(super) fn away(upstream: &str, why: &(dyn std::error::Error + 'static)) -> Self {
        let words = format!("upstream {upstream} can't be reached: {}", chain(why));
        Self { kind: Kind::Away, words: words.into() }
    }

    /// There is nothing to sign in with.
    #[cfg(feature = "ecr")]
    pub(super) fn no_credential(upstream: &str, why: &(dyn std::error::Error + 'static)) -> Self {
        let words = format!("upstream {upstream} can't be signed in to: {}", chain(why));
        Self { kind: Kind::Away, words: words.into() }
    }

    /// It said nothing for so long.
    pub(super) fn late(upstream: &str, waited: Duration) -> Self {
        let words = format!("upstream {upstream} said nothing for {} s", waited.as_secs_f32());
        Self { kind: Kind::Late, words: words.into() }
    }

    /// Other blobs have been on their way from it for so long.
    pub(super) fn crowded(upstream: &str, waited: Duration) -> Self {
        let words = format!(
            "upstream {upstream} is slow: others were waited for there for {} s, and this one waited for them",
            waited.as_secs_f32()
        );
        Self { kind: Kind::Late, words: words.into() }
    }

    /// What came has another digest.
    pub(super) fn lies(upstream: &str, wanted: &impl std::fmt::Display, found: &impl std::fmt::Display) -> Self {
        let words = format!("upstream {upstream} sent content with the digest {found} for {wanted}");
        Self { kind: Kind::Lies, words: words.into() }
    }

    /// Something failed here.
    pub(super) fn here(error: &RegistryError) -> Self {
        let why = || std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
        let (fault, words) = match error {
            RegistryError::Full => {
                (Fault::Full, "the registry's disk is full, so nothing can be fetched for it".to_owned())
            }
            RegistryError::Away { .. } => (Fault::Away, format!("{error}{}", why())),
            _ => (Fault::Other, format!("{error}{}", why())),
        };
        Self { kind: Kind::Here(fault), words: words.into() }
    }

    /// The server goes.
    pub(super) fn stopping() -> Self {
        Self { kind: Kind::Here(Fault::Away), words: "the server is stopping".into() }
    }

    /// Whether what was there before may be served in its place. What the upstream said for certain (it does not have it, it
    /// does not let us in) counts.
    pub(crate) fn is_passing(&self) -> bool {
        match self.kind {
            Kind::Busy { .. } | Kind::Failed | Kind::Away | Kind::Late | Kind::Lies => true,
            Kind::Unknown | Kind::Denied | Kind::Ourselves | Kind::Here(_) => false,
        }
    }

    /// Whether it may be about how something was asked for: there are registries, and places that they redirect to, which refuse every
    /// HEAD.
    pub(super) fn is_of_head(&self) -> bool {
        matches!(self.kind, Kind::Denied | Kind::Failed)
    }

    /// What the client is told. `unknown` is the code for what the upstream does not have.
    pub(crate) fn into_error(self, unknown: &'static str) -> RegistryError {
        let (status, code, retry_after) = match self.kind {
            Kind::Unknown => (StatusCode::NOT_FOUND, unknown, None),
            Kind::Denied => (StatusCode::FORBIDDEN, "DENIED", None),
            Kind::Busy { retry_after } => (StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", retry_after),
            Kind::Failed | Kind::Away | Kind::Lies => (StatusCode::BAD_GATEWAY, "UNAVAILABLE", None),
            Kind::Late => (StatusCode::GATEWAY_TIMEOUT, "UNAVAILABLE", None),
            Kind::Ourselves => (StatusCode::LOOP_DETECTED, "UNSUPPORTED", None),
            Kind::Here(Fault::Full) => (StatusCode::INSUFFICIENT_STORAGE, "UNKNOWN", None),
            Kind::Here(Fault::Away) => return RegistryError::Away { source: self.words.as_ref().into() },
            Kind::Here(Fault::Other) => return RegistryError::Failed { source: self.words.as_ref().into() },
        };
        RegistryError::Upstream { status, code, message: self.words.to_string(), retry_after }
    }
}

impl From<RegistryError> for Refusal {
    fn from(error: RegistryError) -> Self {
        Self::here(&error)
    }
}

/// What an answer's body says, by the specification's form of errors, or in plain text where it is short.
fn said(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<One>,
    }
    #[derive(Deserialize)]
    struct One {
        message: Option<String>,
        code: Option<String>,
    }
    let text = std::str::from_utf8(body).ok()?;
    let text = match serde_json::from_str::<Errors>(text) {
        Ok(all) => all.errors.into_iter().find_map(|one| one.message.filter(|it| !it.is_empty()).or(one.code))?,
        Err(_) if text.trim_start().starts_with(['<', '{', '[']) => return None,
        Err(_) => text.to_owned(),
    };
    let clean: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(WORDS_MAX).collect();
    (!clean.is_empty()).then_some(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstreams_words_are_found() {
        let errors = br#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}"#;
        assert_eq!(said(errors).as_deref(), Some("You have reached your pull rate limit."));
        assert_eq!(said(br#"{"errors":[{"code":"DENIED"}]}"#).as_deref(), Some("DENIED"));
        assert_eq!(said(b"slow down\n").as_deref(), Some("slow down"));
        assert_eq!(said(b"a\x1b[31mb").as_deref(), Some("a [31mb"));
        for nothing in [&b""[..], b"<html>", b"{\"errors\":[]}", b"\xff"] {
            assert_eq!(said(nothing), None);
        }
        assert_eq!(said("é".repeat(400).as_bytes()).map(|text| text.chars().count()), Some(WORDS_MAX));
    }
}
