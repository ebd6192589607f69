//! What would be written, before it is.

use layer0_domain::model::grant::{Duty, Grant, GrantPlace, GrantScope, GrantStrategy, Grants, KeptStrategy};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::plan::grants::{Change, Due};
use layer0_domain::port::repository_policies::{PolicyError, RepositoryPolicies as _};

use super::document::Which;
use super::keeper::{Keeper, LookError};
use super::pass::words;

/// How many repositories a preview reads the policy of.
pub(super) const SHOWN: usize = 10;

/// What a change of the grants would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Preview {
    /// How many repositories are meant.
    pub(crate) repositories: u64,
    /// What would become of the registry's policy, where grants stand or stood there, and of those of the first of them.
    pub(crate) documents: Vec<PreviewDocument>,
}

/// What would become of one policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PreviewDocument {
    /// The repository; `None` for the registry's.
    pub(crate) repository: Option<RepositoryName>,
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
    /// What the documents of the repositories in a scope would become: by the grants that are wanted now, with `added` and
    /// without `removed`; with `strategy`, after the change to that one. Writes nothing.
    pub(crate) async fn preview(
        &self,
        scope: &GrantScope,
        added: Option<&Grant>,
        removed: Option<&Grant>,
        strategy: Option<GrantStrategy>,
    ) -> Result<Preview, LookError> {
        let kept = self.access.grant_list().await?;
        let mut wanted: Grants = kept.into_iter().filter(|kept| kept.is_wanted()).map(|kept| kept.grant).collect();
        wanted.extend(added.cloned());
        wanted.retain(|grant| Some(grant) != removed);
        let present = self.strategy().await?;
        let strategy = match strategy {
            Some(wish) => present.wished(wish, self.clock.now()).about_to_settle(),
            None => present,
        };

        let (repositories, names) = self.meant(scope).await.map_err(LookError::List)?;
        let mut documents = Vec::new();
        if strategy.duty(GrantPlace::Registry) != Duty::Leave {
            documents.push(self.preview_document(Which::Registry, &strategy, &wanted).await);
        }
        if strategy.duty(GrantPlace::Repositories) != Duty::Leave {
            for name in &names {
                documents.push(self.preview_document(Which::Repository(name), &strategy, &wanted).await);
            }
        }
        Ok(Preview { repositories, documents })
    }

    pub(super) async fn preview_document(
        &self,
        which: Which<'_>,
        strategy: &KeptStrategy,
        wanted: &Grants,
    ) -> PreviewDocument {
        let (present, change) = match self.document_read(which).await {
            Ok(present) => {
                let change = match self.document_due(which, strategy, wanted, present.as_deref()) {
                    Ok(Due::Nothing) => PreviewChange::Change(Change::Keep),
                    Ok(Due::As(change)) => PreviewChange::Change(change),
                    Ok(Due::Meanwhile(_, why)) | Err(why) => PreviewChange::Refused(why.to_string()),
                };
                (present, change)
            }
            Err(why) => (None, PreviewChange::Refused(words(&why))),
        };
        PreviewDocument { repository: which.repository().cloned(), present, change }
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
