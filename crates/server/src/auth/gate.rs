//! Who may do what in the registry.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use axum::http::{HeaderMap, StatusCode};
use layer0_domain::model::access::{Action, Caller};
use layer0_domain::model::audit::AuditRecord;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::Visibility;
use layer0_domain::port::BoxError;
use layer0_domain::port::clock::Clock;
use layer0_domain::port::image_source::PullCredential;
use layer0_domain::port::public_store::PublicStore;
use layer0_domain::port::registry_store::RegistryStore;
use layer0_registry::{Admission, Audited, Gate, PullCredentialMinter, Standing, Whereabouts};

use super::PULL_USER;
use super::sign_in::{Known, LookBy, SignIn, Signed, Verdict, may_all, next_look};
use super::signed::{Access, Claims, Keys, PULL_CREDENTIAL_S};
use crate::audit::Done;

/// Decides about every request of the registry.
pub(crate) struct RegistryGate {
    /// Who somebody is.
    pub(crate) sign_in: Arc<SignIn>,
    /// What is public of what lies with the instance.
    pub(crate) repositories: Arc<dyn RegistryStore>,
    /// What is public of what lies elsewhere.
    pub(crate) public: Arc<dyn PublicStore>,
    /// What does: what the data directory's store knows of a repository means nothing for one of the same name that lies
    /// elsewhere.
    pub(crate) whereabouts: Arc<Whereabouts>,
    /// Whether the audit log is in the store that remembers images.
    pub(crate) has_log_with_images: bool,
}

type Want<'a> = Option<(&'a RepositoryName, &'a [Action])>;

impl RegistryGate {
    async fn judge(&self, verdict: Verdict, want: Want<'_>) -> Result<Admission, BoxError> {
        let known = match verdict {
            Verdict::Wrong => return Ok(Admission::Challenge),
            Verdict::Throttled { after_s } => return Ok(Admission::Throttled { after_s }),
            Verdict::Nothing => {
                return Ok(match want {
                    Some((repository, [Action::Pull])) if self.is_public(repository).await? => {
                        Admission::Allowed(Caller::anonymous())
                    }
                    _ => Admission::Challenge,
                });
            }
            Verdict::Known(known) => known,
        };
        let Known { caller, at_most, .. } = known.as_ref();
        let Some((repository, actions)) = want else {
            // A list shows what somebody could pull, whatever repository the signed credential was made for.
            return Ok(Admission::Allowed(Caller { rights: at_most.clone(), ..caller.clone() }));
        };
        if may_all(&caller.rights, actions, repository.into()) {
            return Ok(Admission::Allowed(caller.clone()));
        }
        // What is public needs no right to pull.
        let others: Vec<Action> = actions.iter().copied().filter(|action| *action != Action::Pull).collect();
        if others.len() < actions.len()
            && may_all(&caller.rights, &others, repository.into())
            && self.is_public(repository).await?
        {
            return Ok(Admission::Allowed(caller.clone()));
        }
        // A signed credential for another scope is answered with a challenge for this one, so that the client asks for it.
        let could = may_all(at_most, actions, repository.into());
        let anonymous = caller.who == layer0_domain::model::access::Who::Anonymous;
        Ok(if could || anonymous { Admission::Challenge } else { Admission::Forbidden(caller.clone()) })
    }

    async fn is_public(&self, repository: &RepositoryName) -> Result<bool, BoxError> {
        let visibility = if self.whereabouts.of(repository).await?.is_local() {
            let found = self.repositories.repository_get(repository).await?;
            found.map_or(Visibility::Private, |it| it.visibility)
        } else {
            self.public.visibility_get(repository).await?
        };
        Ok(visibility == Visibility::Public)
    }
}

/// Nobody is let in on a guess.
fn unavailable(why: &BoxError) -> Admission {
    tracing::error!(error = %why, "it could not be looked up who somebody is");
    Admission::Unavailable
}

#[async_trait]
impl Gate for RegistryGate {
    async fn admit(
        &self,
        headers: &HeaderMap,
        peer: Option<SocketAddr>,
        want: Option<(&RepositoryName, &[Action])>,
    ) -> Admission {
        let verdict = match self.sign_in.who(headers, peer, Signed::Accepted).await {
            Ok(verdict) => verdict,
            Err(why) => return unavailable(&why.into()),
        };
        self.judge(verdict, want).await.unwrap_or_else(|why| unavailable(&why))
    }

    fn standing(&self, headers: &HeaderMap) -> Option<Standing> {
        // Asked before anything is read.
        let state = self.repositories.version()?;
        Some(Standing { somebody: self.sign_in.somebody(headers)?, state })
    }

    fn record(
        &self,
        headers: &HeaderMap,
        peer: Option<SocketAddr>,
        done: Audited,
        status: StatusCode,
    ) -> Option<AuditRecord> {
        if !self.has_log_with_images {
            return None;
        }
        let from = self.sign_in.address(headers, peer);
        Some(Done::from(done).record(self.sign_in.clock.now(), from, status))
    }

    async fn ended(&self, headers: HeaderMap, peer: Option<SocketAddr>, repository: RepositoryName, action: Action) {
        let mut changes = self.sign_in.changes.listen();
        loop {
            // The first look is for what has changed since the request was admitted.
            let (by, admission) = match self.sign_in.still(&headers, peer).await {
                Ok(verdict) => (LookBy::of(&verdict), self.judge(verdict, Some((&repository, &[action]))).await),
                Err(why) => (LookBy::Soon, Err(why.into())),
            };
            let by = match admission {
                Ok(Admission::Allowed(_)) => by,
                // A store that does not answer for a moment ends nothing that was begun by right.
                Ok(Admission::Unavailable | Admission::Throttled { .. }) | Err(_) => LookBy::Soon,
                Ok(Admission::Challenge | Admission::Forbidden(_)) => return,
            };
            next_look(&mut changes, self.sign_in.clock.as_ref(), by).await;
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
            session: None,
            access: vec![Access { repository: repository.clone(), actions: vec![Action::Pull] }],
            expires: self.clock.now().plus_ms(PULL_CREDENTIAL_S * 1000),
            refresh: false,
            registry: false,
        };
        Ok(PullCredential { username: PULL_USER.to_owned(), password: self.keys.sign(&claims) })
    }
}
