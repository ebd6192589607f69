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
//! The other direction may be broken by a crash: a file without a link. It costs space and nothing else; a later push
//! of the same content takes it over. The locks live in this process: one process at a time owns the data directory.
//!
//! Each change runs in a task of its own to its end, so a client that hangs up never leaves it half done.

mod files;
mod locks;

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::registry_store::{BlobLeft, RegistryStore, RegistryStoreError};

use self::files::BlobFiles;
use self::locks::DigestLocks;
use crate::blocking::{blocking, to_the_end};
use crate::error::RegistryError;

/// The blobs of an instance. Clones are the same.
#[derive(Clone)]
pub(crate) struct Blobs {
    inner: Arc<Inner>,
}

struct Inner {
    files: Arc<BlobFiles>,
    locks: DigestLocks,
    store: Arc<dyn RegistryStore>,
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

    /// The blob's size when the repository holds it and its file is whole. A link without its whole file is a damaged
    /// store: said loudly, and treated as absent, so that the next push brings the content back.
    async fn whole(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<u64>, RegistryError> {
        let Some(size) = self.store.blob_size(repository, digest).await? else { return Ok(None) };
        let (files, wanted) = (Arc::clone(&self.files), digest.clone());
        let found = blocking(move || files.length(&wanted)).await.map_err(RegistryError::from_io)?;
        Ok(check_length(repository, digest, size, found).then_some(size))
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

impl Blobs {
    /// Opens the blobs under `root`.
    pub(crate) fn open(root: PathBuf, store: Arc<dyn RegistryStore>) -> io::Result<Self> {
        Ok(Self {
            inner: Arc::new(Inner { files: Arc::new(BlobFiles::open(root)?), locks: DigestLocks::new(), store }),
        })
    }

    /// The size of a blob that the repository holds and that is whole on the disk.
    pub(crate) async fn size(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<u64>, RegistryError> {
        self.inner.whole(repository, digest).await
    }

    /// Opens a blob that the repository holds and that is whole on the disk.
    pub(crate) async fn open_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<(File, u64)>, RegistryError> {
        let Some(size) = self.inner.store.blob_size(repository, digest).await? else { return Ok(None) };
        let (files, wanted) = (Arc::clone(&self.inner.files), digest.clone());
        let opened = blocking(move || files.open_blob(&wanted)).await.map_err(RegistryError::from_io)?;
        let found = opened.as_ref().map(|(_, length)| *length);
        Ok(opened.filter(|_| check_length(repository, digest, size, found)))
    }

    /// Takes a staged file in as a blob of a repository; returns when both the file and the link are durable. The
    /// caller has verified and synced the file. On an error the staged file is gone or stays where it was, and no link
    /// is written.
    pub(crate) async fn take_in(
        &self,
        staged: PathBuf,
        repository: RepositoryName,
        digest: Digest,
        size: u64,
        at: Timestamp,
    ) -> Result<(), RegistryError> {
        let inner = Arc::clone(&self.inner);
        to_the_end(async move {
            let _lock = inner.locks.lock(&digest).await;
            let (files, name) = (Arc::clone(&inner.files), digest.clone());
            blocking(move || files.take_in(&staged, &name)).await.map_err(RegistryError::from_io)?;
            match inner.store.blob_link(&repository, &digest, size, at).await {
                Ok(()) => Ok(()),
                Err(error) => {
                    // The repository went away meanwhile, or the store fails: don't keep what nobody can reach.
                    if let Err(error) = inner.remove_unheld(&digest).await {
                        tracing::warn!(blob.digest = %digest, error = %error, "blob {digest} has no repository and its file could not be removed");
                    }
                    Err(error.into())
                }
            }
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
            inner.store.blob_link(&to, &digest, size, at).await?;
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
                    inner.remove_unheld(&digest).await?;
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
        let inner = Arc::clone(&self.inner);
        to_the_end(async move {
            let orphans = inner.store.repository_delete(&name, only_empty).await?;
            for digest in orphans {
                let _lock = inner.locks.lock(&digest).await;
                if let Err(error) = inner.remove_unheld(&digest).await {
                    // The repository is gone all the same; what stays is a file without a link.
                    tracing::warn!(blob.digest = %digest, error = %error, "the file of blob {digest} could not be removed");
                }
            }
            Ok(())
        })
        .await
        .map_err(|error| RegistryStoreError::Failed { source: error.into() })?
    }
}
