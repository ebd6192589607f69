//! Idle connections to one target, apart for each worker.
//!
//! A connection is bound to the event loop of the worker that opened it, so each worker has its own shelf and only ever takes from
//! that; the lock is contended only by the sweep.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::Upstream;
use crate::docker::proxy::balancer::lock;

/// How long a connection may wait for its next request. Shorter than what servers commonly keep (gunicorn 2 s, Node.js and Apache 5 s,
/// nginx 75 s), so that it is us who close, and a request seldom meets a connection that is being closed.
pub(crate) const KEEP_IDLE: Duration = Duration::from_millis(1500);

/// More idle connections than this to one target, from one worker, are closed.
const MOST_IDLE: usize = 256;

/// The shelves of one target.
#[derive(Debug)]
pub(crate) struct Pool {
    shelves: Box<[Mutex<Vec<Idle>>]>,
}

#[derive(Debug)]
struct Idle {
    port: u16,
    since: Instant,
    upstream: Box<Upstream>,
}

impl Pool {
    pub(crate) fn new(workers: usize) -> Self {
        Self { shelves: (0..workers).map(|_| Mutex::new(Vec::new())).collect() }
    }

    /// The connection used last: it is the least likely to have been closed.
    pub(crate) fn take(&self, worker: usize, port: u16, now: Instant) -> Option<Box<Upstream>> {
        let mut shelf = lock(self.shelves.get(worker)?);
        let at = shelf.iter().rposition(|idle| idle.port == port)?;
        if now.saturating_duration_since(shelf[at].since) > KEEP_IDLE {
            // All below it are older still.
            shelf.retain(|idle| idle.port != port);
            return None;
        }
        Some(shelf.remove(at).upstream)
    }

    pub(crate) fn put(&self, worker: usize, port: u16, upstream: Box<Upstream>) {
        let Some(shelf) = self.shelves.get(worker) else { return };
        let mut shelf = lock(shelf);
        if shelf.len() < MOST_IDLE {
            shelf.push(Idle { port, since: Instant::now(), upstream });
        }
    }

    /// Closes all.
    pub(crate) fn clear(&self) {
        for shelf in &self.shelves {
            drop(std::mem::take(&mut *lock(shelf)));
        }
    }

    /// Closes what waited too long.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        for shelf in &self.shelves {
            lock(shelf).retain(|idle| now.saturating_duration_since(idle.since) <= KEEP_IDLE);
        }
    }
}
