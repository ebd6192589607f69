//! Uploads that have begun and are not finished.
//!
//! ```text
//!            POST                    PUT ?digest (verified, synced)
//!   (none) ────────▶ open ─────────────────────────────────────────▶ blob
//!                    │  ▲ PATCH (append)         │ wrong digest, disk full or failing
//!                    └──┘                        ▼        or more than the owner may have
//!                    └── DELETE, expiry ──────▶ gone
//! ```
//! Its bytes lie where blobs lie (port `BlobBytes`), the repository is in its name. So it survives a restart, `kill -9`
//! included, when there is something in it (in a bucket, always); only the running hash is lost, and all is hashed again at the
//! end. In a bucket it can be gone on with at another
//! server, too: what is remembered here is compared with what is there when a request does not fit.
//!
//! One request at a time writes to an upload. A second one is told so at once.

mod batch;
mod claim;
mod hashing;
mod held;
mod id;
mod private;
mod receive;
mod staged;
mod writer;

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use layer0_domain::model::digest::Algorithm;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::blob_bytes::{BlobBytes, Naming, Reach, UploadBytes, UploadSeen};
use layer0_domain::port::registry_store::{Along, Room};

pub(crate) use self::claim::Claim;
pub(crate) use self::held::Held;
pub(crate) use self::id::UploadId;
pub(crate) use self::receive::{Patience, Then, receive};
use self::staged::Staged;
pub(crate) use self::staged::{Relief, Share};
use self::writer::Writer;
use crate::blobs::Blobs;
use crate::blocking::{blocking, to_the_end};
use crate::error::RegistryError;

/// An upload of so many bytes at most is brought to the disk under the digest's lock.
const SMALL: u64 = batch::LARGE as u64;

/// So many uploads of an owner are looked for at most when one finds no room: each costs a bucket some calls.
const RECOUNTED_MAX: usize = 100;

/// One upload.
pub(crate) struct Upload {
    offset: Arc<AtomicU64>,
    /// With what it counts.
    staged: Option<Arc<Staged>>,
    /// When a request last named it, in milliseconds.
    touched: AtomicI64,
    writer: Arc<tokio::sync::Mutex<Writer>>,
}

impl Upload {
    /// How many bytes it has now.
    pub(crate) fn offset(&self) -> u64 {
        self.offset.load(Ordering::Acquire)
    }

    /// The right to write.
    pub(crate) fn hold(&self) -> Result<Held, RegistryError> {
        let writer = Arc::clone(&self.writer).try_lock_owned().map_err(|_| RegistryError::UploadBusy)?;
        let held = Held::new(writer);
        if held.is_gone() { Err(RegistryError::UploadUnknown) } else { Ok(held) }
    }
}

/// Where an upload goes as a blob.
pub(crate) struct Push {
    pub(crate) repository: RepositoryName,
    pub(crate) at: Timestamp,
    pub(crate) along: Along,
}

impl Push {
    /// With nothing along.
    pub(crate) fn alone(repository: RepositoryName, at: Timestamp) -> Self {
        Self { repository, at, along: Along::NOTHING }
    }
}

/// All uploads of an instance. Clones are the same.
#[derive(Clone)]
pub(crate) struct Uploads {
    inner: Arc<Inner>,
}

struct Inner {
    bytes: Arc<dyn BlobBytes>,
    open: Mutex<HashMap<UploadId, Arc<Upload>>>,
    /// Those that are being made, and that are not open yet.
    beginning: Mutex<HashSet<UploadId>>,
    /// What the uploads of each owner hold.
    staged: Mutex<HashMap<String, Arc<Staged>>>,
}

/// One of [`Inner::beginning`], until this is dropped.
struct Beginning<'a> {
    inner: &'a Inner,
    id: UploadId,
}

impl Drop for Beginning<'_> {
    fn drop(&mut self) {
        self.inner.beginning().remove(&self.id);
    }
}

impl Inner {
    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<UploadId, Arc<Upload>>> {
        // The map is whole at every moment that somebody could panic.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What there is to know of an upload that was listed; `None` for one that begins in this moment or is gone, and for what is none.
    fn look(&self, seen: &UploadSeen) -> Option<Looked> {
        let id = UploadId::parse_any(&seen.upload)?;
        // In this order: whoever is not beginning any more is open. By its bytes alone one that begins now may look old, when the clock
        // was set.
        if self.beginning().contains(&id) {
            return None;
        }
        let known = self.open().get(&id).cloned();
        let touched = known.as_ref().map(|upload| upload.touched.load(Ordering::Acquire));
        let touched = touched.or(seen.written.map(|written| written.0))?;
        Some(Looked { id, known, touched })
    }

    /// Forgets an upload whose bytes are gone.
    fn forget(&self, id: &UploadId) {
        self.forget_some(|open| drop(open.remove(id)));
    }

    /// With the last one goes the memory that was kept for them.
    fn forget_some(&self, forget: impl FnOnce(&mut HashMap<UploadId, Arc<Upload>>)) {
        let mut open = self.open();
        forget(&mut open);
        let is_none_left = open.is_empty();
        drop(open);
        if is_none_left {
            batch::release();
        }
    }

    fn beginning(&self) -> std::sync::MutexGuard<'_, HashSet<UploadId>> {
        // Whole at every moment, as the map.
        self.beginning.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that an upload is being made.
    fn begin(&self, id: &UploadId) -> Beginning<'_> {
        self.beginning().insert(id.clone());
        Beginning { inner: self, id: id.clone() }
    }

    fn staged(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Staged>>> {
        // Whole at every moment, as the map.
        self.staged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(
        &self,
        id: UploadId,
        share: Share,
        make: impl FnOnce(Arc<AtomicU64>, Share) -> Writer,
        at: Timestamp,
    ) -> Arc<Upload> {
        let offset = Arc::new(AtomicU64::new(0));
        let staged = share.of().cloned();
        let writer = make(Arc::clone(&offset), share);
        let upload = Arc::new(Upload {
            offset,
            staged,
            touched: AtomicI64::new(at.0),
            writer: Arc::new(tokio::sync::Mutex::new(writer)),
        });
        // Another request may have found the same upload in this moment: the first one's is the one.
        Arc::clone(self.open().entry(id).or_insert(upload))
    }

    /// Begins an upload. Blocks.
    fn make(
        &self,
        id: UploadId,
        reach: Reach,
        algorithm: Algorithm,
        share: Share,
        at: Timestamp,
    ) -> io::Result<Arc<Upload>> {
        let _beginning = self.begin(&id);
        let bytes = self.bytes.upload_begin(id.as_str(), reach)?;
        Ok(self.begun(id, bytes, algorithm, share, at))
    }

    /// Keeps an upload that has just begun.
    fn begun(
        &self,
        id: UploadId,
        bytes: Box<dyn UploadBytes>,
        algorithm: Algorithm,
        share: Share,
        at: Timestamp,
    ) -> Arc<Upload> {
        self.keep(id, share, |offset, share| Writer::begun(bytes, algorithm, offset, share), at)
    }

    /// Keeps an upload that was found.
    fn found(&self, id: UploadId, bytes: Box<dyn UploadBytes>, share: Share, at: Timestamp) -> Arc<Upload> {
        self.keep(id, share, |offset, share| Writer::found(bytes, self.bytes.naming(), offset, share), at)
    }
}

impl Uploads {
    /// Uploads whose bytes lie there.
    pub(crate) fn new(bytes: Arc<dyn BlobBytes>) -> Self {
        let (open, beginning, staged) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { inner: Arc::new(Inner { bytes, open, beginning, staged }) }
    }

    /// Whether what has come must be settled for others to find it.
    pub(crate) fn are_shared(&self) -> bool {
        self.inner.bytes.naming() == Naming::Store
    }

    /// Begins an upload that goes on with further requests. Content will be hashed by `algorithm` as it comes.
    pub(crate) async fn begin(
        &self,
        id: UploadId,
        algorithm: Algorithm,
        share: Share,
        at: Timestamp,
    ) -> Result<(), RegistryError> {
        if let Some(bytes) = self.inner.bytes.upload_begin_ready(id.as_str()) {
            self.inner.begun(id, bytes, algorithm, share, at);
            return Ok(());
        }
        let inner = Arc::clone(&self.inner);
        let begun = blocking(move || inner.make(id, Reach::Named, algorithm, share, at));
        begun.await.map(drop).map_err(RegistryError::from_io)
    }

    /// What a new upload into a repository counts with, whose owner has so much room as far as is known now.
    pub(crate) fn share(&self, repository: &RepositoryName, room: Option<Room>) -> Share {
        let mut staged = self.inner.staged();
        let of = match staged.get(repository.owner()) {
            Some(of) => Arc::clone(of),
            None => {
                let of = Arc::new(Staged::new(repository.owner_name()));
                staged.insert(repository.owner().to_owned(), Arc::clone(&of));
                of
            }
        };
        of.bound(room);
        Share::new(of)
    }

    /// Forgets uploads that another server has ended, which count with these still: the largest ones, which is enough to make room.
    pub(crate) async fn recount(&self, staged: &Staged) -> Result<(), RegistryError> {
        if !self.are_shared() {
            return Ok(());
        }
        let mut suspects: Vec<(UploadId, Arc<Upload>)> = Vec::new();
        for (id, upload) in self.inner.open().iter() {
            let counts = upload.offset() > 0 && upload.staged.as_ref().is_some_and(|of| std::ptr::eq(&**of, staged));
            if counts {
                suspects.push((id.clone(), Arc::clone(upload)));
            }
        }
        suspects.sort_by_key(|(_, upload)| std::cmp::Reverse(upload.offset()));
        suspects.truncate(RECOUNTED_MAX);
        let inner = Arc::clone(&self.inner);
        let recounted = blocking(move || {
            for (id, _) in suspects {
                if inner.bytes.upload_find(id.as_str())?.is_none() {
                    inner.forget(&id);
                }
            }
            Ok(())
        });
        recounted.await.map_err(RegistryError::from_io)
    }

    /// An upload that this process knows already.
    pub(crate) fn known(&self, id: &UploadId, at: Timestamp) -> Option<Arc<Upload>> {
        let open = self.inner.open();
        let upload = open.get(id)?;
        upload.touched.store(at.0, Ordering::Release);
        Some(Arc::clone(upload))
    }

    /// Finds an upload that was begun by another process, or an earlier one.
    pub(crate) async fn find(&self, id: &UploadId, share: Share, at: Timestamp) -> Result<Arc<Upload>, RegistryError> {
        let (inner, id) = (Arc::clone(&self.inner), id.clone());
        let found = blocking(move || {
            let bytes = inner.bytes.upload_find(id.as_str())?;
            Ok(bytes.map(|bytes| inner.found(id, bytes, share, at)))
        });
        found.await.map_err(RegistryError::from_io)?.ok_or(RegistryError::UploadUnknown)
    }

    /// Looks whether another server has written to an upload; answers whether there is anything else than before. One that is
    /// over is forgotten.
    pub(crate) async fn refresh(&self, id: &UploadId, mut held: Held) -> Result<(Held, bool), RegistryError> {
        if !self.are_shared() {
            return Ok((held, false));
        }
        let refreshed = blocking(move || {
            let moved = held.refresh();
            Ok((held, moved))
        });
        match refreshed.await.map_err(RegistryError::from_io)? {
            (held, Ok(moved)) => Ok((held, moved)),
            (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                self.forget(id);
                Err(RegistryError::UploadUnknown)
            }
            (_, Err(error)) => Err(RegistryError::from_io(error)),
        }
    }

    /// Finishes an upload: sees to it that it is what is claimed, completes it, and takes it in as a blob of the repository; answers
    /// its size. Runs to its end even when the caller goes away. Whatever the outcome, the upload is over afterwards.
    pub(crate) async fn finish(
        &self,
        id: UploadId,
        held: Held,
        claim: Claim,
        push: Push,
        blobs: &Blobs,
    ) -> Result<u64, RegistryError> {
        let (uploads, blobs) = (self.clone(), blobs.clone());
        to_the_end(async move {
            // What takes long to bring to the disk is there before anybody has to wait for the digest's lock. For the rest another
            // hop to a thread would take longer.
            let (held, claim) = if held.offset() > SMALL { complete(held, claim).await? } else { (held, Ok(claim)) };
            let (mut held, taken) = match claim {
                Ok(claim) => blobs.take_in(held, claim, &push).await?,
                Err(error) => (held, Err(error)),
            };
            // The bytes go before the entry: whoever asks in between finds the entry, and that it is over.
            match &taken {
                // What was kept lies with the blobs, and whether it stays was decided there.
                Ok(_) => held.taken(),
                Err(_) => discard(held).await,
            }
            uploads.forget(&id);
            taken
        })
        .await
        .map_err(RegistryError::from_io)?
    }

    /// Ends an upload and removes what was staged.
    pub(crate) async fn cancel(&self, id: &UploadId, held: Held) {
        discard(held).await;
        self.forget(id);
    }

    /// Forgets an upload whose bytes are gone.
    pub(crate) fn forget(&self, id: &UploadId) {
        self.inner.forget(id);
    }

    /// What was begun and is not finished, by whether [`sweep`](Self::sweep) would remove it.
    pub(crate) async fn unfinished(&self, expiry: Duration, now: Timestamp) -> io::Result<Unfinished> {
        let inner = Arc::clone(&self.inner);
        let expiry = i64::try_from(expiry.as_millis()).unwrap_or(i64::MAX);
        blocking(move || {
            let list = inner.bytes.upload_list()?;
            let now = list.now.map_or(now, |dated| now.min(dated));
            let mut unfinished = Unfinished::default();
            for seen in list.uploads {
                let Some(Looked { known, touched, .. }) = inner.look(&seen) else { continue };
                // Only what is old is held for a moment: a client that comes just then would be told that it is busy.
                let is_left = now.0.saturating_sub(touched) >= expiry
                    && known.as_ref().is_none_or(|upload| upload.hold().is_ok());
                let bytes = known.map(|upload| upload.offset()).or(seen.bytes).unwrap_or(0);
                let side = if is_left { &mut unfinished.left } else { &mut unfinished.open };
                side.uploads += 1;
                side.bytes = side.bytes.saturating_add(bytes);
            }
            Ok(unfinished)
        })
        .await
    }

    /// Removes uploads that nobody touched for `expiry`; answers how many. One that is being written to is never among
    /// them.
    pub(crate) async fn sweep(&self, expiry: Duration, now: Timestamp) -> io::Result<usize> {
        let inner = Arc::clone(&self.inner);
        let expiry = i64::try_from(expiry.as_millis()).unwrap_or(i64::MAX);
        blocking(move || {
            let mut swept = 0;
            let list = inner.bytes.upload_list()?;
            // Where another clock dates them, one that is ahead here must not end what another server is writing to.
            let now = list.now.map_or(now, |dated| now.min(dated));
            for seen in list.uploads {
                let Some(Looked { id, known, touched }) = inner.look(&seen) else { continue };
                if now.0.saturating_sub(touched) < expiry {
                    continue;
                }
                // Through the same door as every request: an upload that somebody found in this moment is either held,
                // and stays, or is gone when he asks for it.
                let upload = match known {
                    Some(upload) => upload,
                    None => match inner.bytes.upload_find(id.as_str()) {
                        Ok(Some(bytes)) => inner.found(id.clone(), bytes, Share::nobodys(), now),
                        Ok(None) => continue,
                        Err(error) => {
                            tracing::warn!(error = %error, "old upload {} could not be looked at", id.as_str());
                            continue;
                        }
                    },
                };
                if let Ok(mut held) = upload.hold() {
                    held.discard();
                    inner.forget(&id);
                    swept += 1;
                }
            }
            inner.staged().retain(|_, of| Arc::strong_count(of) > 1);
            // Those that another server has finished, or ended.
            inner.forget_some(|open| {
                open.retain(|_, upload| {
                    let touched = upload.touched.load(Ordering::Acquire);
                    now.0.saturating_sub(touched) < expiry || upload.hold().is_err()
                });
            });
            Ok(swept)
        })
        .await
    }
}

/// An upload that was listed.
struct Looked {
    id: UploadId,
    /// It, where this process has heard of it.
    known: Option<Arc<Upload>>,
    /// As of [`Upload`], or when its bytes were written last.
    touched: i64,
}

/// Uploads that are not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unfinished {
    /// Those that nobody goes on with.
    pub left: UploadSum,
    /// The others.
    pub open: UploadSum,
}

/// Some uploads, added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UploadSum {
    /// How many.
    pub uploads: u64,
    /// Their bytes, as far as it is known without asking for each.
    pub bytes: u64,
}

/// What a client is told of an upload that could not be written to: that it is over, where it is.
pub(crate) fn lost(error: io::Error) -> RegistryError {
    match error.kind() {
        io::ErrorKind::NotFound => RegistryError::UploadUnknown,
        _ => RegistryError::from_io(error),
    }
}

/// Sees to it that an upload is what is claimed, and completes it.
async fn complete(mut held: Held, claim: Claim) -> Result<(Held, Result<Claim, RegistryError>), RegistryError> {
    let completed = blocking(move || {
        let completed = claim.complete(&mut held);
        Ok((held, completed))
    });
    completed.await.map_err(RegistryError::from_io)
}

async fn discard(mut held: Held) {
    let removed = blocking(move || {
        held.discard();
        Ok(())
    })
    .await;
    if let Err(error) = removed {
        tracing::warn!(error = %error, "a staged upload was not removed; the sweep will");
    }
}
