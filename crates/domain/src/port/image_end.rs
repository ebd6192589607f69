//! The port `ImageEnd`: one repository in one backing, as whoever copies it from there or to there needs it. Two of them are
//! the ends of a move.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use super::BoxError;
use crate::model::digest::{Algorithm, Digest};
use crate::model::registry::Visibility;
use crate::model::time::Timestamp;

/// What went wrong, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum EndError {
    /// The repository isn't there.
    #[error("the repository isn't there")]
    NoRepository,
    /// What is there is not what its digest says, or not all of it is there.
    #[error("{what}")]
    Damaged {
        /// What, in words.
        what: String,
    },
    /// It is not taken here, however often it is asked; what was there is there still.
    #[error("{why}")]
    Refused {
        /// In the words of the backing.
        why: String,
    },
    /// No answer, or one that says nothing: to be tried again. What was asked for may have been done.
    #[error("the images can't be reached")]
    Unavailable {
        /// What it said.
        #[source]
        source: BoxError,
    },
}

/// A part of what a repository holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntryPage {
    /// Manifests, with or without a tag, and tags. A manifest may be there more than once.
    pub entries: Vec<Entry>,
    /// What to ask for the next page with; `None` for the last page.
    pub next: Option<String>,
}

/// A manifest, or a tag that points to one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The manifest.
    pub digest: Digest,
    /// The tag.
    pub tag: Option<String>,
}

/// A manifest, with what is read out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndManifest {
    /// Of the bytes.
    pub digest: Digest,
    /// The `Content-Type`.
    pub media_type: String,
    /// The very bytes.
    pub bytes: Vec<u8>,
    /// Config, layers and blobs, each digest once.
    pub blobs: Vec<EndBlob>,
    /// An index's entries.
    pub children: Vec<Digest>,
    /// The manifest that it says something about.
    pub subject: Option<Digest>,
}

/// A blob as a manifest names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndBlob {
    /// Which.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Whether it need not be there (a foreign layer).
    pub is_foreign: bool,
}

/// A blob's content on its way: pieces of a size that fits into memory many times.
pub type BlobStream = BoxStream<'static, Result<Vec<u8>, BoxError>>;

/// One repository in one backing.
///
/// Each write is done and durable when it returns `Ok`, and may be repeated: again with the same content is no error. A write
/// that failed leaves nothing that anybody could pull. There is no order but what the caller keeps: what a manifest needs
/// must be there before it.
#[async_trait]
pub trait ImageEnd: Send + Sync {
    /// Whether content named by such digests can lie here.
    fn takes(&self, algorithm: Algorithm) -> bool;

    /// Makes the repository where it isn't there, and sees to it that those may pull from it, once it lies there, whom `visibility`
    /// means; answers whether it had to be made. Again is no error.
    ///
    /// # Errors
    /// `Refused` for a name or visibility that can't be here; `Unavailable`.
    async fn prepare(&self, visibility: Visibility) -> Result<bool, EndError>;

    /// Deletes the repository with all that is in it. One that isn't there is no error.
    ///
    /// # Errors
    /// `Refused`, `Unavailable`.
    async fn remove(&self) -> Result<(), EndError>;

    /// A page of what is there: the first, or the one that follows what `next` of the page before said. What comes or goes
    /// meanwhile may be in it or not; all else is in one of them, manifests without a tag included.
    ///
    /// # Errors
    /// `NoRepository`, `Unavailable`.
    async fn entries(&self, next: Option<&str>) -> Result<EntryPage, EndError>;

    /// Manifests that name this one as their subject, as far as a list of them is kept. [`entries`](ImageEnd::entries) has
    /// them too, where it has all.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn referrers(&self, subject: &Digest) -> Result<Vec<Digest>, EndError>;

    /// A manifest, its bytes compared with the digest; `None` when it isn't there.
    ///
    /// # Errors
    /// `Damaged`, `Unavailable`.
    async fn manifest_read(&self, digest: &Digest) -> Result<Option<EndManifest>, EndError>;

    /// When manifests that are there were pushed, as far as that is told here and of use where they are copied to. What it says nothing
    /// of counts from when it is written there.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn pushed(&self) -> Result<BTreeMap<Digest, Timestamp>, EndError>;

    /// Keeps a manifest, and points a tag at it. Both count from `pushed`, or from now where that is `None`; so they do wherever
    /// times can't be given.
    ///
    /// # Errors
    /// `NoRepository`, `Refused`, `Unavailable`.
    async fn manifest_write(
        &self,
        manifest: &EndManifest,
        tag: Option<&str>,
        pushed: Option<Timestamp>,
    ) -> Result<(), EndError>;

    /// Takes a manifest away, with the tags that point to it. One that isn't there is no error.
    ///
    /// # Errors
    /// `Refused` while an index that is there names it, or a rule keeps it; `Unavailable`.
    async fn manifest_delete(&self, digest: &Digest) -> Result<(), EndError>;

    /// Takes a tag away. One that isn't there is no error. The manifest may go with its last tag.
    ///
    /// # Errors
    /// `Refused` when a rule keeps it; `Unavailable`.
    async fn tag_delete(&self, tag: &str) -> Result<(), EndError>;

    /// A blob's length; `None` when it isn't there, or is known not to be whole.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, EndError>;

    /// A blob's content; `None` when it isn't there, or is known not to be whole. Not compared with anything.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn blob_read(&self, digest: &Digest) -> Result<Option<BlobStream>, EndError>;

    /// Keeps a blob, if the content is what the digest says and has that length. An error in the content ends it, and nothing is
    /// kept.
    ///
    /// # Errors
    /// `NoRepository`, `Damaged` for content that is not what it should be, `Refused`, `Unavailable`.
    async fn blob_write(&self, digest: &Digest, size: u64, content: BlobStream) -> Result<(), EndError>;
}
