//! Reads where their caller runs: of a few rows by their keys, which take less time than handing them to a thread would.
//!
//! A connection keeps its view of the database from one read to the next, for as long as it is the newest: taking a new one costs
//! four calls to the system, more than the read itself. So that an old view does not keep the WAL from being written back, the
//! writer has the views of idle connections ended with every commit.
//!
//! The first connection is there from the start; another one is opened when all that are open are in use. Each reads the whole schema
//! before its first statement, and keeps it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use rusqlite::Connection;

use super::Others;
use super::fault::{Fault, Stop};
use super::reader::on_snapshot;
use super::writer::Commits;

/// A connection that is taken away when the store closes.
pub(super) type Shared = Arc<Mutex<Option<Connection>>>;

/// Connections for reads on the caller's thread.
pub(super) enum Near {
    /// Of their own.
    Own {
        connections: Vec<Mutex<Slot>>,
        /// Opens another one.
        open: Opener,
        /// Whose turn it is when all are in use.
        turn: AtomicUsize,
        /// Counts commits, and whatever else may make a view old.
        commits: Arc<Commits>,
    },
    /// The writer's: a database in memory has no other.
    Writers(Shared),
}

/// Opens a connection that can only read.
pub(super) type Opener = Box<dyn Fn() -> Result<Connection, rusqlite::Error> + Send + Sync>;

/// The place of a connection.
#[expect(
    clippy::large_enum_variant,
    reason = "there is a handful of them, and one is open for each that is read at a time"
)]
pub(super) enum Slot {
    /// It was not needed yet.
    Unopened,
    Open(Viewing),
    /// The store is closed.
    Closed,
}

impl Slot {
    fn opened(&mut self) -> Option<&mut Viewing> {
        match self {
            Self::Open(viewing) => Some(viewing),
            Self::Unopened | Self::Closed => None,
        }
    }

    /// The connection, opened now if it was not.
    fn get(&mut self, open: &Opener) -> Result<&mut Viewing, Fault> {
        if matches!(self, Self::Unopened) {
            *self = Self::Open(Viewing { connection: open()?, since: None });
        }
        self.opened().ok_or(Fault::Closed)
    }
}

/// A connection and its view of the database.
pub(super) struct Viewing {
    connection: Connection,
    /// How many commits had been counted before it began; `None` for no view.
    since: Option<u64>,
}

impl Viewing {
    /// Runs `work` on a view that has all of the first `commits` commits.
    fn read<T, E>(&mut self, commits: u64, work: impl FnOnce(&Connection) -> Result<T, Stop<E>>) -> Result<T, Stop<E>> {
        if self.since != Some(commits) {
            self.end();
            self.connection.prepare_cached("BEGIN")?.execute([])?;
            self.since = Some(commits);
        }
        work(&self.connection)
    }

    fn end(&mut self) {
        if self.since.take().is_none() {
            return;
        }
        let ended = self.connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
        if let Err(error) = ended {
            tracing::error!(error = %error, "a read transaction could not be ended");
        }
    }
}

impl Near {
    /// On connections of their own, `most` of them; the first is opened here.
    pub(super) fn own(most: usize, open: Opener, commits: Arc<Commits>) -> Result<Self, rusqlite::Error> {
        let first = Slot::Open(Viewing { connection: open()?, since: None });
        let later = std::iter::repeat_with(|| Slot::Unopened).take(most.saturating_sub(1));
        let connections = std::iter::once(first).chain(later).map(Mutex::new).collect();
        Ok(Self::Own { connections, open, turn: AtomicUsize::new(0), commits })
    }

    /// Runs `work` on one state of the database, no older than this call. A view is not kept where others write too. Waits for another caller's read when there are more of
    /// them than connections.
    pub(super) fn read<T, E: From<Fault>>(
        &self,
        others: Others,
        work: impl FnOnce(&Connection) -> Result<T, Stop<E>>,
    ) -> Result<T, E> {
        // A read changes nothing, so nothing broken stays after a panic.
        let done = catch_unwind(AssertUnwindSafe(|| match self {
            Self::Own { connections, open, turn, commits } => {
                let mut guard = free(connections).unwrap_or_else(|| {
                    let turn = turn.fetch_add(1, Ordering::Relaxed) % connections.len();
                    lock(&connections[turn])
                });
                if let Slot::Unopened = *guard
                    && let Err(fault) = guard.get(open)
                {
                    // The system has no room for another one now; the first is there.
                    tracing::debug!(error = %fault, "another connection for reads could not be opened");
                    guard = lock(&connections[0]);
                }
                let viewing = guard.get(open).map_err(Stop::Fault)?;
                let read = viewing.read(commits.all.load(Ordering::Acquire), work);
                // The writer may have found this connection in use when it ended the views.
                let is_newest = others == Others::None && viewing.since == Some(commits.all.load(Ordering::Acquire));
                if !is_newest || read.is_err() {
                    viewing.end();
                }
                read
            }
            Self::Writers(connection) => {
                let guard = lock(connection);
                on_snapshot(guard.as_ref().ok_or(Stop::Fault(Fault::Closed))?, work)
            }
        }));
        match done {
            Ok(outcome) => outcome.map_err(Stop::into_error),
            Err(_) => {
                tracing::error!("a read panicked in the store; its caller is told that it failed");
                Err(E::from(Fault::Closed))
            }
        }
    }

    /// Closes all connections of their own; later reads are answered with `Failed`.
    pub(super) fn close(&self) {
        if let Self::Own { connections, .. } = self {
            for connection in connections {
                *lock(connection) = Slot::Closed;
            }
        }
    }

    /// Ends the views that are kept. Whoever reads meanwhile ends his own if a commit was counted before.
    pub(super) fn end_idle(&self) {
        if let Self::Own { connections, .. } = self {
            for connection in connections {
                if let Ok(mut guard) = connection.try_lock()
                    && let Some(viewing) = guard.opened()
                {
                    viewing.end();
                }
            }
        }
    }

    /// Ends all views, and waits for the reads that are under way.
    pub(super) fn end_all(&self) {
        if let Self::Own { connections, .. } = self {
            for connection in connections {
                if let Some(viewing) = lock(connection).opened() {
                    viewing.end();
                }
            }
        }
    }
}

/// A connection that nobody uses.
fn free<T>(connections: &[Mutex<T>]) -> Option<MutexGuard<'_, T>> {
    connections.iter().find_map(|connection| match connection.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    })
}

/// What is behind the lock is whole after a panic too: a read changes nothing, and a transaction of the writer's ends with its guard.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
