//! The registries in ECR that stand behind one front, and which of them a repository lies in.

use std::sync::Arc;

use futures_util::future::try_join_all;
use layer0_domain::model::backing::{BackingPlace, Places, PlacesError};
use layer0_domain::model::image::{ImageRef, RepositoryName};
use layer0_domain::model::placement::{BackingName, Placement};
use layer0_domain::model::registry::Repository;
use layer0_domain::port::registry_store::{Page, RegistryStore, RegistryStoreError};

use super::Ecr;
use crate::whereabouts::Whereabouts;

/// What the registry in ECR is called where there is one.
pub const ONLY: &str = "ecr";

/// The registries in ECR of an instance, by name, beside the embedded one. Clones are the same.
#[derive(Clone)]
pub struct Backings {
    ecr: Vec<(BackingName, Ecr)>,
    whereabouts: Arc<Whereabouts>,
}

impl Backings {
    /// These registries, and who knows what lies where.
    #[must_use]
    pub fn new(ecr: Vec<(BackingName, Ecr)>, whereabouts: Arc<Whereabouts>) -> Self {
        Self { ecr, whereabouts }
    }

    /// One registry in ECR, which all repositories go to. `here` knows what lies with the instance all the same.
    #[must_use]
    pub fn only(ecr: Ecr, here: Arc<dyn RegistryStore>) -> Self {
        let name = BackingName::parse(ONLY).expect("a legal name");
        let whereabouts = Whereabouts::new(here, Placement::all_to(name.clone()));
        Self::new(vec![(name, ecr)], Arc::new(whereabouts))
    }

    /// The places of all of them.
    ///
    /// # Errors
    /// Two have one name, or lie within each other.
    pub fn places(&self) -> Result<Places, PlacesError> {
        Places::new(self.ecr.iter().map(|(name, ecr)| (name.clone(), ecr.place().clone())).collect())
    }

    /// The same, each changed.
    #[must_use]
    pub fn each(self, change: impl Fn(Ecr) -> Ecr) -> Self {
        let ecr = self.ecr.into_iter().map(|(name, ecr)| (name, change(ecr))).collect();
        Self { ecr, ..self }
    }

    /// The registry in ECR that a repository lies in, or would be made in; `None` for the embedded one.
    ///
    /// # Errors
    /// `Failed`: what is moved where can't be read, or it was moved to a registry that the configuration has no more.
    pub async fn of(&self, repository: &RepositoryName) -> Result<Option<&Ecr>, RegistryStoreError> {
        let backing = self.whereabouts.of(repository).await?;
        if backing.is_local() {
            return Ok(None);
        }
        match self.get(&backing) {
            Some(ecr) => Ok(Some(ecr)),
            None => Err(unknown(repository, &backing)),
        }
    }

    /// Where a repository lies, or would be made; `None` for with the instance.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub async fn place_of(&self, repository: &RepositoryName) -> Result<Option<&BackingPlace>, RegistryStoreError> {
        Ok(self.of(repository).await?.map(Ecr::place))
    }

    /// The name of what a repository lies in, or would be made in.
    pub(crate) async fn backing_of(&self, repository: &RepositoryName) -> Result<BackingName, RegistryStoreError> {
        self.whereabouts.of(repository).await
    }

    /// Who knows what lies where.
    pub(super) fn whereabouts(&self) -> &Whereabouts {
        &self.whereabouts
    }

    /// A registry in ECR by its name; `None` for the embedded one, and for a name that nothing has.
    #[must_use]
    pub fn get(&self, name: &BackingName) -> Option<&Ecr> {
        self.ecr.iter().find(|(known, _)| known == name).map(|(_, ecr)| ecr)
    }

    /// All registries in ECR, with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&BackingName, &Ecr)> {
        self.ecr.iter().map(|(name, ecr)| (name, ecr))
    }

    /// Repositories of all registries and of the instance (`here`), in byte order of their names, each from where it lies.
    ///
    /// # Errors
    /// `Failed`.
    pub(crate) async fn repository_list(
        &self,
        here: &dyn RegistryStore,
        owner: Option<&str>,
        page: Page,
    ) -> Result<Vec<Repository>, RegistryStoreError> {
        let theirs = try_join_all(self.ecr.iter().map(|(name, ecr)| self.listed(name, ecr, owner, &page))).await?;
        let mut all: Vec<Repository> = theirs.into_iter().flatten().collect();
        all.extend(self.listed_here(here, owner, &page).await?);
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all.truncate(page.most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX)));
        Ok(all)
    }

    /// Those of one registry in ECR. One of the same name that lies elsewhere can't be reached by a friendly name.
    async fn listed(
        &self,
        name: &BackingName,
        ecr: &Ecr,
        owner: Option<&str>,
        page: &Page,
    ) -> Result<Vec<Repository>, RegistryStoreError> {
        let after = page.after.clone();
        let mut found = Vec::new();
        // Asked for all: those that lie elsewhere may be among them, and ECR's answer is the same.
        for repository in ecr.repository_list(owner, Page { after, most: None }).await? {
            if self.whereabouts.of(&repository.name).await? == *name {
                found.push(repository);
            }
        }
        Ok(found)
    }

    /// Those that lie with the instance: so many as a page has, for others may come before them.
    async fn listed_here(
        &self,
        here: &dyn RegistryStore,
        owner: Option<&str>,
        page: &Page,
    ) -> Result<Vec<Repository>, RegistryStoreError> {
        let most = page.most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        let (mut found, mut after) = (Vec::new(), page.after.clone());
        loop {
            let some = here.repository_list(owner, Page { after, most: page.most }).await?;
            let is_last = some.len() < most;
            after = some.last().map(|it| it.name.to_string());
            for repository in some {
                if self.whereabouts.of(&repository.name).await?.is_local() {
                    found.push(repository);
                }
            }
            if is_last || after.is_none() || found.len() >= most {
                return Ok(found);
            }
        }
    }

    /// The registry in ECR whose prefix an image lies under, and the repository.
    pub(crate) fn holding(&self, image: &ImageRef) -> Option<(&Ecr, RepositoryName)> {
        self.ecr.iter().find_map(|(_, ecr)| Some((ecr, ecr.place().repository_of(image)?)))
    }
}

fn unknown(repository: &RepositoryName, backing: &BackingName) -> RegistryStoreError {
    let why = format!("{repository} lies in the registry `{backing}`, which the configuration does not have");
    RegistryStoreError::Failed { source: why.into() }
}
