//! Repositories and their images, for the server's own routes.

use std::sync::Arc;

use layer0_domain::model::backing::BackingPlace;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::home::{Home, Migration, Stage};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::placement::BackingName;
use layer0_domain::model::registry::{Manifest, ManifestRef, Platform, Repository, Visibility};
use layer0_domain::model::time::Timestamp;
use layer0_domain::plan;
use layer0_domain::port::home_store::HomeStore as _;
use layer0_domain::port::registry_store::{Page, RegistryStoreError};

#[cfg(feature = "ecr")]
use crate::adoption::Origin;
#[cfg(feature = "ecr")]
use crate::ecr::{Backings, Rules};
use crate::error::RegistryError;
use crate::manifest::checked::{self, Stored};
use crate::manifest::image::{Summary, summarize};
use crate::registry::Registry;
use crate::routes::moving;

/// A tag and what it points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedImage {
    /// The tag; the digest's text for an image that was asked for by digest.
    pub tag: String,
    /// The manifest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Bytes of the manifest and all that it needs, each digest once.
    pub size: u64,
    /// When the manifest was pushed.
    pub pushed: Timestamp,
    /// The platforms it has variants for; empty when it does not say.
    pub platforms: Vec<Platform>,
    /// What is missing in the store; empty for an image that can be pulled.
    pub missing: Vec<Digest>,
}

/// What the embedded registry is to a repository of which it has images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Its images are those that are pulled and pushed to.
    Answers,
    /// They are being moved from here or to here.
    Moves,
    /// Another backing answers: what lies here is what a move has left, or what one that failed has copied.
    LeftBehind,
}

impl Registry {
    /// Makes an empty repository.
    ///
    /// # Errors
    /// `RepositoryExists`, `Full`, `Failed`.
    pub async fn repository_create(
        &self,
        name: RepositoryName,
        visibility: Visibility,
    ) -> Result<Repository, RegistryStoreError> {
        #[cfg(feature = "ecr")]
        if let Some(ecr) = self.ecr_of(&name).await? {
            return ecr.repository_create(name, visibility).await;
        }
        let repository = Repository { name, created: self.parts().clock.now(), visibility };
        self.parts().store.repository_create(&repository).await?;
        tracing::info!(repository.name = %repository.name, "made repository {}", repository.name);
        Ok(repository)
    }

    /// Changes who may pull from a repository.
    ///
    /// # Errors
    /// `RepositoryMissing`, `Full`, `Failed`.
    pub async fn repository_update(
        &self,
        name: &RepositoryName,
        visibility: Visibility,
    ) -> Result<Repository, RegistryStoreError> {
        self.stays(name).await?;
        #[cfg(feature = "ecr")]
        if let Some(ecr) = self.ecr_of(name).await? {
            return ecr.repository_update(name, visibility).await;
        }
        if visibility == Visibility::Private {
            self.hide_elsewhere(name).await?;
        }
        let changed = self.parts().store.repository_update(name, visibility).await?;
        tracing::info!(repository.name = %name, "repository {name} is {} now", visibility.as_str());
        Ok(changed)
    }

    /// How visible a repository is; private when it isn't there. A quick look, wherever the repository lies: nobody needs a token to
    /// ask for it.
    ///
    /// # Errors
    /// `Failed`.
    pub async fn repository_visibility(&self, name: &RepositoryName) -> Result<Visibility, RegistryStoreError> {
        #[cfg(feature = "ecr")]
        if let Some(ecr) = self.ecr_of(name).await? {
            return ecr.visibility(name).await;
        }
        let found = self.parts().store.repository_get(name).await?;
        Ok(found.map_or(Visibility::Private, |it| it.visibility))
    }

    /// One repository.
    ///
    /// # Errors
    /// `Failed`.
    pub async fn repository_get(&self, name: &RepositoryName) -> Result<Option<Repository>, RegistryStoreError> {
        #[cfg(feature = "ecr")]
        if let Some(ecr) = self.ecr_of(name).await? {
            return ecr.repository_get(name).await;
        }
        self.parts().store.repository_get(name).await
    }

    /// Repositories in byte order of their names, of one owner or of all.
    ///
    /// # Errors
    /// `Failed`.
    pub async fn repository_list(
        &self,
        owner: Option<&str>,
        page: Page,
    ) -> Result<Vec<Repository>, RegistryStoreError> {
        #[cfg(feature = "ecr")]
        if let Some(backings) = self.backings() {
            return backings.repository_list(self.parts().store.as_ref(), owner, page).await;
        }
        self.parts().store.repository_list(owner, page).await
    }

    /// Gives a repository that has just come to lie where it does what else it needs there: in ECR, its policy.
    ///
    /// # Errors
    /// `Failed`.
    pub async fn repository_arrived(&self, name: &RepositoryName) -> Result<(), RegistryStoreError> {
        #[cfg(feature = "ecr")]
        if let Some(ecr) = self.ecr_of(name).await? {
            return ecr.repository_furnish(name, Origin::Found).await;
        }
        let _ = name;
        Ok(())
    }

    /// Where a repository lies, or would be made, when not here.
    ///
    /// # Errors
    /// `Failed`.
    pub async fn repository_place(&self, name: &RepositoryName) -> Result<Option<BackingPlace>, RegistryStoreError> {
        #[cfg(feature = "ecr")]
        if let Some(ecr) = self.ecr_of(name).await? {
            return Ok(Some(ecr.place().clone()));
        }
        let _ = name;
        Ok(None)
    }

    /// Deletes a repository, its images, and the files of blobs that no other repository holds. With `only_empty` one
    /// that holds images is left alone. Goes on to its end when the caller goes away.
    ///
    /// # Errors
    /// `RepositoryMissing`, `RepositoryNotEmpty`, `Failed`.
    pub async fn repository_delete(&self, name: &RepositoryName, only_empty: bool) -> Result<(), RegistryStoreError> {
        let moved = self.stays(name).await?;
        if let Some(Home { migration: Migration { stage: Stage::Failed, to, .. }, .. }) = moved.as_deref() {
            let why = format!(
                "the move of {name} to {to} failed, and what was copied is kept there for the next try: `l0 repository migration cancel {name}` first"
            );
            return Err(RegistryStoreError::Refused { why });
        }
        self.repository_take(name, only_empty).await?;
        // The next one of that name goes where the rules say.
        if let (Some(homes), Some(moved)) = (self.homes(), moved) {
            let forgotten = homes.home_delete(name, moved.generation).await;
            forgotten.map_err(|source| RegistryStoreError::Failed { source: source.into() })?;
        }
        Ok(())
    }

    async fn repository_take(&self, name: &RepositoryName, only_empty: bool) -> Result<(), RegistryStoreError> {
        #[cfg(feature = "ecr")]
        if let Some(ecr) = self.ecr_of(name).await? {
            ecr.repository_delete(name, only_empty, Rules::Hold).await?;
            tracing::info!(repository.name = %name, "deleted repository {name} in ECR");
            return Ok(());
        }
        self.hide_elsewhere(name).await?;
        self.parts().blobs.repository_delete(name.clone(), only_empty).await?;
        tracing::info!(repository.name = %name, "deleted repository {name}");
        Ok(())
    }

    /// Sees to it that a name is public nowhere but here: a move that failed, was called off or went back may have left images elsewhere, and
    /// that they are public. When the name leads there again, nobody may have them without a right.
    async fn hide_elsewhere(&self, name: &RepositoryName) -> Result<(), RegistryStoreError> {
        #[cfg(feature = "ecr")]
        for (_, ecr) in self.backings().into_iter().flat_map(Backings::iter) {
            ecr.hide(name).await?;
        }
        let _ = name;
        Ok(())
    }

    /// Refuses what must not be done while a repository is on the move, or while its images lie in two places. Answers what is
    /// known of its last move.
    pub(crate) async fn stays(&self, name: &RepositoryName) -> Result<Option<Arc<Home>>, RegistryStoreError> {
        let Some(home) = self.home_now(name).await? else { return Ok(None) };
        let Migration { stage, from, to, .. } = &home.migration;
        let why = if stage.is_running() {
            format!(
                "{name} is being moved from {from} to {to}: wait for it, or `l0 repository migration cancel {name}`"
            )
        } else if stage.has_old() {
            format!(
                "{name} was moved to {to}, and {from} still has its images: `l0 repository migration delete-source {name}` first"
            )
        } else if let Some(kept) = home.migration.kept.first()
            && *stage != Stage::Failed
        {
            format!(
                "{kept} still has images of {name} from a move before the last one: `l0 repository migration delete-source {name}` first"
            )
        } else {
            return Ok(Some(home));
        };
        Err(RegistryStoreError::Refused { why })
    }

    /// What a collection may do with what the embedded registry has of a repository. The images that a move has left in another
    /// backing need nothing of it: a move back to them brings them in line with what lies here then.
    pub(crate) async fn role(&self, name: &RepositoryName) -> Result<Role, RegistryStoreError> {
        let Some(home) = self.home_now(name).await? else { return Ok(Role::Answers) };
        Ok(match &home.migration.stage {
            stage if stage.is_running() => Role::Moves,
            _ if home.backing.is_local() => Role::Answers,
            _ => Role::LeftBehind,
        })
    }

    /// The backing that a repository has moved to from here, while its old images are still here.
    ///
    /// # Errors
    /// `Failed`.
    pub async fn old_images(&self, name: &RepositoryName) -> Result<Option<BackingName>, RegistryStoreError> {
        let home = self.home_now(name).await?;
        let is_old = |home: &Arc<Home>| {
            let Migration { stage, from, .. } = &home.migration;
            stage.has_old() && from.is_local() && !home.backing.is_local()
        };
        Ok(home.filter(is_old).map(|home| home.backing.clone()))
    }

    async fn home_now(&self, name: &RepositoryName) -> Result<Option<Arc<Home>>, RegistryStoreError> {
        let Some(homes) = self.homes() else { return Ok(None) };
        homes.now(name).await.map_err(|source| RegistryStoreError::Failed { source: source.into() })
    }

    /// Tags in byte order; `None` when the repository isn't there. Reads no manifest.
    ///
    /// # Errors
    /// `Failed`.
    pub async fn tag_list(&self, name: &RepositoryName, page: Page) -> Result<Option<Vec<String>>, RegistryStoreError> {
        #[cfg(feature = "ecr")]
        if let Some(ecr) = self.ecr_of(name).await? {
            return ecr.tag_list(name, page).await;
        }
        self.parts().store.tag_list(name, page).await
    }

    /// The images that no tag leads to; `None` when the repository isn't there. In ECR they are all manifests without a tag, the parts
    /// of an image for several platforms too, since nothing there says what is made of what.
    ///
    /// # Errors
    /// `Failed`.
    pub async fn untagged(&self, name: &RepositoryName) -> Result<Option<Vec<Digest>>, RegistryStoreError> {
        #[cfg(feature = "ecr")]
        if let Some(ecr) = self.ecr_of(name).await? {
            return ecr.untagged(name).await;
        }
        let images = self.parts().store.images(name).await?;
        Ok(images.map(|images| plan::retention::untagged(&images).into_iter().cloned().collect()))
    }

    /// The same for the registry's own routes.
    pub(crate) async fn tags(&self, name: &RepositoryName, page: Page) -> Result<Option<Vec<String>>, RegistryError> {
        #[cfg(feature = "ecr")]
        if let Some(ecr) = self.ecr_of(name).await? {
            return ecr.tags(name, page).await;
        }
        Ok(self.parts().store.tag_list(name, page).await?)
    }

    /// Tags in byte order with what they point to; `None` when the repository isn't there. Reads every manifest of the
    /// page: ask for pages.
    ///
    /// # Errors
    /// `Failed`.
    pub async fn image_list(
        &self,
        name: &RepositoryName,
        page: Page,
    ) -> Result<Option<Vec<TaggedImage>>, RegistryStoreError> {
        #[cfg(feature = "ecr")]
        if let Some(ecr) = self.ecr_of(name).await? {
            let Some(tags) = ecr.tag_list(name, page).await? else { return Ok(None) };
            let mut images = Vec::with_capacity(tags.len());
            for tag in tags {
                images.extend(ecr.image_get(name, &ManifestRef::Tag(tag)).await?);
            }
            return Ok(Some(images));
        }
        let Some(tags) = self.parts().store.tag_list(name, page).await? else { return Ok(None) };
        let mut images: Vec<TaggedImage> = Vec::with_capacity(tags.len());
        for tag in tags {
            let stored = checked::read(self.parts().store.as_ref(), name, &ManifestRef::Tag(tag.clone())).await?;
            let known = match &stored {
                Stored::Whole(manifest) => images.iter().find(|image| image.digest == manifest.digest).cloned(),
                Stored::Damaged(_) | Stored::Missing => None,
            };
            // A tag that is gone between the two reads is not there.
            images.extend(match known {
                Some(known) => Some(TaggedImage { tag, ..known }),
                None => self.tagged(name, tag, stored).await?,
            });
        }
        Ok(Some(images))
    }

    /// One image by tag or digest; `None` when it, or the repository, isn't there.
    ///
    /// # Errors
    /// `Failed`.
    pub async fn image_get(
        &self,
        name: &RepositoryName,
        reference: &ManifestRef,
    ) -> Result<Option<TaggedImage>, RegistryStoreError> {
        #[cfg(feature = "ecr")]
        if let Some(ecr) = self.ecr_of(name).await? {
            return ecr.image_get(name, reference).await;
        }
        let stored = checked::read(self.parts().store.as_ref(), name, reference).await?;
        let tag = match reference {
            ManifestRef::Tag(tag) => tag.clone(),
            ManifestRef::Digest(digest) => digest.to_string(),
        };
        self.tagged(name, tag, stored).await
    }

    /// The image that goes when a tag is taken away: in ECR, that whose last tag it is. `None` where the image stays.
    ///
    /// # Errors
    /// `Failed`.
    pub async fn image_of_last_tag(
        &self,
        name: &RepositoryName,
        tag: &str,
    ) -> Result<Option<Digest>, RegistryStoreError> {
        #[cfg(feature = "ecr")]
        if let Some(ecr) = self.ecr_of(name).await? {
            return ecr.image_of_last_tag(name, tag).await;
        }
        let _ = (name, tag);
        Ok(None)
    }

    /// Takes a tag away (the manifest stays, but for the last tag in ECR), or a manifest with all its tags. Answers whether it was
    /// there.
    ///
    /// # Errors
    /// `Failed`.
    pub async fn image_delete(
        &self,
        name: &RepositoryName,
        reference: &ManifestRef,
    ) -> Result<bool, RegistryStoreError> {
        let was_there = self.image_take(name, reference).await?;
        if was_there {
            match reference {
                ManifestRef::Tag(tag) => {
                    tracing::info!(repository.name = %name, manifest.tag = tag, "deleted tag {tag} from {name}")
                }
                ManifestRef::Digest(digest) => {
                    tracing::info!(repository.name = %name, manifest.digest = %digest, "deleted manifest {digest} from {name}")
                }
            }
        }
        Ok(was_there)
    }

    async fn image_take(&self, name: &RepositoryName, reference: &ManifestRef) -> Result<bool, RegistryStoreError> {
        let mut here = moving::open_for_writes(self, name).await.map_err(RegistryError::outside)?;
        let mut was_there = self.image_take_at(&here, name, reference).await?;
        // What was copied meanwhile goes too.
        while let Some(there) = moving::written_elsewhere(self, name, &here).await.map_err(RegistryError::outside)? {
            was_there |= self.image_take_at(&there, name, reference).await?;
            here = there;
        }
        Ok(was_there)
    }

    async fn image_take_at(
        &self,
        backing: &BackingName,
        name: &RepositoryName,
        reference: &ManifestRef,
    ) -> Result<bool, RegistryStoreError> {
        #[cfg(feature = "ecr")]
        if let Some(ecr) = self.backings().and_then(|all| all.get(backing)) {
            return ecr.image_delete(name, reference).await;
        }
        let _ = backing;
        let store = &self.parts().store;
        match reference {
            ManifestRef::Tag(tag) => store.tag_delete(name, tag).await,
            ManifestRef::Digest(digest) => store.manifest_delete(name, digest).await,
        }
    }

    /// The same for the registry's own routes.
    pub(crate) async fn manifest_remove(
        &self,
        name: &RepositoryName,
        reference: &ManifestRef,
    ) -> Result<bool, RegistryError> {
        Ok(self.image_delete(name, reference).await?)
    }

    async fn tagged(
        &self,
        name: &RepositoryName,
        tag: String,
        stored: Stored,
    ) -> Result<Option<TaggedImage>, RegistryStoreError> {
        let parts = self.parts();
        let manifest = match stored {
            Stored::Whole(manifest) => manifest,
            Stored::Damaged(Manifest { digest, media_type, pushed, .. }) => {
                let missing = vec![digest.clone()];
                return Ok(Some(TaggedImage { tag, digest, media_type, size: 0, pushed, platforms: vec![], missing }));
            }
            Stored::Missing => return Ok(None),
        };
        let Summary { platforms, size, missing } =
            summarize(parts.store.as_ref(), &parts.blobs, name, &manifest).await.map_err(RegistryError::outside)?;
        Ok(Some(TaggedImage {
            tag,
            digest: manifest.digest,
            media_type: manifest.media_type,
            size,
            pushed: manifest.pushed,
            platforms: platforms.into_iter().collect(),
            missing,
        }))
    }
}
