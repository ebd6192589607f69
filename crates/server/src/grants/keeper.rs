//! The keeper: looks at the repositories that grants are about, and writes down what came of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use layer0_domain::model::grant::{GrantScope, GrantState, GrantWish, KeptGrant};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::plan::grants::{RegistryNames, Signature};
use layer0_domain::port::access_store::{AccessStore, AccessStoreError};
use layer0_domain::port::clock::Clock;
use layer0_domain::port::repository_policies::{PolicyError, RepositoryPage, RepositoryPolicies as _};
use layer0_domain::port::store::{Store, StoreError};

use super::PolicyPlace;
use super::paced::Paced;
use super::pass::Pass;
use super::strategy::Strategies;
use crate::reconcile::Nudge;

/// How many repositories are looked at side by side. At 20 writes a second that is enough for calls of nearly a second.
const AT_ONCE: usize = 16;

/// What keeps grants and policies in line. It remembers nothing from one look to the next.
pub(crate) struct Keeper {
    pub(super) policies: Paced,
    /// What repositories are called in the registry's policy.
    pub(crate) names: RegistryNames,
    pub(super) strategies: Strategies,
    pub(super) access: Arc<dyn AccessStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) signature: Signature,
    /// Tells whoever watches that a row has changed.
    pub(super) nudge: Nudge,
}

/// Which repositories are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// Those that are meant by what was asked for and is not carried out.
    Asked,
    /// Those that are meant by what was to be taken back and has not gone everywhere.
    Left,
    /// All that any grant means.
    All(Mending),
    /// All documents, for a change of strategy.
    Change,
}

/// What is done about a policy that is not as it should be, though nothing was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mending {
    /// It is written anew.
    Mend,
    /// It is reported.
    ReportOnly,
}

/// What came of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looked {
    /// There was nothing to do.
    Nothing,
    /// All repositories that were meant were looked at.
    Through,
}

/// Why a look came to no end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookError {
    /// The grants can't be read or written.
    #[error("the grants can't be read or written")]
    Store(#[from] AccessStoreError),
    /// Nor can their strategy.
    #[error("the strategy of the grants can't be read or written")]
    Strategy(#[from] StoreError),
    /// The repositories can't be listed.
    #[error("the repositories can't be listed")]
    List(#[source] PolicyError),
}

impl Keeper {
    pub(crate) fn new(
        place: PolicyPlace,
        signature: Signature,
        (store, access): (Arc<dyn Store>, Arc<dyn AccessStore>),
        clock: Arc<dyn Clock>,
        nudge: Nudge,
    ) -> Self {
        let PolicyPlace { policies, registry_policy, names, rates, only: _ } = place;
        let policies = Paced::new(policies, registry_policy, rates);
        let strategies = Strategies::new(store, names.host());
        Self { policies, names, strategies, access, clock, signature, nudge }
    }

    /// Looks at repositories once, and writes into the grants what came of it. Repositories that fail are said there too: an
    /// error means that the look itself did not come to its end, and that nothing of it counts.
    ///
    /// Memory: one page of names, and the policies of those that are looked at side by side.
    pub(crate) async fn look(&self, look: Look) -> Result<Looked, LookError> {
        let all = self.access.grant_list().await?;
        let is_asked = |kept: &KeptGrant| kept.state == GrantState::Spreading;
        let is_left = |kept: &KeptGrant| kept.wish == GrantWish::TakeBack && kept.state == GrantState::Incomplete;
        let concerned = |kept: &&KeptGrant| match look {
            Look::Asked => is_asked(kept),
            Look::Left => is_left(kept),
            Look::All(Mending::Mend) => true,
            // What was asked for is carried out, whatever is done about the rest.
            Look::All(Mending::ReportOnly) => !is_asked(kept),
            Look::Change => false,
        };
        let concerned: Vec<KeptGrant> = all.iter().filter(concerned).cloned().collect();
        if concerned.is_empty() {
            return Ok(Looked::Nothing);
        }
        let scopes: Vec<GrantScope> = concerned.iter().map(|kept| kept.grant.scope.clone()).collect();
        let strategy = self.strategies.read().await?.strategy;
        let mut pass = Pass::new(self, look, strategy, &all, concerned);
        pass.registry().await;
        match self.through(&pass, &scopes).await {
            Ok(()) => {
                pass.finish().await?;
                Ok(Looked::Through)
            }
            Err(why) => {
                pass.give_up(&why).await?;
                Err(LookError::List(why))
            }
        }
    }

    /// Looks at each repository that a scope covers.
    pub(super) async fn through(&self, pass: &Pass<'_>, scopes: &[GrantScope]) -> Result<(), PolicyError> {
        let mut going = FuturesUnordered::new();
        if let Some(names) = named(scopes) {
            for name in names {
                begin(&mut going, pass, name).await;
            }
        } else {
            let mut mark: Option<String> = None;
            loop {
                let page = self.page(mark.as_deref(), &mut going).await?;
                page.names.iter().for_each(|name| pass.meet(name));
                for name in page.names.into_iter().filter(|name| scopes.iter().any(|scope| scope.covers(name))) {
                    begin(&mut going, pass, name).await;
                }
                mark = page.next;
                if mark.is_none() {
                    break;
                }
            }
        }
        while going.next().await.is_some() {}
        Ok(())
    }

    /// A page of repositories, while what goes on goes on.
    async fn page(&self, mark: Option<&str>, going: &mut Going<'_>) -> Result<RepositoryPage, PolicyError> {
        let mut page = self.policies.repository_page(mark);
        loop {
            tokio::select! {
                page = &mut page => return page,
                Some(()) = going.next() => {}
            }
        }
    }
}

/// The looks that go on.
type Going<'a> = FuturesUnordered<BoxFuture<'a, ()>>;

/// Begins to look at a repository, as soon as there is room.
async fn begin<'a>(going: &mut Going<'a>, pass: &'a Pass<'_>, name: RepositoryName) {
    while going.len() >= AT_ONCE {
        going.next().await;
    }
    going.push(pass.one(name).boxed());
}

/// The repositories that are meant, when each is named: then nothing has to be listed.
fn named(scopes: &[GrantScope]) -> Option<BTreeSet<RepositoryName>> {
    scopes
        .iter()
        .map(|scope| match scope {
            GrantScope::Repository(name) => Some(name.clone()),
            GrantScope::Instance | GrantScope::Owner(_) => None,
        })
        .collect()
}
