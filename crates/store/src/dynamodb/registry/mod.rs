//! The port `RegistryStore`, for an instance whose servers share a table and have the bytes of images in a bucket.

use std::collections::BTreeSet;

use async_trait::async_trait;
use layer0_domain::model::audit::AuditRecord;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::{BlobPlace, BlobRecord, BlobSums, Manifest, ManifestRef, Repository, Visibility};
use layer0_domain::model::retention::{Images, Retiring};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::registry_store::{
    Along, BlobLeft, BlobLink, CollectedBlob, ContentUser, FreedBlob, HeldBlob, LinkedBlob, Page, ReferrerPage,
    Referrers, RegistryStore, RegistryStoreError, Room,
};

use super::DynamoStore;
use super::fault::Fault;
use tag::TAGS_AT_ONCE;

mod blob;
mod bulk;
mod content;
mod leave;
mod manifest;
mod repository;
mod retention;
mod tag;
mod usage;
mod users;

pub(super) use usage::used;

impl DynamoStore {
    async fn repository_leave(
        &self,
        name: &RepositoryName,
        only_empty: bool,
        rules: bool,
    ) -> Result<Vec<FreedBlob>, RegistryStoreError> {
        let seen = match self.table.unit(|| self.table.leave_step(name, only_empty, rules)).await {
            Err(missing @ RegistryStoreError::RepositoryMissing { .. }) => {
                // It may be on its way out since a delete that failed in the middle, and count for its owner still.
                self.table.leave_finish_all().await?;
                return Err(missing);
            }
            left => left?,
        };
        Ok(self.table.leave_finish(&seen).await?)
    }
}

#[async_trait]
impl RegistryStore for DynamoStore {
    fn version(&self) -> Option<u64> {
        // Other servers write to the table too.
        None
    }

    async fn repository_create(&self, repository: &Repository) -> Result<(), RegistryStoreError> {
        self.table.repository_create(repository).await
    }

    async fn repository_get(&self, name: &RepositoryName) -> Result<Option<Repository>, RegistryStoreError> {
        Ok(self.table.repository(name).await?)
    }

    async fn repository_list(&self, owner: Option<&str>, page: Page) -> Result<Vec<Repository>, RegistryStoreError> {
        Ok(self.table.repositories(owner, &page).await?)
    }

    async fn repository_update(
        &self,
        name: &RepositoryName,
        visibility: Visibility,
    ) -> Result<Repository, RegistryStoreError> {
        self.table.unit(|| self.table.repository_update_step(name, visibility)).await
    }

    async fn room(&self, repository: &RepositoryName) -> Result<Option<Room>, RegistryStoreError> {
        Ok(self.table.owner_room(repository).await?)
    }

    async fn repository_delete(
        &self,
        name: &RepositoryName,
        only_empty: bool,
    ) -> Result<Vec<FreedBlob>, RegistryStoreError> {
        self.repository_leave(name, only_empty, true).await
    }

    async fn blob_link(
        &self,
        repository: &RepositoryName,
        blob: &BlobLink,
        at: Timestamp,
        along: &Along,
    ) -> Result<Option<BlobPlace>, RegistryStoreError> {
        self.make_first(repository, along).await?;
        let sums = match &blob.sums {
            Some(sums) => Some(self.table.bulk_keep(content::sums_bytes(sums)).await?),
            None => None,
        };
        let linked = self.table.unit(|| self.table.blob_link_step(repository, blob, sums.as_ref(), at)).await;
        match linked {
            Ok(blob::Linked { retired, left }) => {
                self.table.bulk_drop(retired).await;
                Ok(left)
            }
            Err(error) => Err(self.unkept(error, sums).await),
        }
    }

    async fn blob_size(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<LinkedBlob>, RegistryStoreError> {
        Ok(self.table.blob_linked(repository, digest).await?)
    }

    async fn blob_place(&self, digest: &Digest) -> Result<Option<BlobPlace>, RegistryStoreError> {
        Ok(self.table.blob_record(digest).await?.and_then(|record| record.place))
    }

    async fn place_unheld(&self, places: &[BlobPlace]) -> Result<Vec<BlobPlace>, RegistryStoreError> {
        Ok(self.table.places_unheld(places).await?)
    }

    async fn blob_get(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<BlobRecord>, RegistryStoreError> {
        Ok(self.table.blob(repository, digest).await?)
    }

    async fn blob_prove(&self, digest: &Digest, sums: &BlobSums) -> Result<(), RegistryStoreError> {
        let kept = self.table.bulk_keep(content::sums_bytes(sums)).await?;
        match self.table.unit(|| self.table.blob_prove_step(digest, &kept)).await {
            Ok(proven) => {
                self.table.bulk_drop(if proven.kept { proven.before } else { Some(kept) }).await;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn blob_condemn(&self, digest: &Digest, at: Timestamp) -> Result<bool, RegistryStoreError> {
        self.table.unit(|| self.table.blob_condemn_step(digest, at)).await
    }

    async fn blob_holders(&self, digest: &Digest) -> Result<Vec<(RepositoryName, u64)>, RegistryStoreError> {
        let holders = self.table.blob_holders_named(digest, content::NAMED).await?;
        Ok(holders.into_iter().map(|(seen, size)| (seen.name, size)).collect())
    }

    async fn blob_holders_count(&self, digest: &Digest) -> Result<u64, RegistryStoreError> {
        let holders = self.table.blob_holders_named(digest, usize::MAX).await?;
        Ok(u64::try_from(holders.len()).unwrap_or(u64::MAX))
    }

    async fn blob_list(&self, after: Option<&Digest>, most: u32) -> Result<Vec<HeldBlob>, RegistryStoreError> {
        Ok(self.table.blobs_held(after, most).await?)
    }

    async fn blob_unheld(&self, digests: &[Digest]) -> Result<Vec<Digest>, RegistryStoreError> {
        Ok(self.table.blobs_unheld(digests).await?)
    }

    async fn blob_users(&self, digest: &Digest) -> Result<Vec<ContentUser>, RegistryStoreError> {
        Ok(self.table.users_of_blob(digest).await?)
    }

    async fn blob_unlink(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<BlobLeft>, RegistryStoreError> {
        let Some((left, bulk)) = self.table.unit(|| self.table.blob_unlink_step(repository, digest)).await? else {
            return Ok(None);
        };
        self.table.bulk_drop(bulk).await;
        Ok(Some(left))
    }

    async fn blob_unneeded(
        &self,
        repository: &RepositoryName,
        until: Timestamp,
        after: Option<&Digest>,
        most: u32,
    ) -> Result<Vec<(Digest, u64)>, RegistryStoreError> {
        Ok(self.table.blobs_unneeded(repository, until, after, most).await?)
    }

    async fn blob_collect(
        &self,
        repository: &RepositoryName,
        digests: &[Digest],
        until: Timestamp,
    ) -> Result<Vec<CollectedBlob>, RegistryStoreError> {
        let (mut collected, mut known) = (Vec::new(), None);
        for some in digests.chunks(blob::UNLINKED_AT_ONCE) {
            let step = || self.table.blobs_collect_step(repository, some, until, known.clone());
            let (gone, named) = match self.table.unit(step).await {
                Ok(done) => done,
                // What has gone must be told, or its bytes stay; the rest is listed again.
                Err(error) if !collected.is_empty() => {
                    left_out(repository, &error);
                    break;
                }
                Err(error) => return Err(error),
            };
            known = named;
            for (blob, bulk) in gone {
                self.table.bulk_drop(bulk).await;
                collected.push(blob);
            }
        }
        Ok(collected)
    }

    async fn manifest_put(
        &self,
        repository: &RepositoryName,
        manifest: &Manifest,
        tags: &[String],
        along: &Along,
    ) -> Result<(), RegistryStoreError> {
        self.make_first(repository, along).await?;
        let bulk = self.table.bulk_keep(manifest::document(manifest)?).await?;
        match self.table.unit(|| self.table.manifest_put_step(repository, manifest, tags, &bulk)).await {
            Ok(retired) => self.table.bulk_drop(retired).await,
            Err(error) => return Err(self.unkept(error, Some(bulk)).await),
        }
        for some in tags.chunks(TAGS_AT_ONCE).skip(1) {
            self.table.unit(|| self.table.tags_point_step(repository, &manifest.digest, manifest.pushed, some)).await?;
        }
        Ok(())
    }

    async fn manifest_get(
        &self,
        repository: &RepositoryName,
        reference: &ManifestRef,
    ) -> Result<Option<Manifest>, RegistryStoreError> {
        Ok(self.table.manifest(repository, reference).await?)
    }

    async fn manifest_list(
        &self,
        repository: &RepositoryName,
        after: Option<&Digest>,
        most: u32,
    ) -> Result<Vec<Digest>, RegistryStoreError> {
        Ok(self.table.manifests(repository, after, most).await?)
    }

    async fn manifest_users(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<ContentUser>, RegistryStoreError> {
        Ok(self.table.users_of_manifest(repository, digest).await?)
    }

    async fn repository_vacate(&self, name: &RepositoryName) -> Result<Vec<FreedBlob>, RegistryStoreError> {
        self.repository_leave(name, false, false).await
    }

    async fn manifest_delete(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool, RegistryStoreError> {
        loop {
            let step = self.table.unit(|| self.table.manifest_delete_step(repository, digest)).await?;
            if let Some((was_there, bulk)) = step {
                self.table.bulk_drop(bulk).await;
                return Ok(was_there);
            }
        }
    }

    async fn tag_delete(&self, repository: &RepositoryName, tag: &str) -> Result<bool, RegistryStoreError> {
        self.table.unit(|| self.table.tag_delete_step_of(repository, tag)).await
    }

    async fn images(&self, repository: &RepositoryName) -> Result<Option<Images>, RegistryStoreError> {
        Ok(self.table.images(repository).await?)
    }

    async fn images_retire(
        &self,
        repository: &RepositoryName,
        asked: &Retiring,
        at: Timestamp,
        // None are given to a store that can't write them along.
        _records: &[AuditRecord],
    ) -> Result<Retiring, RegistryStoreError> {
        let (mut went, mut known) = (Retiring::default(), None);
        for some in retention::pieces(asked) {
            let piece = async {
                self.blobs_date(repository, &some, at).await?;
                self.table.unit(|| self.table.retire_step(repository, &some, known.clone())).await
            };
            let (now, seen) = match piece.await {
                Ok(done) => done,
                // What has gone must be told, or nobody writes it down; the rest is in the next plan.
                Err(error) if !went.is_empty() => {
                    left_out(repository, &error);
                    break;
                }
                Err(error) => return Err(error),
            };
            known = seen;
            for bulk in now.bulks {
                self.table.bulk_drop(Some(bulk)).await;
            }
            went.tags.extend(now.went.tags);
            went.manifests.extend(now.went.manifests);
        }
        Ok(went)
    }

    async fn tag_list(
        &self,
        repository: &RepositoryName,
        page: Page,
    ) -> Result<Option<Vec<String>>, RegistryStoreError> {
        Ok(self.table.tags_page(repository, &page).await?)
    }

    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        artifact_type: Option<&str>,
        page: ReferrerPage,
    ) -> Result<Referrers, RegistryStoreError> {
        Ok(self.table.referrers_page(repository, subject, artifact_type, &page).await?)
    }
}

/// Notes why a batch was not done to its end.
fn left_out(repository: &RepositoryName, error: &RegistryStoreError) {
    tracing::warn!(
        repository.name = %repository, error = std::error::Error::source(error).map(tracing::field::display),
        "only a part of what was to go out of repository {repository} went: the next time finds the rest"
    );
}

impl DynamoStore {
    /// Makes the repository that a push comes to, where it isn't there. A second one at the same time may have been first.
    async fn make_first(&self, name: &RepositoryName, along: &Along) -> Result<(), RegistryStoreError> {
        let Some(created) = along.create else { return Ok(()) };
        if self.repository_get(name).await?.is_some() {
            return Ok(());
        }
        let made = Repository { name: name.clone(), created, visibility: Visibility::Private };
        match self.repository_create(&made).await {
            Err(RegistryStoreError::RepositoryExists(_)) => Ok(()),
            made => made,
        }
    }

    /// Dates the links of what these manifests name, before they go: together with them it would be more than a transaction takes.
    /// Those of a manifest that stays after all are kept by it anyway.
    async fn blobs_date(
        &self,
        repository: &RepositoryName,
        asked: &Retiring,
        at: Timestamp,
    ) -> Result<(), RegistryStoreError> {
        let mut blobs = BTreeSet::new();
        for (digest, _) in &asked.manifests {
            let found = self.table.manifest(repository, &ManifestRef::Digest(digest.clone())).await?;
            blobs.extend(found.into_iter().flat_map(|it| it.blobs).map(|(digest, _)| digest));
        }
        for some in blobs.into_iter().collect::<Vec<_>>().chunks(blob::DATED_AT_ONCE) {
            self.table.unit(|| self.table.blobs_date_step(repository, some, at)).await?;
        }
        Ok(())
    }

    /// Takes away what was made ready for a unit of work that was refused. After a failure nobody knows whether it counts: then it
    /// stays, with its note if it doesn't.
    async fn unkept(&self, error: RegistryStoreError, bulk: Option<bulk::Bulk>) -> RegistryStoreError {
        if !matches!(error, RegistryStoreError::Failed { .. }) {
            self.table.bulk_drop(bulk).await;
        }
        error
    }

    /// Goes on with what servers left that died: repositories on their way out, and bytes that never came to count.
    pub(super) async fn registry_tidy(&self) -> Result<(), Fault> {
        self.table.leave_finish_all().await?;
        self.table.bulk_tidy().await
    }
}
