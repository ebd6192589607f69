//! Backups of a running instance: a copy of its state, made at once, and the bytes that it names, kept until they were fetched.
//!
//! ```text
//!   begin: hold the bytes ─▶ copy the state ─▶ named by an id ── fetched, and fetched again ──▶ end
//!                                                     └── nothing asked for five minutes ──────▶ end
//! ```
//! The order makes it whole: what the copy names was there when the hold began, or came later, and stays until the end. The copy's file has
//! no name any more when it is handed out, so a server that is killed leaves nothing but what its next start removes. Nothing of a
//! backup is kept over a restart; whoever makes one begins anew.

use std::collections::HashMap;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use layer0_domain::model::digest::Digest;
use layer0_domain::model::id::id_text;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::store::StoreError;
use layer0_store::{CopiedBlob, CopiedPlaces, SqliteStore};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::app::App;
use crate::wiring::IMAGE_INDEX;

/// How long a backup goes on that nothing is asked of.
const IDLE_MAX: Duration = Duration::from_secs(5 * 60);

/// How many may go on at once: each has a copy of the state on the disk. One that was killed and begun anew needs two.
const AT_ONCE: usize = 4;

/// What of the state is not in a copy. A bucket belongs to the instance whose state has its name; a copy with it could be started while
/// the original runs, and would remove what the old state does not name.
const NOT_COPIED: &[&str] = &[IMAGE_INDEX];

/// Where the bytes of images lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ImagesLie {
    /// In the data directory.
    OnDisk,
    /// In S3.
    InBucket,
}

/// What backups are made of; those that go on.
pub(crate) struct Backups {
    /// The file that all state is in, and where copies of it are made; `None` where the state is elsewhere.
    state: Option<(SqliteStore, PathBuf)>,
    /// The instance's id.
    pub(crate) instance_id: String,
    /// Where the bytes come from.
    pub(crate) images_lie: ImagesLie,
    /// Where `layer0.toml` is, if it is there.
    settings: PathBuf,
    /// How many more may begin.
    places: Arc<Semaphore>,
    running: Arc<Table>,
}

/// Those that go on, by id.
#[derive(Default)]
struct Table(Mutex<HashMap<String, Arc<Running>>>);

impl Table {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<Running>>> {
        // Nothing panics in the middle of a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A backup that goes on. Whoever reads from it keeps it from ending for idleness.
pub(crate) struct Running {
    /// Names it.
    pub(crate) id: String,
    /// A moment before that of the copy.
    pub(crate) begun: Timestamp,
    /// The copy, which has no name.
    pub(crate) copy: Arc<File>,
    /// Its length.
    pub(crate) copy_bytes: u64,
    /// The blobs that it names, in byte order.
    pub(crate) blobs: Vec<CopiedBlob>,
    /// Blobs whose bytes were lost in the middle of an answer, and how often.
    unreadable: Mutex<HashMap<Digest, u32>>,
    /// When it was last asked for something.
    used: Mutex<Instant>,
    /// What it keeps from others until it ends: bytes, and its place.
    _kept: Box<dyn Send + Sync>,
}

/// Somebody who reads what a backup gives. When he has read to the end he may have to write it down before he asks for more.
pub(crate) struct Reading(Arc<Running>);

impl Reading {
    pub(crate) fn new(running: Arc<Running>) -> Self {
        Self(running)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        *self.0.used() = Instant::now();
    }
}

impl Running {
    fn used(&self) -> MutexGuard<'_, Instant> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unreadable(&self) -> MutexGuard<'_, HashMap<Digest, u32>> {
        self.unreadable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a blob could not be read to its end, for a reason that does not pass.
    pub(crate) fn unreadable_note(&self, digest: &Digest) {
        *self.unreadable().entry(digest.clone()).or_default() += 1;
    }

    /// Whether it can't be read to its end. Once may have been the way to the disk.
    pub(crate) fn is_unreadable(&self, digest: &Digest) -> bool {
        self.unreadable().get(digest).is_some_and(|times| *times >= 2)
    }
}

/// Why no backup begins.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupError {
    /// The state is not in one file.
    #[error("the state is not in the data directory")]
    Elsewhere,
    /// Too many go on.
    #[error("{AT_ONCE} backups go on already")]
    Busy,
    /// The state can't be copied.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The copy can't be kept.
    #[error("the copy of the state can't be kept")]
    Disk(#[from] io::Error),
}

impl Backups {
    /// Those of an instance whose state is all in `file`, if any. Removes what an earlier life left of copies.
    pub(crate) fn new(file: Option<SqliteStore>, data_dir: &Path, instance_id: String, images_lie: ImagesLie) -> Self {
        let copies = data_dir.join("copies");
        match std::fs::remove_dir_all(&copies) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => {
                warn!(error = %why, "a copy of the state that an earlier start left can't be removed: {why}");
            }
            _ => {}
        }
        let state = file.map(|file| (file, copies));
        Self {
            state,
            instance_id,
            images_lie,
            settings: data_dir.join("layer0.toml"),
            places: Arc::new(Semaphore::new(AT_ONCE)),
            running: Arc::default(),
        }
    }

    /// The backup of this id, which goes on for another while.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<Running>> {
        let found = self.running.all().get(id).cloned();
        if let Some(running) = &found {
            *running.used() = Instant::now();
        }
        found
    }

    /// How many go on.
    pub(crate) fn count(&self) -> u64 {
        self.running.all().len() as u64
    }

    /// Ends a backup, if it goes on.
    pub(crate) fn end(&self, id: &str) {
        if let Some(running) = self.running.all().remove(id) {
            info!(backup.id = %running.id, "backup `{}` has ended", running.id);
        }
    }

    /// The text of the settings' file, if there is one.
    pub(crate) fn settings(&self) -> io::Result<Option<String>> {
        match std::fs::read_to_string(&self.settings) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }
}

/// Begins a backup.
pub(crate) async fn begin(app: &App) -> Result<Arc<Running>, BackupError> {
    let Some((file, copies)) = &app.backups.state else { return Err(BackupError::Elsewhere) };
    let place = Arc::clone(&app.backups.places).try_acquire_owned().map_err(|_| BackupError::Busy)?;
    let random = app.clock.random();
    let number = u64::from_le_bytes(*random.first_chunk().expect("32 bytes have 8"));
    let id = id_text("backup", number);
    let hold = app.registry.bytes_hold();
    let begun = app.clock.now();
    DirBuilder::new().recursive(true).mode(0o700).create(copies)?;
    let path = Scratch(copies.join(format!("{id}.db")));
    // From a disk each blob is restored to where its digest says, whatever file it shares here.
    let copied_places = match app.backups.images_lie {
        ImagesLie::OnDisk => CopiedPlaces::LeftOut,
        ImagesLie::InBucket => CopiedPlaces::Kept,
    };
    let blobs = file.copy_to(path.0.clone(), NOT_COPIED, copied_places).await?;
    let copy = File::open(&path.0)?;
    let copy_bytes = copy.metadata()?.len();
    drop(path);
    let (used, kept) = (Mutex::new(Instant::now()), Box::new((hold, place)));
    let (copy, unreadable) = (Arc::new(copy), Mutex::default());
    let running = Running { id: id.clone(), begun, copy, copy_bytes, blobs, unreadable, used, _kept: kept };
    let running = Arc::new(running);
    info!(
        backup.id = %id, backup.blobs = running.blobs.len(), backup.state_bytes = copy_bytes,
        "backup `{id}` has begun: the state is copied, and what it names stays until the end"
    );
    app.backups.running.all().insert(id, Arc::clone(&running));
    tokio::spawn(end_when_idle(Arc::downgrade(&app.backups.running), Arc::downgrade(&running)));
    Ok(running)
}

/// Ends a backup that nothing is asked of any more.
async fn end_when_idle(table: Weak<Table>, of: Weak<Running>) {
    loop {
        let (Some(table), Some(running)) = (table.upgrade(), of.upgrade()) else { return };
        let used = *running.used();
        // The table has it, and this does; who else has it reads.
        let reads = Arc::strong_count(&running) > 2;
        if !reads && used.elapsed() >= IDLE_MAX {
            warn!(backup.id = %running.id, "backup `{}` has ended: nothing was asked of it for a while", running.id);
            table.all().remove(&running.id);
            return;
        }
        drop((table, running));
        tokio::time::sleep_until(if reads { Instant::now() + IDLE_MAX } else { used + IDLE_MAX }).await;
    }
}

/// A file that loses its name with this, whatever was left of it.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        match std::fs::remove_file(&self.0) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => {
                warn!(error = %why, "a copy of the state can't be removed before the next start: {why}");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tells when it was dropped.
    struct Kept {
        _until: Arc<()>,
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_nothing_is_asked_of_ends_and_one_that_is_read_goes_on() {
        let dir = tempfile::tempdir().expect("a directory");
        let backups = Backups::new(None, dir.path(), "x".to_owned(), ImagesLie::OnDisk);
        let kept = Arc::new(());
        let running = Arc::new(Running {
            id: "b".to_owned(),
            begun: Timestamp(0),
            copy: Arc::new(File::open(dir.path()).expect("opened")),
            copy_bytes: 0,
            blobs: vec![],
            unreadable: Mutex::default(),
            used: Mutex::new(Instant::now()),
            _kept: Box::new(Kept { _until: Arc::clone(&kept) }),
        });
        let lost = Digest::sha256_of(b"lost");
        running.unreadable_note(&lost);
        assert!(!running.is_unreadable(&lost), "it may have been the way to the disk");
        running.unreadable_note(&lost);
        assert!(running.is_unreadable(&lost) && !running.is_unreadable(&Digest::sha256_of(b"other")));
        backups.running.all().insert("b".to_owned(), Arc::clone(&running));
        let idle = tokio::spawn(end_when_idle(Arc::downgrade(&backups.running), Arc::downgrade(&running)));
        // Somebody reads for an hour.
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(backups.find("b").is_some());
        drop(running);
        // Somebody reads for as long as it may be idle, but for a moment, and then writes down what he has.
        let read = Reading::new(backups.find("b").expect("it goes on"));
        tokio::time::sleep(IDLE_MAX - Duration::from_millis(500)).await;
        drop(read);
        tokio::time::sleep(Duration::from_secs(1)).await;
        for _ in 0..10 {
            tokio::time::sleep(IDLE_MAX - Duration::from_secs(1)).await;
            assert!(backups.find("b").is_some(), "it was asked for something each time");
        }
        tokio::time::sleep(IDLE_MAX + Duration::from_secs(1)).await;
        assert!(backups.find("b").is_none());
        idle.await.expect("it has ended");
        assert_eq!(Arc::strong_count(&kept), 1, "what it kept is let go");
    }
}
