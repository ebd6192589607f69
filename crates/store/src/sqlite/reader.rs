//! Readers: a few threads, each with a connection that can't write, which it opens for its first read.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::fault::{Fault, Stop};
use super::near::Opener;
use super::queue::Queue;

/// One read with somebody who waits for its outcome.
pub(super) type Job = Box<dyn FnOnce(Result<&Connection, Fault>) + Send>;

/// A job that runs `work` on one state of the database, however many statements it has.
pub(super) fn job<W, T, E>(work: W, caller: oneshot::Sender<Result<T, E>>) -> Job
where
    W: FnOnce(&Connection) -> Result<T, Stop<E>> + Send + 'static,
    T: Send + 'static,
    E: From<Fault> + Send + 'static,
{
    Box::new(move |connection: Result<&Connection, Fault>| {
        let outcome = connection.map_err(Stop::Fault).and_then(|connection| on_snapshot(connection, work));
        // A caller that has stopped waiting is no failure.
        let _ = caller.send(outcome.map_err(Stop::into_error));
    })
}

/// Runs `work` between the beginning and the end of a transaction.
pub(super) fn on_snapshot<T, E>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, Stop<E>>,
) -> Result<T, Stop<E>> {
    connection.prepare_cached("BEGIN")?.execute([])?;
    // The guard ends the transaction after a panic too; a reader that kept it would hold the WAL for ever.
    let _end = End(connection);
    work(connection)
}

struct End<'a>(&'a Connection);

impl Drop for End<'_> {
    fn drop(&mut self) {
        let ended = self.0.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
        if let Err(error) = ended {
            tracing::error!(error = %error, "a read transaction could not be ended");
        }
    }
}

/// Does jobs until the queue is closed and empty. A connection that can't be opened fails the job that it was to be for; the next
/// one tries again.
pub(super) fn run(open: &Opener, queue: &Queue<Job>) {
    let mut connection = None;
    loop {
        let jobs = queue.take(1);
        if jobs.is_empty() {
            return;
        }
        for job in jobs {
            let opened = match &connection {
                Some(connection) => Ok(connection),
                None => open().map(|opened| &*connection.insert(opened)).map_err(Fault::from),
            };
            // A read changes nothing, so nothing broken stays after a panic; the caller sees its channel close.
            if catch_unwind(AssertUnwindSafe(|| job(opened))).is_err() {
                tracing::error!("a read panicked in the store; its caller is told that it failed");
            }
        }
    }
}
