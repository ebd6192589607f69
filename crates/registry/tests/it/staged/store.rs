//! A store that asks a stage before and after every call.

use std::sync::Arc;

use async_trait::async_trait;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::{BlobPlace, BlobRecord, BlobSums, Manifest, ManifestRef, Repository, Visibility};
use layer0_domain::model::retention::{Images, Retiring};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::registry_store::{
    Along, BlobLeft, BlobLink, CollectedBlob, ContentUser, FreedBlob, HeldBlob, LinkedBlob, Page, ReferrerPage,
    Referrers, RegistryStore, RegistryStoreError,
};

use super::{Stage, Step, When};

type Result<T> = std::result::Result<T, RegistryStoreError>;

pub(super) struct StagedStore {
    pub(super) inner: Arc<dyn RegistryStore>,
    pub(super) stage: Arc<dyn Stage>,
}

impl StagedStore {
    async fn ask(&self, call: &'static str, when: When) -> Result<()> {
        let asked = self.stage.store(Step::Store(call, when)).await;
        asked.map_err(|error| RegistryStoreError::Failed { source: error.into() })
    }

    async fn step<T>(&self, call: &'static str, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        self.ask(call, When::Before).await?;
        let done = work.await;
        self.ask(call, When::After).await?;
        done
    }
}

#[async_trait]
impl RegistryStore for StagedStore {
    fn records(&self) -> bool {
        self.inner.records()
    }

    async fn repository_create(&self, repository: &Repository) -> Result<()> {
        self.step("repository_create", self.inner.repository_create(repository)).await
    }

    async fn repository_update(&self, name: &RepositoryName, visibility: Visibility) -> Result<Repository> {
        self.step("repository_update", self.inner.repository_update(name, visibility)).await
    }

    async fn room(&self, repository: &RepositoryName) -> Result<Option<u64>> {
        self.step("room", self.inner.room(repository)).await
    }

    async fn repository_get(&self, name: &RepositoryName) -> Result<Option<Repository>> {
        self.step("repository_get", self.inner.repository_get(name)).await
    }

    async fn repository_list(&self, owner: Option<&str>, page: Page) -> Result<Vec<Repository>> {
        self.step("repository_list", self.inner.repository_list(owner, page)).await
    }

    async fn repository_delete(&self, name: &RepositoryName, only_empty: bool) -> Result<Vec<FreedBlob>> {
        self.step("repository_delete", self.inner.repository_delete(name, only_empty)).await
    }

    async fn repository_vacate(&self, name: &RepositoryName) -> Result<Vec<FreedBlob>> {
        self.step("repository_vacate", self.inner.repository_vacate(name)).await
    }

    async fn blob_link(
        &self,
        repository: &RepositoryName,
        blob: &BlobLink,
        at: Timestamp,
        along: &Along,
    ) -> Result<()> {
        self.step("blob_link", self.inner.blob_link(repository, blob, at, along)).await
    }

    async fn blob_get(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<BlobRecord>> {
        self.step("blob_get", self.inner.blob_get(repository, digest)).await
    }

    async fn blob_prove(&self, digest: &Digest, sums: &BlobSums) -> Result<()> {
        self.step("blob_prove", self.inner.blob_prove(digest, sums)).await
    }

    async fn blob_condemn(&self, digest: &Digest, at: Timestamp) -> Result<bool> {
        self.step("blob_condemn", self.inner.blob_condemn(digest, at)).await
    }

    async fn blob_place(&self, digest: &Digest) -> Result<Option<BlobPlace>> {
        self.step("blob_place", self.inner.blob_place(digest)).await
    }

    async fn place_unheld(&self, places: &[BlobPlace]) -> Result<Vec<BlobPlace>> {
        self.step("place_unheld", self.inner.place_unheld(places)).await
    }

    async fn blob_size(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<LinkedBlob>> {
        self.step("blob_size", self.inner.blob_size(repository, digest)).await
    }

    async fn blob_holders(&self, digest: &Digest) -> Result<Vec<(RepositoryName, u64)>> {
        self.step("blob_holders", self.inner.blob_holders(digest)).await
    }

    async fn blob_list(&self, after: Option<&Digest>, most: u32) -> Result<Vec<HeldBlob>> {
        self.step("blob_list", self.inner.blob_list(after, most)).await
    }

    async fn blob_unheld(&self, digests: &[Digest]) -> Result<Vec<Digest>> {
        self.step("blob_unheld", self.inner.blob_unheld(digests)).await
    }

    async fn blob_users(&self, digest: &Digest) -> Result<Vec<ContentUser>> {
        self.step("blob_users", self.inner.blob_users(digest)).await
    }

    async fn blob_unlink(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<BlobLeft>> {
        self.step("blob_unlink", self.inner.blob_unlink(repository, digest)).await
    }

    async fn blob_unneeded(
        &self,
        repository: &RepositoryName,
        until: Timestamp,
        after: Option<&Digest>,
        most: u32,
    ) -> Result<Vec<(Digest, u64)>> {
        self.step("blob_unneeded", self.inner.blob_unneeded(repository, until, after, most)).await
    }

    async fn blob_collect(
        &self,
        repository: &RepositoryName,
        digests: &[Digest],
        until: Timestamp,
    ) -> Result<Vec<CollectedBlob>> {
        self.step("blob_collect", self.inner.blob_collect(repository, digests, until)).await
    }

    async fn manifest_put(
        &self,
        repository: &RepositoryName,
        manifest: &Manifest,
        tags: &[String],
        along: &Along,
    ) -> Result<()> {
        self.step("manifest_put", self.inner.manifest_put(repository, manifest, tags, along)).await
    }

    async fn manifest_get(&self, repository: &RepositoryName, reference: &ManifestRef) -> Result<Option<Manifest>> {
        self.step("manifest_get", self.inner.manifest_get(repository, reference)).await
    }

    async fn manifest_list(
        &self,
        repository: &RepositoryName,
        after: Option<&Digest>,
        most: u32,
    ) -> Result<Vec<Digest>> {
        self.step("manifest_list", self.inner.manifest_list(repository, after, most)).await
    }

    async fn manifest_users(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<ContentUser>> {
        self.step("manifest_users", self.inner.manifest_users(repository, digest)).await
    }

    async fn manifest_delete(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool> {
        self.step("manifest_delete", self.inner.manifest_delete(repository, digest)).await
    }

    async fn tag_delete(&self, repository: &RepositoryName, tag: &str) -> Result<bool> {
        self.step("tag_delete", self.inner.tag_delete(repository, tag)).await
    }

    async fn images(&self, repository: &RepositoryName) -> Result<Option<Images>> {
        self.step("images", self.inner.images(repository)).await
    }

    async fn images_retire(&self, repository: &RepositoryName, asked: &Retiring) -> Result<Retiring> {
        self.step("images_retire", self.inner.images_retire(repository, asked)).await
    }

    async fn tag_list(&self, repository: &RepositoryName, page: Page) -> Result<Option<Vec<String>>> {
        self.step("tag_list", self.inner.tag_list(repository, page)).await
    }

    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        artifact_type: Option<&str>,
        page: ReferrerPage,
    ) -> Result<Referrers> {
        self.step("referrers", self.inner.referrers(repository, subject, artifact_type, page)).await
    }
}
