//! Whether blobs are what their digests say, and what is written down about it.
//!
//! ```text
//!             pushed (verified)                 a piece or the whole is wrong
//!   (none) ──────────────────▶ proven ─────────────────────────────────▶ damaged
//!                               ▲  ▲                                        │
//!                 read whole ───┘  └──────── pushed again, or read right ───┘
//!                  unproven (from before there were checksums)
//! ```
//! A blob is condemned under the lock of its digest, on the file and the checksums that belong together at that moment:
//! a push that puts a new file in the place of a damaged one holds the same lock, so the new one is never condemned for
//! the old one's bytes.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::{BlobCondition, BlobSums};

use super::reader::{BlobReader, ReadError};
use super::{Blobs, Inner};
use crate::blocking::{blocking, to_the_end};
use crate::content::Survey;
use crate::error::RegistryError;

/// How many repositories the log names for a damaged blob.
const NAMED: usize = 10;

/// What reading a whole blob showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is what its digest says.
    Whole,
    /// It is not.
    Damaged,
    /// It has no file, or another one by now.
    Gone,
}

/// What the hardware says of data that it has lost: the read failed, or the file system's own checksum does not fit.
fn is_lost(error: &io::Error) -> bool {
    const EIO: i32 = 5;
    const EBADMSG: i32 = 74;
    const EUCLEAN: i32 = 117;
    matches!(error.raw_os_error(), Some(EIO | EBADMSG | EUCLEAN))
}

impl Inner {
    /// Writes down what reading `file` from start to end has shown.
    pub(super) async fn settle(
        &self,
        digest: &Digest,
        file: File,
        found: io::Result<(Digest, BlobSums)>,
    ) -> Result<Verdict, RegistryError> {
        let sums = match found {
            Ok((found, sums)) => (found == *digest).then_some(sums),
            Err(error) if is_lost(&error) => None,
            Err(error) => return Err(RegistryError::from_io(error)),
        };
        let _lock = self.locks.lock(digest).await;
        let (files, name) = (Arc::clone(&self.files), digest.clone());
        let is_same = blocking(move || {
            let read = file.metadata()?;
            Ok(files.metadata(&name)?.is_some_and(|now| (now.dev(), now.ino()) == (read.dev(), read.ino())))
        });
        if !is_same.await.map_err(RegistryError::from_io)? {
            return Ok(Verdict::Gone);
        }
        match sums {
            Some(sums) => {
                self.store.blob_prove(digest, &sums).await?;
                Ok(Verdict::Whole)
            }
            None => {
                self.condemn(digest).await?;
                Ok(Verdict::Damaged)
            }
        }
    }

    /// Marks a blob as damaged and says so. The caller has the digest's lock.
    async fn condemn(&self, digest: &Digest) -> Result<(), RegistryError> {
        if !self.store.blob_condemn(digest, self.clock.now()).await? {
            return Ok(());
        }
        let holders = self.store.blob_holders(digest).await?;
        let mut names: Vec<&str> = holders.iter().take(NAMED).map(|(name, _)| name.as_str()).collect();
        if holders.len() > NAMED {
            names.push("…");
        }
        let names = names.join(", ");
        tracing::error!(
            blob.digest = %digest, blob.repositories = names,
            "blob {digest} is damaged on disk; it is held by {names}, and counts as missing until an image with it is pushed again"
        );
        Ok(())
    }

    /// Reads a blob's file from start to end and writes down what that shows.
    async fn judge(&self, digest: &Digest) -> Result<Verdict, RegistryError> {
        let (files, name) = (Arc::clone(&self.files), digest.clone());
        let read = blocking(move || {
            let Some((file, _)) = files.open_blob(&name)? else { return Ok(None) };
            let found = Survey::new(file.try_clone()?, name.algorithm()).run();
            Ok(Some((file, found)))
        });
        match read.await.map_err(RegistryError::from_io)? {
            Some((file, found)) => self.settle(digest, file, found).await,
            None => Ok(Verdict::Gone),
        }
    }

    /// Reads all of a blob that was condemned for one piece.
    async fn double_check(&self, digest: &Digest) {
        let _turn = self.turns.lock(digest).await;
        match self.judge(digest).await {
            Ok(Verdict::Whole) => tracing::warn!(
                blob.digest = %digest, "blob {digest} is whole: its checksums were damaged, and are made anew"
            ),
            Ok(Verdict::Damaged | Verdict::Gone) => {}
            Err(error) => tracing::warn!(
                blob.digest = %digest, error = %error, "damaged blob {digest} could not be read to its end"
            ),
        }
    }

    /// Looks once more at a piece that was read as damaged, and condemns the blob when it still is. Answers whether it
    /// counts as damaged.
    async fn suspect(&self, suspect: &BlobReader, piece: usize) -> Result<bool, RegistryError> {
        let (repository, digest) = (&suspect.repository, &suspect.digest);
        let _lock = self.locks.lock(digest).await;
        let Some(record) = self.store.blob_get(repository, digest).await? else { return Ok(false) };
        let sums = match record.condition {
            BlobCondition::Damaged => return Ok(true),
            BlobCondition::Unproven => return Ok(false),
            BlobCondition::Proven(sums) => sums,
        };
        let (files, name, of) = (Arc::clone(&self.files), digest.clone(), repository.clone());
        let damaged = blocking(move || {
            let Some((file, _)) = files.open_blob(&name)? else { return Ok(false) };
            let reader = BlobReader::new(of, name, file, record.size, sums);
            match reader.map(|reader| reader.check(piece)) {
                Some(Err(ReadError::Damaged { .. })) => Ok(true),
                Some(Err(ReadError::Io(error))) => Err(error),
                Some(Ok(())) | None => Ok(false),
            }
        });
        let damaged = damaged.await.map_err(RegistryError::from_io)?;
        if damaged {
            self.condemn(digest).await?;
        }
        Ok(damaged)
    }
}

impl Blobs {
    /// Reads a blob that has no checksums from start to end, so that it has them or is condemned. Of many who ask at
    /// once, one reads.
    pub(super) async fn prove(&self, repository: RepositoryName, digest: Digest) -> Result<(), RegistryError> {
        let inner = Arc::clone(&self.inner);
        to_the_end(async move {
            let _turn = inner.turns.lock(&digest).await;
            match inner.store.blob_get(&repository, &digest).await? {
                Some(record) if record.condition == BlobCondition::Unproven => inner.judge(&digest).await.map(drop),
                _ => Ok(()),
            }
        })
        .await
        .map_err(RegistryError::from_io)?
    }

    /// A reader came upon a damaged piece: the blob is condemned when a second look says the same. Answers what the client
    /// is told, if it was told nothing yet.
    ///
    /// Afterwards the whole blob is read in the background: when it is what its digest says, it is the checksums that have
    /// rotted, and they are made anew.
    pub(crate) async fn suspect(&self, reader: Arc<BlobReader>, piece: usize) -> RegistryError {
        let inner = Arc::clone(&self.inner);
        let digest = reader.digest.clone();
        let judged = to_the_end(async move {
            let damaged = inner.suspect(&reader, piece).await;
            if matches!(damaged, Ok(true)) {
                tokio::spawn(async move { inner.double_check(&reader.digest).await });
            }
            damaged
        });
        match judged.await {
            Ok(Ok(true)) => RegistryError::BlobDamaged(digest),
            // Another file took its place meanwhile, or what was read wrong is read right now.
            Ok(Ok(false)) => RegistryError::Unsteady(digest),
            Ok(Err(error)) => error,
            Err(error) => RegistryError::from_io(error),
        }
    }
}
