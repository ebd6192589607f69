//! The port `RegistryStore`: what the registry remembers about repositories, manifests, tags and which blob is in which
//! repository. Bytes of blobs are not its business; bytes of manifests are, so that a manifest and the tag that points
//! to it are written together.

use async_trait::async_trait;

use super::BoxError;
use crate::model::audit::AuditRecord;
use crate::model::digest::Digest;
use crate::model::image::RepositoryName;
use crate::model::owner::{OwnerName, TagRule};
use crate::model::registry::{
    BlobPlace, BlobRecord, BlobSums, Manifest, ManifestContent, ManifestRef, Repository, Visibility,
};
use crate::model::retention::{Images, Retiring};
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
    #[error("repository `{repository}` holds {manifests} manifest{}", if *manifests == 1 { "" } else { "s" })]
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
    /// The owner's quota does not allow it: delete something, or raise it.
    #[error(
        "owner `{owner}` may hold {quota} bytes and holds {used}: {bytes} more do not fit; delete images, or have the quota raised"
    )]
    QuotaExceeded {
        /// Whose.
        owner: OwnerName,
        /// The most it may hold.
        quota: u64,
        /// What it holds.
        used: u64,
        /// What was to be added.
        bytes: u64,
    },
    /// The tag may be neither moved nor deleted.
    #[error("tag `{tag}` of {repository} is immutable by the rule {owner}/{rule}", owner = .repository.owner())]
    TagImmutable {
        /// Where.
        repository: RepositoryName,
        /// Which.
        tag: String,
        /// The rule that makes it so.
        rule: Box<TagRule>,
    },
    /// Where the images lie, this is not done; the text says what, and what to do instead.
    #[error("{why}")]
    Refused {
        /// For the user.
        why: String,
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

/// What an owner with a quota may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// How many bytes in all.
    pub quota: u64,
    /// How many it holds. More than it may, where the quota was lowered.
    pub used: u64,
}

impl Room {
    /// How many bytes it may still add.
    #[must_use]
    pub fn left(self) -> u64 {
        self.quota.saturating_sub(self.used)
    }

    /// The most bytes that a blob of this owner can have: one that it holds already costs it nothing more.
    #[must_use]
    pub fn blob_max(self) -> u64 {
        self.quota.max(self.used)
    }
}

/// What else is written with a push, if that is not refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Along {
    /// Makes the repository, private, and its owner, where they aren't there; said to be made at this moment. Where this can't be in
    /// the same unit of work it is one before, and the repository stays when the push is refused.
    pub create: Option<Timestamp>,
    /// Goes into the audit log. Given only to a store that [`records`](RegistryStore::records).
    pub record: Option<AuditRecord>,
}

impl Along {
    /// Nothing else.
    pub const NOTHING: Self = Self { create: None, record: None };
}

/// What the registry remembers.
///
/// Every method is one unit of work, durable when it has returned `Ok`. Digests carry their algorithm; the same bytes
/// under two algorithms are two things.
#[async_trait]
pub trait RegistryStore: Send + Sync {
    /// Whether a record of the audit log can go along with a push, or with an image that goes by a rule, so that both are there or
    /// neither. Where it can't, whoever asks for it appends it afterwards.
    fn records(&self) -> bool {
        false
    }

    /// A number that is another one after each write that anybody was told of, as [`Store::version`](super::store::Store::version)
    /// is. `None` when the store can't know.
    fn version(&self) -> Option<u64>;

    /// Makes a repository, and its owner where there is none of that name.
    ///
    /// # Errors
    /// `RepositoryExists`.
    async fn repository_create(&self, repository: &Repository) -> Result<(), RegistryStoreError>;

    /// One repository.
    async fn repository_get(&self, name: &RepositoryName) -> Result<Option<Repository>, RegistryStoreError>;

    /// Repositories in byte order of their names, of one owner or of all.
    async fn repository_list(&self, owner: Option<&str>, page: Page) -> Result<Vec<Repository>, RegistryStoreError>;

    /// Changes who may pull from a repository, and answers how it is now.
    ///
    /// # Errors
    /// `RepositoryMissing`.
    async fn repository_update(
        &self,
        name: &RepositoryName,
        visibility: Visibility,
    ) -> Result<Repository, RegistryStoreError>;

    /// How many bytes the repository's owner may hold and holds; `None` for one without a quota, or that isn't there. For an
    /// early refusal; what decides is the check in the write.
    async fn room(&self, repository: &RepositoryName) -> Result<Option<Room>, RegistryStoreError>;

    /// Takes a repository away with its tags, manifests and blob links; answers the blobs that are now in no repository,
    /// whose sums, places and marks of damage go too. With `only_empty` a repository that holds manifests is left alone.
    ///
    /// # Errors
    /// `RepositoryMissing`, `RepositoryNotEmpty`, `TagImmutable` (of any of its tags).
    async fn repository_delete(
        &self,
        name: &RepositoryName,
        only_empty: bool,
    ) -> Result<Vec<FreedBlob>, RegistryStoreError>;

    /// Notes that a blob (already stored) is in a repository. Again is no error. With sums the content was just verified:
    /// they are kept in the place of any that were known, and a mark of damage goes, for all repositories that hold the
    /// blob; and with a place, that is where its bytes lie from now on, without one, where its digest says. Without sums, what is
    /// known of the content stays as it
    /// is; with a place then, it must be the one that is known: what lay there may have gone with the last repository that
    /// held it. `at` is remembered, also again: a link that no manifest names is kept for a while from then on. Answers the place that was
    /// known before and that nobody names any more, if there is one.
    ///
    /// # Errors
    /// `RepositoryMissing`, `QuotaExceeded`; `ContentMissing` when the blob lies at no such place, or another one does.
    async fn blob_link(
        &self,
        repository: &RepositoryName,
        blob: &BlobLink,
        at: Timestamp,
        along: &Along,
    ) -> Result<Option<BlobPlace>, RegistryStoreError>;

    /// The size of a blob in a repository, and when it was linked last; `None` when it isn't there, or is marked as damaged.
    async fn blob_size(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<LinkedBlob>, RegistryStoreError>;

    /// Where the bytes of a blob lie; `None` when no repository holds it, or nobody said where.
    async fn blob_place(&self, digest: &Digest) -> Result<Option<BlobPlace>, RegistryStoreError>;

    /// Those of these places that no blob lies at which a repository holds, in the order given.
    async fn place_unheld(&self, places: &[BlobPlace]) -> Result<Vec<BlobPlace>, RegistryStoreError>;

    /// All that is remembered of a blob in a repository; `None` when it isn't there. Sums that can't be those of a blob
    /// of this size are as good as none.
    async fn blob_get(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<BlobRecord>, RegistryStoreError>;

    /// Notes that a blob's content was read and is what its digest says: keeps its sums in the place of any that were
    /// known, and takes a mark of damage away. Does nothing for a blob that no repository holds.
    async fn blob_prove(&self, digest: &Digest, sums: &BlobSums) -> Result<(), RegistryStoreError>;

    /// Marks a blob as damaged, in all repositories that hold it: its content was read and is not what its digest says.
    /// Answers whether the mark is new. Does nothing for a blob that no repository holds.
    async fn blob_condemn(&self, digest: &Digest, at: Timestamp) -> Result<bool, RegistryStoreError>;

    /// The repositories that hold a blob, damaged or not, in byte order, at most 100, and its size; empty when none does.
    async fn blob_holders(&self, digest: &Digest) -> Result<Vec<(RepositoryName, u64)>, RegistryStoreError>;

    /// How many repositories hold a blob, damaged or not: all of them.
    async fn blob_holders_count(&self, digest: &Digest) -> Result<u64, RegistryStoreError>;

    /// The blobs that repositories hold, damaged ones too, each once, in byte order of their digests: at most `most` of
    /// those after `after`.
    async fn blob_list(&self, after: Option<&Digest>, most: u32) -> Result<Vec<HeldBlob>, RegistryStoreError>;

    /// Those of these digests that no repository holds as a blob which lies where its digest says, in the order given: it holds none,
    /// or one with another place.
    async fn blob_unheld(&self, digests: &[Digest]) -> Result<Vec<Digest>, RegistryStoreError>;

    /// Each repository that holds a blob, in byte order, at most 100, and what needs it there.
    async fn blob_users(&self, digest: &Digest) -> Result<Vec<ContentUser>, RegistryStoreError>;

    /// Takes a blob out of a repository. Answers `None` when it was not there, else whether any repository still holds it;
    /// when none does, its sums, its place and a mark of damage go too.
    ///
    /// # Errors
    /// `TagImmutable` when a tag that may not be deleted leads to it: to a manifest that names it, or to an index over that.
    async fn blob_unlink(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<BlobLeft>, RegistryStoreError>;

    /// The blobs of a repository, damaged ones too, that no manifest of it names and that were linked last at `until` or before,
    /// in byte order with their sizes: at most `most` of those after `after`. None when the repository isn't there.
    async fn blob_unneeded(
        &self,
        repository: &RepositoryName,
        until: Timestamp,
        after: Option<&Digest>,
        most: u32,
    ) -> Result<Vec<(Digest, u64)>, RegistryStoreError>;

    /// Takes those of these blobs out of a repository that [`blob_unneeded`](RegistryStore::blob_unneeded) would list, and answers
    /// them in the order given; the others are left alone. For each, that no manifest names it, that its link is as old, and that the
    /// link goes is one unit of work: a manifest that names it is either put before, and keeps it, or after, and is refused. Several
    /// may be one unit, or each its own; a blob may be left out for any reason, and is then listed again. When no repository holds
    /// a blob any more, its sums, its place and a mark of damage go with the link.
    async fn blob_collect(
        &self,
        repository: &RepositoryName,
        digests: &[Digest],
        until: Timestamp,
    ) -> Result<Vec<CollectedBlob>, RegistryStoreError>;

    /// Keeps a manifest and points tags at it, together. Every blob and child that it names must be in the repository, and
    /// no blob marked as damaged (checked in the same unit). Again with the same digest is no error, replaces what is
    /// kept, the bytes included, and moves the tags.
    ///
    /// # Errors
    /// `RepositoryMissing`, `ContentMissing`, `QuotaExceeded`; `TagImmutable` when a tag that may not be moved points to
    /// another manifest.
    async fn manifest_put(
        &self,
        repository: &RepositoryName,
        manifest: &Manifest,
        tags: &[String],
        along: &Along,
    ) -> Result<(), RegistryStoreError>;

    /// A manifest by tag or digest.
    async fn manifest_get(
        &self,
        repository: &RepositoryName,
        reference: &ManifestRef,
    ) -> Result<Option<Manifest>, RegistryStoreError>;

    /// What is sent of a manifest, by tag or digest: what most requests of a registry ask for. A store that need not read all of it
    /// for that does so.
    async fn manifest_content(
        &self,
        repository: &RepositoryName,
        reference: &ManifestRef,
    ) -> Result<Option<ManifestContent>, RegistryStoreError> {
        let found = self.manifest_get(repository, reference).await?;
        Ok(found.map(|Manifest { digest, media_type, bytes, .. }| ManifestContent { digest, media_type, bytes }))
    }

    /// The digests of a repository's manifests in byte order: at most `most` of those after `after`. None when the
    /// repository isn't there.
    async fn manifest_list(
        &self,
        repository: &RepositoryName,
        after: Option<&Digest>,
        most: u32,
    ) -> Result<Vec<Digest>, RegistryStoreError>;

    /// What needs a manifest in its repository: itself first of all. `None` when it isn't there.
    async fn manifest_users(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<ContentUser>, RegistryStoreError>;

    /// As [`repository_delete`](RegistryStore::repository_delete), whatever it holds and whatever rules keep its tags: for a
    /// repository that lies elsewhere now, where its tags go on.
    ///
    /// # Errors
    /// `RepositoryMissing`.
    async fn repository_vacate(&self, name: &RepositoryName) -> Result<Vec<FreedBlob>, RegistryStoreError>;

    /// Takes a manifest away, and all tags that point to it; answers whether it was there.
    ///
    /// # Errors
    /// `TagImmutable` when one of the tags may not be deleted, or one that may not leads to it through an index: that it stays
    /// where it is means that what it names stays whole.
    async fn manifest_delete(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool, RegistryStoreError>;

    /// Takes a tag away and leaves the manifest; answers whether it was there.
    ///
    /// # Errors
    /// `TagImmutable`.
    async fn tag_delete(&self, repository: &RepositoryName, tag: &str) -> Result<bool, RegistryStoreError>;

    /// All tags and manifests of a repository, as far as retention is concerned. `None` when it isn't there. What changes meanwhile may
    /// be seen before or after: [`images_retire`](RegistryStore::images_retire) looks again.
    async fn images(&self, repository: &RepositoryName) -> Result<Option<Images>, RegistryStoreError>;

    /// Takes those of these tags and manifests away that may still go, and answers them: what
    /// [`confirm`](crate::plan::retention::confirm) says of what is there in the same unit of work, under the owner's rules for
    /// immutable tags as they are then. So whatever is pushed at the same time stays. Several units may share the work, in the order
    /// given; what is left out is found by the next plan. Nothing for a repository that isn't there.
    ///
    /// The blobs that a manifest names which goes count as linked last at `at`, if that is later: before it goes, or in the same unit.
    /// So they are kept for as long as what was just pushed.
    ///
    /// `records` is empty, or has one for each tag that is asked for, and then for each manifest: those of what goes are appended to the
    /// audit log in the same unit. Given only to a store that [`records`](RegistryStore::records).
    async fn images_retire(
        &self,
        repository: &RepositoryName,
        asked: &Retiring,
        at: Timestamp,
        records: &[AuditRecord],
    ) -> Result<Retiring, RegistryStoreError>;

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

/// A blob on its way into a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobLink {
    /// Which.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Its checksums, when its content was just verified.
    pub sums: Option<BlobSums>,
    /// Where its bytes lie, when its digest does not say it.
    pub place: Option<BlobPlace>,
}

/// A blob in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkedBlob {
    /// Its length in bytes.
    pub size: u64,
    /// When it was linked last.
    pub linked: Timestamp,
}

/// A blob that was taken out of a repository because no manifest named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectedBlob {
    /// Which.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Whether it is still in another repository.
    pub left: BlobLeft,
}

/// A blob that no repository holds any more: its bytes may go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FreedBlob {
    /// Which.
    pub digest: Digest,
    /// Where its bytes lie, when somebody said it.
    pub place: Option<BlobPlace>,
}

/// A blob that a repository holds, or several do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBlob {
    /// Which.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Whether it is marked as damaged.
    pub damaged: bool,
}

/// What needs some content in one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentUser {
    /// The repository.
    pub repository: RepositoryName,
    /// The manifests that need it, themselves or through another one, in byte order, at most 100.
    pub manifests: Vec<Digest>,
    /// The tags that point to any of these manifests, in byte order, at most 100.
    pub tags: Vec<String>,
}

/// Whether a blob that was taken out of one repository is still in another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobLeft {
    /// Another repository holds it.
    Elsewhere,
    /// None does: its bytes may go.
    Nowhere {
        /// Where they lie, when somebody said it.
        place: Option<BlobPlace>,
    },
}
