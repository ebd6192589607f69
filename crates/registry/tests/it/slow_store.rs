//! A store that takes its time between what it does and what the registry does next, so that races have room.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::{BlobPlace, BlobRecord, BlobSums, Manifest, ManifestRef, Repository, Visibility};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::registry_store::{
    BlobLeft, BlobLink, ContentUser, FreedBlob, HeldBlob, Page, ReferrerPage, Referrers, RegistryStore,
    RegistryStoreError,
};

type Result<T> = std::result::Result<T, RegistryStoreError>;

/// Waits before a link is written and after one is taken away, 0 to 3 milliseconds, in an order that changes with every
/// call.
pub(crate) struct SlowStore {
    inner: Arc<dyn RegistryStore>,
    calls: AtomicU64,
}

impl SlowStore {
    pub(crate) fn around(inner: Arc<dyn RegistryStore>) -> Arc<dyn RegistryStore> {
        Arc::new(Self { inner, calls: AtomicU64::new(0) })
    }

    async fn wait(&self) {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(call.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 62)).await;
    }
}

#[async_trait]
impl RegistryStore for SlowStore {
    async fn repository_create(&self, repository: &Repository) -> Result<()> {
        self.inner.repository_create(repository).await
    }

    async fn repository_update(&self, name: &RepositoryName, visibility: Visibility) -> Result<Repository> {
        self.inner.repository_update(name, visibility).await
    }

    async fn room(&self, repository: &RepositoryName) -> Result<Option<u64>> {
        self.inner.room(repository).await
    }

    async fn repository_get(&self, name: &RepositoryName) -> Result<Option<Repository>> {
        self.inner.repository_get(name).await
    }

    async fn repository_list(&self, owner: Option<&str>, page: Page) -> Result<Vec<Repository>> {
        self.inner.repository_list(owner, page).await
    }

    async fn repository_delete(&self, name: &RepositoryName, only_empty: bool) -> Result<Vec<FreedBlob>> {
        let orphans = self.inner.repository_delete(name, only_empty).await;
        self.wait().await;
        orphans
    }

    async fn repository_vacate(&self, name: &RepositoryName) -> Result<Vec<FreedBlob>> {
        self.inner.repository_vacate(name).await
    }

    async fn blob_link(&self, repository: &RepositoryName, blob: &BlobLink, at: Timestamp) -> Result<()> {
        self.wait().await;
        self.inner.blob_link(repository, blob, at).await
    }

    async fn blob_get(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<BlobRecord>> {
        self.inner.blob_get(repository, digest).await
    }

    async fn blob_prove(&self, digest: &Digest, sums: &BlobSums) -> Result<()> {
        self.inner.blob_prove(digest, sums).await
    }

    async fn blob_condemn(&self, digest: &Digest, at: Timestamp) -> Result<bool> {
        self.inner.blob_condemn(digest, at).await
    }

    async fn blob_place(&self, digest: &Digest) -> Result<Option<BlobPlace>> {
        let place = self.inner.blob_place(digest).await;
        self.wait().await;
        place
    }

    async fn place_unheld(&self, places: &[BlobPlace]) -> Result<Vec<BlobPlace>> {
        let unheld = self.inner.place_unheld(places).await;
        self.wait().await;
        unheld
    }

    async fn blob_size(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<u64>> {
        let size = self.inner.blob_size(repository, digest).await;
        self.wait().await;
        size
    }

    async fn blob_holders(&self, digest: &Digest) -> Result<Vec<(RepositoryName, u64)>> {
        let holders = self.inner.blob_holders(digest).await;
        self.wait().await;
        holders
    }

    async fn blob_list(&self, after: Option<&Digest>, most: u32) -> Result<Vec<HeldBlob>> {
        self.inner.blob_list(after, most).await
    }

    async fn blob_unheld(&self, digests: &[Digest]) -> Result<Vec<Digest>> {
        let unheld = self.inner.blob_unheld(digests).await;
        self.wait().await;
        unheld
    }

    async fn blob_users(&self, digest: &Digest) -> Result<Vec<ContentUser>> {
        self.inner.blob_users(digest).await
    }

    async fn blob_unlink(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<BlobLeft>> {
        let left = self.inner.blob_unlink(repository, digest).await;
        self.wait().await;
        left
    }

    async fn manifest_put(&self, repository: &RepositoryName, manifest: &Manifest, tags: &[String]) -> Result<()> {
        self.inner.manifest_put(repository, manifest, tags).await
    }

    async fn manifest_get(&self, repository: &RepositoryName, reference: &ManifestRef) -> Result<Option<Manifest>> {
        self.inner.manifest_get(repository, reference).await
    }

    async fn manifest_list(
        &self,
        repository: &RepositoryName,
        after: Option<&Digest>,
        most: u32,
    ) -> Result<Vec<Digest>> {
        self.inner.manifest_list(repository, after, most).await
    }

    async fn manifest_users(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<ContentUser>> {
        self.inner.manifest_users(repository, digest).await
    }

    async fn manifest_delete(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool> {
        self.inner.manifest_delete(repository, digest).await
    }

    async fn tag_delete(&self, repository: &RepositoryName, tag: &str) -> Result<bool> {
        self.inner.tag_delete(repository, tag).await
    }

    async fn tag_list(&self, repository: &RepositoryName, page: Page) -> Result<Option<Vec<String>>> {
        self.inner.tag_list(repository, page).await
    }

    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        artifact_type: Option<&str>,
        page: ReferrerPage,
    ) -> Result<Referrers> {
        self.inner.referrers(repository, subject, artifact_type, page).await
    }
}
