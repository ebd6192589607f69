//! Blobs: files with content, and links that say which repository holds which blob.
//!
//! Invariant: **a link that stands in the store has its file, complete and durable.** It holds because
//! - a file gets its name only after it was verified and synced, and the directory is synced before the link is
//!   written;
//! - a link is written, and a file removed, only under the lock of the digest, and the file is removed only when under
//!   that lock no repository holds the blob. So a push or mount either comes first, and its link keeps the file, or
//!   comes after, and finds the file gone: the push brings its own, the mount is refused.
//!
//! The store takes links away without the lock (a repository's deletion takes many in one unit of work); that is safe
//! since the file goes only after another look at the holders under the lock.
//!
//! The other direction may be broken by a crash: a file without a link, a stray. It costs space and nothing else; a later
//! push of the same content replaces it, and the sweep removes it. The locks live in this process: one process at a time
//! owns the data directory.
//!
//! Each change runs in a task of its own to its end, so a client that hangs up never leaves it half done.
//!
//! Whether a file is still what its digest says is the business of `judge`; `reader` hands out nothing that it has not
//! compared with the checksums.

mod files;
mod judge;
mod locks;
mod reader;
mod strays;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::{BlobCondition, BlobSums};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::clock::Clock;
use layer0_domain::port::registry_store::{BlobLeft, BlobLink, RegistryStore, RegistryStoreError};

use self::files::BlobFiles;
pub(crate) use self::judge::{Verdict, lost};
use self::locks::DigestLocks;
pub(crate) use self::reader::{BlobReader, ReadError};
pub(crate) use self::strays::Removal;
use crate::blocking::{blocking, to_the_end};
use crate::disk::Disk;
use crate::error::RegistryError;

/// The blobs of an instance. Clones are the same.
#[derive(Clone)]
pub(crate) struct Blobs {
    inner: Arc<Inner>,
}

struct Inner {
    files: Arc<BlobFiles>,
    /// Who writes a link or removes a file.
    locks: DigestLocks,
    /// Who reads a whole blob to judge it. Taken before the other lock, never while it is held.
    turns: DigestLocks,
    store: Arc<dyn RegistryStore>,
    clock: Arc<dyn Clock>,
}

/// A staged file that was verified and synced, on its way in.
pub(crate) struct Staged {
    pub(crate) path: PathBuf,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) sums: BlobSums,
}

/// What there is to read.
pub(crate) enum Opened {
    /// The blob, with its checksums.
    Whole(BlobReader),
    /// It is known to be damaged.
    Damaged,
    /// The repository does not hold it, or its file is gone or cut off.
    Missing,
}

impl Inner {
    /// Removes the file when no repository holds the blob. The caller has the digest's lock.
    async fn remove_unheld(&self, digest: &Digest) -> Result<(), RegistryError> {
        if !self.store.blob_holders(digest).await?.is_empty() {
            return Ok(());
        }
        let (files, digest) = (Arc::clone(&self.files), digest.clone());
        blocking(move || files.remove(&digest)).await.map_err(RegistryError::from_io)
    }

    /// The blob's size when the repository holds it, it is not known to be damaged, and its file has that length. A link
    /// without its file is a damaged store: said loudly, and treated as absent, so that the next push brings the content
    /// back.
    async fn whole(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<u64>, RegistryError> {
        let Some(size) = self.store.blob_size(repository, digest).await? else { return Ok(None) };
        let (files, wanted) = (Arc::clone(&self.files), digest.clone());
        let found = blocking(move || files.metadata(&wanted)).await.map_err(RegistryError::from_io)?;
        Ok(check_length(repository, digest, size, found.map(|found| found.len())).then_some(size))
    }
}

/// Whether a blob's file is as long as the store says.
fn check_length(repository: &RepositoryName, digest: &Digest, size: u64, found: Option<u64>) -> bool {
    if found == Some(size) {
        return true;
    }
    tracing::error!(
        repository.name = %repository, blob.digest = %digest, blob.size = size, blob.found = found,
        "blob {digest} of repository {repository} is damaged on disk; it counts as missing until it is pushed again"
    );
    false
}

/// A blob is gone from its repository, but its file could not be removed: a stray.
fn left_behind(digest: &Digest, error: &RegistryError) {
    tracing::warn!(blob.digest = %digest, error = %error, "the file of blob {digest} could not be removed; the sweep tries again");
}

impl Blobs {
    /// Opens the blobs under `root`, a directory that is there.
    pub(crate) fn open(
        root: PathBuf,
        disk: Arc<dyn Disk>,
        store: Arc<dyn RegistryStore>,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Self> {
        let files = Arc::new(BlobFiles::open(root, disk)?);
        let (locks, turns) = (DigestLocks::new(), DigestLocks::new());
        Ok(Self { inner: Arc::new(Inner { files, locks, turns, store, clock }) })
    }

    /// The size of a blob that the repository holds and that is there, as far as is known without reading it.
    pub(crate) async fn size(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<u64>, RegistryError> {
        self.inner.whole(repository, digest).await
    }

    /// Opens a blob that the repository holds.
    pub(crate) async fn open_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Opened, RegistryError> {
        let mut record = self.inner.store.blob_get(repository, digest).await?;
        if record.as_ref().is_some_and(|record| record.condition == BlobCondition::Unproven) {
            self.prove(repository.clone(), digest.clone()).await?;
            record = self.inner.store.blob_get(repository, digest).await?;
        }
        let Some(record) = record else { return Ok(Opened::Missing) };
        let sums = match record.condition {
            BlobCondition::Damaged => return Ok(Opened::Damaged),
            BlobCondition::Proven(sums) => Some(sums),
            // There was no file to read.
            BlobCondition::Unproven => None,
        };
        let (files, wanted) = (Arc::clone(&self.inner.files), digest.clone());
        let opened = blocking(move || files.open_blob(&wanted)).await.map_err(RegistryError::from_io)?;
        let found = opened.as_ref().map(|(_, length)| *length);
        if !check_length(repository, digest, record.size, found) {
            return Ok(Opened::Missing);
        }
        let reader = opened
            .zip(sums)
            .and_then(|((file, _), sums)| BlobReader::new(repository.clone(), digest.clone(), file, record.size, sums));
        Ok(reader.map_or(Opened::Missing, Opened::Whole))
    }

    /// All bytes of a small blob; `None` when it isn't there, is damaged, or has more than `most` bytes.
    pub(crate) async fn read_small(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        most: u64,
    ) -> Result<Option<Vec<u8>>, RegistryError> {
        let Opened::Whole(reader) = self.open_blob(repository, digest).await? else { return Ok(None) };
        if reader.size() > most {
            return Ok(None);
        }
        let reader = Arc::new(reader);
        let reading = Arc::clone(&reader);
        match blocking(move || Ok(reading.read_all())).await.map_err(RegistryError::from_io)? {
            Ok(bytes) => Ok(Some(bytes)),
            Err(ReadError::Io(error)) => Err(RegistryError::from_io(error)),
            Err(ReadError::Damaged { piece }) => match self.suspect(reader, piece).await {
                RegistryError::BlobDamaged(_) => Ok(None),
                error => Err(error),
            },
        }
    }

    /// Takes a staged file in as a blob of a repository; returns when both the file and the link are durable. The
    /// caller has verified and synced the file. On an error the staged file is gone or stays where it was, and no client
    /// was told of a link.
    pub(crate) async fn take_in(
        &self,
        staged: Staged,
        repository: RepositoryName,
        at: Timestamp,
    ) -> Result<(), RegistryError> {
        let inner = Arc::clone(&self.inner);
        let Staged { path, digest, size, sums } = staged;
        to_the_end(async move {
            let _lock = inner.locks.lock(&digest).await;
            let (files, name) = (Arc::clone(&inner.files), digest.clone());
            blocking(move || files.take_in(&path, &name)).await.map_err(RegistryError::from_io)?;
            let link = BlobLink { digest: digest.clone(), size, sums: Some(sums) };
            let linked = inner.store.blob_link(&repository, &link, at).await;
            match &linked {
                Ok(()) => {}
                // Whether the link was written is not known for certain before the store is opened again: the file must be
                // there if it was. The sweep removes it if it was not.
                Err(RegistryStoreError::Failed { .. }) => {
                    tracing::warn!(blob.digest = %digest, "the file of blob {digest} stays: the store failed over its link");
                }
                // Refused, because the repository went away meanwhile or the disk is full: nobody can reach the file.
                Err(_) => {
                    if let Err(error) = inner.remove_unheld(&digest).await {
                        left_behind(&digest, &error);
                    }
                }
            }
            Ok(linked?)
        })
        .await
        .map_err(RegistryError::from_io)?
    }

    /// Makes a blob of one repository a blob of another too. `false` when the first does not hold it (whole).
    pub(crate) async fn mount(
        &self,
        from: RepositoryName,
        to: RepositoryName,
        digest: Digest,
        at: Timestamp,
    ) -> Result<bool, RegistryError> {
        let inner = Arc::clone(&self.inner);
        to_the_end(async move {
            let _lock = inner.locks.lock(&digest).await;
            let Some(size) = inner.whole(&from, &digest).await? else { return Ok(false) };
            inner.store.blob_link(&to, &BlobLink { digest, size, sums: None }, at).await?;
            Ok(true)
        })
        .await
        .map_err(RegistryError::from_io)?
    }

    /// Takes a blob out of a repository, and its file away when it was the last. `false` when it was not there.
    pub(crate) async fn unlink(&self, repository: RepositoryName, digest: Digest) -> Result<bool, RegistryError> {
        let inner = Arc::clone(&self.inner);
        to_the_end(async move {
            let _lock = inner.locks.lock(&digest).await;
            match inner.store.blob_unlink(&repository, &digest).await? {
                None => Ok(false),
                Some(BlobLeft::Elsewhere) => Ok(true),
                Some(BlobLeft::Nowhere) => {
                    if let Err(error) = inner.remove_unheld(&digest).await {
                        left_behind(&digest, &error);
                    }
                    Ok(true)
                }
            }
        })
        .await
        .map_err(RegistryError::from_io)?
    }

    /// Deletes a repository, and the files of the blobs that no other repository holds.
    pub(crate) async fn repository_delete(
        &self,
        name: RepositoryName,
        only_empty: bool,
    ) -> Result<(), RegistryStoreError> {
        self.repository_take(move |store| async move { store.repository_delete(&name, only_empty).await }).await
    }

    /// The same, whatever its tags' rules say: it lies elsewhere now.
    pub(crate) async fn repository_vacate(&self, name: RepositoryName) -> Result<(), RegistryStoreError> {
        self.repository_take(move |store| async move { store.repository_vacate(&name).await }).await
    }

    async fn repository_take<F>(
        &self,
        take: impl FnOnce(Arc<dyn RegistryStore>) -> F + Send + 'static,
    ) -> Result<(), RegistryStoreError>
    where
        F: Future<Output = Result<Vec<Digest>, RegistryStoreError>> + Send,
    {
        let inner = Arc::clone(&self.inner);
        to_the_end(async move {
            let orphans = take(Arc::clone(&inner.store)).await?;
            for digest in orphans {
                let _lock = inner.locks.lock(&digest).await;
                if let Err(error) = inner.remove_unheld(&digest).await {
                    left_behind(&digest, &error);
                }
            }
            Ok(())
        })
        .await
        .map_err(|error| RegistryStoreError::Failed { source: error.into() })?
    }
}
