//! A store that hands every call on to the one under it, with something around it: a fault, or a test that is asked.

use std::sync::Arc;

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

pub(crate) type Result<T> = std::result::Result<T, RegistryStoreError>;

/// What is around the calls. `work` is the call itself.
pub(crate) trait Around: Send + Sync + 'static {
    /// Around one that changes something.
    fn change<T: Send>(
        &self,
        call: &'static str,
        work: impl Future<Output = Result<T>> + Send,
    ) -> impl Future<Output = Result<T>> + Send;

    /// Around one that only reads.
    fn look<T: Send>(
        &self,
        call: &'static str,
        work: impl Future<Output = Result<T>> + Send,
    ) -> impl Future<Output = Result<T>> + Send;
}

/// The store.
pub(crate) struct StoreAround<A> {
    pub(crate) inner: Arc<dyn RegistryStore>,
    pub(crate) around: A,
}

#[async_trait]
impl<A: Around> RegistryStore for StoreAround<A> {
    fn records(&self) -> bool {
        self.inner.records()
    }

    fn version(&self) -> Option<u64> {
        self.inner.version()
    }

    async fn repository_create(&self, repository: &Repository) -> Result<()> {
        self.around.change("repository_create", self.inner.repository_create(repository)).await
    }

    async fn repository_update(&self, name: &RepositoryName, visibility: Visibility) -> Result<Repository> {
        self.around.change("repository_update", self.inner.repository_update(name, visibility)).await
    }

    async fn room(&self, repository: &RepositoryName) -> Result<Option<Room>> {
        self.around.look("room", self.inner.room(repository)).await
    }

    async fn repository_get(&self, name: &RepositoryName) -> Result<Option<Repository>> {
        self.around.look("repository_get", self.inner.repository_get(name)).await
    }

    async fn repository_list(&self, owner: Option<&str>, page: Page) -> Result<Vec<Repository>> {
        self.around.look("repository_list", self.inner.repository_list(owner, page)).await
    }

    async fn repository_delete(&self, name: &RepositoryName, only_empty: bool) -> Result<Vec<FreedBlob>> {
        self.around.change("repository_delete", self.inner.repository_delete(name, only_empty)).await
    }

    async fn repository_vacate(&self, name: &RepositoryName) -> Result<Vec<FreedBlob>> {
        self.around.change("repository_vacate", self.inner.repository_vacate(name)).await
    }

    async fn blob_link(
        &self,
        repository: &RepositoryName,
        blob: &BlobLink,
        at: Timestamp,
        along: &Along,
    ) -> Result<Option<BlobPlace>> {
        self.around.change("blob_link", self.inner.blob_link(repository, blob, at, along)).await
    }

    async fn blob_place(&self, digest: &Digest) -> Result<Option<BlobPlace>> {
        self.around.look("blob_place", self.inner.blob_place(digest)).await
    }

    async fn place_unheld(&self, places: &[BlobPlace]) -> Result<Vec<BlobPlace>> {
        self.around.look("place_unheld", self.inner.place_unheld(places)).await
    }

    async fn blob_size(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<LinkedBlob>> {
        self.around.look("blob_size", self.inner.blob_size(repository, digest)).await
    }

    async fn blob_get(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<BlobRecord>> {
        self.around.look("blob_get", self.inner.blob_get(repository, digest)).await
    }

    async fn blob_prove(&self, digest: &Digest, sums: &BlobSums) -> Result<()> {
        self.around.change("blob_prove", self.inner.blob_prove(digest, sums)).await
    }

    async fn blob_condemn(&self, digest: &Digest, at: Timestamp) -> Result<bool> {
        self.around.change("blob_condemn", self.inner.blob_condemn(digest, at)).await
    }

    async fn blob_holders(&self, digest: &Digest) -> Result<Vec<(RepositoryName, u64)>> {
        self.around.look("blob_holders", self.inner.blob_holders(digest)).await
    }

    async fn blob_holders_count(&self, digest: &Digest) -> Result<u64> {
        self.around.look("blob_holders_count", self.inner.blob_holders_count(digest)).await
    }

    async fn blob_list(&self, after: Option<&Digest>, most: u32) -> Result<Vec<HeldBlob>> {
        self.around.look("blob_list", self.inner.blob_list(after, most)).await
    }

    async fn blob_unheld(&self, digests: &[Digest]) -> Result<Vec<Digest>> {
        self.around.look("blob_unheld", self.inner.blob_unheld(digests)).await
    }

    async fn blob_users(&self, digest: &Digest) -> Result<Vec<ContentUser>> {
        self.around.look("blob_users", self.inner.blob_users(digest)).await
    }

    async fn blob_unlink(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<BlobLeft>> {
        self.around.change("blob_unlink", self.inner.blob_unlink(repository, digest)).await
    }

    async fn blob_unneeded(
        &self,
        repository: &RepositoryName,
        until: Timestamp,
        after: Option<&Digest>,
        most: u32,
    ) -> Result<Vec<(Digest, u64)>> {
        self.around.look("blob_unneeded", self.inner.blob_unneeded(repository, until, after, most)).await
    }

    async fn blob_collect(
        &self,
        repository: &RepositoryName,
        digests: &[Digest],
        until: Timestamp,
    ) -> Result<Vec<CollectedBlob>> {
        self.around.change("blob_collect", self.inner.blob_collect(repository, digests, until)).await
    }

    async fn manifest_put(
        &self,
        repository: &RepositoryName,
        manifest: &Manifest,
        tags: &[String],
        along: &Along,
    ) -> Result<()> {
        self.around.change("manifest_put", self.inner.manifest_put(repository, manifest, tags, along)).await
    }

    async fn manifest_get(&self, repository: &RepositoryName, reference: &ManifestRef) -> Result<Option<Manifest>> {
        self.around.look("manifest_get", self.inner.manifest_get(repository, reference)).await
    }

    async fn manifest_list(
        &self,
        repository: &RepositoryName,
        after: Option<&Digest>,
        most: u32,
    ) -> Result<Vec<Digest>> {
        self.around.look("manifest_list", self.inner.manifest_list(repository, after, most)).await
    }

    async fn manifest_users(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<ContentUser>> {
        self.around.look("manifest_users", self.inner.manifest_users(repository, digest)).await
    }

    async fn manifest_delete(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool> {
        self.around.change("manifest_delete", self.inner.manifest_delete(repository, digest)).await
    }

    async fn tag_delete(&self, repository: &RepositoryName, tag: &str) -> Result<bool> {
        self.around.change("tag_delete", self.inner.tag_delete(repository, tag)).await
    }

    async fn images(&self, repository: &RepositoryName) -> Result<Option<Images>> {
        self.around.look("images", self.inner.images(repository)).await
    }

    async fn images_retire(
        &self,
        repository: &RepositoryName,
        asked: &Retiring,
        at: Timestamp,
        records: &[AuditRecord],
    ) -> Result<Retiring> {
        self.around.change("images_retire", self.inner.images_retire(repository, asked, at, records)).await
    }

    async fn tag_list(&self, repository: &RepositoryName, page: Page) -> Result<Option<Vec<String>>> {
        self.around.look("tag_list", self.inner.tag_list(repository, page)).await
    }

    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        artifact_type: Option<&str>,
        page: ReferrerPage,
    ) -> Result<Referrers> {
        self.around.look("referrers", self.inner.referrers(repository, subject, artifact_type, page)).await
    }
}
