//! The writer: one thread, one connection, many jobs in one transaction.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::fault::{Fault, Stop};
use super::near::{self, Near, Shared};
use super::queue::Queue;

#[cfg(test)]
mod tests;

/// Most jobs in one transaction. Enough to make the price of an fsync small for each; few enough that the first of them
/// waits only milliseconds for the last.
const BATCH_MAX: usize = 256;

/// From so many pages on in the WAL they are written back into the database: 4 MiB, as SQLite does by itself.
const WAL_PAGES_MAX: u32 = 1000;

thread_local! {
    /// How many pages the WAL had after the last commit of this thread.
    static WAL_PAGES: Cell<u32> = const { Cell::new(0) };
}

/// Has the pages of the WAL counted, in place of the check that SQLite makes inside each commit: there it would find the views of
/// readers in its way, which are ended after the commit.
pub(super) fn count_wal_pages(connection: &Connection) {
    connection.wal_hook(Some(|_, pages| {
        WAL_PAGES.set(u32::try_from(pages).unwrap_or(0));
        Ok(())
    }));
}

/// What of the store a unit of work may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// What repositories hold, and the audit log: nothing that it is decided by who somebody is.
    Content,
    /// Anything.
    Any,
}

/// How often something was committed, for those who remember what they read.
#[derive(Debug, Default)]
pub(super) struct Commits {
    /// Whatever it was about.
    pub(super) all: AtomicU64,
    /// Those in which there was more than [content](Scope::Content).
    pub(super) beyond_content: AtomicU64,
}

impl Commits {
    /// Counts one. A commit that failed may have happened all the same; counting one too many only costs a read.
    fn count(&self, scope: Scope) {
        self.all.fetch_add(1, Ordering::Release);
        if scope == Scope::Any {
            self.beyond_content.fetch_add(1, Ordering::Release);
        }
    }
}

/// One unit of work with somebody who waits for its outcome.
pub(super) trait Job: Send {
    /// What it may change.
    fn scope(&self) -> Scope;

    /// Runs it inside a transaction that is not committed yet.
    fn run(self: Box<Self>, connection: &Connection) -> Finished;

    /// Answers without having run it.
    fn refuse(self: Box<Self>, fault: Fault);
}

/// A unit of work that has run inside a transaction that is not committed yet.
pub(super) struct Finished {
    changes: Changes,
    /// The failure underneath, when it stopped for one.
    fault: Option<Fault>,
    answer: Answer,
}

/// Tells the caller, once it is known what became of the transaction.
type Answer = Box<dyn FnOnce(Result<(), Fault>)>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Changes {
    Keep,
    Undo,
}

struct Write<W, T, E> {
    scope: Scope,
    work: W,
    caller: oneshot::Sender<Result<T, E>>,
}

/// A job that runs `work`, keeps its changes when that answers `Ok`, and tells `caller` after the commit.
pub(super) fn job<W, T, E>(scope: Scope, work: W, caller: oneshot::Sender<Result<T, E>>) -> Box<dyn Job>
where
    W: FnOnce(&Connection) -> Result<T, Stop<E>> + Send + 'static,
    T: Send + 'static,
    E: From<Fault> + Send + 'static,
{
    Box::new(Write { scope, work, caller })
}

impl<W, T, E> Job for Write<W, T, E>
where
    W: FnOnce(&Connection) -> Result<T, Stop<E>> + Send,
    T: Send + 'static,
    E: From<Fault> + Send + 'static,
{
    fn scope(&self) -> Scope {
        self.scope
    }

    fn run(self: Box<Self>, connection: &Connection) -> Finished {
        let Write { work, caller, .. } = *self;
        let outcome = work(connection);
        let (changes, fault) = match &outcome {
            Ok(_) => (Changes::Keep, None),
            Err(Stop::Refused(_)) => (Changes::Undo, None),
            Err(Stop::Fault(fault)) => (Changes::Undo, Some(fault.clone())),
        };
        let answer = Box::new(move |committed: Result<(), Fault>| {
            // A caller that has stopped waiting is no failure.
            let _ = caller.send(match committed {
                Ok(()) => outcome.map_err(Stop::into_error),
                Err(fault) => Err(E::from(fault)),
            });
        });
        Finished { changes, fault, answer }
    }

    fn refuse(self: Box<Self>, fault: Fault) {
        let _ = self.caller.send(Err(E::from(fault)));
    }
}

/// Does jobs until the queue is closed and empty; counts each commit in `commits` before anybody is told of it.
pub(super) fn run(connection: &Shared, queue: &Queue<Box<dyn Job>>, commits: &Commits, views: &Near) {
    loop {
        let jobs = queue.take(BATCH_MAX);
        if jobs.is_empty() {
            // The last to be closed writes the WAL back into the database.
            drop(near::lock(connection).take());
            return;
        }
        let mut jobs = jobs.into_iter();
        // Nobody waits for the lock but readers of a database in memory, which has no other connection.
        let guard = near::lock(connection);
        let Some(connection) = guard.as_ref() else {
            jobs.for_each(|job| job.refuse(Fault::Closed));
            continue;
        };
        while jobs.len() > 0 {
            transaction(connection, &mut jobs, commits);
            views.end_idle();
        }
        if WAL_PAGES.get() >= WAL_PAGES_MAX {
            write_back(connection, views);
        }
    }
}

/// Writes the WAL back into the database, so that the next commit begins it anew.
fn write_back(connection: &Connection, views: &Near) {
    // All of it can be written back when nobody looks at an older state, and it can begin anew when nobody looks into it.
    views.end_all();
    let written = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(0));
    if let Err(error) = written {
        tracing::warn!(error = %error, "the WAL could not be written back into the database; the next commit tries again");
    }
    views.end_all();
}

/// Takes jobs into one transaction until there are no more or the transaction is lost, and answers those it took.
fn transaction(connection: &Connection, jobs: &mut std::vec::IntoIter<Box<dyn Job>>, commits: &Commits) {
    if let Err(fault) = statement(connection, "BEGIN IMMEDIATE") {
        jobs.for_each(|job| job.refuse(fault.clone()));
        return;
    }
    let mut answers = Vec::with_capacity(jobs.len());
    let mut outcome = Ok(());
    let mut scope = Scope::Content;
    for job in jobs {
        if job.scope() == Scope::Any {
            scope = Scope::Any;
        }
        outcome = inside_savepoint(connection, job, &mut answers);
        if outcome.is_err() {
            break;
        }
    }
    let outcome = outcome.and_then(|()| statement(connection, "COMMIT"));
    if outcome.is_err() && !connection.is_autocommit() {
        // It fails only when the transaction is gone already, which is what is wanted.
        let _ = statement(connection, "ROLLBACK");
    }
    commits.count(scope);
    for answer in answers {
        answer(outcome.clone());
    }
}

/// Runs one job so that its failure undoes nothing but itself. An error means that the whole transaction is lost.
fn inside_savepoint(connection: &Connection, job: Box<dyn Job>, answers: &mut Vec<Answer>) -> Result<(), Fault> {
    if let Err(fault) = statement(connection, "SAVEPOINT job") {
        job.refuse(fault.clone());
        return Err(fault);
    }
    // The job's own state is gone after a panic, and the savepoint takes back what it wrote: nothing broken stays.
    let finished = catch_unwind(AssertUnwindSafe(|| job.run(connection)));
    let (changes, fault) = match finished {
        Ok(finished) => {
            answers.push(finished.answer);
            (finished.changes, finished.fault)
        }
        Err(_) => {
            tracing::error!(
                "a unit of work panicked in the store; its changes are taken back and its caller is told that it failed"
            );
            (Changes::Undo, None)
        }
    };
    // Some failures (a full disk, an I/O error) make SQLite roll the whole transaction back by itself.
    if connection.is_autocommit() {
        return Err(fault.unwrap_or(Fault::Full));
    }
    if changes == Changes::Undo {
        statement(connection, "ROLLBACK TO job")?;
    }
    statement(connection, "RELEASE job")
}

fn statement(connection: &Connection, sql: &str) -> Result<(), Fault> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}
