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

use std::io;
use std::sync::Arc;

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::{BlobCondition, BlobPlace, BlobSums};
use layer0_domain::port::blob_bytes::{BlobContent, Look, Naming, Seen, Source};
use layer0_domain::port::registry_store::RegistryStoreError;

use super::reader::{BlobReader, ReadError};
use super::{Blobs, Inner};
use crate::blocking::{blocking, to_the_end};
use crate::content::{Survey, is_loss};
use crate::error::RegistryError;

/// How many repositories the log names for a damaged blob.
const NAMED: usize = 10;

/// What was read of a whole blob: its digest and checksums, or `None` when the disk has lost some of it.
type Read = Option<(Digest, BlobSums)>;

/// What reading a whole blob showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is what its digest says, and these are its checksums. They are known from now on, unless there is no room to keep them.
    Whole(BlobSums),
    /// It is not.
    Damaged,
    /// It has no bytes, or lies elsewhere by now.
    Gone,
}

/// A blob's bytes, open for reading, and where they lie.
pub(crate) struct Lying {
    pub(crate) content: Box<dyn BlobContent>,
    pub(crate) place: BlobPlace,
}

/// Turns the errors by which a disk says that it has lost data into a finding.
pub(crate) fn lost(read: io::Result<(Digest, BlobSums)>) -> io::Result<Read> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_loss(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Inner {
    /// Writes down what reading `lying` from start to end has shown.
    async fn settle(&self, digest: &Digest, lying: Lying, read: Read) -> Result<Verdict, RegistryError> {
        let sums = read.and_then(|(found, sums)| (found == *digest).then_some(sums));
        let _lock = self.locks.lock(digest).await;
        let Lying { content, place } = lying;
        if self.place(digest).await? != Some(place)
            || !blocking(move || content.is_current()).await.map_err(RegistryError::from_io)?
        {
            return Ok(Verdict::Gone);
        }
        match sums {
            Some(sums) => {
                match self.store.blob_prove(digest, &sums).await {
                    // What was read is what it is, and the next one who wants to know reads it again.
                    Err(RegistryStoreError::Full) => {}
                    proven => proven?,
                }
                Ok(Verdict::Whole(sums))
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

    /// Condemns a blob of which a close look finds nothing where a glance does: nobody would push it again, since whoever asks is told that
    /// it is there.
    async fn condemn_lost(&self, digest: &Digest) -> Result<(), RegistryError> {
        // In a bucket another server may push it between two looks.
        if self.bytes.naming() == Naming::Store {
            return Ok(());
        }
        let _lock = self.locks.lock(digest).await;
        if self.store.blob_holders(digest).await?.is_empty() {
            return Ok(());
        }
        let Some(place) = self.place(digest).await? else { return Ok(()) };
        let is_lost = self.look(&place, Look::Closely).await? == Seen::Gone
            && self.look(&place, Look::Glance).await? != Seen::Gone;
        if is_lost { self.condemn(digest).await } else { Ok(()) }
    }

    /// Reads a blob from start to end and writes down what that shows.
    async fn judge(&self, digest: &Digest) -> Result<Verdict, RegistryError> {
        let Some(place) = self.place(digest).await? else { return Ok(Verdict::Gone) };
        let (bytes, algorithm, at) = (Arc::clone(&self.bytes), digest.algorithm(), place.clone());
        let read = blocking(move || {
            let Some(content) = bytes.open(&at, Source::Any)? else { return Ok(None) };
            let mut survey = Survey::new(content, algorithm);
            let read = survey.read_all();
            if read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
                return Ok(None);
            }
            let (found, content) = survey.finish();
            Ok(Some((content, lost(read.map(|()| found))?)))
        });
        match read.await.map_err(RegistryError::from_io)? {
            Some((content, found)) => self.settle(digest, Lying { content, place }, found).await,
            None => Ok(Verdict::Gone),
        }
    }

    /// Reads all of a blob that was condemned for one piece.
    async fn double_check(&self, digest: &Digest) {
        let _turn = self.turns.lock(digest).await;
        match self.judge(digest).await {
            Ok(Verdict::Whole(_)) => tracing::warn!(
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
        let Some(place) = self.place(digest).await? else { return Ok(false) };
        let (bytes, name, of) = (Arc::clone(&self.bytes), digest.clone(), repository.clone());
        let damaged = blocking(move || {
            let Some(content) = bytes.open(&place, Source::Any)? else { return Ok(false) };
            let reader = BlobReader::new(of, name, content, record.size, sums);
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
    /// Opens a blob to be read from start to end, from where it would be after a restart; `None` when there is none.
    pub(crate) async fn survey(&self, digest: &Digest, place: &BlobPlace) -> io::Result<Option<Survey>> {
        let (bytes, algorithm, place) = (Arc::clone(&self.inner.bytes), digest.algorithm(), place.clone());
        blocking(move || Ok(bytes.open(&place, Source::Medium)?.map(|content| Survey::new(content, algorithm)))).await
    }

    /// Where a blob lies; `None` when nobody said it, though a repository may hold it.
    pub(crate) async fn place(&self, digest: &Digest) -> Result<Option<BlobPlace>, RegistryError> {
        self.inner.place(digest).await
    }

    /// Writes down what a survey, which has come to its end or to data that the disk has lost, has shown.
    pub(crate) async fn settle(&self, digest: &Digest, lying: Lying, read: Read) -> Result<Verdict, RegistryError> {
        let (inner, digest) = (Arc::clone(&self.inner), digest.clone());
        to_the_end(async move { inner.settle(&digest, lying, read).await }).await.map_err(RegistryError::from_io)?
    }

    /// As of `Inner`.
    pub(super) async fn condemn_lost(&self, digest: &Digest) -> Result<(), RegistryError> {
        let (inner, digest) = (Arc::clone(&self.inner), digest.clone());
        to_the_end(async move { inner.condemn_lost(&digest).await }).await.map_err(RegistryError::from_io)?
    }

    /// Whether a repository holds a blob that has no bytes, and none on their way in.
    pub(crate) async fn is_gone(&self, digest: &Digest) -> Result<bool, RegistryError> {
        self.condemn_lost(digest).await?;
        let _lock = self.inner.locks.lock(digest).await;
        if self.inner.store.blob_holders(digest).await?.is_empty() {
            return Ok(false);
        }
        let Some(place) = self.inner.place(digest).await? else { return Ok(true) };
        Ok(self.inner.look(&place, Look::Closely).await? == Seen::Gone)
    }

    /// Reads a blob that has no checksums from start to end, so that it has them or is condemned; answers them, too. Of many who ask at
    /// once, one reads, where there is room to keep what it finds.
    pub(super) async fn prove(
        &self,
        repository: RepositoryName,
        digest: Digest,
    ) -> Result<Option<BlobSums>, RegistryError> {
        let inner = Arc::clone(&self.inner);
        to_the_end(async move {
            let _turn = inner.turns.lock(&digest).await;
            match inner.store.blob_get(&repository, &digest).await? {
                Some(record) if record.condition == BlobCondition::Unproven => match inner.judge(&digest).await? {
                    Verdict::Whole(sums) => Ok(Some(sums)),
                    Verdict::Damaged | Verdict::Gone => Ok(None),
                },
                _ => Ok(None),
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
