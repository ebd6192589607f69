//! A blob on its way from an upstream, once for all who want it.
//!
//! ```text
//!   asked ──▶ coming ──▶ proven ──▶ (kept, forgotten)
//!     │          └──────────────────▶ failed
//!     └──▶ here already
//! ```
//! What comes goes to an upload, which hashes it and becomes the blob, and to a spool file that has no name any more: clients
//! read it at their own pace, and what came last out of memory. The last byte is held back until the digest is right: whoever
//! got all of a blob got the right one. A fill goes on to its end when its clients go away; the next one will want it. How
//! long it takes without a byte is bounded, and a connection that breaks is taken up again where it broke.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use axum::body::Bytes;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::port::registry_store::Along;
use tokio::sync::{Semaphore, watch};

use super::refusal::Refusal;
use super::source::Source;
use super::{Mirror, Mirrors, upstream_size};
use crate::aligned::Aligned;
use crate::blocking::{blocking, drop_elsewhere};
use crate::error::RegistryError;
use crate::registry::Registry;
use crate::uploads::{Claim, Held, Push, Share, UploadId, lost};

/// How much is written at once.
pub(super) const BATCH: usize = 256 << 10;
/// How much of what came last stays in memory for those who keep up.
const RECENT: usize = 2 << 20;
/// At most so many blobs come at once, from all upstreams: with [`RECENT`], that bounds the memory. The others wait.
const AT_ONCE: usize = 64;
/// But each upstream may send so many, however many there are.
const AT_ONCE_EACH: usize = 8;
/// So many times as long as an upstream may be silent, a blob waits until it may come.
pub(super) const TURN_WAITS: u32 = 4;

/// How far a fill is.
#[derive(Debug, Clone)]
pub(crate) enum Stage {
    /// The upstream has not answered yet.
    Asked,
    /// Bytes come.
    Coming,
    /// All is here, and is what its digest says.
    Proven,
    /// It was here, or is now.
    Here,
    /// It broke off.
    Failed(Refusal),
}

/// What those who wait see.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) stage: Stage,
    /// How many bytes are here.
    there: u64,
}

/// What is open once the upstream has answered.
struct Spool {
    size: u64,
    file: Arc<File>,
}

/// One blob on its way.
pub(crate) struct Fill {
    seen: watch::Sender<Seen>,
    spool: OnceLock<Spool>,
    /// What came last, with the offset of each piece.
    recent: Mutex<VecDeque<(u64, Bytes)>>,
}

impl Fill {
    fn new() -> Self {
        let (seen, _) = watch::channel(Seen { stage: Stage::Asked, there: 0 });
        Self { seen, spool: OnceLock::new(), recent: Mutex::default() }
    }

    pub(super) fn watch(&self) -> watch::Receiver<Seen> {
        self.seen.subscribe()
    }

    fn stage(&self, stage: Stage) {
        self.seen.send_modify(|seen| seen.stage = stage);
    }

    /// The size; `None` until the upstream has said it.
    pub(crate) fn size(&self) -> Option<u64> {
        self.spool.get().map(|spool| spool.size)
    }

    /// How far clients may read: never to the end of what is not proven.
    pub(super) fn visible(&self, seen: &Seen) -> u64 {
        let size = self.size().unwrap_or_default();
        match seen.stage {
            Stage::Proven => size,
            _ => seen.there.min(size.saturating_sub(1)),
        }
    }

    fn recent(&self) -> MutexGuard<'_, VecDeque<(u64, Bytes)>> {
        // Whole at every moment.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows bytes that are in the spool.
    fn show(&self, at: u64, bytes: Bytes) {
        let there = at + bytes.len() as u64;
        {
            let mut recent = self.recent();
            recent.push_back((at, bytes));
            while there - recent.front().map_or(there, |(first, _)| *first) > RECENT as u64 {
                recent.pop_front();
            }
        }
        self.seen.send_modify(|seen| seen.there = there);
    }

    /// Bytes from `first` on, not beyond `end`, that are in memory; `None` when they are not.
    pub(super) fn remembered(&self, first: u64, end: u64) -> Option<Bytes> {
        let recent = self.recent();
        let after = recent.partition_point(|(at, _)| *at <= first);
        let (at, bytes) = recent.get(after.checked_sub(1)?)?;
        let skip = usize::try_from(first - at).ok().filter(|skip| *skip < bytes.len())?;
        let most = usize::try_from(end - first).unwrap_or(usize::MAX);
        Some(bytes.slice(skip..bytes.len().min(skip.saturating_add(most))))
    }

    /// The same, from the spool.
    pub(super) async fn spooled(&self, first: u64, end: u64) -> io::Result<Bytes> {
        let file = self.spool.get().map(|spool| Arc::clone(&spool.file));
        let file = file.ok_or_else(|| io::Error::other("nothing has come yet"))?;
        let most = usize::try_from(end - first).unwrap_or(usize::MAX).min(BATCH);
        blocking(move || {
            let mut bytes = Aligned::zeroed(most);
            file.read_exact_at(&mut bytes, first)?;
            Ok(Bytes::from_owner(bytes))
        })
        .await
    }
}

impl Drop for Fill {
    fn drop(&mut self) {
        // What was written goes with it, 2 ms for 32 MiB, which the event loop of the client that is ready last does not have.
        if let Some(spool) = self.spool.take() {
            drop_elsewhere(spool);
        }
    }
}

type Key = (RepositoryName, Digest);

/// All that is on its way.
#[derive(Default)]
pub(crate) struct Fills {
    under_way: Mutex<HashMap<Key, Arc<Fill>>>,
}

/// The turns of one of so many upstreams: one that hangs holds up its own blobs.
pub(super) fn turns(upstreams: usize) -> Semaphore {
    Semaphore::new((AT_ONCE / upstreams.max(1)).max(AT_ONCE_EACH))
}

impl Fills {
    fn under_way(&self) -> MutexGuard<'_, HashMap<Key, Arc<Fill>>> {
        // Whole at every moment.
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The size of a blob that is on its way.
    pub(super) fn size(&self, name: &RepositoryName, digest: &Digest) -> Option<u64> {
        self.under_way().get(&(name.clone(), digest.clone()))?.size()
    }
}

/// Forgets a fill when it is over, and tells those who wait when it was cut off.
struct Ending {
    registry: Registry,
    key: Key,
    fill: Arc<Fill>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.fill.seen.send_if_modified(|seen| {
            let is_cut = matches!(seen.stage, Stage::Asked | Stage::Coming);
            if is_cut {
                seen.stage = Stage::Failed(Refusal::stopping());
            }
            is_cut
        });
        // Slow clients may read on for long: from the file.
        self.fill.recent().clear();
        if let Some(mirrors) = self.registry.mirrors() {
            mirrors.fills.under_way().remove(&self.key);
        }
    }
}

impl Mirrors {
    /// The fill of a blob: the one that is under way, or a new one.
    pub(crate) fn fill(
        &self,
        registry: &Registry,
        mirror: &Arc<Mirror>,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Arc<Fill> {
        let key = (name.clone(), digest.clone());
        let mut under_way = self.fills.under_way();
        if let Some(fill) = under_way.get(&key) {
            return Arc::clone(fill);
        }
        let fill = Arc::new(Fill::new());
        under_way.insert(key.clone(), Arc::clone(&fill));
        // A runtime that ends drops the task at once, and its end asks for the lock.
        drop(under_way);
        let ending = Ending { registry: registry.clone(), key, fill: Arc::clone(&fill) };
        let mirror = Arc::clone(mirror);
        tokio::spawn(async move {
            let Ending { registry, key: (name, digest), fill } = &ending;
            if let Err(refusal) = run(registry, &mirror, name, digest, fill).await {
                tracing::warn!(
                    repository.name = %name, blob.digest = %digest, error = %refusal,
                    "blob {digest} of {name} was not got: {refusal}"
                );
                fill.stage(Stage::Failed(refusal));
            }
        });
        fill
    }
}

/// Fills one blob.
async fn run(
    registry: &Registry,
    mirror: &Mirror,
    name: &RepositoryName,
    digest: &Digest,
    fill: &Arc<Fill>,
) -> Result<(), Refusal> {
    let parts = registry.parts();
    let Some(mirrors) = registry.mirrors() else { return Err(Refusal::stopping()) };
    // Whoever asks has looked before; one that has just ended was not under way any more. A bucket loses bytes without a word: then what is
    // written down of them is no reason not to get them again.
    if !parts.blobs.is_gone(digest).await?
        && (parts.blobs.size(name, digest).await?.is_some() || mounted(registry, mirror, name, digest).await?)
    {
        fill.stage(Stage::Here);
        return Ok(());
    }
    let upstream = &mirror.upstream;
    let waits = upstream.patience().answer * TURN_WAITS;
    let turn = tokio::time::timeout(waits, mirror.turns.acquire()).await;
    let turn = turn.map_err(|_| Refusal::crowded(upstream.host(), waits))?;
    let _turn = turn.map_err(|_| Refusal::stopping())?;
    let mut source = Source::open(mirror, name, digest).await?;
    let size = source.size;
    registry.mirrored(name).await.map_err(RegistryError::from)?;
    let directory = mirrors.spool.clone();
    let random: String = parts.clock.random().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let file = blocking(move || nameless(&directory.join(random))).await.map_err(RegistryError::from_io)?;
    let file = Arc::new(file);
    let id = UploadId::new(parts.clock.random(), name);
    let upload = parts.uploads.begin_private(id, digest.algorithm(), Share::nobodys(), parts.clock.now()).await?;
    let mut held = upload.hold()?;
    // Nobody else has set it.
    drop(fill.spool.set(Spool { size, file: Arc::clone(&file) }));
    fill.stage(Stage::Coming);

    let mut at = 0;
    while at < size {
        let batch = match source.next(at).await {
            Ok(batch) => batch,
            Err(refusal) => {
                upload.cancel(held).await;
                return Err(refusal);
            }
        };
        let written;
        (held, written) = write(held, Arc::clone(&file), at, batch.clone()).await?;
        if let Err(error) = written {
            upload.cancel(held).await;
            return Err(lost(error).into());
        }
        fill.show(at, batch.clone());
        at += batch.len() as u64;
    }
    let algorithm = digest.algorithm();
    let hashed = blocking(move || {
        let hashed = held.digest(algorithm);
        Ok((held, hashed))
    });
    let (held, hashed) = hashed.await.map_err(RegistryError::from_io)?;
    let (found, sums) = match hashed {
        Ok(hashed) => hashed,
        Err(error) => {
            upload.cancel(held).await;
            return Err(lost(error).into());
        }
    };
    if found != *digest {
        upload.cancel(held).await;
        return Err(Refusal::lies(mirror.upstream.host(), digest, &found));
    }
    fill.stage(Stage::Proven);
    let push = Push::alone(name.clone(), parts.clock.now());
    let kept = upload.finish(held, Claim::Proven(digest.clone(), sums), push, &parts.blobs).await;
    match kept {
        Ok(_) => {
            tracing::info!(
                repository.name = %name, blob.digest = %digest, blob.size = size,
                "got blob {digest} of {name}, {size} bytes"
            );
            mirrors.arrived(registry, name, digest).await;
        }
        // Those who asked have it.
        Err(error) => {
            tracing::warn!(
                repository.name = %name, blob.digest = %digest, error = %error,
                "blob {digest} of {name} was served and not kept: {error}"
            );
        }
    }
    Ok(())
}

/// Takes a blob over from another repository of the same mirror, when the upstream says that this one has it too.
async fn mounted(
    registry: &Registry,
    mirror: &Mirror,
    name: &RepositoryName,
    digest: &Digest,
) -> Result<bool, Refusal> {
    let parts = registry.parts();
    let holders = parts.store.blob_holders(digest).await.map_err(RegistryError::from)?;
    let prefix = &mirror.settings.prefix;
    let from = holders.into_iter().find(|(holder, _)| holder != name && prefix.covers(holder));
    let Some((from, size)) = from else { return Ok(false) };
    match upstream_size(mirror, name, digest).await {
        Ok(said) if said == size => {}
        Ok(_) => return Ok(false),
        // Its blob may be had all the same.
        Err(refusal) if refusal.is_of_head() => return Ok(false),
        Err(refusal) => return Err(refusal),
    }
    registry.mirrored(name).await.map_err(RegistryError::from)?;
    let is_here = parts.blobs.mount(from, name.clone(), digest.clone(), parts.clock.now(), Along::NOTHING).await;
    let is_here = is_here.unwrap_or_default();
    if is_here && let Some(mirrors) = registry.mirrors() {
        mirrors.arrived(registry, name, digest).await;
    }
    Ok(is_here)
}

/// A file that goes when it is closed, whatever becomes of the process.
fn nameless(path: &Path) -> io::Result<File> {
    let file = File::options().read(true).write(true).create_new(true).open(path)?;
    std::fs::remove_file(path)?;
    Ok(file)
}

/// Writes a batch to the spool and to the upload.
async fn write(
    mut held: Held,
    file: Arc<File>,
    at: u64,
    batch: Bytes,
) -> Result<(Held, io::Result<()>), RegistryError> {
    let work = blocking(move || {
        let written = file.write_all_at(&batch, at).and_then(|()| held.append(&batch));
        Ok((held, written))
    });
    work.await.map_err(RegistryError::from_io)
}
