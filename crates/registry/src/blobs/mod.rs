//! Blobs: bytes somewhere (port `BlobBytes`), and links in the store that say which repository holds which blob.
//!
//! Invariant: **a link that stands in the store has its bytes, complete and durable.** On a disk, where the digest says the
//! file and this process alone has the directory, it holds because
//! - a file gets its name only after it was verified and synced, and the directory is synced before the link is
//!   written;
//! - a link is written only under a share of the digest's lock, a file removed only under the lock itself, and only when under
//!   that lock no repository holds the blob. So a push or mount either comes first, and its link keeps the file, or
//!   comes after, and finds the file gone: the push brings its own, the mount is refused. Pushes and mounts of one digest
//!   don't wait for each other: each has verified the same bytes.
//!
//! The store takes links away without the lock (a repository's deletion takes many in one unit of work); that is safe
//! since the file goes only after another look at the holders under the lock.
//!
//! Where the store knows the place of a blob, in a bucket or in a pack, no lock is needed, and several servers may be at it: every
//! push has a place of its
//! own, which is noted in the unit of work that links the blob; the unit that takes the last link away takes the place out and
//! tells it, and a mount is refused when the place is not the one that it saw. So whoever was told a place may remove what is
//! there: nobody will ever name it again.
//!
//! The other direction may be broken by a crash: bytes without a link, a stray. They cost space and nothing else, and the
//! sweep removes them.
//!
//! Each change runs in a task of its own to its end, so a client that hangs up never leaves it half done.
//!
//! Whether a file is still what its digest says is the business of `judge`; `reader` hands out nothing that it has not
//! compared with the checksums.

mod buffer;
mod collect;
mod hold;
mod judge;
mod locks;
mod reader;
mod strays;

use std::sync::Arc;
use std::time::Duration;

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::{BlobCondition, BlobPlace};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::blob_bytes::{BlobBytes, BlobContent, Look, Naming, Seen, Source};
use layer0_domain::port::clock::Clock;
use layer0_domain::port::registry_store::{
    Along, BlobLeft, BlobLink, FreedBlob, LinkedBlob, RegistryStore, RegistryStoreError,
};

pub(crate) use self::collect::Batch;
pub use self::hold::BytesHold;
use self::hold::Holds;
pub(crate) use self::judge::{Lying, Verdict, lost};
use self::locks::DigestLocks;
pub(crate) use self::reader::{BlobReader, ReadError};
pub(crate) use self::strays::Removal;
use crate::blocking::{blocking, to_the_end};
use crate::error::RegistryError;
use crate::uploads::{Claim, Held, Push};

/// The blobs of an instance. Clones are the same.
#[derive(Clone)]
pub(crate) struct Blobs {
    inner: Arc<Inner>,
}

struct Inner {
    bytes: Arc<dyn BlobBytes>,
    /// Who writes a link or removes bytes.
    locks: DigestLocks,
    /// Who reads a whole blob to judge it. Taken before the other lock, never while it is held.
    turns: DigestLocks,
    /// Who wants no bytes to be removed for now.
    holds: Holds,
    store: Arc<dyn RegistryStore>,
    clock: Arc<dyn Clock>,
}

/// What there is to read.
pub(crate) enum Opened {
    /// The blob, with its checksums.
    Whole(BlobReader),
    /// It is known to be damaged.
    Damaged,
    /// The repository does not hold it, or its bytes are gone or cut off.
    Missing,
}

impl Inner {
    /// Where a blob lies; `None` when nobody said it.
    async fn place(&self, digest: &Digest) -> Result<Option<BlobPlace>, RegistryError> {
        let noted = self.noted(self.store.blob_place(digest).await?);
        Ok(noted.or_else(|| self.bytes.place_of(digest)))
    }

    /// What the store said, if it is a place here.
    fn noted(&self, said: Option<BlobPlace>) -> Option<BlobPlace> {
        said.filter(|place| self.bytes.is_place(place))
    }

    /// The place as the store notes it: not at all where the digest says it.
    fn to_note(&self, digest: &Digest, place: BlobPlace) -> Option<BlobPlace> {
        (self.bytes.place_of(digest).as_ref() != Some(&place)).then_some(place)
    }

    /// Opens a blob's bytes; `None` when there are none.
    async fn open(&self, digest: &Digest) -> Result<Option<Box<dyn BlobContent>>, RegistryError> {
        let mut place = self.place(digest).await?;
        while let Some(at) = place {
            if let Some(content) = self.bytes.open_ready(&at) {
                return Ok(Some(content));
            }
            let (bytes, there) = (Arc::clone(&self.bytes), at.clone());
            let content = blocking(move || bytes.open(&there, Source::Any)).await.map_err(RegistryError::from_io)?;
            if content.is_some() {
                return Ok(content);
            }
            // It was pushed again in this moment, and lies elsewhere now.
            place = self.place(digest).await?.filter(|now| *now != at);
        }
        Ok(None)
    }

    async fn look(&self, place: &BlobPlace, look: Look) -> Result<Seen, RegistryError> {
        if look == Look::Glance
            && let Some(seen) = self.bytes.look_ready(place)
        {
            return Ok(seen);
        }
        let (bytes, place) = (Arc::clone(&self.bytes), place.clone());
        blocking(move || bytes.look(&place, look)).await.map_err(RegistryError::from_io)
    }

    /// Removes bytes that nothing names, now or when nobody holds them any more.
    async fn remove(&self, place: BlobPlace) -> Result<(), RegistryError> {
        if self.holds.keeps(&place) {
            return Ok(());
        }
        let bytes = Arc::clone(&self.bytes);
        blocking(move || bytes.remove(&place)).await.map_err(RegistryError::from_io)
    }

    /// Removes the bytes when no repository holds the blob. The caller has the digest's lock. With a place of the store's it was
    /// told that nobody names it any more, or knows that nobody ever did.
    async fn remove_unheld(&self, digest: &Digest, told: Option<BlobPlace>) -> Result<(), RegistryError> {
        match (self.noted(told), self.bytes.place_of(digest)) {
            (Some(told), _) => self.remove(told).await,
            (None, Some(place)) if self.store.blob_holders(digest).await?.is_empty() => self.remove(place).await,
            (None, _) => Ok(()),
        }
    }

    /// The blob's size, its age and its place when the repository holds it, it is not known to be damaged, and there are bytes of that
    /// length, as far as a glance tells. A link without its bytes is a damaged store: said loudly, and treated as absent, so that
    /// the next push brings the content back.
    async fn whole(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<(LinkedBlob, BlobPlace)>, RegistryError> {
        let Some(linked) = self.store.blob_size(repository, digest).await? else { return Ok(None) };
        let mut place = self.place(digest).await?;
        loop {
            let found = match &place {
                Some(at) => self.look(at, Look::Glance).await?,
                None => Seen::Gone,
            };
            let length = match found {
                Seen::There { length, .. } => length.or(Some(linked.size)),
                Seen::Gone => None,
            };
            if length == Some(linked.size) {
                return Ok(place.map(|place| (linked, place)));
            }
            let now = self.place(digest).await?;
            if now == place {
                check_length(repository, digest, linked.size, length);
                return Ok(None);
            }
            // It was pushed again in this moment, and lies elsewhere now.
            place = now;
        }
    }
}

/// How long a client may take from the answer to the begin of its download: as long as ECR gives it, near enough.
const ADDRESS_VALID: Duration = Duration::from_secs(15 * 60);

/// Whether a blob is as long as the store says.
fn check_length(repository: &RepositoryName, digest: &Digest, size: u64, found: Option<u64>) -> bool {
    if found == Some(size) {
        return true;
    }
    tracing::error!(
        repository.name = %repository, blob.digest = %digest, blob.size = size, blob.found = found,
        "blob {digest} of repository {repository} is gone or cut off; it counts as missing until it is pushed again"
    );
    false
}

/// A blob is gone from its repository, but its bytes could not be removed: a stray.
fn left_behind(digest: &Digest, error: &RegistryError) {
    tracing::warn!(blob.digest = %digest, error = %error, "the bytes of blob {digest} could not be removed; the sweep tries again");
}

impl Blobs {
    /// The blobs whose bytes lie there.
    pub(crate) fn new(bytes: Arc<dyn BlobBytes>, store: Arc<dyn RegistryStore>, clock: Arc<dyn Clock>) -> Self {
        let (locks, turns) = (DigestLocks::new(), DigestLocks::new());
        Self { inner: Arc::new(Inner { bytes, locks, turns, holds: Holds::default(), store, clock }) }
    }

    /// The size of a blob that the repository holds and that is there, as far as is known without reading it.
    pub(crate) async fn size(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<u64>, RegistryError> {
        Ok(self.inner.whole(repository, digest).await?.map(|(linked, _)| linked.size))
    }

    /// An address that a blob which the repository holds can be fetched from for a while; `None` when there is none.
    pub(crate) async fn address(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<String>, RegistryError> {
        let Some((_, place)) = self.inner.whole(repository, digest).await? else { return Ok(None) };
        let bytes = Arc::clone(&self.inner.bytes);
        blocking(move || bytes.address(&place, ADDRESS_VALID)).await.map_err(RegistryError::from_io)
    }

    /// Opens a blob that the repository holds.
    pub(crate) async fn open_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Opened, RegistryError> {
        let mut record = self.inner.store.blob_get(repository, digest).await?;
        let mut proven = None;
        if record.as_ref().is_some_and(|record| record.condition == BlobCondition::Unproven) {
            proven = self.prove(repository.clone(), digest.clone()).await?;
            record = self.inner.store.blob_get(repository, digest).await?;
        }
        let Some(record) = record else { return Ok(Opened::Missing) };
        let sums = match record.condition {
            BlobCondition::Damaged => return Ok(Opened::Damaged),
            BlobCondition::Proven(sums) => Some(sums),
            // There was no room to keep them, or there were no bytes to read.
            BlobCondition::Unproven => proven,
        };
        let opened = self.inner.open(digest).await?;
        if opened.is_none() {
            self.condemn_lost(digest).await?;
        }
        let found = opened.as_ref().map(|content| content.length().unwrap_or(record.size));
        if !check_length(repository, digest, record.size, found) {
            return Ok(Opened::Missing);
        }
        let reader = opened.zip(sums).and_then(|(content, sums)| {
            BlobReader::new(repository.clone(), digest.clone(), content, record.size, sums)
        });
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

    /// Takes an upload in as a blob of a repository, if it is what is claimed, and answers it with the blob's size; returns when both
    /// the bytes and the link are durable. The caller sees to it that this runs to its end. On an error no client was told of a link.
    pub(crate) async fn take_in(
        &self,
        mut held: Held,
        claim: Claim,
        push: &Push,
    ) -> Result<(Held, Result<u64, RegistryError>), RegistryError> {
        let inner = &self.inner;
        let digest = claim.digest().clone();
        let share = inner.locks.share(&digest).await;
        let name = digest.clone();
        let kept = blocking(move || {
            let kept = claim.complete(&mut held).and_then(|claim| {
                // What is kept is no upload any more, and has no length.
                let (size, is_shared) = (held.offset(), held.is_shared());
                let place = held.keep(&name).map_err(RegistryError::from_io)?;
                Ok((size, is_shared, place, claim.sums()))
            });
            Ok((held, kept))
        });
        let (mut held, kept) = kept.await.map_err(RegistryError::from_io)?;
        let (size, is_shared, place, sums) = match kept {
            Ok((size, is_shared, place, sums)) => (size, is_shared, inner.to_note(&digest, place), sums),
            Err(error) => return Ok((held, Err(error))),
        };
        let link = BlobLink { digest: digest.clone(), size, sums, place: place.clone() };
        let linked = inner.store.blob_link(&push.repository, &link, push.at, &push.along).await;
        match &linked {
            // Where it lay before, nobody looks for it any more: whoever was told that place and finds nothing there asks again.
            Ok(left) if inner.bytes.naming() == Naming::Digest => {
                if let Some(left) = inner.noted(left.clone())
                    && let Err(error) = inner.remove(left).await
                {
                    left_behind(&digest, &error);
                }
            }
            // In a bucket another server may be about to read it: it goes as a stray.
            Ok(_) => {}
            // Whether the link was written is not known for certain before the store is opened again: the bytes must be
            // there if it was. The sweep removes them if it was not.
            Err(RegistryStoreError::Failed { .. }) => {
                tracing::warn!(blob.digest = %digest, "the bytes of blob {digest} stay: the store failed over its link");
            }
            // Whoever has completed it too may have linked it: if not, it goes as a stray.
            Err(_) if is_shared => {}
            // Refused, because the repository went away meanwhile or the disk is full: nobody can reach the bytes.
            Err(_) => {
                drop(share);
                // Whoever brings bytes keeps them from being removed.
                held.rest();
                let _lock = inner.locks.lock(&digest).await;
                if let Err(error) = inner.remove_unheld(&digest, place).await {
                    left_behind(&digest, &error);
                }
            }
        }
        let linked = linked.map(|_| size).map_err(|why| match why {
            // It is another blob's bytes already, by another algorithm's digest: the upload was ended elsewhere.
            RegistryStoreError::ContentMissing { .. } => RegistryError::UploadUnknown,
            why => why.into(),
        });
        Ok((held, linked))
    }

    /// Makes a blob of one repository a blob of another too. `false` when the first does not hold it (whole).
    pub(crate) async fn mount(
        &self,
        from: RepositoryName,
        to: RepositoryName,
        digest: Digest,
        at: Timestamp,
        along: Along,
    ) -> Result<bool, RegistryError> {
        let inner = Arc::clone(&self.inner);
        to_the_end(async move {
            let _share = inner.locks.share(&digest).await;
            let Some((LinkedBlob { size, .. }, place)) = inner.whole(&from, &digest).await? else { return Ok(false) };
            let place = inner.to_note(&digest, place);
            match inner.store.blob_link(&to, &BlobLink { digest, size, sums: None, place }, at, &along).await {
                // Another server has taken the last link away, or it was pushed again, in this moment.
                Err(RegistryStoreError::ContentMissing { .. }) => Ok(false),
                linked => Ok(linked.map(|_| true)?),
            }
        })
        .await
        .map_err(RegistryError::from_io)?
    }

    /// Takes a blob out of a repository, and its bytes away when it was the last. `false` when it was not there.
    pub(crate) async fn unlink(&self, repository: RepositoryName, digest: Digest) -> Result<bool, RegistryError> {
        let inner = Arc::clone(&self.inner);
        to_the_end(async move {
            let _lock = inner.locks.lock(&digest).await;
            match inner.store.blob_unlink(&repository, &digest).await? {
                None => Ok(false),
                Some(BlobLeft::Elsewhere) => Ok(true),
                Some(BlobLeft::Nowhere { place }) => {
                    if let Err(error) = inner.remove_unheld(&digest, place).await {
                        left_behind(&digest, &error);
                    }
                    Ok(true)
                }
            }
        })
        .await
        .map_err(RegistryError::from_io)?
    }

    /// Deletes a repository, and the bytes of the blobs that no other repository holds.
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
        F: Future<Output = Result<Vec<FreedBlob>, RegistryStoreError>> + Send,
    {
        let inner = Arc::clone(&self.inner);
        to_the_end(async move {
            let orphans = take(Arc::clone(&inner.store)).await?;
            for FreedBlob { digest, place } in orphans {
                let _lock = inner.locks.lock(&digest).await;
                if let Err(error) = inner.remove_unheld(&digest, place).await {
                    left_behind(&digest, &error);
                }
            }
            Ok(())
        })
        .await
        .map_err(|error| RegistryStoreError::Failed { source: error.into() })?
    }
}
