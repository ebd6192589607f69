//! All ports on one SQLite file. The crate's page describes threads, tables and invariants.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;

mod access;
mod audit;
mod convert;
mod copy;
mod deploy;
mod entity;
mod fault;
mod grant;
mod home;
mod image_map;
mod lease;
mod member;
mod near;
mod operation;
mod owner;
mod person;
#[cfg(test)]
mod plans;
mod public;
mod queue;
mod reader;
mod registry;
mod reserve;
mod schema;
mod setting;
mod shut_out;
mod store;
mod tag;
mod token;
mod trust;
mod user;
mod writer;

pub use copy::{CopiedBlob, CopiedPlaces};
use fault::{Fault, Stop};
use near::{Near, Opener};
use queue::Queue;
use reserve::Reserve;
use schema::SchemaError;
use writer::{Commits, DiskRoom, Once, Repeated, Scope, Work};

/// Threads that read what may take long: lists of everything, audit logs.
const READERS: usize = 2;

/// Connections for short reads where their caller runs. As many as there are threads that requests run on, on the smallest machine
/// this runs on, and one for others; on a larger one a few more, since each takes up to 2 MiB.
fn near_connections() -> usize {
    thread::available_parallelism().map_or(2, usize::from).min(7) + 1
}

/// How long SQLite waits for a lock that another process holds (a backup, a curious `sqlite3`).
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Prepared statements kept by each connection; more than there are.
const STATEMENTS_KEPT: usize = 128;

/// The WAL file is cut back to this size after a checkpoint.
const WAL_BYTES_KEPT: i64 = 16 * 1024 * 1024;

/// The ports `Store`, `AccessStore` and `RegistryStore` on one SQLite database. Clones share it; when the last is dropped, the threads
/// finish what is queued and end.
#[derive(Clone)]
pub struct SqliteStore {
    shared: Arc<Shared>,
    others: Others,
}

/// Whether other processes write to the database too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Others {
    None,
    Some,
}

struct Shared {
    writer: Arc<Queue<Box<dyn writer::Job>>>,
    /// `None` for a database in memory: it has one connection only, which does the long reads too.
    readers: Option<Arc<Queue<reader::Job>>>,
    near: Arc<Near>,
    /// What the writer committed.
    commits: Arc<Commits>,
    /// The file; `None` for a database in memory.
    path: Option<PathBuf>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Why a database can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file can't be made or opened.
    #[error("the database {path} can't be opened")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A newer Layer0 has written it.
    #[error(
        "the database {path} has schema {found}, this l0 knows schemas up to {known}: it was written by a newer l0; start that one, or restore the data directory's copy from before the upgrade"
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// The schema it has.
        found: i32,
        /// The newest schema known here.
        known: i32,
    },
    /// It is a SQLite database, but of another program.
    #[error("{path} is a SQLite database of another program; name another data directory")]
    NotOurs {
        /// Which file.
        path: PathBuf,
    },
    /// Its disk has no room for what lies beside it while it is open.
    #[error(
        "the database {path} can't be opened: its disk is full; make a little room, start the server, and delete images"
    )]
    Full {
        /// Which file.
        path: PathBuf,
    },
    /// SQLite refuses it: no database, damaged, no rights, or a file system without shared memory.
    #[error("the database {path} can't be used")]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl SqliteStore {
    /// The file's usual name in the data directory.
    pub const FILE_NAME: &'static str = "layer0.db";

    /// Opens the database in the file `path`, which is made, readable for its owner only, when it isn't there; its
    /// directory must be there. Brings an older schema up to date. Blocks for as long as that takes.
    ///
    /// # Errors
    /// [`OpenError`]; the file of a newer Layer0 or of another program is left as it is.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        make_file(path).map_err(|source| OpenError::File { path: path.to_owned(), source })?;
        let is_full =
            |error: &SchemaError| error.is_full() || (error.is_unopened() && reserve::has_no_room_for_a_name(path));
        let mut opened = Self::open_file(path);
        // Without room for the WAL and its index nothing could be deleted. They take little of what is kept for that; the writer
        // keeps the rest again.
        if opened.as_ref().is_err_and(is_full) && Reserve::beside(path).give_at_start() {
            opened = Self::open_file(path);
        }
        opened.map_err(|error| match error {
            full if is_full(&full) => OpenError::Full { path: path.to_owned() },
            SchemaError::Newer { found } => OpenError::Newer { path: path.to_owned(), found, known: schema::known() },
            SchemaError::NotOurs => OpenError::NotOurs { path: path.to_owned() },
            other @ (SchemaError::Step { .. } | SchemaError::Read(_)) => {
                OpenError::Unusable { path: path.to_owned(), source: Box::new(other) }
            }
        })
    }

    fn open_file(path: &Path) -> Result<Self, SchemaError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut writer = Connection::open_with_flags(path, flags)?;
        writer.busy_timeout(BUSY_TIMEOUT)?;
        schema::check(&writer)?;
        prepare_writer(&writer)?;
        schema::migrate(&mut writer)?;
        let opener = || -> Opener {
            let path = path.to_owned();
            Box::new(move || {
                let reader = Connection::open_with_flags(&path, flags)?;
                prepare(&reader)?;
                reader.pragma_update(None, "query_only", true)?;
                Ok(reader)
            })
        };
        let readers = (0..READERS).map(|_| opener()).collect();
        let commits = Arc::<Commits>::default();
        let near = Near::own(near_connections(), opener(), Arc::clone(&commits))?;
        Ok(Self::start(Arc::new(Mutex::new(Some(writer))), readers, near, commits, Some(path.to_owned())))
    }

    /// A database without a file, gone with its last handle. The same code and schema; reads and writes share one
    /// connection.
    ///
    /// # Panics
    /// When memory runs out: nothing else can fail.
    #[must_use]
    pub fn in_memory() -> Self {
        let open = || {
            let mut connection = Connection::open_in_memory()?;
            prepare(&connection)?;
            schema::migrate(&mut connection)?;
            Ok::<_, SchemaError>(connection)
        };
        let connection = open().expect("a new database in memory has nothing that could be refused");
        let connection = Arc::new(Mutex::new(Some(connection)));
        Self::start(Arc::clone(&connection), Vec::new(), Near::Writers(connection), Arc::default(), None)
    }

    fn start(
        connection: near::Shared,
        reading: Vec<Opener>,
        near: Near,
        commits: Arc<Commits>,
        path: Option<PathBuf>,
    ) -> Self {
        let mut threads = Vec::with_capacity(1 + reading.len());
        let writer = Arc::new(Queue::new());
        let near = Arc::new(near);
        let (queue, counted, views) = (Arc::clone(&writer), Arc::clone(&commits), Arc::clone(&near));
        let mut reserve = path.as_deref().map_or_else(Reserve::none, Reserve::beside);
        threads.push(thread("store-writer", move || writer::run(&connection, &queue, &counted, &views, &mut reserve)));
        let readers = (!reading.is_empty()).then(|| Arc::new(Queue::new()));
        if let Some(readers) = &readers {
            for open in reading {
                let queue = Arc::clone(readers);
                threads.push(thread("store-reader", move || reader::run(&open, &queue)));
            }
        }
        let shared = Arc::new(Shared { writer, readers, near, commits, path, threads: Mutex::new(threads) });
        Self { shared, others: Others::None }
    }

    /// As this, for a file that other processes write to as well: then it has no version, and servers divide the work by
    /// lease. SQLite's locks keep the processes apart, on one machine.
    #[must_use]
    pub fn with_others(mut self) -> Self {
        self.others = Others::Some;
        self
    }

    /// Sets the most pages (4,096 bytes each) that the database may have; a write that needs more is answered with
    /// `Full`. A limit below the present size means the present size. It ends with the process.
    ///
    /// # Errors
    /// `Failed` when the store is closed.
    pub async fn page_limit_set(&self, pages: u32) -> Result<(), layer0_domain::port::store::StoreError> {
        self.write(move |db| Ok(db.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?)).await
    }

    /// Finishes what is queued, writes the WAL back into the database and closes it, for all clones. Later calls are
    /// answered with `Failed`. Without this the last handle's end does the same, but nobody waits for it.
    pub async fn close(&self) {
        let store = self.clone();
        let closed = tokio::task::spawn_blocking(move || store.close_blocking());
        let _ = closed.await;
    }

    /// As [`SqliteStore::close`], for whoever has no runtime any more. Blocks.
    pub fn close_blocking(&self) {
        self.shared.close();
        let threads = std::mem::take(&mut *self.shared.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // Its panic, if there was one, is in the log already.
            let _ = thread.join();
        }
        self.shared.near.close();
    }

    /// The commits that were counted; `None` where others write too.
    fn commits(&self) -> Option<&Commits> {
        match self.others {
            Others::None => Some(&self.shared.commits),
            Others::Some => None,
        }
    }

    /// How many there were, whatever they were about.
    fn commits_of_all(&self) -> Option<u64> {
        Some(self.commits()?.all.load(Ordering::Acquire))
    }

    /// Runs `work` as one unit: when it answers `Ok`, its changes are on the disk before this returns; else there are
    /// none.
    async fn write<T, E>(&self, work: impl FnOnce(&Connection) -> Result<T, Stop<E>> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Fault> + Send + 'static,
    {
        self.write_in(Scope::Any, DiskRoom::Takes, Once(Some(work))).await
    }

    /// As [`Self::write`], of what repositories hold and of the audit log: who somebody is was and stays remembered. `work` may run
    /// more than once, after what it did was undone.
    async fn write_content<T, E>(
        &self,
        work: impl Fn(&Connection) -> Result<T, Stop<E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Fault> + Send + 'static,
    {
        self.write_in(Scope::Content, DiskRoom::Takes, Repeated(work)).await
    }

    /// Runs `work` as one unit that is not refused because the disk is full, as long as there is room of what is kept for such ones. It may
    /// run more than once.
    async fn write_giving<T, E>(
        &self,
        scope: Scope,
        work: impl Fn(&Connection) -> Result<T, Stop<E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Fault> + Send + 'static,
    {
        self.write_in(scope, DiskRoom::Gives, Repeated(work)).await
    }

    async fn write_in<T, E>(&self, scope: Scope, room: DiskRoom, work: impl Work<T, E> + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Fault> + Send + 'static,
    {
        let (caller, answer) = oneshot::channel();
        self.shared.writer.push(writer::job(scope, room, work, caller));
        // Without an answer the job was dropped: the queue is closed, or the job panicked.
        answer.await.unwrap_or_else(|_| Err(E::from(Fault::Closed)))
    }

    /// Runs `work`, which only reads a few rows by their keys, on one state of the database, here and now: it takes microseconds
    /// where the pages are in memory, and a hop to a thread and back takes more than ten. What reads more goes to [`Self::read`].
    fn read_near<T, E: From<Fault>>(&self, work: impl FnOnce(&Connection) -> Result<T, Stop<E>>) -> Result<T, E> {
        self.shared.near.read(self.others, work)
    }

    /// Runs `work`, which only reads, on one state of the database, on a thread that may be kept for long.
    async fn read<T, E>(&self, work: impl FnOnce(&Connection) -> Result<T, Stop<E>> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Fault> + Send + 'static,
    {
        let Some(readers) = &self.shared.readers else {
            return self.write(work).await;
        };
        let (caller, answer) = oneshot::channel();
        readers.push(reader::job(work, caller));
        answer.await.unwrap_or_else(|_| Err(E::from(Fault::Closed)))
    }
}

impl Shared {
    fn close(&self) {
        if let Some(readers) = &self.readers {
            readers.close();
        }
        self.writer.close();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.close();
    }
}

/// Makes the file, for its owner only, when it isn't there, and makes its name durable: before anything is in it. One with something
/// in it has its name from a start that waited for that.
fn make_file(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    if options.open(path)?.metadata()?.len() > 0 {
        return Ok(());
    }
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => File::open(directory)?.sync_all(),
        _ => Ok(()),
    }
}

fn prepare(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    connection.pragma_update(None, "foreign_keys", true)?;
    // What savepoints put aside, and what a statement gathers, needs no room on a disk that may be full, and no directory that may not be
    // written to.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "trusted_schema", false)
}

fn prepare_writer(connection: &Connection) -> Result<(), rusqlite::Error> {
    prepare(connection)?;
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        // Without shared memory between connections SQLite stays in the old mode, in which readers stop the writer.
        return Err(rusqlite::Error::InvalidQuery);
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    writer::count_wal_pages(connection);
    connection.pragma_update_and_check(None, "journal_size_limit", WAL_BYTES_KEPT, |_| Ok(()))
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .expect("a process that starts can start a handful of threads")
}
