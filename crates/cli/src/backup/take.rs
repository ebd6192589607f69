//! A backup is taken: the state, then what it names and is not there yet.

use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use layer0_api::client::ByteStream;
use layer0_api::types::{Backup, BackupBlob};

use super::disk::Output;
use super::manifest::{Blob, LAYOUT, Lost, Manifest, Why};
use super::name::{BlobName, Hasher};
use super::{Pace, Place, cant, plan};
use crate::error::{CliError, Exit};

/// How often a blob is asked for that the server can't read, or whose bytes are not what its digest says.
const TRIES: u32 = 2;

/// How long to wait before a blob is asked for again that can't be had for a reason that passes. A bucket that is throttled, or a server
/// short of file descriptors, is itself again within this minute; what takes longer has to be seen to by somebody, and the server ends
/// a backup that nothing is asked of for five.
const WAITS: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(30),
];

/// How long the server may be silent in the middle of an answer: a bucket may be slow, and a server that stopped dead is told from it.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// How long an answer may take to begin. Before a blob's first byte the server asks its bucket or its disk, and may wait for either; a
/// connection that is dead without a word would be waited for without end. The server gives a call of S3 90
/// seconds.
const BEGIN_MAX: Duration = Duration::from_secs(10 * 60);

/// A backup that a server makes ready: the state of a moment, and the bytes that it names.
pub(crate) trait Source {
    /// The copy of the state.
    async fn state(&self) -> Result<ByteStream, CliError>;

    /// The blobs that the state names, in byte order: some of those after this digest, none at the end.
    async fn blobs(&self, after: Option<&str>) -> Result<Vec<BackupBlob>, CliError>;

    /// The bytes of one of them.
    async fn blob(&self, digest: &str) -> Result<Fetched, CliError>;
}

/// What there is of a blob.
pub(crate) enum Fetched {
    /// Bytes, as they lie there.
    Bytes(ByteStream),
    /// None.
    Gone,
    /// It can't be read, and that does not pass.
    Unreadable,
    /// It can't be read now, which says nothing about it.
    NotNow(CliError),
}

/// How far it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Bytes of blobs that were looked at, copied or there already.
    pub(crate) bytes: u64,
    pub(crate) blobs: u64,
    pub(crate) copied: u64,
    pub(crate) copied_bytes: u64,
}

/// Takes a backup, and answers the snapshot's name and what it says of itself. Blobs that can't be had are named in it. Killed at any
/// moment it leaves no snapshot, and what it has copied of blobs is there for the next one.
pub(crate) async fn take(
    place: &Place<'_>,
    source: &impl Source,
    backup: &Backup,
    pace: Pace,
    tell: impl FnMut(Progress),
) -> Result<(String, Manifest), CliError> {
    let name = plan::snapshot_name(&backup.begun)
        .ok_or_else(|| CliError::new(Exit::Connection, format!("the server names no time, but `{}`", backup.begun)))?;
    of_the_same(place, backup)?;
    let (progress, damaged_there) = (Progress::default(), Vec::new());
    let mut run = Run { place, source, pace, began: Instant::now(), progress, damaged_there, tell };
    let mut tidy = Tidy { place, is_whole: false };
    let manifest = run.all(&name, backup).await?;
    tidy.is_whole = true;
    Ok((name, manifest))
}

/// Removes what is half when a backup fails, or is given up in the middle.
struct Tidy<'a> {
    place: &'a Place<'a>,
    is_whole: bool,
}

impl Drop for Tidy<'_> {
    fn drop(&mut self) {
        if !self.is_whole {
            // A disk that is full has room again, but for what is whole. What can't be removed now, the next run removes.
            let _ = self.place.leftovers_remove();
        }
    }
}

/// What a snapshot says of itself.
fn manifest_of(
    backup: &Backup,
    blobs: Vec<Blob>,
    lost: Vec<Lost>,
    damaged_there: Vec<String>,
    progress: Progress,
) -> Manifest {
    Manifest {
        layout: LAYOUT,
        instance: backup.instance.clone(),
        instance_id: backup.instance_id.clone(),
        version: backup.version.clone(),
        begun: backup.begun.clone(),
        state_bytes: backup.state_bytes,
        settings: backup.settings.clone(),
        not_copied: backup.not_copied.clone(),
        in_bucket: backup.in_bucket,
        blobs,
        lost,
        damaged_there,
        copied: progress.copied,
        copied_bytes: progress.copied_bytes,
    }
}

/// Refuses a directory with backups of another instance: `--keep` would count both as one.
fn of_the_same(place: &Place<'_>, backup: &Backup) -> Result<(), CliError> {
    for name in place.snapshots()?.iter().rev() {
        // One that can't be read says nothing; `backups --check` names it.
        let Ok(last) = place.manifest(name) else { continue };
        if last.instance_id == backup.instance_id {
            return Ok(());
        }
        return Err(CliError::new(
            Exit::Refused,
            format!("the directory has backups of another instance, `{}`; name a directory of its own", last.instance),
        ));
    }
    Ok(())
}

/// What is to be done when the way to the server, or the server's to its bytes, is broken.
const AGAIN: &str = "run the same command again: what it has copied stays";

fn silent(limit: Duration) -> CliError {
    CliError::new(Exit::Connection, format!("the server says nothing for {} seconds", limit.as_secs())).hint(AGAIN)
}

/// An answer that begins in time.
async fn begun<T>(answer: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    tokio::time::timeout(BEGIN_MAX, answer).await.map_err(|_| silent(BEGIN_MAX))?
}

/// A blob could not be had, and not because it is lost. A snapshot without it would say that it is.
fn unfetched(digest: &str, why: CliError) -> CliError {
    let message = format!("{digest} can't be read now, though it was asked for again and again: {}", why.message);
    CliError { message, ..why }.hint(AGAIN)
}

struct Run<'a, S, F> {
    place: &'a Place<'a>,
    source: &'a S,
    pace: Pace,
    began: Instant,
    progress: Progress,
    /// What is whole here and counts as damaged there.
    damaged_there: Vec<String>,
    tell: F,
}

/// What came of one try to copy a blob.
enum Copied {
    Whole,
    Not(Why),
    /// The bytes broke off.
    Broke(CliError),
}

/// What came of all tries.
enum Had {
    Whole,
    Not(Why),
}

impl<S: Source, F: FnMut(Progress)> Run<'_, S, F> {
    /// The whole of it, up to the snapshot's name.
    async fn all(&mut self, name: &str, backup: &Backup) -> Result<Manifest, CliError> {
        let (draft, file) = self.place.snapshot_begin(name)?;
        let state = self.state(&draft, file, backup.state_bytes).await?;
        let (blobs, lost) = self.blobs().await?;
        let manifest = manifest_of(backup, blobs, lost, std::mem::take(&mut self.damaged_there), self.progress);
        self.place.snapshot_end(name, &draft, &state, &manifest)?;
        Ok(manifest)
    }

    async fn state(&mut self, draft: &Path, mut file: Box<dyn Output>, length: u64) -> Result<BlobName, CliError> {
        let path = draft.join("state.db");
        let mut pieces = begun(self.source.state()).await?;
        let (mut hasher, mut written) = (Hasher::sha256(), 0_u64);
        while let Some(piece) =
            tokio::time::timeout(SILENCE_MAX, pieces.next()).await.map_err(|_| silent(SILENCE_MAX))?
        {
            let piece = piece.map_err(|why| CliError::client(why, true))?;
            file.write(&piece).map_err(|why| cant("write", &path, &why))?;
            hasher.update(&piece);
            written += u64::try_from(piece.len()).unwrap_or(u64::MAX);
            self.pause(piece.len()).await;
        }
        if written != length {
            return Err(CliError::new(
                Exit::Connection,
                format!("the state broke off: {written} of {length} bytes came"),
            ));
        }
        file.sync().map_err(|why| cant("write", &path, &why))?;
        Ok(hasher.finish())
    }

    async fn blobs(&mut self) -> Result<(Vec<Blob>, Vec<Lost>), CliError> {
        let (mut blobs, mut lost) = (Vec::new(), Vec::new());
        let mut after: Option<String> = None;
        loop {
            let page = self.source.blobs(after.as_deref()).await?;
            let Some(last) = page.last() else { return Ok((blobs, lost)) };
            after = Some(last.digest.clone());
            for BackupBlob { digest, size, damaged } in page {
                match self.blob(&digest, size, damaged).await? {
                    Had::Whole => blobs.push(Blob { digest, size }),
                    Had::Not(why) => lost.push(Lost { digest, size, why }),
                }
                self.progress.blobs += 1;
                self.progress.bytes = self.progress.bytes.saturating_add(size);
                (self.tell)(self.progress);
            }
        }
    }

    async fn blob(&mut self, digest: &str, size: u64, damaged: bool) -> Result<Had, CliError> {
        let name = BlobName::parse(digest).ok_or_else(|| {
            CliError::new(Exit::Connection, format!("the server names `{digest}`, which is no digest"))
        })?;
        // One that was copied before the server's own was damaged is the better one.
        if self.place.has(&name, size) {
            if damaged {
                self.damaged_there.push(digest.to_owned());
            }
            return Ok(Had::Whole);
        }
        if damaged {
            return Ok(Had::Not(Why::Damaged));
        }
        let (mut bad, mut waits) = (0, WAITS.into_iter());
        loop {
            // What is wrong with the bytes is wrong when it is seen twice; what is wrong with the way to them is waited for.
            let why = match begun(self.source.blob(digest)).await? {
                Fetched::Gone => Ok(Why::Missing),
                Fetched::Unreadable => Ok(Why::Unreadable),
                Fetched::NotNow(why) => Err(why),
                Fetched::Bytes(pieces) => match self.copy(&name, size, pieces).await? {
                    Copied::Whole => return Ok(Had::Whole),
                    Copied::Not(why) => Ok(why),
                    Copied::Broke(why) => Err(why),
                },
            };
            match why {
                Ok(why) => {
                    bad += 1;
                    if bad == TRIES {
                        return Ok(Had::Not(why));
                    }
                }
                Err(why) => match waits.next() {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => return Err(unfetched(digest, why)),
                },
            }
        }
    }

    async fn copy(&mut self, name: &BlobName, size: u64, pieces: ByteStream) -> Result<Copied, CliError> {
        let (path, file) = self.place.blob_begin(name)?;
        let copied = self.copy_into(&path, file, name, size, pieces).await;
        if !matches!(copied, Ok(Copied::Whole)) {
            // What can't be removed now, the next run removes.
            let _ = self.place.disk.file_remove(&path);
        }
        copied
    }

    async fn copy_into(
        &mut self,
        path: &Path,
        mut file: Box<dyn Output>,
        name: &BlobName,
        size: u64,
        mut pieces: ByteStream,
    ) -> Result<Copied, CliError> {
        let (mut hasher, mut length) = (name.hasher(), 0_u64);
        while let Some(piece) =
            tokio::time::timeout(SILENCE_MAX, pieces.next()).await.map_err(|_| silent(SILENCE_MAX))?
        {
            // Whether the server can't read on or is gone, the next question tells.
            let piece = match piece {
                Ok(piece) => piece,
                Err(why) => return Ok(Copied::Broke(CliError::client(why, true))),
            };
            file.write(&piece).map_err(|why| cant("write", path, &why))?;
            hasher.update(&piece);
            length += u64::try_from(piece.len()).unwrap_or(u64::MAX);
            self.pause(piece.len()).await;
        }
        if length != size || !name.is_of(hasher) {
            return Ok(Copied::Not(Why::Damaged));
        }
        file.sync().map_err(|why| cant("write", path, &why))?;
        drop(file);
        self.place.blob_end(name, path)?;
        self.progress.copied += 1;
        self.progress.copied_bytes += length;
        Ok(Copied::Whole)
    }

    async fn pause(&mut self, bytes: usize) {
        let pause = self.pace.after(bytes, self.began.elapsed());
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
}
