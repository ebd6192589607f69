//! Repositories of the instance, which are ECR's under the prefix.

use std::time::Duration;

use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::{ManifestRef, Repository, Visibility};
use layer0_domain::port::registry_store::{Page, RegistryStoreError};
use layer0_domain::port::store::StoreError;

use super::Ecr;
use super::api::{ApiError, Seen};
use crate::adoption::Origin;

/// How long a repository that was just made may take until ECR finds it, and how often it is looked for.
const SEEN_TRIES: u32 = 20;
const SEEN_EVERY: Duration = Duration::from_millis(250);

/// What the owner's rules of immutable tags mean for a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    /// They keep the repository.
    Hold,
    /// They don't: its tags go on elsewhere.
    GoOnElsewhere,
}

impl Ecr {
    /// Makes a repository, or finds that this instance has made it: what a crash left half done is finished by the same
    /// request once more.
    ///
    /// # Errors
    /// `Refused` for a name that ECR does not take, for one that is there already and not this instance's, and for a public one
    /// where there are none; `Failed`.
    pub(crate) async fn repository_create(
        &self,
        name: RepositoryName,
        visibility: Visibility,
    ) -> Result<Repository, RegistryStoreError> {
        self.may_be(visibility)?;
        // What was public under this name before is so no more, from the first moment. What is there stays what it is: it may be somebody
        // else's, and then this is refused.
        if self.seen(&name).await?.is_none() {
            self.show(&name, Visibility::Private).await?;
        }
        let (made, origin) = self.repository_make(name).await?;
        self.repository_furnish(&made.name, origin).await?;
        if visibility == Visibility::Public {
            self.show(&made.name, visibility).await?;
        }
        let visibility = self.visibility(&made.name).await?;
        Ok(Repository { visibility, ..made })
    }

    /// Gives a repository what else it needs: again changes nothing.
    ///
    /// # Errors
    /// `Failed`.
    pub(crate) async fn repository_furnish(
        &self,
        name: &RepositoryName,
        origin: Origin,
    ) -> Result<(), RegistryStoreError> {
        let Some(furnish) = &self.parts.furnish else { return Ok(()) };
        let furnished = furnish.furnish(name, &self.parts.place.path_of(name), origin).await;
        furnished.map_err(|source| RegistryStoreError::Failed { source })
    }

    /// Makes a repository as the template has it, and nothing more: one that does not answer yet, because what it is for lies
    /// elsewhere. Answers too whether it was there.
    ///
    /// # Errors
    /// As [`repository_create`](Self::repository_create).
    pub(crate) async fn repository_make(
        &self,
        name: RepositoryName,
    ) -> Result<(Repository, Origin), RegistryStoreError> {
        let parts = &self.parts;
        let theirs = parts.place.path_of(&name);
        let (made, origin) = match parts
            .api
            .repository_create(&theirs, &parts.template, &parts.instance)
            .await
            .map_err(failed)?
        {
            Some(made) => {
                tracing::info!(repository.name = %name, "made repository {theirs} in ECR for {name}");
                (made, Origin::Made)
            }
            None => {
                let why = || RegistryStoreError::Refused {
                    why: format!(
                        "`{theirs}` is in ECR already, and was not made by this instance; it can be used as {name} as it is, \
                         and be adopted: `l0 repository import {theirs}`"
                    ),
                };
                (self.own(&name).await?.ok_or_else(why)?, Origin::Found)
            }
        };
        // Each step may be made again, and a creation that is repeated makes those that are missing.
        if let Some(lifecycle) = &parts.template.lifecycle {
            parts.api.lifecycle_ensure(&theirs, lifecycle).await.map_err(failed)?;
        }
        Ok((repository(name, &made, Visibility::Private), origin))
    }

    /// Waits until ECR finds a repository that was just made: that takes a moment (containers-roadmap, and every tool that
    /// makes repositories).
    pub(crate) async fn repository_await(&self, name: &RepositoryName) -> Result<(), RegistryStoreError> {
        for _ in 0..SEEN_TRIES {
            if self.seen(name).await?.is_some() {
                return Ok(());
            }
            tokio::time::sleep(SEEN_EVERY).await;
        }
        Err(RegistryStoreError::RepositoryMissing(name.clone()))
    }

    /// As ECR describes it.
    pub(super) async fn seen(&self, name: &RepositoryName) -> Result<Option<Seen>, RegistryStoreError> {
        self.parts.api.repository_get(&self.parts.place.path_of(name)).await.map_err(failed)
    }

    /// The same, when it bears the mark of this instance.
    async fn own(&self, name: &RepositoryName) -> Result<Option<Seen>, RegistryStoreError> {
        let Some(seen) = self.seen(name).await? else { return Ok(None) };
        let marks = self.parts.api.marks(&seen).await.map_err(failed)?;
        Ok(marks.is_made_by(&self.parts.instance).then_some(seen))
    }

    /// Sees to it that a name is private.
    pub(crate) async fn hide(&self, name: &RepositoryName) -> Result<(), RegistryStoreError> {
        match self.visibility(name).await? {
            Visibility::Private => Ok(()),
            Visibility::Public => self.show(name, Visibility::Private).await,
        }
    }

    /// Says how visible a name is from now on.
    pub(super) async fn show(&self, name: &RepositoryName, visibility: Visibility) -> Result<(), RegistryStoreError> {
        self.may_be(visibility)?;
        match &self.parts.public {
            Some(public) => public.visibility_put(name, visibility).await.map_err(unkept),
            None => Ok(()),
        }
    }

    /// Refuses a public repository where there are none.
    fn may_be(&self, visibility: Visibility) -> Result<(), RegistryStoreError> {
        if self.parts.public.is_some() || visibility == Visibility::Private {
            return Ok(());
        }
        Err(RegistryStoreError::Refused {
            why:
                "a repository whose images lie in ECR is private here: grant those who are to pull from it the right to"
                    .to_owned(),
        })
    }

    /// How visible a name is. ECR is not asked: whoever has no token may ask for this as often as he likes.
    ///
    /// # Errors
    /// `Failed`.
    pub(crate) async fn visibility(&self, name: &RepositoryName) -> Result<Visibility, RegistryStoreError> {
        match &self.parts.public {
            Some(public) => public.visibility_get(name).await.map_err(unkept),
            None => Ok(Visibility::Private),
        }
    }

    /// Changes who may pull from a repository by its friendly name. In ECR nothing changes.
    ///
    /// # Errors
    /// `RepositoryMissing`, `Failed`; `Refused` where there are no public ones.
    pub(crate) async fn repository_update(
        &self,
        name: &RepositoryName,
        visibility: Visibility,
    ) -> Result<Repository, RegistryStoreError> {
        let seen = self.seen(name).await?.ok_or_else(|| RegistryStoreError::RepositoryMissing(name.clone()))?;
        self.show(name, visibility).await?;
        tracing::info!(repository.name = %name, "repository {name} is {} now, in ECR", visibility.as_str());
        Ok(repository(name.clone(), &seen, visibility))
    }

    /// One repository.
    ///
    /// # Errors
    /// `Failed`.
    pub(crate) async fn repository_get(&self, name: &RepositoryName) -> Result<Option<Repository>, RegistryStoreError> {
        let Some(seen) = self.seen(name).await? else { return Ok(None) };
        Ok(Some(repository(name.clone(), &seen, self.visibility(name).await?)))
    }

    /// Repositories in byte order of their names, of one owner or of all. ECR gives them in pages of a thousand, and all of
    /// the registry.
    ///
    /// # Errors
    /// `Failed`.
    pub(crate) async fn repository_list(
        &self,
        owner: Option<&str>,
        page: Page,
    ) -> Result<Vec<Repository>, RegistryStoreError> {
        let all = self.parts.api.repository_list().await.map_err(failed)?;
        let public = match &self.parts.public {
            Some(public) => public.public_list().await.map_err(unkept)?,
            None => Vec::new(),
        };
        let ours = |seen: &Seen| {
            let name = self.parts.place.repository_at(&seen.name)?;
            let is_public = public.binary_search(&name).is_ok();
            Some(repository(name, seen, if is_public { Visibility::Public } else { Visibility::Private }))
        };
        let wanted = |it: &Repository| {
            owner.is_none_or(|owner| it.name.owner() == owner)
                && page.after.as_deref().is_none_or(|after| it.name.as_str() > after)
        };
        let mut found: Vec<Repository> = all.iter().filter_map(ours).filter(wanted).collect();
        found.sort_by(|one, other| one.name.cmp(&other.name));
        found.truncate(page.most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX)));
        Ok(found)
    }

    /// Deletes a repository that this instance has made; with images inside only when `only_empty` is not wanted. One that it
    /// has adopted goes only then, whatever is inside.
    ///
    /// # Errors
    /// `RepositoryMissing`, `RepositoryNotEmpty`, `TagImmutable` of any of its tags, `Refused` for one that is not this
    /// instance's, `Failed`.
    pub(crate) async fn repository_delete(
        &self,
        name: &RepositoryName,
        only_empty: bool,
        rules: Rules,
    ) -> Result<(), RegistryStoreError> {
        let parts = &self.parts;
        let missing = || RegistryStoreError::RepositoryMissing(name.clone());
        let seen = self.seen(name).await?.ok_or_else(missing)?;
        let marks = parts.api.marks(&seen).await.map_err(failed)?;
        let name_there = &seen.name;
        let why = if marks.is_made_by(&parts.instance) {
            None
        } else if !marks.is_adopted_by(&parts.instance) {
            Some(format!(
                "`{name_there}` was not made by this instance, so it is not deleted here: `aws ecr delete-repository \
                 --repository-name {name_there}`"
            ))
        } else {
            only_empty.then(|| {
                format!("`{name_there}` was in ECR before it was adopted: `--force` deletes it there, with all that is inside")
            })
        };
        if let Some(why) = why {
            return Err(RegistryStoreError::Refused { why });
        }
        if rules == Rules::Hold {
            self.all_may_go(name).await?;
        }
        let deleted = parts.api.repository_delete(&seen.name, !only_empty).await;
        parts.usage.forget(name.owner());
        match deleted {
            // The name has no more to show, unless it goes on elsewhere.
            Ok(()) if rules == Rules::Hold => self.show(name, Visibility::Private).await,
            Ok(()) => Ok(()),
            Err(error) if error.is_missing() => Err(missing()),
            Err(error) if error.is_not_empty() => {
                let manifests = parts.api.images_count(&seen.name).await.map_err(failed)?;
                Err(RegistryStoreError::RepositoryNotEmpty { repository: name.clone(), manifests })
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Takes a tag away, or a manifest with all its tags. Answers whether it was there.
    ///
    /// # Errors
    /// `TagImmutable`, `Refused`, `Failed`.
    pub(crate) async fn image_delete(
        &self,
        name: &RepositoryName,
        reference: &ManifestRef,
    ) -> Result<bool, RegistryStoreError> {
        self.may_go(name, reference).await?;
        let deleted = self.parts.api.image_delete(&self.parts.place.path_of(name), reference).await;
        self.parts.usage.forget(name.owner());
        deleted.map_err(failed)
    }
}

pub(super) fn repository(name: RepositoryName, seen: &Seen, visibility: Visibility) -> Repository {
    Repository { name, created: seen.created, visibility }
}

/// Which names are public can't be read or written.
fn unkept(error: StoreError) -> RegistryStoreError {
    RegistryStoreError::Failed { source: error.into() }
}

pub(super) fn failed(error: ApiError) -> RegistryStoreError {
    if error.is_refused() {
        return RegistryStoreError::Refused { why: format!("ECR refuses it: {}", error.words()) };
    }
    RegistryStoreError::Failed { source: error.into() }
}
