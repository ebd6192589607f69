//! What a token says, and what it must say.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::audience::Audience;
use super::issuer::Issuer;
use crate::model::glob::{Glob, GlobError};
use crate::model::time::Timestamp;

/// By how much the clocks of an issuer and of this server may differ (RFC 7519, section 4.1.4: "a few minutes" at most).
pub const SKEW_MS: i64 = 60_000;

/// The most conditions of a trust.
pub const PATTERNS_MAX: usize = 20;

/// The longest name of a claim.
const CLAIM_MAX: usize = 100;

/// The claims of a token. Worth nothing until its signature was checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims(Map<String, Value>);

/// Why claims open nothing now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// A time that must be there is none.
    #[error("the token does not say when it ends")]
    Endless,
    /// It was good once.
    #[error("the token has expired")]
    Expired,
    /// It will be good later, or is from the future.
    #[error("the token is not valid yet: are the clocks right?")]
    Early,
}

impl Claims {
    /// Reads the claims of a token.
    #[must_use]
    pub fn parse(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok().map(Self)
    }

    /// Who says that he made the token.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.0.get("iss")?.as_str()
    }

    /// A claim as text: a text, a whole number, or `true` and `false`. A list, an object and what is absent is none.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        match self.0.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
            Value::Bool(value) => Some(value.to_string()),
            _ => None,
        }
    }

    /// A claim as texts: a list's, or the one; empty for what is absent. What is no text in a list is passed over.
    #[must_use]
    pub fn texts(&self, name: &str) -> Vec<String> {
        match self.0.get(name) {
            Some(Value::String(one)) => vec![one.clone()],
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => vec![],
        }
    }

    /// Whether a claim is there, whatever it says.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether the token was made for somebody: `aud` is one text or a list of them (RFC 7519, section 4.1.3).
    #[must_use]
    pub fn is_for(&self, audience: &Audience) -> bool {
        match self.0.get("aud") {
            Some(Value::String(one)) => audience.is(one),
            Some(Value::Array(all)) => all.iter().any(|one| one.as_str().is_some_and(|one| audience.is(one))),
            _ => false,
        }
    }

    /// For whom the token was made, in words.
    #[must_use]
    pub fn audiences(&self) -> String {
        match self.0.get("aud") {
            Some(Value::String(one)) => one.clone(),
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
            _ => "nobody".to_owned(),
        }
    }

    /// Whether now is between its beginning and its end. It must have an end.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn check_time(&self, now: Timestamp) -> Result<(), Unfit> {
        let ends = self.moment("exp").flatten().ok_or(Unfit::Endless)?;
        if now.0 >= ends.saturating_add(SKEW_MS) {
            return Err(Unfit::Expired);
        }
        for begins in ["nbf", "iat"] {
            match self.moment(begins) {
                None => {}
                Some(Some(at)) if at <= now.0.saturating_add(SKEW_MS) => {}
                // A time that can't be read is none that has come.
                Some(_) => return Err(Unfit::Early),
            }
        }
        Ok(())
    }

    /// A `NumericDate` in milliseconds; `Some(None)` for what is there and is none.
    #[expect(clippy::cast_possible_truncation, reason = "a float is cut to the range of the integer")]
    fn moment(&self, name: &str) -> Option<Option<i64>> {
        let value = self.0.get(name)?;
        let whole = value.as_i64().and_then(|seconds| seconds.checked_mul(1000));
        let broken = || value.as_f64().filter(|it| it.is_finite()).map(|seconds| (seconds * 1000.0) as i64);
        Some(whole.or_else(broken))
    }
}

/// What one claim must say: `repository=octo/app`, `sub=repo:octo/app:ref:refs/heads/release-*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClaimPattern {
    claim: String,
    pattern: Glob,
}

/// Why a text is no [`ClaimPattern`], or several are not enough.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimPatternError {
    /// There is no `=` in it, or no claim before it.
    #[error("`{0}` is no condition: write CLAIM=PATTERN, as in `repository=octo/app`")]
    Form(String),
    /// What stands behind the `=`.
    #[error(transparent)]
    Pattern(#[from] GlobError),
    /// None, or too many.
    #[error("a trust has 1 to {PATTERNS_MAX} conditions")]
    Number,
    /// Everybody whom the issuer gives tokens would fit.
    #[error("no condition says whose token it must be: at {issuer} everybody gets one; add one such as `{example}`")]
    Everybody {
        /// Whose.
        issuer: Issuer,
        /// What would do.
        example: &'static str,
    },
}

impl ClaimPattern {
    /// Reads a condition.
    ///
    /// # Errors
    /// [`ClaimPatternError`].
    pub fn parse(text: &str) -> Result<Self, ClaimPatternError> {
        let form = || ClaimPatternError::Form(text.chars().take(60).collect());
        let (claim, pattern) = text.split_once('=').ok_or_else(form)?;
        let legal = !claim.is_empty() && claim.len() <= CLAIM_MAX && claim.bytes().all(|byte| byte.is_ascii_graphic());
        if !legal || claim.contains('*') {
            return Err(form());
        }
        Ok(Self { claim: claim.to_owned(), pattern: Glob::parse(pattern)? })
    }

    /// Whether the claims fit. A claim that is not there fits nothing, `*` neither.
    #[must_use]
    pub fn fits(&self, claims: &Claims) -> bool {
        claims.text(&self.claim).is_some_and(|text| self.pattern.matches(&text))
    }

    /// What stands before the first star, and whether there is one.
    fn beginning(&self) -> (&str, bool) {
        match self.pattern.as_str().split_once('*') {
            Some((before, _)) => (before, true),
            None => (self.pattern.as_str(), false),
        }
    }
}

impl fmt::Display for ClaimPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.claim, self.pattern)
    }
}

impl TryFrom<String> for ClaimPattern {
    type Error = ClaimPatternError;
    fn try_from(text: String) -> Result<Self, ClaimPatternError> {
        Self::parse(&text)
    }
}

impl From<ClaimPattern> for String {
    fn from(pattern: ClaimPattern) -> String {
        pattern.to_string()
    }
}

/// An issuer at which everybody in the world gets tokens.
struct Shared {
    issuer: &'static str,
    example: &'static str,
    /// The claims that say whose a token is. Up to the `/` behind this beginning there may be no star: `repo:octo*` would fit
    /// `repo:octopus/…` too.
    owners: &'static [(&'static str, &'static str)],
    /// Those of them that name an owner alone. All others have a `/`, and what has none fits nobody.
    alone: &'static [&'static str],
    /// The claims that say whose a token is by a number: there may be no star at all.
    numbers: &'static [&'static str],
}

/// GitHub ("OpenID Connect reference", the claims of a token) and GitLab ("ID token payload").
const SHARED: &[Shared] = &[
    Shared {
        issuer: "https://token.actions.githubusercontent.com",
        example: "repository=octo/app",
        owners: &[("repository", ""), ("sub", "repo:")],
        alone: &[],
        numbers: &["repository_owner", "repository_owner_id", "repository_id"],
    },
    Shared {
        issuer: "https://gitlab.com",
        example: "project_path=group/app",
        owners: &[("project_path", ""), ("sub", "project_path:"), ("namespace_path", "")],
        alone: &["namespace_path"],
        numbers: &["project_id", "namespace_id"],
    },
];

/// Whether conditions say whose tokens are meant, as far as that can be known: at an issuer that gives tokens to everybody, by a
/// claim that names the owner; elsewhere by any that begins with something.
///
/// # Errors
/// [`ClaimPatternError`].
pub fn check_patterns(issuer: &Issuer, all: &[ClaimPattern]) -> Result<(), ClaimPatternError> {
    if all.is_empty() || all.len() > PATTERNS_MAX {
        return Err(ClaimPatternError::Number);
    }
    let shared = SHARED.iter().find(|it| it.issuer == issuer.as_str().trim_end_matches('/'));
    let says_whose = |pattern: &ClaimPattern| {
        let (beginning, star) = pattern.beginning();
        let Some(shared) = shared else { return !beginning.is_empty() };
        if shared.numbers.contains(&pattern.claim.as_str()) {
            return !star;
        }
        shared.owners.iter().filter(|(claim, _)| *claim == pattern.claim).any(|(_, before)| {
            let owner = beginning.strip_prefix(before).unwrap_or_default();
            let is_alone = !star && shared.alone.contains(&pattern.claim.as_str());
            if is_alone { !owner.is_empty() } else { owner.split_once('/').is_some_and(|(owner, _)| !owner.is_empty()) }
        })
    };
    if all.iter().any(says_whose) {
        return Ok(());
    }
    let example = shared.map_or("sub=…", |it| it.example);
    Err(ClaimPatternError::Everybody { issuer: issuer.clone(), example })
}

#[cfg(test)]
mod tests;
