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
use futures_util::FutureExt;
use http::header::{CONTENT_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::port::blob_bytes::Reach;
use tokio::sync::{Semaphore, watch};

use super::refusal::{Kind, Refusal};
use super::{Mirror, Mirrors, length, upstream_size};
use crate::blocking::blocking;
use crate::error::RegistryError;
use crate::registry::Registry;
use crate::uploads::{Held, UploadId, lost};

/// How much is written at once.
const BATCH: usize = 256 << 10;
/// How much of what came last stays in memory for those who keep up.
const RECENT: usize = 2 << 20;
/// At most so many blobs come at once: with [`RECENT`], that bounds the memory. The others wait.
const AT_ONCE: usize = 64;
/// How often a connection that broke is taken up again.
const RESUMES: u32 = 2;

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
            let mut bytes = vec![0; most];
            file.read_exact_at(&mut bytes, first)?;
            Ok(Bytes::from(bytes))
        })
        .await
    }
}

type Key = (RepositoryName, Digest);

/// All that is on its way.
pub(crate) struct Fills {
    under_way: Mutex<HashMap<Key, Arc<Fill>>>,
    turns: Semaphore,
}

impl Default for Fills {
    fn default() -> Self {
        Self { under_way: Mutex::default(), turns: Semaphore::new(AT_ONCE) }
    }
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
        let ending = Ending { registry: registry.clone(), key, fill: Arc::clone(&fill) };
        let mirror = Arc::clone(mirror);
        tokio::spawn(async move {
            let Ending { registry, key: (name, digest), fill } = &ending;
            if let Err(refusal) = run(registry, &mirror, name, digest, fill).await {
                tracing::warn!(repository.name = %name, blob.digest = %digest, error = %refusal, "blob {digest} of {name} was not got: {refusal}");
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
    // Whoever asks has looked before; one that has just ended was not under way any more.
    if parts.blobs.size(name, digest).await?.is_some() || mounted(registry, mirror, name, digest).await? {
        fill.stage(Stage::Here);
        return Ok(());
    }
    let _turn = mirrors.fills.turns.acquire().await.map_err(|_| Refusal::stopping())?;
    let mut source = Source::open(mirror, name, digest).await?;
    let size = source.size;
    registry.mirrored(name).await.map_err(RegistryError::from)?;
    let directory = mirrors.spool.clone();
    let random: String = parts.clock.random().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let file = blocking(move || nameless(&directory.join(random))).await.map_err(RegistryError::from_io)?;
    let file = Arc::new(file);
    let id = UploadId::new(parts.clock.random(), name);
    let upload = parts.uploads.begin(id.clone(), Reach::Private, digest.algorithm(), parts.clock.now()).await?;
    let mut held = upload.hold()?;
    // Nobody else has set it.
    drop(fill.spool.set(Spool { size, file: Arc::clone(&file) }));
    fill.stage(Stage::Coming);

    let mut at = 0;
    while at < size {
        let batch = match source.next(at).await {
            Ok(batch) => batch,
            Err(refusal) => {
                parts.uploads.cancel(&id, held).await;
                return Err(refusal);
            }
        };
        let written;
        (held, written) = write(held, Arc::clone(&file), at, batch.clone()).await?;
        if let Err(error) = written {
            parts.uploads.cancel(&id, held).await;
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
            parts.uploads.cancel(&id, held).await;
            return Err(lost(error).into());
        }
    };
    if found != *digest {
        parts.uploads.cancel(&id, held).await;
        return Err(Refusal::lies(mirror.upstream.host(), digest, &found));
    }
    fill.stage(Stage::Proven);
    let (blobs, now) = (parts.blobs.clone(), parts.clock.now());
    let kept = parts.uploads.keep(id, held, (digest.clone(), sums), name.clone(), &blobs, now).await;
    match kept {
        Ok(_) => {
            tracing::info!(repository.name = %name, blob.digest = %digest, blob.size = size, "got blob {digest} of {name}, {size} bytes");
            mirrors.arrived(registry, name, digest).await;
        }
        // Those who asked have it.
        Err(error) => {
            tracing::warn!(repository.name = %name, blob.digest = %digest, error = %error, "blob {digest} of {name} was served and not kept: {error}");
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
        Err(refusal) if refusal.kind == Kind::Failed => return Ok(false),
        Err(refusal) => return Err(refusal),
    }
    registry.mirrored(name).await.map_err(RegistryError::from)?;
    let is_here = parts.blobs.mount(from, name.clone(), digest.clone(), parts.clock.now()).await.unwrap_or_default();
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

/// The upstream's bytes, over as many connections as it takes.
struct Source<'a> {
    mirror: &'a Mirror,
    theirs: String,
    path: String,
    size: u64,
    body: Incoming,
    resumes: u32,
}

impl<'a> Source<'a> {
    async fn open(mirror: &'a Mirror, name: &RepositoryName, digest: &Digest) -> Result<Self, Refusal> {
        let (theirs, path) = (mirror.theirs(name)?, format!("blobs/{digest}"));
        let answer = mirror.upstream.ask(Method::GET, &theirs, &path, HeaderMap::new()).await?;
        let size = length(&answer);
        let size = size.ok_or_else(|| Refusal::nonsense(mirror.upstream.host(), "does not say how large a blob is"))?;
        Ok(Self { mirror, theirs, path, size, body: answer.into_body(), resumes: 0 })
    }

    /// The next bytes, which are not at their end at `at`.
    async fn next(&mut self, at: u64) -> Result<Bytes, Refusal> {
        loop {
            match self.read(at).await {
                Ok(bytes) => return Ok(bytes),
                Err(refusal) if self.resumes < RESUMES => {
                    self.resumes += 1;
                    tracing::info!(error = %refusal, "a download is taken up again at byte {at}: {refusal}");
                    // What made it break is the better reason.
                    self.resume(at).await.map_err(|_| refusal)?;
                }
                Err(refusal) => return Err(refusal),
            }
        }
    }

    /// Asks for the rest.
    async fn resume(&mut self, at: u64) -> Result<(), Refusal> {
        let upstream = &self.mirror.upstream;
        let mut headers = HeaderMap::new();
        let range = HeaderValue::from_str(&format!("bytes={at}-")).expect("digits are legal in a header");
        headers.insert(RANGE, range);
        let answer = upstream.ask(Method::GET, &self.theirs, &self.path, headers).await?;
        let range = answer.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
        let is_rest = answer.status() == StatusCode::PARTIAL_CONTENT
            && range.is_some_and(|it| it == format!("bytes {at}-{}/{}", self.size - 1, self.size));
        if !is_rest {
            return Err(Refusal::nonsense(upstream.host(), "does not send the rest of a blob"));
        }
        self.body = answer.into_body();
        Ok(())
    }

    /// What has come, up to a batch; waits for the first of it only.
    async fn read(&mut self, at: u64) -> Result<Bytes, Refusal> {
        let upstream = &self.mirror.upstream;
        let idle = upstream.patience().idle;
        let rest = usize::try_from(self.size - at).unwrap_or(usize::MAX);
        let mut batch: Vec<u8> = Vec::new();
        loop {
            let frame = if batch.is_empty() {
                tokio::time::timeout(idle, self.body.frame()).await.map_err(|_| Refusal::late(upstream.host(), idle))?
            } else {
                match self.body.frame().now_or_never() {
                    Some(frame) => frame,
                    None => return Ok(batch.into()),
                }
            };
            let data = match frame {
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                // What came before is good; the next read meets the same end.
                Some(Err(_)) | None if !batch.is_empty() => return Ok(batch.into()),
                Some(Err(error)) => return Err(Refusal::away(upstream.host(), &error)),
                None => return Err(Refusal::nonsense(upstream.host(), "broke off in the middle of a blob")),
            };
            if data.len() > rest - batch.len() {
                return Err(Refusal::nonsense(upstream.host(), "sends more of a blob than it has"));
            }
            if batch.is_empty() && data.len() >= BATCH {
                return Ok(data);
            }
            batch.extend_from_slice(&data);
            if batch.len() >= BATCH || batch.len() == rest {
                return Ok(batch.into());
            }
        }
    }
}
