//! What would be written, before it is.

use layer0_domain::model::grant::{Grant, GrantScope};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::plan::grants::{Change, repository_policy};
use layer0_domain::port::repository_policies::{PolicyError, RepositoryPolicies as _};

use super::keeper::{Keeper, LookError};
use super::pass::words;

/// How many repositories a preview reads the policy of.
pub(super) const SHOWN: usize = 10;

/// What a change of the grants would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Preview {
    /// How many repositories are meant.
    pub(crate) repositories: u64,
    /// What would become of the policies of the first of them.
    pub(crate) documents: Vec<PreviewDocument>,
}

/// What would become of one policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PreviewDocument {
    /// The repository.
    pub(crate) repository: RepositoryName,
    /// The policy that it has.
    pub(crate) present: Option<String>,
    /// What would be done.
    pub(crate) change: PreviewChange,
}

/// What would be done about a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PreviewChange {
    /// As computed.
    Change(Change),
    /// Nothing could be, and why.
    Refused(String),
}

impl Keeper {
    /// What the policies of the repositories in a scope would become: by the grants that are wanted now, with `added` and
    /// without `removed`. Writes nothing.
    pub(crate) async fn preview(
        &self,
        scope: &GrantScope,
        added: Option<&Grant>,
        removed: Option<&Grant>,
    ) -> Result<Preview, LookError> {
        let kept = self.access.grant_list().await?;
        let mut wanted: layer0_domain::model::grant::Grants =
            kept.into_iter().filter(|kept| kept.is_wanted()).map(|kept| kept.grant).collect();
        wanted.extend(added.cloned());
        wanted.retain(|grant| Some(grant) != removed);

        let (repositories, names) = self.meant(scope).await.map_err(LookError::List)?;
        let mut documents = Vec::new();
        for repository in names {
            let (present, change) = match self.policies.policy_read(&repository).await {
                Ok(present) => {
                    let change = repository_policy(&self.signature, &repository, &wanted, present.as_deref());
                    (present, change.map_or_else(|why| PreviewChange::Refused(why.to_string()), PreviewChange::Change))
                }
                Err(why) => (None, PreviewChange::Refused(words(&why))),
            };
            documents.push(PreviewDocument { repository, present, change });
        }
        Ok(Preview { repositories, documents })
    }

    /// How many repositories a scope covers, and the first of them.
    async fn meant(&self, scope: &GrantScope) -> Result<(u64, Vec<RepositoryName>), PolicyError> {
        if let GrantScope::Repository(name) = scope {
            return Ok((1, vec![name.clone()]));
        }
        let (mut count, mut first, mut mark) = (0, Vec::new(), None::<String>);
        loop {
            let page = self.policies.repository_page(mark.as_deref()).await?;
            for name in page.names.into_iter().filter(|name| scope.covers(name)) {
                count += 1;
                if first.len() < SHOWN {
                    first.push(name);
                }
            }
            mark = page.next;
            if mark.is_none() {
                return Ok((count, first));
            }
        }
    }
}
