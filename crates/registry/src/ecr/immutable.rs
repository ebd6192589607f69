//! The owners' rules of immutable tags, for images in ECR.
//!
//! ECR knows nothing of them, so a tag is looked at before it is moved or deleted. Two pushes of one new tag at the same moment may both
//! pass: what must hold against that too is ECR's own immutability (`Template::tags_immutable`).

use async_trait::async_trait;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::owner::TagRule;
use layer0_domain::model::registry::ManifestRef;
use layer0_domain::port::BoxError;
use layer0_domain::port::registry_store::{Page, RegistryStoreError};

use super::Ecr;
use super::images::Found;
use super::repositories::failed;
use crate::error::RegistryError;

/// Where the rules are kept.
#[async_trait]
pub trait TagRules: Send + Sync {
    /// The rules of a repository's owner.
    ///
    /// # Errors
    /// They can't be read now.
    async fn of_owner(&self, repository: &RepositoryName) -> Result<Vec<TagRule>, BoxError>;
}

impl Ecr {
    /// The rules that hold for some tags of a repository.
    async fn rules(&self, name: &RepositoryName) -> Result<Vec<TagRule>, RegistryStoreError> {
        match &self.parts.tag_rules {
            None => Ok(Vec::new()),
            Some(rules) => rules.of_owner(name).await.map_err(|source| RegistryStoreError::Failed { source }),
        }
    }

    /// Whether a tag may be pointed at a manifest: one that is immutable only where it points to it already, or is new.
    ///
    /// # Errors
    /// `TagImmutable`, `Failed`.
    pub(crate) async fn may_point(
        &self,
        name: &RepositoryName,
        tag: &str,
        to: &Digest,
    ) -> Result<(), RegistryStoreError> {
        let rules = self.rules(name).await?;
        let Some(rule) = rules.into_iter().find(|rule| rule.holds(name.name(), tag)) else { return Ok(()) };
        let reference = ManifestRef::Tag(tag.to_owned());
        match self.manifest_get(name, &reference).await.map_err(RegistryError::outside)? {
            Found::Manifest(there) if there.digest != *to => Err(immutable(name, tag, rule)),
            Found::Manifest(_) | Found::NoImage | Found::NoRepository => Ok(()),
        }
    }

    /// Whether a tag may go, or a manifest with the tags that point to it.
    ///
    /// # Errors
    /// `TagImmutable`, `Failed`.
    pub(super) async fn may_go(
        &self,
        name: &RepositoryName,
        reference: &ManifestRef,
    ) -> Result<(), RegistryStoreError> {
        let rules = self.rules(name).await?;
        if rules.is_empty() {
            return Ok(());
        }
        let tags = match reference {
            ManifestRef::Tag(tag) => vec![tag.clone()],
            ManifestRef::Digest(digest) => {
                let theirs = self.place().path_of(name);
                self.parts.api.image_tags(&theirs, &digest.to_string()).await.map_err(failed)?
            }
        };
        all_may_go(name, &rules, tags)
    }

    /// Whether all tags of a repository may go.
    ///
    /// # Errors
    /// `TagImmutable`, `Failed`.
    pub(super) async fn all_may_go(&self, name: &RepositoryName) -> Result<(), RegistryStoreError> {
        let rules = self.rules(name).await?;
        if rules.is_empty() {
            return Ok(());
        }
        all_may_go(name, &rules, self.tag_list(name, Page::default()).await?.unwrap_or_default())
    }
}

fn all_may_go(name: &RepositoryName, rules: &[TagRule], tags: Vec<String>) -> Result<(), RegistryStoreError> {
    for tag in tags {
        if let Some(rule) = rules.iter().find(|rule| rule.holds(name.name(), &tag)) {
            return Err(immutable(name, &tag, rule.clone()));
        }
    }
    Ok(())
}

fn immutable(name: &RepositoryName, tag: &str, rule: TagRule) -> RegistryStoreError {
    RegistryStoreError::TagImmutable { repository: name.clone(), tag: tag.to_owned(), rule: Box::new(rule) }
}
