//! Threads that connections are served on, each with an event loop of its own.
//!
//! A connection stays where it is, and so does what its requests begin. Under one event loop on several threads each request would
//! be handed from thread to thread, and the sleeping one woken for it: two calls to the system and a change of thread, which
//! take longer than to answer most requests of a registry (docs/decisions/0022-speed.md).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// How long the tasks of a lane may take to notice its end.
const END_MAX: Duration = Duration::from_secs(2);

/// The lanes. Clones are the same; with the last one the threads end.
#[derive(Clone)]
pub(crate) struct Lanes {
    lanes: Arc<[Lane]>,
    turn: Arc<AtomicUsize>,
}

struct Lane {
    handle: Handle,
    /// `None` only while it is dropped.
    end: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Lanes {
    /// As many as the machine has cores.
    ///
    /// # Errors
    /// The system gives no thread, or no descriptors for its event loop.
    pub(crate) fn start() -> io::Result<Self> {
        let count = thread::available_parallelism().map_or(1, usize::from);
        let lanes = (0..count).map(|_| Lane::start()).collect::<io::Result<Vec<_>>>()?;
        Ok(Self { lanes: lanes.into(), turn: Arc::default() })
    }

    /// The event loop whose turn it is.
    pub(crate) fn next(&self) -> &Handle {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.lanes.len();
        &self.lanes[turn].handle
    }
}

impl Lane {
    fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel();
        let serve = move || {
            // An end that is only dropped is one too.
            drop(runtime.block_on(ended));
            runtime.shutdown_timeout(END_MAX);
        };
        let thread = thread::Builder::new().name("serving".to_owned()).spawn(serve)?;
        Ok(Self { handle, end: Some((end, thread)) })
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.end.take() {
            // It has ended already when nobody listens.
            let _ = end.send(());
            // Whoever ends on a lane of its own can't wait for itself.
            if thread.thread().id() != thread::current().id() {
                drop(thread.join());
            }
        }
    }
}
