//! Who lets a request in. The registry asks, the server answers: it owns users and tokens.

use std::net::SocketAddr;

use async_trait::async_trait;
use http::{HeaderMap, StatusCode};
use layer0_domain::model::access::{Action, Caller};
use layer0_domain::model::audit::AuditRecord;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::port::BoxError;
use layer0_domain::port::image_source::PullCredential;

/// What the gate decided about one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Let in, as this caller.
    Allowed(Caller),
    /// Nobody we know, or a credential that does not cover what is wanted but another one could: the client is told how
    /// to get one (401).
    Challenge,
    /// We know who it is, and the answer is no (403).
    Forbidden(Caller),
    /// Who it is can't be looked up now: nobody is let in on a guess, and nobody is told that his credential is bad
    /// (503). The gate has logged why.
    Unavailable,
    /// Too many credentials that are none came from this address or under this name: nobody looks at another one for so
    /// many seconds (429).
    Throttled {
        /// When to try again.
        after_s: u64,
    },
}

/// Somebody in one state of all that decides what he may and what he finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Standing {
    /// Somebody as he was found by one look. No number is given twice.
    pub somebody: u64,
    /// The state of what the registry holds.
    pub state: u64,
}

/// What was done, or tried, for the audit log: an extension of the answer to a request that changes something, if the record of it
/// was not written with the change.
#[derive(Debug, Clone)]
pub struct Audited {
    /// Who.
    pub caller: Caller,
    /// What: `manifest_push`, `manifest_delete`, `blob_push`, `blob_mount`, `blob_delete`.
    pub action: &'static str,
    /// To what: `team/app:v1`, `team/app@sha256:…`.
    pub target: String,
}

/// Decides about every request before the registry looks at anything else, so that nothing (not even whether a
/// repository exists) is told to somebody who is not let in.
#[async_trait]
pub trait Gate: Send + Sync {
    /// Decides about a request. `want` is the repository and all the actions that are needed there; `None` asks only
    /// whether the caller is somebody (`GET /v2/`, the catalogue). Must never answer `Allowed` from a verdict older
    /// than a revocation.
    async fn admit(
        &self,
        headers: &HeaderMap,
        peer: Option<SocketAddr>,
        want: Option<(&RepositoryName, &[Action])>,
    ) -> Admission;

    /// What stands for the credential of a request as it was judged before, while it would be judged the same and the store has no
    /// commit more than then; `None` says nothing.
    fn standing(&self, _headers: &HeaderMap) -> Option<Standing> {
        None
    }

    /// The record of the audit log that tells of a request which is about to be answered so, to be written by the registry's store;
    /// `None` where that store does not have the log.
    fn record(
        &self,
        _headers: &HeaderMap,
        _peer: Option<SocketAddr>,
        _done: Audited,
        _status: StatusCode,
    ) -> Option<AuditRecord> {
        None
    }

    /// Returns when what was admitted would be admitted no more: the token was revoked or has expired, the member put out,
    /// the user deleted. While a body is under way, this is awaited beside it.
    async fn ended(&self, headers: HeaderMap, peer: Option<SocketAddr>, repository: RepositoryName, action: Action);
}

/// Makes the credential that an engine gets for one pull.
#[async_trait]
pub trait PullCredentialMinter: Send + Sync {
    /// A new credential, good for pulling from this repository only, for minutes.
    ///
    /// # Errors
    /// Whatever kept it from being made; the text goes to the log.
    async fn mint(&self, repository: &RepositoryName) -> Result<PullCredential, BoxError>;
}
