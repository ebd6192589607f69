//! Uploads that have begun and are not finished.
//!
//! ```text
//!            POST                    PUT ?digest (verified, synced)
//!   (none) ────────▶ open ─────────────────────────────────────────▶ blob
//!                    │  ▲ PATCH (append)         │ wrong digest, disk full or failing
//!                    └──┘                        ▼
//!                    └── DELETE, expiry ──────▶ gone
//! ```
//! Its bytes lie where blobs lie (port `BlobBytes`), the repository is in its name. So it survives a restart, `kill -9`
//! included; only the running hash is lost, and all is hashed again at the end. In a bucket it can be gone on with at another
//! server, too: what is remembered here is compared with what is there when a request does not fit.
//!
//! One request at a time writes to an upload. A second one is told so at once.

mod batch;
mod claim;
mod held;
mod id;
mod private;
mod receive;
mod writer;

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use layer0_domain::model::digest::Algorithm;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::blob_bytes::{BlobBytes, Naming, Reach, UploadBytes};
use layer0_domain::port::registry_store::Along;

pub(crate) use self::claim::Claim;
pub(crate) use self::held::Held;
pub(crate) use self::id::UploadId;
pub(crate) use self::private::Private;
pub(crate) use self::receive::{Then, receive};
use self::writer::Writer;
use crate::blobs::Blobs;
use crate::blocking::{blocking, to_the_end};
use crate::error::RegistryError;

/// An upload of so many bytes at most is brought to the disk under the digest's lock.
const SMALL: u64 = batch::LARGE as u64;

/// One upload.
pub(crate) struct Upload {
    offset: Arc<AtomicU64>,
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

    fn beginning(&self) -> std::sync::MutexGuard<'_, HashSet<UploadId>> {
        // Whole at every moment, as the map.
        self.beginning.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that an upload is being made.
    fn begin(&self, id: &UploadId) -> Beginning<'_> {
        self.beginning().insert(id.clone());
        Beginning { inner: self, id: id.clone() }
    }

    fn keep(&self, id: UploadId, make: impl FnOnce(Arc<AtomicU64>) -> Writer, at: Timestamp) -> Arc<Upload> {
        let offset = Arc::new(AtomicU64::new(0));
        let writer = make(Arc::clone(&offset));
        let upload = Arc::new(Upload {
            offset,
            touched: AtomicI64::new(at.0),
            writer: Arc::new(tokio::sync::Mutex::new(writer)),
        });
        // Another request may have found the same upload in this moment: the first one's is the one.
        Arc::clone(self.open().entry(id).or_insert(upload))
    }

    /// Begins an upload. Blocks.
    fn make(&self, id: UploadId, reach: Reach, algorithm: Algorithm, at: Timestamp) -> io::Result<Arc<Upload>> {
        let _beginning = self.begin(&id);
        let bytes = self.bytes.upload_begin(id.as_str(), reach)?;
        Ok(self.keep(id, |offset| Writer::begun(bytes, algorithm, offset), at))
    }

    /// Keeps an upload that was found.
    fn found(&self, id: UploadId, bytes: Box<dyn UploadBytes>, at: Timestamp) -> Arc<Upload> {
        self.keep(id, |offset| Writer::found(bytes, self.bytes.naming(), offset), at)
    }
}

impl Uploads {
    /// Uploads whose bytes lie there.
    pub(crate) fn new(bytes: Arc<dyn BlobBytes>) -> Self {
        Self { inner: Arc::new(Inner { bytes, open: Mutex::default(), beginning: Mutex::default() }) }
    }

    /// Whether what has come must be settled for others to find it.
    pub(crate) fn are_shared(&self) -> bool {
        self.inner.bytes.naming() == Naming::Store
    }

    /// Begins an upload that goes on with further requests. Content will be hashed by `algorithm` as it comes.
    pub(crate) async fn begin(&self, id: UploadId, algorithm: Algorithm, at: Timestamp) -> Result<(), RegistryError> {
        let inner = Arc::clone(&self.inner);
        let begun = blocking(move || inner.make(id, Reach::Named, algorithm, at));
        begun.await.map(drop).map_err(RegistryError::from_io)
    }

    /// Finds an upload that was begun, by this process or another one.
    pub(crate) async fn find(&self, id: &UploadId, at: Timestamp) -> Result<Arc<Upload>, RegistryError> {
        if let Some(upload) = self.inner.open().get(id) {
            upload.touched.store(at.0, Ordering::Release);
            return Ok(Arc::clone(upload));
        }
        let (inner, id) = (Arc::clone(&self.inner), id.clone());
        let found = blocking(move || {
            let bytes = inner.bytes.upload_find(id.as_str())?;
            Ok(bytes.map(|bytes| inner.found(id, bytes, at)))
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
        self.inner.open().remove(id);
    }

    /// Removes uploads that nobody touched for `expiry`; answers how many. One that is being written to is never among
    /// them.
    pub(crate) async fn sweep(&self, expiry: Duration, now: Timestamp) -> io::Result<usize> {
        let inner = Arc::clone(&self.inner);
        let expiry = i64::try_from(expiry.as_millis()).unwrap_or(i64::MAX);
        blocking(move || {
            let mut swept = 0;
            for seen in inner.bytes.upload_list()? {
                let Some(id) = UploadId::parse_any(&seen.upload) else { continue };
                // In this order: whoever is not beginning any more is open. By its bytes alone one that begins now may look old,
                // when the clock was set.
                if inner.beginning().contains(&id) {
                    continue;
                }
                let known = inner.open().get(&id).cloned();
                let touched = match (&known, seen.written) {
                    (Some(upload), _) => upload.touched.load(Ordering::Acquire),
                    (None, Some(written)) => written.0,
                    (None, None) => continue,
                };
                if now.0.saturating_sub(touched) < expiry {
                    continue;
                }
                // Through the same door as every request: an upload that somebody found in this moment is either held,
                // and stays, or is gone when he asks for it.
                let upload = match known {
                    Some(upload) => upload,
                    None => match inner.bytes.upload_find(id.as_str())? {
                        Some(bytes) => inner.found(id.clone(), bytes, now),
                        None => continue,
                    },
                };
                if let Ok(mut held) = upload.hold() {
                    held.discard();
                    inner.open().remove(&id);
                    swept += 1;
                }
            }
            // Those that another server has finished, or ended.
            inner.open().retain(|_, upload| {
                let touched = upload.touched.load(Ordering::Acquire);
                now.0.saturating_sub(touched) < expiry || upload.hold().is_err()
            });
            Ok(swept)
        })
        .await
    }
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
