//! Files that no repository holds: what a crash between the file and its link has left, or a file that could not be
//! removed. They cost space and nothing else.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use layer0_domain::model::digest::{Algorithm, Digest};
use layer0_domain::model::time::Timestamp;

use super::{Blobs, Inner};
use crate::blocking::{blocking, to_the_end};
use crate::error::RegistryError;

/// How many files, and how many bytes they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Strays {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

/// What becomes of a stray.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removal {
    /// It stays.
    None,
    /// It goes, if it was last written to then or before.
    Before(Timestamp),
}

impl Inner {
    /// Looks at a file that no repository holds, as it seems; answers its length when it is a stray and was dealt with.
    ///
    /// Under the digest's lock nobody is between a file's new name and its link: a file without a link is a stray, not a
    /// push on its way. Whoever pushes afterwards brings a file of his own.
    async fn stray(&self, digest: &Digest, removal: Removal) -> Result<Option<u64>, RegistryError> {
        let _lock = self.locks.lock(digest).await;
        if !self.store.blob_holders(digest).await?.is_empty() {
            return Ok(None);
        }
        let (files, digest) = (Arc::clone(&self.files), digest.clone());
        let looked = blocking(move || {
            let Some(found) = files.metadata(&digest)? else { return Ok(None) };
            if let Removal::Before(before) = removal {
                let since = found.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
                if i64::try_from(since.as_millis()).is_ok_and(|modified| modified > before.0) {
                    return Ok(None);
                }
                files.remove(&digest)?;
            }
            Ok(Some(found.len()))
        });
        looked.await.map_err(RegistryError::from_io)
    }
}

impl Blobs {
    /// Goes through all files and counts the strays that it deals with.
    pub(crate) async fn strays(&self, removal: Removal) -> Result<Strays, RegistryError> {
        let mut strays = Strays::default();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let files = Arc::clone(&self.inner.files);
            for fan in blocking(move || files.fans(algorithm)).await.map_err(RegistryError::from_io)? {
                let files = Arc::clone(&self.inner.files);
                let found = blocking(move || files.list(algorithm, &fan)).await.map_err(RegistryError::from_io)?;
                for digest in self.inner.store.blob_unheld(&found).await? {
                    let inner = Arc::clone(&self.inner);
                    let dealt = to_the_end(async move { inner.stray(&digest, removal).await });
                    if let Some(bytes) = dealt.await.map_err(RegistryError::from_io)?? {
                        strays.files += 1;
                        strays.bytes += bytes;
                    }
                }
            }
        }
        Ok(strays)
    }
}
