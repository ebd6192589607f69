//! Blobs that no manifest of their repository names, and how long they are kept all the same.
//!
//! A push links its blobs before it puts the manifest that names them, and a client that is told that a blob is there does not push
//! it: so each link is kept for a grace from when it was written, and written again when a client is told of it late in that time.

use std::sync::Arc;
use std::time::Duration;

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::registry_store::{Along, BlobLeft, CollectedBlob, LinkedBlob};

use super::{Blobs, left_behind};
use crate::blocking::to_the_end;
use crate::error::RegistryError;

/// What came of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Batch {
    /// Blobs that are in the repository no more, and their bytes.
    pub(crate) blobs: u64,
    pub(crate) bytes: u64,
    /// Bytes that came back, since no other repository holds them.
    pub(crate) freed: u64,
}

impl Blobs {
    /// The size of a blob for a client that may now put a manifest which names it: for half of `grace` from now it is kept whether a
    /// manifest does or not. Costs a write at most once in that time.
    pub(crate) async fn promise(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        grace: Duration,
    ) -> Result<Option<u64>, RegistryError> {
        let Some((LinkedBlob { size, linked }, _)) = self.inner.whole(repository, digest).await? else {
            return Ok(None);
        };
        let (now, half) = (self.inner.clock.now(), i64::try_from(grace.as_millis() / 2).unwrap_or(i64::MAX));
        if now.0.saturating_sub(linked.0) < half {
            return Ok(Some(size));
        }
        // Linked again as by a mount from itself, which is refused when it has gone in this moment.
        match self.mount(repository.clone(), repository.clone(), digest.clone(), now, Along::NOTHING).await {
            Ok(true) => Ok(Some(size)),
            // It has gone, or was pushed again in this moment, which is as good as a link.
            Ok(false) => Ok(self.inner.whole(repository, digest).await?.map(|(linked, _)| linked.size)),
            // It is there, and can be pulled; at worst a push will be told later that it is not any more.
            Err(error) => {
                tracing::warn!(
                    repository.name = %repository, blob.digest = %digest, error = %error,
                    "blob {digest} of repository {repository} could not be kept for longer"
                );
                Ok(Some(size))
            }
        }
    }

    /// Takes those of these blobs out of a repository that no manifest of it names and that were linked last at `until` or before, and
    /// their bytes away where it was the last.
    pub(crate) async fn collect(
        &self,
        repository: RepositoryName,
        digests: Vec<Digest>,
        until: Timestamp,
    ) -> Result<Batch, RegistryError> {
        let inner = Arc::clone(&self.inner);
        to_the_end(async move {
            let mut batch = Batch::default();
            for CollectedBlob { digest, size, left } in inner.store.blob_collect(&repository, &digests, until).await? {
                batch.blobs += 1;
                batch.bytes += size;
                let BlobLeft::Nowhere { place } = left else { continue };
                let _lock = inner.locks.lock(&digest).await;
                match inner.remove_unheld(&digest, place).await {
                    Ok(()) => batch.freed += size,
                    Err(error) => left_behind(&digest, &error),
                }
            }
            Ok(batch)
        })
        .await
        .map_err(RegistryError::from_io)?
    }
}
