//! The port `RegistryStore`: what the registry remembers about repositories, manifests, tags and which blob is in which
//! repository. Bytes of blobs are not its business; bytes of manifests are, so that a manifest and the tag that points
//! to it are written together.

use async_trait::async_trait;

use super::BoxError;
use crate::model::digest::Digest;
use crate::model::image::RepositoryName;
use crate::model::registry::{Manifest, ManifestRef, Repository};
use crate::model::time::Timestamp;

/// What went wrong, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum RegistryStoreError {
    /// The repository exists already.
    #[error("repository `{0}` exists already")]
    RepositoryExists(RepositoryName),
    /// The repository isn't there.
    #[error("repository `{0}` does not exist")]
    RepositoryMissing(RepositoryName),
    /// The repository has images: delete them, or insist.
    #[error("repository `{repository}` holds {manifests} manifests")]
    RepositoryNotEmpty {
        /// Which.
        repository: RepositoryName,
        /// How many manifests are inside.
        manifests: u64,
    },
    /// A manifest names blobs or manifests that the repository does not hold.
    #[error("the manifest names {} that the repository does not hold", .missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    ContentMissing {
        /// What is missing.
        missing: Vec<Digest>,
    },
    /// No more can be written: free some disk.
    #[error("the disk is full")]
    Full,
    /// The store does not answer, or answered nonsense.
    #[error("the store failed")]
    Failed {
        /// What it said.
        #[source]
        source: BoxError,
    },
}

/// What a list of tags or repositories begins after, and how long it may be.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Only entries after this one, in byte order.
    pub after: Option<String>,
    /// At most so many; `None` for all.
    pub most: Option<u32>,
}

/// What a list of referrers begins after, and how much it may hold.
#[derive(Debug, Clone)]
pub struct ReferrerPage {
    /// Only those whose digest comes after this one.
    pub after: Option<Digest>,
    /// The list ends before the entry that would bring it above so many bytes, counted by [`Referrer::weight`]; but it
    /// has one entry at least, where there is one. Their number is no measure: one entry's annotations can fill a manifest.
    pub most_bytes: usize,
}

/// A part of the referrers list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Referrers {
    /// In the order of their digests.
    pub entries: Vec<Referrer>,
    /// Whether there are more after these.
    pub more: bool,
}

/// One entry of the referrers list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrer {
    /// The manifest that refers.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Its length in bytes.
    pub size: u64,
    /// What it is.
    pub artifact_type: Option<String>,
    /// Its annotations.
    pub annotations: std::collections::BTreeMap<String, String>,
}

impl Referrer {
    /// About how many bytes it takes, in memory and in an answer: its texts, and a little for each.
    #[must_use]
    pub fn weight(&self) -> usize {
        let annotations = self.annotations.iter().map(|(key, value)| key.len() + value.len() + 8).sum::<usize>();
        self.media_type.len() + self.artifact_type.as_ref().map_or(0, String::len) + annotations + 256
    }
}

/// What the registry remembers.
///
/// Every method is one unit of work, durable when it has returned `Ok`. Digests carry their algorithm; the same bytes
/// under two algorithms are two things.
#[async_trait]
pub trait RegistryStore: Send + Sync {
    /// Makes a repository.
    ///
    /// # Errors
    /// `RepositoryExists`.
    async fn repository_create(&self, repository: &Repository) -> Result<(), RegistryStoreError>;

    /// One repository.
    async fn repository_get(&self, name: &RepositoryName) -> Result<Option<Repository>, RegistryStoreError>;

    /// Repositories in byte order of their names, of one owner or of all.
    async fn repository_list(&self, owner: Option<&str>, page: Page) -> Result<Vec<Repository>, RegistryStoreError>;

    /// Takes a repository away with its tags, manifests and blob links; answers the blobs that are now in no repository.
    /// With `only_empty` a repository that holds manifests is left alone.
    ///
    /// # Errors
    /// `RepositoryMissing`, `RepositoryNotEmpty`.
    async fn repository_delete(
        &self,
        name: &RepositoryName,
        only_empty: bool,
    ) -> Result<Vec<Digest>, RegistryStoreError>;

    /// Notes that a blob (already stored) is in a repository. Again is no error.
    ///
    /// # Errors
    /// `RepositoryMissing`.
    async fn blob_link(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        size: u64,
        at: Timestamp,
    ) -> Result<(), RegistryStoreError>;

    /// The size of a blob in a repository; `None` when it isn't there.
    async fn blob_size(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<u64>, RegistryStoreError>;

    /// The repositories that hold a blob, in byte order, at most 100, and its size; empty when none does.
    async fn blob_holders(&self, digest: &Digest) -> Result<Vec<(RepositoryName, u64)>, RegistryStoreError>;

    /// Takes a blob out of a repository. Answers `None` when it was not there, else whether any repository still holds it.
    async fn blob_unlink(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<BlobLeft>, RegistryStoreError>;

    /// Keeps a manifest and points tags at it, together. Every blob and child that it names must be in the repository
    /// (checked in the same unit). Again with the same digest is no error and moves the tags.
    ///
    /// # Errors
    /// `RepositoryMissing`, `ContentMissing`.
    async fn manifest_put(
        &self,
        repository: &RepositoryName,
        manifest: &Manifest,
        tags: &[String],
    ) -> Result<(), RegistryStoreError>;

    /// A manifest by tag or digest.
    async fn manifest_get(
        &self,
        repository: &RepositoryName,
        reference: &ManifestRef,
    ) -> Result<Option<Manifest>, RegistryStoreError>;

    /// Takes a manifest away, and all tags that point to it; answers whether it was there.
    async fn manifest_delete(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool, RegistryStoreError>;

    /// Takes a tag away and leaves the manifest; answers whether it was there.
    async fn tag_delete(&self, repository: &RepositoryName, tag: &str) -> Result<bool, RegistryStoreError>;

    /// Tags in byte order. `None` when the repository isn't there.
    async fn tag_list(
        &self,
        repository: &RepositoryName,
        page: Page,
    ) -> Result<Option<Vec<String>>, RegistryStoreError>;

    /// The manifests that name `subject`, ordered by digest, of one artifact type or of all.
    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        artifact_type: Option<&str>,
        page: ReferrerPage,
    ) -> Result<Referrers, RegistryStoreError>;
}

/// Whether a blob that was taken out of one repository is still in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobLeft {
    /// Another repository holds it.
    Elsewhere,
    /// None does: its bytes may go.
    Nowhere,
}
