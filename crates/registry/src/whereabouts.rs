//! Which backing a repository lies in: the one seam that everything asks which is about a single repository.

use std::sync::Arc;

use async_trait::async_trait;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::placement::{BackingName, Placement};
use layer0_domain::port::BoxError;
use layer0_domain::port::registry_store::{RegistryStore, RegistryStoreError};

/// Repositories that lie elsewhere than the rules say, because they were moved.
#[async_trait]
pub trait Moved: Send + Sync {
    /// Where a repository was moved to; `None` for one that never was. Asked for every request: it must be quick.
    ///
    /// # Errors
    /// What is asked about the repository fails with it.
    async fn moved_to(&self, repository: &RepositoryName) -> Result<Option<BackingName>, BoxError>;
}

/// Says which backing a repository lies in. In this order: where it was moved to; with the instance, when it is there (rules
/// that came later leave what was there where it is); where the rules say that it goes.
pub struct Whereabouts {
    here: Arc<dyn RegistryStore>,
    placement: Placement,
    moved: Option<Arc<dyn Moved>>,
}

impl Whereabouts {
    /// `here` knows what lies with the instance.
    #[must_use]
    pub fn new(here: Arc<dyn RegistryStore>, placement: Placement) -> Self {
        Self { here, placement, moved: None }
    }

    /// Everything lies with the instance.
    #[must_use]
    pub fn all_here(here: Arc<dyn RegistryStore>) -> Self {
        Self::new(here, Placement::all_to(BackingName::local()))
    }

    /// The same, but for what was moved.
    #[must_use]
    pub fn but_for(self, moved: Arc<dyn Moved>) -> Self {
        Self { moved: Some(moved), ..self }
    }

    /// Where a repository lies, or would lie if it was made now.
    ///
    /// # Errors
    /// `Failed`.
    pub async fn of(&self, repository: &RepositoryName) -> Result<BackingName, RegistryStoreError> {
        if let Some(moved) = &self.moved {
            let moved = moved.moved_to(repository).await;
            if let Some(backing) = moved.map_err(|source| RegistryStoreError::Failed { source })? {
                return Ok(backing);
            }
        }
        let goes_to = self.placement.of(repository);
        if goes_to.is_local() || self.here.repository_get(repository).await?.is_some() {
            return Ok(BackingName::local());
        }
        Ok(goes_to.clone())
    }
}
