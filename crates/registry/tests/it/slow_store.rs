//! A store that takes its time between what it does and what the registry does next, so that races have room.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::{Manifest, ManifestRef, Repository};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::registry_store::{BlobLeft, Page, ReferrerPage, Referrers, RegistryStore, RegistryStoreError};

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

    async fn repository_get(&self, name: &RepositoryName) -> Result<Option<Repository>> {
        self.inner.repository_get(name).await
    }

    async fn repository_list(&self, owner: Option<&str>, page: Page) -> Result<Vec<Repository>> {
        self.inner.repository_list(owner, page).await
    }

    async fn repository_delete(&self, name: &RepositoryName, only_empty: bool) -> Result<Vec<Digest>> {
        let orphans = self.inner.repository_delete(name, only_empty).await;
        self.wait().await;
        orphans
    }

    async fn blob_link(&self, repository: &RepositoryName, digest: &Digest, size: u64, at: Timestamp) -> Result<()> {
        self.wait().await;
        self.inner.blob_link(repository, digest, size, at).await
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
