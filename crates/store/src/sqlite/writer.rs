//! The writer: one thread, one connection, many jobs in one transaction.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use layer0_domain::model::registry::Visibility;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::fault::{Fault, Stop};
use super::near::{self, Near, Shared};
use super::queue::Queue;
use super::reserve::{self, Reserve};

#[cfg(test)]
mod tests;

/// Most jobs in one transaction. Enough to make the price of an fsync small for each; few enough that the first of them
/// waits only milliseconds for the last.
const BATCH_MAX: usize = 256;

/// From so many pages on in the WAL they are written back into the database: 4 MiB, as SQLite does by itself.
const WAL_PAGES_MAX: u32 = 1000;

/// How much of what is kept for deletes is given at first to one that finds no room, in bytes; then twice as much, and so on: the others on the
/// disk may have it too, until it is taken back.
const GIVEN_FIRST: u64 = 256 * 1024;

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

/// What a unit of work does to the room on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DiskRoom {
    /// It takes some, as all do that keep something.
    Takes,
    /// It gives some back, ends something, lets somebody in or shuts somebody out, or notes down that this was done: it must not fail because
    /// the disk is full. It can run again.
    Gives,
}

impl DiskRoom {
    /// That of a change to who may see a repository: it may shut everybody out.
    pub(super) fn of(visibility: Visibility) -> Self {
        match visibility {
            Visibility::Public => Self::Takes,
            Visibility::Private => Self::Gives,
        }
    }
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

    /// What it does to the room on the disk.
    fn disk_room(&self) -> DiskRoom;

    /// Whether it can run once more, after all that it wrote was undone.
    fn repeats(&self) -> bool;

    /// Runs it inside a transaction that is not committed yet, and keeps what came of it for its caller.
    fn run(&mut self, connection: &Connection) -> Ran;

    /// Tells its caller what came of it, or the fault for which its transaction was not committed.
    fn answer(self: Box<Self>, committed: Result<(), Fault>);
}

/// What becomes of a job's changes.
#[derive(Debug)]
pub(super) enum Ran {
    /// They are part of the transaction.
    Keep,
    /// There must be none: it refused, or stopped for a failure underneath.
    Undo(Option<Fault>),
}

/// What a job runs: once, or as often as it takes.
pub(super) trait Work<T, E>: Send {
    /// Whether it can run more than once.
    const REPEATS: bool;

    fn run(&mut self, connection: &Connection) -> Result<T, Stop<E>>;
}

/// Work that is used up by running.
pub(super) struct Once<W>(pub(super) Option<W>);

/// Work that only reads what it was made with.
pub(super) struct Repeated<W>(pub(super) W);

impl<T, E, W: FnOnce(&Connection) -> Result<T, Stop<E>> + Send> Work<T, E> for Once<W> {
    const REPEATS: bool = false;

    fn run(&mut self, connection: &Connection) -> Result<T, Stop<E>> {
        let work = self.0.take().ok_or(Stop::Fault(Fault::Closed))?;
        work(connection)
    }
}

impl<T, E, W: Fn(&Connection) -> Result<T, Stop<E>> + Send> Work<T, E> for Repeated<W> {
    const REPEATS: bool = true;

    fn run(&mut self, connection: &Connection) -> Result<T, Stop<E>> {
        (self.0)(connection)
    }
}

struct Write<W, T, E> {
    scope: Scope,
    room: DiskRoom,
    work: W,
    /// What came of it; `None` before it ran, and after a panic.
    outcome: Option<Result<T, Stop<E>>>,
    caller: oneshot::Sender<Result<T, E>>,
}

/// A job that runs `work`, keeps its changes when that answers `Ok`, and tells `caller` after the commit.
pub(super) fn job<W, T, E>(scope: Scope, room: DiskRoom, work: W, caller: oneshot::Sender<Result<T, E>>) -> Box<dyn Job>
where
    W: Work<T, E> + 'static,
    T: Send + 'static,
    E: From<Fault> + Send + 'static,
{
    Box::new(Write { scope, room, work, outcome: None, caller })
}

impl<W, T, E> Job for Write<W, T, E>
where
    W: Work<T, E>,
    T: Send,
    E: From<Fault> + Send,
{
    fn scope(&self) -> Scope {
        self.scope
    }

    fn disk_room(&self) -> DiskRoom {
        self.room
    }

    fn repeats(&self) -> bool {
        W::REPEATS
    }

    fn run(&mut self, connection: &Connection) -> Ran {
        self.outcome = None;
        match self.outcome.insert(self.work.run(connection)) {
            Ok(_) => Ran::Keep,
            Err(Stop::Refused(_)) => Ran::Undo(None),
            Err(Stop::Fault(fault)) => Ran::Undo(Some(fault.clone())),
        }
    }

    fn answer(self: Box<Self>, committed: Result<(), Fault>) {
        let Self { outcome, caller, .. } = *self;
        let answer = match (committed, outcome) {
            (Err(fault), _) => Err(E::from(fault)),
            (Ok(()), Some(outcome)) => outcome.map_err(Stop::into_error),
            (Ok(()), None) => Err(E::from(Fault::Closed)),
        };
        // A caller that has stopped waiting is no failure.
        let _ = caller.send(answer);
    }
}

/// Does jobs until the queue is closed and empty; counts each commit in `commits` before anybody is told of it.
pub(super) fn run(
    connection: &Shared,
    queue: &Queue<Box<dyn Job>>,
    commits: &Commits,
    views: &Near,
    reserve: &mut Reserve,
) {
    // While there is room: later may be too late.
    reserve.hold();
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
            jobs.for_each(|job| job.answer(Err(Fault::Closed)));
            continue;
        };
        while jobs.len() > 0 {
            if !has_room(connection, reserve) {
                jobs = without_those_that_take_room(jobs);
            }
            transaction(connection, &mut jobs, commits, views, reserve);
            views.end_idle();
        }
        if WAL_PAGES.get() >= WAL_PAGES_MAX {
            write_back(connection, views, reserve);
        }
    }
}

/// Writes the WAL back into the database, so that the next commit begins it anew.
fn write_back(connection: &Connection, views: &Near, reserve: &mut Reserve) {
    // All of it can be written back when nobody looks at an older state, and it can begin anew when nobody looks into it.
    views.end_all();
    let write = || connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(0));
    let mut written = write().map_err(Fault::from);
    // What is kept for deletes is not given to pushes. When deletes have needed some, the rest is good for this, where it is enough.
    let lacking = lacks(connection).filter(|lacking| reserve.is_short() && *lacking <= reserve.held());
    if let Some(lacking) = lacking {
        with_what_is_kept(reserve, lacking.max(GIVEN_FIRST), &mut written, || write().map_err(Fault::from));
    }
    if let Err(error) = written {
        tracing::warn!(error = %error, "the WAL could not be written back into the database; the next commit tries again");
    }
    views.end_all();
}

/// Does something again that found no room, with more and more of what is kept, which is taken back before anybody else has it.
fn with_what_is_kept<T>(
    reserve: &mut Reserve,
    first: u64,
    outcome: &mut Result<T, Fault>,
    mut again: impl FnMut() -> Result<T, Fault>,
) {
    let mut step = first;
    while matches!(outcome, Err(Fault::Full)) && reserve.give(step) {
        *outcome = again();
        step *= 2;
    }
    if step > first {
        reserve.hold();
    }
}

/// How many bytes the database's file gets longer by when all is written back.
fn lacks(connection: &Connection) -> Option<u64> {
    let pages = |name| connection.pragma_query_value(None, name, |row| row.get::<_, u32>(0)).map(u64::from).ok();
    let length = std::fs::metadata(connection.path()?).ok()?.len();
    Some((pages("page_count")? * pages("page_size")?).saturating_sub(length))
}

/// Whether what takes room may have some: all of what is kept for deletes is there, beside the database or inside, in pages that deletes have
/// left.
fn has_room(connection: &Connection, reserve: &mut Reserve) -> bool {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, u32>(0)).map_or(0, u64::from);
    reserve.hold() || reserve.held() + number("freelist_count") * number("page_size") >= reserve::BYTES
}

/// Refuses what takes room; the others stay.
fn without_those_that_take_room(jobs: std::vec::IntoIter<Box<dyn Job>>) -> std::vec::IntoIter<Box<dyn Job>> {
    let (giving, taking): (Vec<_>, Vec<_>) = jobs.partition(|job| job.disk_room() == DiskRoom::Gives);
    taking.into_iter().for_each(|job| job.answer(Err(Fault::Full)));
    giving.into_iter()
}

/// Takes jobs into one transaction until there are no more or the transaction is lost, and answers those it took.
///
/// A job that goes wrong undoes nothing but itself. A savepoint for each would see to that, but before a page is changed SQLite copies
/// it for each of them. So as long as all jobs can run again there is none: most that refuse have written nothing yet, and for the
/// rest all are undone and run once more, each in a savepoint of its own.
///
/// When there is no room for them, those that give room back run once more, each in a transaction of its own: with the others it was too much,
/// or it takes some of what is kept for them.
fn transaction(
    connection: &Connection,
    jobs: &mut std::vec::IntoIter<Box<dyn Job>>,
    commits: &Commits,
    views: &Near,
    reserve: &mut Reserve,
) {
    if jobs.len() == 0 {
        return;
    }
    if let Err(fault) = statement(connection, "BEGIN IMMEDIATE") {
        jobs.for_each(|job| job.answer(Err(fault.clone())));
        return;
    }
    let mut taken: Vec<Box<dyn Job>> = Vec::with_capacity(jobs.len());
    let mut outcome = Ok(());
    let mut scope = Scope::Content;
    let mut all_repeat = true;
    for mut job in jobs {
        if job.scope() == Scope::Any {
            scope = Scope::Any;
        }
        all_repeat &= job.repeats();
        let ran = if all_repeat {
            in_the_open(connection, &mut *job)
        } else {
            inside_savepoint(connection, &mut *job).map(|()| Left::Whole)
        };
        taken.push(job);
        outcome = match ran {
            Ok(Left::Whole) => Ok(()),
            Ok(Left::Dirty) => {
                all_repeat = false;
                again(connection, &mut taken)
            }
            Err(fault) => Err(fault),
        };
        if outcome.is_err() {
            break;
        }
    }
    let outcome = outcome.and_then(|()| commit(connection));
    if outcome.is_err() && !connection.is_autocommit() {
        // It fails only when the transaction is gone already, which is what is wanted.
        let _ = statement(connection, "ROLLBACK");
    }
    commits.count(scope);
    for job in taken {
        if matches!(outcome, Err(Fault::Full)) && job.disk_room() == DiskRoom::Gives {
            alone(connection, job, commits, views, reserve);
        } else {
            job.answer(outcome.clone());
        }
    }
}

/// Runs a job that must not fail because the disk is full in a transaction of its own, with what is kept for such jobs if it must be.
fn alone(connection: &Connection, mut job: Box<dyn Job>, commits: &Commits, views: &Near, reserve: &mut Reserve) {
    let mut run = || {
        statement(connection, "BEGIN IMMEDIATE")?;
        let outcome = inside_savepoint(connection, &mut *job).and_then(|()| commit(connection));
        if outcome.is_err() && !connection.is_autocommit() {
            let _ = statement(connection, "ROLLBACK");
        }
        outcome
    };
    let mut outcome = run();
    with_what_is_kept(reserve, GIVEN_FIRST, &mut outcome, &mut run);
    // Others have had what was kept. As long as it takes no room to write the WAL back, there is some in that.
    if matches!(outcome, Err(Fault::Full)) && lacks(connection) == Some(0) {
        write_back(connection, views, reserve);
        outcome = run();
    }
    commits.count(job.scope());
    job.answer(outcome);
}

/// How a job has left the transaction that it ran in.
enum Left {
    /// With its changes, or without any because it went wrong.
    Whole,
    /// It went wrong, and changes of it are there.
    Dirty,
}

/// Runs one job that can run again. An error means that the whole transaction is lost.
fn in_the_open(connection: &Connection, job: &mut dyn Job) -> Result<Left, Fault> {
    let before = connection.total_changes();
    let ran = caught(connection, job)?;
    match ran {
        Some(Ran::Keep) => Ok(Left::Whole),
        // Whether a panic left anything half done is not looked at: it ends in a savepoint.
        Some(Ran::Undo(_)) if connection.total_changes() == before => Ok(Left::Whole),
        Some(Ran::Undo(_)) | None => Ok(Left::Dirty),
    }
}

/// Undoes all that these jobs have changed and runs them again. An error means that the whole transaction is lost.
fn again(connection: &Connection, jobs: &mut [Box<dyn Job>]) -> Result<(), Fault> {
    statement(connection, "ROLLBACK")?;
    statement(connection, "BEGIN IMMEDIATE")?;
    jobs.iter_mut().try_for_each(|job| inside_savepoint(connection, &mut **job))
}

/// Runs one job so that its failure undoes nothing but itself. An error means that the whole transaction is lost.
fn inside_savepoint(connection: &Connection, job: &mut dyn Job) -> Result<(), Fault> {
    statement(connection, "SAVEPOINT job")?;
    // The job's own state is gone after a panic, and the savepoint takes back what it wrote: nothing broken stays.
    let ran = caught(connection, job)?;
    if ran.is_none() {
        tracing::error!(
            "a unit of work panicked in the store; its changes are taken back and its caller is told that it failed"
        );
    }
    if !matches!(ran, Some(Ran::Keep)) {
        statement(connection, "ROLLBACK TO job")?;
    }
    statement(connection, "RELEASE job")
}

/// Runs a job; `None` when it panicked. An error means that the whole transaction is lost.
fn caught(connection: &Connection, job: &mut dyn Job) -> Result<Option<Ran>, Fault> {
    let ran = catch_unwind(AssertUnwindSafe(|| job.run(connection))).ok();
    // Some failures (a full disk, an I/O error) make SQLite roll the whole transaction back by itself.
    if connection.is_autocommit() {
        return Err(match ran {
            Some(Ran::Undo(Some(fault))) => fault,
            _ => Fault::Full,
        });
    }
    Ok(ran)
}

fn commit(connection: &Connection) -> Result<(), Fault> {
    let committed = connection.prepare_cached("COMMIT").and_then(|mut it| it.execute([]));
    committed.map(drop).map_err(Fault::of_commit)
}

fn statement(connection: &Connection, sql: &str) -> Result<(), Fault> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}
