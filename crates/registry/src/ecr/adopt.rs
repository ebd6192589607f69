//! Adoption: a repository that was in ECR before, or was made by others, becomes one of the instance's. What is in it stays as
//! it is, and so do its settings, its tags and what others have written into its policy.

use layer0_domain::model::image::RepositoryName;
use layer0_domain::plan::adoption::Adoptee;
use layer0_domain::port::registry_store::RegistryStoreError;

use super::api::{ADOPTED, Marks};
use super::repositories::{failed, repository};
use super::{Backings, Ecr};
use crate::adoption::{Adopted, Adoption, Origin};

impl Backings {
    /// Adopts a repository of one of the registries, when its friendly name leads there.
    ///
    /// # Errors
    /// As below; `Refused` for one whose name leads elsewhere.
    pub(crate) async fn repository_adopt(
        &self,
        found: Adoptee,
        adoption: Adoption,
    ) -> Result<Adopted, RegistryStoreError> {
        let leads_to = self.whereabouts().of(&found.repository).await?;
        let found = found.led_to(&leads_to).map_err(|why| RegistryStoreError::Refused { why: why.to_string() })?;
        match self.of(&found.repository).await? {
            Some(ecr) => ecr.repository_adopt(&found.repository, adoption).await,
            None => Err(RegistryStoreError::RepositoryMissing(found.repository)),
        }
    }
}

impl Ecr {
    /// Adopts a repository: marks it, and gives it what repositories get when they are made. A second time changes nothing.
    ///
    /// # Errors
    /// `RepositoryMissing`; `Refused` for one of another instance; `Failed`.
    pub(crate) async fn repository_adopt(
        &self,
        name: &RepositoryName,
        adoption: Adoption,
    ) -> Result<Adopted, RegistryStoreError> {
        let parts = &self.parts;
        let seen = self.seen(name).await?.ok_or_else(|| RegistryStoreError::RepositoryMissing(name.clone()))?;
        let marks = parts.api.marks(&seen).await.map_err(failed)?;
        if let Some(other) = marks.other_than(&parts.instance) {
            return Err(RegistryStoreError::Refused {
                why: format!("`{}` belongs to the instance `{other}`: let it be given up there first", seen.name),
            });
        }
        let is_new = marks == Marks::default();
        let tag = is_new.then(|| format!("{ADOPTED} = {}", parts.instance));
        if adoption == Adoption::Made {
            if is_new {
                parts.api.mark_adopted(&seen, &parts.instance).await.map_err(failed)?;
                tracing::info!(repository.name = %name, "adopted {} of ECR as {name}", seen.name);
            }
            if let Some(furnish) = &parts.furnish {
                let furnished = furnish.furnish(name, &seen.name, Origin::Found).await;
                furnished.map_err(|source| RegistryStoreError::Failed { source })?;
            }
        }
        let visibility = self.visibility(name).await?;
        Ok(Adopted { repository: repository(name.clone(), &seen, visibility), ecr_name: seen.name, tag })
    }
}
