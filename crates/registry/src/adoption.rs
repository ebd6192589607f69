//! Adoption of repositories that are in ECR already, for the server's own routes.

use layer0_domain::model::registry::Repository;
use layer0_domain::plan::adoption::{Adoptee, AdoptionError};
use layer0_domain::port::registry_store::RegistryStoreError;

use crate::registry::Registry;

/// Whether what would change is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adoption {
    /// It is only said.
    Tried,
    /// It is.
    Made,
}

/// How a repository came to be the instance's, or to lie where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was made a moment ago: nobody has given it anything yet.
    Made,
    /// It was there before: it was adopted, or moved into, or a creation that was left half done is gone on with. What it was
    /// given in its time there is with it still.
    Found,
}

/// What came, or would come, of an adoption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    /// The repository, by its friendly name.
    pub repository: Repository,
    /// What it is called in ECR.
    pub ecr_name: String,
    /// The tag that it gets there; `None` when it has it, or was made by this instance.
    pub tag: Option<String>,
}

impl Registry {
    /// Adopts a repository: marks it, and gives it what repositories get when they are made. What is in it, its settings, its
    /// other tags and what others have written into its policy stay. A second time changes nothing.
    ///
    /// # Errors
    /// `RepositoryMissing`; `Refused` for one whose friendly name leads elsewhere, for one of another instance, and where
    /// there is no registry in ECR; `Failed`.
    pub async fn repository_adopt(&self, found: Adoptee, adoption: Adoption) -> Result<Adopted, RegistryStoreError> {
        #[cfg(feature = "ecr")]
        if let Some(backings) = self.backings() {
            return backings.repository_adopt(found, adoption).await;
        }
        let _ = (found, adoption);
        Err(RegistryStoreError::Refused { why: AdoptionError::NoRegistry.to_string() })
    }
}
