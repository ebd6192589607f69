//! The keys of issuers, kept for a while.
//!
//! A key that is not known is looked for once in a while only, however many tokens name it: whoever sends tokens is unknown.
//! While an issuer does not answer, the keys that it had are good for a day more.

use std::collections::HashMap;
use std::sync::Arc;

use layer0_domain::model::time::Timestamp;
use layer0_domain::model::trust::{Algorithm, Issuer, KeySet, PublicKey};
use layer0_domain::port::BoxError;
use layer0_domain::port::clock::Clock;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::Unproven;
use super::fetch::Fetcher;

/// How long keys are taken for what the issuer has.
const FRESH_MS: u64 = 60 * 60 * 1000;

/// How long keys are good for while the issuer does not answer.
const GOOD_MS: u64 = 24 * 60 * 60 * 1000;

/// How soon keys are fetched again, because one is not among them.
const AGAIN_MS: u64 = 60 * 1000;

/// How soon it is tried again when they could not be fetched.
const RETRY_MS: u64 = 5 * 1000;

/// So many issuers are remembered. More than this nobody trusts; then all are forgotten and fetched anew.
const ISSUERS_MAX: usize = 200;

/// The keys of issuers.
pub(super) struct Issuers {
    fetcher: Arc<Fetcher>,
    clock: Arc<dyn Clock>,
    known: Mutex<HashMap<Issuer, Arc<Mutex<Kept>>>>,
}

/// What is known of one issuer.
#[derive(Default)]
struct Kept {
    keys: KeySet,
    document: Option<Discovery>,
    /// When they were fetched.
    fetched: Option<Timestamp>,
    /// When they could not be fetched, if that was later.
    failed: Option<Timestamp>,
}

impl Kept {
    fn is_within(&self, now: Timestamp, ms: u64) -> bool {
        self.fetched.is_some_and(|at| now.is_within(ms, at))
    }

    /// Whether they may be fetched now.
    fn may_fetch(&self, now: Timestamp) -> bool {
        match self.failed {
            Some(at) => !now.is_within(RETRY_MS, at),
            None => !self.is_within(now, AGAIN_MS),
        }
    }
}

/// What an issuer says of itself, as far as it matters.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Discovery {
    issuer: String,
    jwks_uri: String,
    /// Where a device flow begins (RFC 8628, section 4).
    pub(super) device_authorization_endpoint: Option<String>,
    /// Where tokens are given.
    pub(super) token_endpoint: Option<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

impl Discovery {
    /// Whether clients show their secret in the form and not in the header, which is what is meant when nothing is said.
    pub(super) fn takes_secrets_in_forms_alone(&self) -> bool {
        let takes = |all: &Vec<String>, method: &str| all.iter().any(|it| it == method);
        let methods = self.token_endpoint_auth_methods_supported.as_ref();
        methods.is_some_and(|all| takes(all, "client_secret_post") && !takes(all, "client_secret_basic"))
    }
}

impl Issuers {
    pub(super) fn new(fetcher: Arc<Fetcher>, clock: Arc<dyn Clock>) -> Self {
        Self { fetcher, clock, known: Mutex::default() }
    }

    /// The key of an issuer, by its name. All who wait for one issuer share one fetch.
    pub(super) async fn key(&self, issuer: &Issuer, id: &str, algorithm: Algorithm) -> Result<PublicKey, Unproven> {
        let kept = self.kept(issuer).await;
        let mut kept = kept.lock().await;
        let now = self.clock.now();
        if kept.is_within(now, FRESH_MS)
            && let Some(key) = kept.keys.find(id, algorithm)
        {
            return Ok(key.clone());
        }
        let failure = self.renew(issuer, &mut kept, now).await;
        match kept.keys.find(id, algorithm) {
            Some(key) if kept.is_within(now, GOOD_MS) => Ok(key.clone()),
            _ if kept.failed.is_none() => {
                Err(Unproven::Refused(format!("{issuer} has no key of the name that the token says")))
            }
            _ => Err(Unproven::Unavailable { what: format!("the keys of {issuer} can't be had now"), source: failure }),
        }
    }

    /// What an issuer says of itself. It may be as old as its keys.
    pub(super) async fn discovery(&self, issuer: &Issuer) -> Result<Discovery, Unproven> {
        let kept = self.kept(issuer).await;
        let mut kept = kept.lock().await;
        let now = self.clock.now();
        let mut failure: BoxError = "it was not asked".into();
        if !kept.is_within(now, FRESH_MS) {
            failure = self.renew(issuer, &mut kept, now).await;
        }
        match &kept.document {
            Some(document) if kept.is_within(now, GOOD_MS) => Ok(document.clone()),
            _ => Err(Unproven::Unavailable { what: format!("{issuer} does not answer now"), source: failure }),
        }
    }

    /// Fetches what is kept of an issuer, if it may be fetched now; answers why it could not be.
    async fn renew(&self, issuer: &Issuer, kept: &mut Kept, now: Timestamp) -> BoxError {
        if !kept.may_fetch(now) {
            return "it was asked a moment ago, in vain".into();
        }
        match self.fetch(issuer).await {
            Ok((document, keys)) => {
                *kept = Kept { keys, document: Some(document), fetched: Some(now), failed: None };
                "it was fetched".into()
            }
            Err(why) => {
                tracing::warn!(error = %why, "the keys of {issuer} can't be fetched");
                // Asking may have taken longer than the rest before the next time.
                kept.failed = Some(self.clock.now());
                why
            }
        }
    }

    async fn kept(&self, issuer: &Issuer) -> Arc<Mutex<Kept>> {
        let mut known = self.known.lock().await;
        if known.len() >= ISSUERS_MAX && !known.contains_key(issuer) {
            known.clear();
        }
        known.entry(issuer.clone()).or_default().clone()
    }

    async fn fetch(&self, issuer: &Issuer) -> Result<(Discovery, KeySet), BoxError> {
        let discovery = self.fetcher.document(&issuer.discovery()).await?;
        let discovery: Discovery = serde_json::from_slice(&discovery).map_err(|_| "it says nothing of itself")?;
        // OpenID Connect Discovery 1.0, section 4.3: else somebody could speak for another.
        if discovery.issuer != issuer.as_str() {
            return Err(format!("it says that it is {:?}", discovery.issuer).into());
        }
        if !issuer.admits(&discovery.jwks_uri) {
            return Err("its keys are where no server is sent".into());
        }
        let keys = self.fetcher.document(&discovery.jwks_uri).await?;
        let keys = KeySet::parse(&keys).ok_or("its keys can't be read")?;
        Ok((discovery, keys))
    }
}
