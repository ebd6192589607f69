//! One document that grants are written into: read, judged, written.

use layer0_domain::model::grant::{Duty, Grant, GrantPlace, Grants, KeptStrategy, Wording};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::plan::grants::{Due, GrantPolicyError, Sheet, holds, mentions, registry_due, repository_due};
use layer0_domain::port::registry_policy::RegistryPolicy as _;
use layer0_domain::port::repository_policies::{PolicyError, RepositoryPolicies as _};

use super::keeper::Keeper;

/// Which document.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which<'a> {
    /// The policy of a repository.
    Repository(&'a RepositoryName),
    /// The policy of the registry.
    Registry,
}

impl<'a> Which<'a> {
    /// For people.
    pub(super) fn title(self) -> String {
        match self {
            Which::Repository(name) => format!("the policy of {name}"),
            Which::Registry => "the registry's policy".to_owned(),
        }
    }

    /// The repository that it is of.
    pub(super) fn repository(self) -> Option<&'a RepositoryName> {
        match self {
            Which::Repository(name) => Some(name),
            Which::Registry => None,
        }
    }

    pub(super) fn duty(self, strategy: &KeptStrategy) -> Duty {
        strategy.duty(match self {
            Which::Repository(_) => GrantPlace::Repositories,
            Which::Registry => GrantPlace::Registry,
        })
    }

    /// Whether a grant has a place in it.
    pub(super) fn bears(self, grant: &Grant) -> bool {
        match self {
            Which::Repository(name) => grant.scope.covers(name),
            Which::Registry => true,
        }
    }
}

impl Keeper {
    pub(super) async fn document_read(&self, which: Which<'_>) -> Result<Option<String>, PolicyError> {
        match which {
            Which::Repository(name) => self.policies.policy_read(name).await,
            Which::Registry => self.policies.registry_policy_read().await,
        }
    }

    pub(super) async fn document_write(&self, which: Which<'_>, text: &str) -> Result<(), PolicyError> {
        match which {
            Which::Repository(name) => self.policies.policy_write(name, text).await,
            Which::Registry => self.policies.registry_policy_write(text).await,
        }
    }

    pub(super) async fn document_delete(&self, which: Which<'_>) -> Result<(), PolicyError> {
        match which {
            Which::Repository(name) => self.policies.policy_delete(name).await,
            Which::Registry => self.policies.registry_policy_delete().await,
        }
    }

    /// What has to be done about it.
    pub(super) fn document_due(
        &self,
        which: Which<'_>,
        strategy: &KeptStrategy,
        wanted: &Grants,
        present: Option<&str>,
    ) -> Result<Due, GrantPolicyError> {
        match which {
            Which::Repository(name) => repository_due(&self.signature, strategy, name, wanted, present),
            Which::Registry => registry_due(&self.signature, strategy, &self.names, wanted, present),
        }
    }

    /// Whether our part of it lets in whom a grant names.
    pub(super) fn document_holds(&self, which: Which<'_>, grant: &Grant, present: Option<&str>) -> bool {
        match which {
            Which::Repository(name) => holds(&self.signature, Sheet::Repository(name), grant, present),
            Which::Registry => [Wording::Lists, Wording::Conditions]
                .into_iter()
                .any(|wording| holds(&self.signature, Sheet::Registry(&self.names, wording), grant, present)),
        }
    }

    /// Whether our part of it mentions whom a grant is for, whatever it says of them; `None` where it can't be read.
    pub(super) fn document_mentions(&self, grant: &Grant, present: Option<&str>) -> Option<bool> {
        mentions(&self.signature, grant, present)
    }

    /// Whether it does so by naming them, so that AWS knows them.
    pub(super) fn document_names(&self, which: Which<'_>, grant: &Grant, present: Option<&str>) -> bool {
        match which {
            Which::Repository(_) => self.document_holds(which, grant, present),
            Which::Registry => holds(&self.signature, Sheet::Registry(&self.names, Wording::Lists), grant, present),
        }
    }
}
