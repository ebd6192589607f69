//! Reads where their caller runs: of a few rows by their keys, which take less time than handing them to a thread would.
//!
//! A connection keeps its view of the database from one read to the next, for as long as it is the newest: taking a new one costs
//! four calls to the system, more than the read itself. So that an old view does not keep the WAL from being written back, the
//! writer has the views of idle connections ended with every commit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use rusqlite::Connection;

use super::Others;
use super::fault::{Fault, Stop};
use super::reader::on_snapshot;

/// A connection that is taken away when the store closes.
pub(super) type Shared = Arc<Mutex<Option<Connection>>>;

/// Connections for reads on the caller's thread.
pub(super) enum Near {
    /// Of their own.
    Own {
        connections: Vec<Mutex<Option<Viewing>>>,
        /// Whose turn it is when all are in use.
        turn: AtomicUsize,
        /// Counts commits, and whatever else may make a view old.
        commits: Arc<AtomicU64>,
    },
    /// The writer's: a database in memory has no other.
    Writers(Shared),
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
    /// On connections of their own, at least one.
    pub(super) fn own(connections: Vec<Connection>, commits: Arc<AtomicU64>) -> Self {
        let connections =
            connections.into_iter().map(|connection| Mutex::new(Some(Viewing { connection, since: None }))).collect();
        Self::Own { connections, turn: AtomicUsize::new(0), commits }
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
            Self::Own { connections, turn, commits } => {
                let mut guard = free(connections).unwrap_or_else(|| {
                    let turn = turn.fetch_add(1, Ordering::Relaxed) % connections.len();
                    lock(&connections[turn])
                });
                let viewing = guard.as_mut().ok_or(Stop::Fault(Fault::Closed))?;
                let read = viewing.read(commits.load(Ordering::Acquire), work);
                // The writer may have found this connection in use when it ended the views.
                let is_newest = others == Others::None && viewing.since == Some(commits.load(Ordering::Acquire));
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
                drop(lock(connection).take());
            }
        }
    }

    /// Ends the views that are kept. Whoever reads meanwhile ends his own if a commit was counted before.
    pub(super) fn end_idle(&self) {
        if let Self::Own { connections, .. } = self {
            for connection in connections {
                if let Ok(mut guard) = connection.try_lock()
                    && let Some(viewing) = guard.as_mut()
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
                if let Some(viewing) = lock(connection).as_mut() {
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
