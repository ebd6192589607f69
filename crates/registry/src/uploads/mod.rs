//! Uploads that have begun and are not finished.
//!
//! ```text
//!            POST                    PUT ?digest (verified, synced)
//!   (none) ────────▶ open ─────────────────────────────────────────▶ blob
//!                    │  ▲ PATCH (append)         │ wrong digest, disk full or failing
//!                    └──┘                        ▼
//!                    └── DELETE, expiry ──────▶ gone
//! ```
//! An upload is its staged file `uploads/<id>`: the offset is the file's length, the repository is in the id. So it
//! survives a restart, `kill -9` included; only the running hash is lost, and the file is hashed again at the end. What
//! is in a staged file was never promised to anybody but through the offset, which is asked again after a restart; it
//! is not synced before the end.
//!
//! One request at a time writes to an upload. A second one is told so at once.

mod held;
mod id;
mod receive;
mod writer;

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use layer0_domain::model::digest::{Algorithm, Digest};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::BlobSums;
use layer0_domain::model::time::Timestamp;

pub(crate) use self::held::Held;
pub(crate) use self::id::UploadId;
pub(crate) use self::receive::receive;
use self::writer::Writer;
use crate::blobs::{Blobs, Staged};
use crate::blocking::{blocking, to_the_end};
use crate::disk::Disk;
use crate::error::RegistryError;

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

/// All uploads of an instance. Clones are the same.
#[derive(Clone)]
pub(crate) struct Uploads {
    inner: Arc<Inner>,
}

struct Inner {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    open: Mutex<HashMap<UploadId, Arc<Upload>>>,
    /// Those whose file is being made, and that are not open yet.
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

    /// Notes that an upload's file is being made.
    fn begin(&self, id: &UploadId) -> Beginning<'_> {
        self.beginning().insert(id.clone());
        Beginning { inner: self, id: id.clone() }
    }

    fn path(&self, id: &UploadId) -> PathBuf {
        self.root.join(id.as_str())
    }

    fn keep(
        &self,
        id: UploadId,
        make: impl FnOnce(Arc<AtomicU64>) -> io::Result<Writer>,
        at: Timestamp,
    ) -> io::Result<Arc<Upload>> {
        let offset = Arc::new(AtomicU64::new(0));
        let writer = make(Arc::clone(&offset))?;
        let upload = Arc::new(Upload {
            offset,
            touched: AtomicI64::new(at.0),
            writer: Arc::new(tokio::sync::Mutex::new(writer)),
        });
        // Another request may have found the same staged file in this moment: the first one's upload is the one.
        Ok(Arc::clone(self.open().entry(id).or_insert(upload)))
    }
}

impl Uploads {
    /// Opens the directory of staged files, which is there.
    pub(crate) fn open(root: PathBuf, disk: Arc<dyn Disk>) -> Self {
        Self { inner: Arc::new(Inner { disk, root, open: Mutex::default(), beginning: Mutex::default() }) }
    }

    /// Begins an upload. Content will be hashed by `algorithm` as it comes.
    pub(crate) async fn begin(
        &self,
        id: UploadId,
        algorithm: Algorithm,
        at: Timestamp,
    ) -> Result<Arc<Upload>, RegistryError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let (disk, path) = (Arc::clone(&inner.disk), inner.path(&id));
            let _beginning = inner.begin(&id);
            inner.keep(id, |offset| Writer::create(disk, path, algorithm, offset), at)
        })
        .await
        .map_err(RegistryError::from_io)
    }

    /// Finds an upload that was begun, by this process or an earlier one.
    pub(crate) async fn find(&self, id: &UploadId, at: Timestamp) -> Result<Arc<Upload>, RegistryError> {
        if let Some(upload) = self.inner.open().get(id) {
            upload.touched.store(at.0, Ordering::Release);
            return Ok(Arc::clone(upload));
        }
        let (inner, id) = (Arc::clone(&self.inner), id.clone());
        let found = blocking(move || {
            let (disk, path) = (Arc::clone(&inner.disk), inner.path(&id));
            let length = disk.file_metadata(&path)?.len();
            inner.keep(id, |offset| Ok(Writer::resume(disk, path, length, offset)), at)
        })
        .await;
        match found {
            Ok(upload) => Ok(upload),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(RegistryError::UploadUnknown),
            Err(error) => Err(RegistryError::from_io(error)),
        }
    }

    /// Finishes an upload: compares the digest, syncs, and takes the file in as a blob of the repository. Runs to its
    /// end even when the caller goes away. Whatever the outcome, the upload is over afterwards.
    pub(crate) async fn finish(
        &self,
        id: UploadId,
        mut held: Held,
        digest: Digest,
        repository: RepositoryName,
        blobs: &Blobs,
        at: Timestamp,
    ) -> Result<u64, RegistryError> {
        let (uploads, blobs) = (self.clone(), blobs.clone());
        to_the_end(async move {
            let wanted = digest.clone();
            let (mut held, verified) = blocking(move || {
                let verified = verify(&mut held, &wanted);
                Ok((held, verified))
            })
            .await
            .map_err(RegistryError::from_io)?;
            let size = held.offset();
            let result = match verified {
                Ok(sums) => blobs.take_in(Staged { path: held.path(), digest, size, sums }, repository, at).await,
                Err(error) => Err(error),
            };
            // The file goes before the entry: whoever asks in between finds the entry, and that it is over.
            match &result {
                Ok(()) => held.taken(),
                Err(_) => discard(held).await,
            }
            uploads.forget(&id);
            result.map(|()| size)
        })
        .await
        .map_err(RegistryError::from_io)?
    }

    /// Ends an upload and removes what was staged.
    pub(crate) async fn cancel(&self, id: &UploadId, held: Held) {
        discard(held).await;
        self.forget(id);
    }

    /// Forgets an upload whose file is gone.
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
            for entry in std::fs::read_dir(&inner.root)? {
                let entry = entry?;
                let Some(id) = entry.file_name().to_str().and_then(UploadId::parse_any) else { continue };
                // In this order: whoever is not beginning any more is open. By its file alone one that begins now may look old,
                // when the clock was set.
                if inner.beginning().contains(&id) {
                    continue;
                }
                let known = inner.open().get(&id).cloned();
                let touched = match &known {
                    Some(upload) => upload.touched.load(Ordering::Acquire),
                    None => match modified(&entry.path()) {
                        Some(time) => time,
                        None => continue,
                    },
                };
                if now.0.saturating_sub(touched) < expiry {
                    continue;
                }
                // Through the same door as every request: an upload that somebody found in this moment is either held,
                // and stays, or is gone when he asks for it.
                let (disk, path) = (Arc::clone(&inner.disk), inner.path(&id));
                let upload = match known {
                    Some(upload) => upload,
                    None => {
                        let length = entry.metadata()?.len();
                        inner.keep(id.clone(), |offset| Ok(Writer::resume(disk, path, length, offset)), now)?
                    }
                };
                if let Ok(mut held) = upload.hold() {
                    held.discard();
                    inner.open().remove(&id);
                    swept += 1;
                }
            }
            Ok(swept)
        })
        .await
    }
}

/// Compares the digest and brings the content to the disk; answers its checksums.
fn verify(held: &mut Held, wanted: &Digest) -> Result<BlobSums, RegistryError> {
    let (found, sums) = held.digest(wanted.algorithm()).map_err(RegistryError::from_io)?;
    if found != *wanted {
        return Err(RegistryError::DigestMismatch { wanted: wanted.clone(), found });
    }
    held.sync().map_err(RegistryError::from_io)?;
    Ok(sums)
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

/// When a staged file was last written to, in milliseconds.
fn modified(path: &Path) -> Option<i64> {
    let time = std::fs::metadata(path).ok()?.modified().ok()?;
    i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}
