//! The port `RegistryStore`: each method is handed as one unit of work to the thread that does it.

use async_trait::async_trait;
use layer0_domain::model::audit::AuditRecord;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::{
    BlobPlace, BlobRecord, BlobSums, Manifest, ManifestContent, ManifestRef, Repository, Visibility,
};
use layer0_domain::model::retention::{Images, Retiring};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::registry_store::{
    Along, BlobLeft, BlobLink, CollectedBlob, ContentUser, FreedBlob, HeldBlob, LinkedBlob, Page, ReferrerPage,
    Referrers, RegistryStore, RegistryStoreError, Room,
};
use rusqlite::Connection;

use super::fault::RegistryWork;
use super::writer::{DiskRoom, Repeated, Scope};
use super::{SqliteStore, audit};

mod blob;
mod content;
mod manifest;
mod place;
mod repository;
mod retention;
mod tag;
mod unneeded;
mod usage;
mod users;

#[cfg(test)]
pub(super) use {
    blob::HELD, blob::HOLDERS, blob::RECORD, blob::SIZE, manifest::BY_TAG, manifest::CONTENT_BY_DIGEST,
    manifest::CONTENT_BY_TAG, manifest::LIST as MANIFESTS, manifest::REFERRERS, repository::ALL, repository::OF_OWNER,
    retention::PARENTS, retention::POINTING, retention::TAG, tag::LIST as TAG_PAGE, unneeded::AMONG,
    unneeded::LIST as UNNEEDED, users::HOLDING, users::TAGS, users::WHOLES,
};

/// The longest page that is read where its caller runs, some hundred microseconds: a thousand, and the one that tells of more.
const PAGE_NEAR: u32 = 1001;

fn is_short(page: &Page) -> bool {
    page.most.is_some_and(|most| most <= PAGE_NEAR)
}

/// Writes a push to a repository with what goes along. The record comes last: most pushes that are refused have written nothing then.
fn push_tx<T>(
    db: &Connection,
    name: &RepositoryName,
    along: &Along,
    push: impl FnOnce() -> RegistryWork<T>,
) -> RegistryWork<T> {
    if let Some(created) = along.create
        && repository::number(db, name)?.is_none()
    {
        repository::create_tx(db, &Repository { name: name.clone(), created, visibility: Visibility::Private })?;
    }
    let pushed = push()?;
    if let Some(record) = &along.record {
        audit::append(db, record)?;
    }
    Ok(pushed)
}

#[async_trait]
impl RegistryStore for SqliteStore {
    fn records(&self) -> bool {
        true
    }

    fn version(&self) -> Option<u64> {
        self.commits_of_all()
    }

    async fn repository_create(&self, repository: &Repository) -> Result<(), RegistryStoreError> {
        let repository = repository.clone();
        self.write_content(move |db| repository::create_tx(db, &repository)).await
    }

    async fn repository_get(&self, name: &RepositoryName) -> Result<Option<Repository>, RegistryStoreError> {
        self.read_near(|db| repository::get_tx(db, name))
    }

    async fn repository_list(&self, owner: Option<&str>, page: Page) -> Result<Vec<Repository>, RegistryStoreError> {
        if is_short(&page) {
            return self.read_near(|db| repository::list_tx(db, owner, &page));
        }
        let owner = owner.map(str::to_owned);
        self.read(move |db| repository::list_tx(db, owner.as_deref(), &page)).await
    }

    async fn repository_update(
        &self,
        name: &RepositoryName,
        visibility: Visibility,
    ) -> Result<Repository, RegistryStoreError> {
        let name = name.clone();
        let room = DiskRoom::of(visibility);
        self.write_in(Scope::Any, room, Repeated(move |db: &Connection| repository::update_tx(db, &name, visibility)))
            .await
    }

    async fn room(&self, repository: &RepositoryName) -> Result<Option<Room>, RegistryStoreError> {
        self.read_near(|db| usage::room_tx(db, repository))
    }

    async fn repository_delete(
        &self,
        name: &RepositoryName,
        only_empty: bool,
    ) -> Result<Vec<FreedBlob>, RegistryStoreError> {
        let name = name.clone();
        self.write_giving(Scope::Any, move |db| repository::delete_tx(db, &name, only_empty)).await
    }

    async fn repository_vacate(&self, name: &RepositoryName) -> Result<Vec<FreedBlob>, RegistryStoreError> {
        let name = name.clone();
        self.write_giving(Scope::Any, move |db| repository::vacate_tx(db, &name)).await
    }

    async fn blob_link(
        &self,
        repository: &RepositoryName,
        blob: &BlobLink,
        at: Timestamp,
        along: &Along,
    ) -> Result<Option<BlobPlace>, RegistryStoreError> {
        let (repository, blob, along) = (repository.clone(), blob.clone(), along.clone());
        self.write_content(move |db| push_tx(db, &repository, &along, || blob::link_tx(db, &repository, &blob, at)))
            .await
    }

    async fn blob_size(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<LinkedBlob>, RegistryStoreError> {
        self.read_near(|db| blob::size_tx(db, repository, digest))
    }

    async fn blob_place(&self, digest: &Digest) -> Result<Option<BlobPlace>, RegistryStoreError> {
        self.read_near(|db| place::get_tx(db, digest))
    }

    async fn place_unheld(&self, places: &[BlobPlace]) -> Result<Vec<BlobPlace>, RegistryStoreError> {
        let places = places.to_vec();
        self.read(move |db| place::unheld_tx(db, places)).await
    }

    async fn blob_get(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<BlobRecord>, RegistryStoreError> {
        self.read_near(|db| blob::get_tx(db, repository, digest))
    }

    async fn blob_prove(&self, digest: &Digest, sums: &BlobSums) -> Result<(), RegistryStoreError> {
        let (digest, sums) = (digest.clone(), sums.clone());
        self.write_content(move |db| content::prove_tx(db, &digest, &sums)).await
    }

    async fn blob_condemn(&self, digest: &Digest, at: Timestamp) -> Result<bool, RegistryStoreError> {
        let digest = digest.clone();
        self.write_giving(Scope::Content, move |db| content::condemn_tx(db, &digest, at)).await
    }

    async fn blob_holders(&self, digest: &Digest) -> Result<Vec<(RepositoryName, u64)>, RegistryStoreError> {
        let digest = digest.clone();
        self.read(move |db| blob::holders_tx(db, &digest)).await
    }

    async fn blob_holders_count(&self, digest: &Digest) -> Result<u64, RegistryStoreError> {
        let digest = digest.clone();
        self.read(move |db| blob::holders_count_tx(db, &digest)).await
    }

    async fn blob_list(&self, after: Option<&Digest>, most: u32) -> Result<Vec<HeldBlob>, RegistryStoreError> {
        let after = after.cloned();
        self.read(move |db| blob::list_tx(db, after.as_ref(), most)).await
    }

    async fn blob_unheld(&self, digests: &[Digest]) -> Result<Vec<Digest>, RegistryStoreError> {
        let digests = digests.to_vec();
        self.read(move |db| blob::unheld_tx(db, digests)).await
    }

    async fn blob_users(&self, digest: &Digest) -> Result<Vec<ContentUser>, RegistryStoreError> {
        let digest = digest.clone();
        self.read(move |db| users::of_blob_tx(db, &digest)).await
    }

    async fn blob_unlink(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<BlobLeft>, RegistryStoreError> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.write_giving(Scope::Content, move |db| blob::unlink_tx(db, &repository, &digest)).await
    }

    async fn blob_unneeded(
        &self,
        repository: &RepositoryName,
        until: Timestamp,
        after: Option<&Digest>,
        most: u32,
    ) -> Result<Vec<(Digest, u64)>, RegistryStoreError> {
        let (repository, after) = (repository.clone(), after.cloned());
        self.read(move |db| unneeded::list_tx(db, &repository, until, after.as_ref(), most)).await
    }

    async fn blob_collect(
        &self,
        repository: &RepositoryName,
        digests: &[Digest],
        until: Timestamp,
    ) -> Result<Vec<CollectedBlob>, RegistryStoreError> {
        let (repository, digests) = (repository.clone(), digests.to_vec());
        self.write_giving(Scope::Content, move |db| unneeded::collect_tx(db, &repository, &digests, until)).await
    }

    async fn manifest_put(
        &self,
        repository: &RepositoryName,
        manifest: &Manifest,
        tags: &[String],
        along: &Along,
    ) -> Result<(), RegistryStoreError> {
        let (repository, manifest, tags, along) = (repository.clone(), manifest.clone(), tags.to_vec(), along.clone());
        self.write_content(move |db| {
            push_tx(db, &repository, &along, || manifest::put_tx(db, &repository, &manifest, &tags))
        })
        .await
    }

    async fn manifest_get(
        &self,
        repository: &RepositoryName,
        reference: &ManifestRef,
    ) -> Result<Option<Manifest>, RegistryStoreError> {
        self.read_near(|db| manifest::get_tx(db, repository, reference))
    }

    async fn manifest_content(
        &self,
        repository: &RepositoryName,
        reference: &ManifestRef,
    ) -> Result<Option<ManifestContent>, RegistryStoreError> {
        self.read_near(|db| manifest::content_tx(db, repository, reference))
    }

    async fn manifest_list(
        &self,
        repository: &RepositoryName,
        after: Option<&Digest>,
        most: u32,
    ) -> Result<Vec<Digest>, RegistryStoreError> {
        let (repository, after) = (repository.clone(), after.cloned());
        self.read(move |db| manifest::list_tx(db, &repository, after.as_ref(), most)).await
    }

    async fn manifest_users(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<ContentUser>, RegistryStoreError> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.read(move |db| users::of_manifest_tx(db, &repository, &digest)).await
    }

    async fn manifest_delete(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool, RegistryStoreError> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.write_giving(Scope::Content, move |db| manifest::delete_tx(db, &repository, &digest)).await
    }

    async fn tag_delete(&self, repository: &RepositoryName, tag: &str) -> Result<bool, RegistryStoreError> {
        let (repository, tag) = (repository.clone(), tag.to_owned());
        self.write_giving(Scope::Content, move |db| tag::delete_tx(db, &repository, &tag)).await
    }

    async fn images(&self, repository: &RepositoryName) -> Result<Option<Images>, RegistryStoreError> {
        let repository = repository.clone();
        self.read(move |db| retention::images_tx(db, &repository)).await
    }

    async fn images_retire(
        &self,
        repository: &RepositoryName,
        asked: &Retiring,
        at: Timestamp,
        records: &[AuditRecord],
    ) -> Result<Retiring, RegistryStoreError> {
        let (repository, asked, records) = (repository.clone(), asked.clone(), records.to_vec());
        self.write_giving(Scope::Content, move |db| {
            let went = retention::retire_tx(db, &repository, &asked, at)?;
            for record in asked.of_what_went(&went, &records) {
                audit::append(db, record)?;
            }
            Ok(went)
        })
        .await
    }

    async fn tag_list(
        &self,
        repository: &RepositoryName,
        page: Page,
    ) -> Result<Option<Vec<String>>, RegistryStoreError> {
        if is_short(&page) {
            return self.read_near(|db| tag::list_tx(db, repository, &page));
        }
        let repository = repository.clone();
        self.read(move |db| tag::list_tx(db, &repository, &page)).await
    }

    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        artifact_type: Option<&str>,
        page: ReferrerPage,
    ) -> Result<Referrers, RegistryStoreError> {
        let (repository, subject) = (repository.clone(), subject.clone());
        let artifact_type = artifact_type.map(str::to_owned);
        self.read(move |db| manifest::referrers_tx(db, &repository, &subject, artifact_type.as_deref(), &page)).await
    }
}
