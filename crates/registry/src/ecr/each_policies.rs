//! The policies of several registries as those of one.
//!
//! A registry's own policy speaks for that registry alone, so that grants come to stand there only where there is one registry. Where
//! another one came to it, what stands in the policy of the first is kept true until it is taken away: `registry_policy_of` says
//! which that is.

use std::sync::Arc;

use async_trait::async_trait;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::placement::BackingName;
use layer0_domain::port::registry_policy::{PolicyScope, RegistryPolicy};
use layer0_domain::port::repository_policies::{PolicyError, RepositoryPage, RepositoryPolicies};

use super::EcrPolicies;
use crate::whereabouts::Whereabouts;

/// The port `RepositoryPolicies` on several registries: each repository's policy is where the repository lies.
pub struct EachPolicies {
    all: Vec<(BackingName, EcrPolicies)>,
    /// The one in whose own policy grants may stand, where that was said.
    registry: Option<BackingName>,
    whereabouts: Arc<Whereabouts>,
}

/// Between the position of a registry and its own mark of the next page.
const MARK: char = ' ';

impl EachPolicies {
    /// The policies of these registries.
    #[must_use]
    pub fn new(all: Vec<(BackingName, EcrPolicies)>, whereabouts: Arc<Whereabouts>) -> Self {
        Self { all, registry: None, whereabouts }
    }

    /// The same, where grants may stand in the policy of this one of the registries.
    #[must_use]
    pub fn registry_policy_of(self, registry: BackingName) -> Self {
        Self { registry: Some(registry), ..self }
    }

    /// Where a repository's policy is. What lies with the instance has none.
    async fn of(&self, repository: &RepositoryName) -> Result<&EcrPolicies, PolicyError> {
        let backing = self.backing_of(repository).await?;
        let found = self.all.iter().find(|(name, _)| *name == backing);
        found.map(|(_, policies)| policies).ok_or_else(|| PolicyError::NoRepository { repository: repository.clone() })
    }

    /// The registry in whose own policy grants may stand. Nobody is told that there is no policy where it is not known whose is meant.
    fn own(&self) -> Result<&EcrPolicies, PolicyError> {
        let named = |registry: &BackingName| self.all.iter().find(|(name, _)| name == registry);
        match (&self.registry, &self.all[..]) {
            (Some(registry), _) => named(registry).map(|(_, own)| own).ok_or_else(several),
            (None, [(_, only)]) => Ok(only),
            (None, _) => Err(several()),
        }
    }

    async fn backing_of(&self, repository: &RepositoryName) -> Result<BackingName, PolicyError> {
        let backing = self.whereabouts.of(repository).await;
        backing.map_err(|why| PolicyError::Unavailable { source: why.into() })
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl RepositoryPolicies for EachPolicies {
    async fn repository_page(&self, next: Option<&str>) -> Result<RepositoryPage, PolicyError> {
        let (at, mark) = match next.map(|next| next.split_once(MARK).map(|(at, mark)| (at.parse::<usize>(), mark))) {
            None => (0, ""),
            Some(Some((Ok(at), mark))) => (at, mark),
            Some(_) => return Err(PolicyError::Refused { why: "this is no mark of a page".to_owned() }),
        };
        let Some((name, policies)) = self.all.get(at) else { return Ok(RepositoryPage::default()) };
        let page = policies.repository_page((!mark.is_empty()).then_some(mark)).await?;
        let mut names = Vec::with_capacity(page.names.len());
        for repository in page.names {
            // One of the same name that lies elsewhere is nobody's to grant.
            if self.backing_of(&repository).await? == *name {
                names.push(repository);
            }
        }
        let next = match page.next {
            Some(mark) => Some(format!("{at}{MARK}{mark}")),
            None => (at + 1 < self.all.len()).then(|| format!("{}{MARK}", at + 1)),
        };
        Ok(RepositoryPage { names, next })
    }

    async fn policy_read(&self, repository: &RepositoryName) -> Result<Option<String>, PolicyError> {
        self.of(repository).await?.policy_read(repository).await
    }

    async fn policy_write(&self, repository: &RepositoryName, text: &str) -> Result<(), PolicyError> {
        self.of(repository).await?.policy_write(repository, text).await
    }

    async fn policy_delete(&self, repository: &RepositoryName) -> Result<(), PolicyError> {
        self.of(repository).await?.policy_delete(repository).await
    }
}

/// Why several registries have no policy in common.
fn several() -> PolicyError {
    let why =
        "a registry's policy speaks for one registry, and this instance has several: take the strategy `repositories`";
    PolicyError::Refused { why: why.to_owned() }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl RegistryPolicy for EachPolicies {
    async fn registry_policy_scope(&self) -> Result<PolicyScope, PolicyError> {
        // It is asked for before grants come to stand there.
        match &self.all[..] {
            [_] => self.own()?.registry_policy_scope().await,
            _ => Err(several()),
        }
    }

    async fn registry_policy_read(&self) -> Result<Option<String>, PolicyError> {
        self.own()?.registry_policy_read().await
    }

    async fn registry_policy_write(&self, text: &str) -> Result<(), PolicyError> {
        self.own()?.registry_policy_write(text).await
    }

    async fn registry_policy_delete(&self) -> Result<(), PolicyError> {
        self.own()?.registry_policy_delete().await
    }
}
