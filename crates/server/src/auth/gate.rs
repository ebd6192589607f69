//! Who may do what in the registry.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use axum::http::HeaderMap;
use layer0_domain::model::access::{Caller, RegistryAction};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::port::BoxError;
use layer0_domain::port::clock::Clock;
use layer0_domain::port::image_source::PullCredential;
use layer0_domain::port::store::{Store, StoreError};
use layer0_registry::{Admission, Gate, PullCredentialMinter};

use super::signed::{Access, Claims, PULL_CREDENTIAL_S};
use super::{Keys, PULL_USER, Presented, presented, token_of};

/// Decides about every request of the registry.
pub(crate) struct RegistryGate {
    /// Where tokens are.
    pub(crate) store: Arc<dyn Store>,
    /// When they end.
    pub(crate) clock: Arc<dyn Clock>,
    /// What signed ones are checked with.
    pub(crate) keys: Keys,
}

impl RegistryGate {
    async fn caller(&self, headers: &HeaderMap, want: Want<'_>) -> Result<Admission, StoreError> {
        let (store, clock) = (self.store.as_ref(), self.clock.as_ref());
        let token = match presented(headers) {
            Presented::Nothing | Presented::Unreadable => return Ok(Admission::Challenge),
            Presented::Basic(user, secret) if user == PULL_USER => return self.signed(&secret, want).await,
            Presented::Basic(user, secret) => token_of(store, clock, Some(&user), &secret).await?,
            Presented::Bearer(secret) => match token_of(store, clock, None, &secret).await? {
                Some(token) => Some(token),
                None => return self.signed(&secret, want).await,
            },
        };
        Ok(match token {
            Some(token) => Admission::Allowed(Caller::User { user: token.user, token: token.id }),
            None => Admission::Challenge,
        })
    }

    /// A signed credential opens only what it names, and one made for a user only as long as that user's token lives.
    async fn signed(
        &self,
        secret: &layer0_domain::model::access::Secret,
        want: Want<'_>,
    ) -> Result<Admission, StoreError> {
        let Some(claims) = self.keys.read(secret, self.clock.now()) else { return Ok(Admission::Challenge) };
        if let Some((_, id)) = &claims.user {
            let now = self.clock.now();
            if !self.store.token_get(id).await?.is_some_and(|token| token.is_live(now)) {
                return Ok(Admission::Challenge);
            }
        }
        let allowed = |(repository, actions): &(&RepositoryName, &[RegistryAction])| {
            // Several entries may speak of one repository: what one of them allows is allowed.
            let named = |action| {
                let here = |access: &&Access| access.repository == **repository;
                claims.access.iter().filter(here).any(|access| access.actions.contains(action))
            };
            actions.iter().all(named)
        };
        Ok(match (&want, claims.user.clone()) {
            // A token for another scope is answered with a challenge for this one, so that the client asks for it.
            (Some(want), _) if !allowed(want) => Admission::Challenge,
            (_, Some((user, token))) => Admission::Allowed(Caller::User { user, token }),
            (_, None) => match claims.access.into_iter().next() {
                Some(Access { repository, actions }) => Admission::Allowed(Caller::Repository { repository, actions }),
                None => Admission::Challenge,
            },
        })
    }
}

type Want<'a> = Option<(&'a RepositoryName, &'a [RegistryAction])>;

#[async_trait]
impl Gate for RegistryGate {
    async fn admit(
        &self,
        headers: &HeaderMap,
        _peer: Option<SocketAddr>,
        want: Option<(&RepositoryName, &[RegistryAction])>,
    ) -> Admission {
        match self.caller(headers, want).await {
            Ok(Admission::Allowed(caller)) => match want {
                Some((repository, actions)) if !actions.iter().all(|action| caller.may(*action, repository)) => {
                    Admission::Forbidden
                }
                _ => Admission::Allowed(caller),
            },
            Ok(other) => other,
            Err(why) => {
                // Nobody is let in on a guess.
                tracing::error!(error = %why, "a token could not be looked up");
                Admission::Unavailable
            }
        }
    }
}

/// Makes the credential that the engine gets for one pull.
pub(crate) struct SignedPulls {
    /// When it ends.
    pub(crate) clock: Arc<dyn Clock>,
    /// What it is signed with.
    pub(crate) keys: Keys,
}

#[async_trait]
impl PullCredentialMinter for SignedPulls {
    async fn mint(&self, repository: &RepositoryName) -> Result<PullCredential, BoxError> {
        let claims = Claims {
            user: None,
            access: vec![Access { repository: repository.clone(), actions: vec![RegistryAction::Pull] }],
            expires: self.clock.now().plus_ms(PULL_CREDENTIAL_S * 1000),
        };
        Ok(PullCredential { username: PULL_USER.to_owned(), password: self.keys.sign(&claims) })
    }
}
