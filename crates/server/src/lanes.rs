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
    lanes: Arc<All>,
    turn: Arc<AtomicUsize>,
}

struct All(Vec<Lane>);

struct Lane {
    handle: Handle,
    /// `None` once it was told to end.
    end: Option<oneshot::Sender<()>>,
    /// `None` only while it is dropped.
    thread: Option<JoinHandle<()>>,
}

impl Lanes {
    /// As many as the machine has cores.
    ///
    /// # Errors
    /// The system gives no thread, or no descriptors for its event loop.
    pub(crate) fn start() -> io::Result<Self> {
        let count = thread::available_parallelism().map_or(1, usize::from);
        let lanes = (0..count).map(|_| Lane::start()).collect::<io::Result<Vec<_>>>()?;
        Ok(Self { lanes: Arc::new(All(lanes)), turn: Arc::default() })
    }

    /// The event loop whose turn it is.
    pub(crate) fn next(&self) -> &Handle {
        let All(lanes) = &*self.lanes;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % lanes.len();
        &lanes[turn].handle
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
        Ok(Self { handle, end: Some(end), thread: Some(thread) })
    }
}

impl Lane {
    fn end(&mut self) {
        if let Some(end) = self.end.take() {
            // It has ended already when nobody listens.
            let _ = end.send(());
        }
    }
}

/// All are told before one is waited for: each may take as long as it may to end.
impl Drop for All {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(Lane::end);
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.end();
        if let Some(thread) = self.thread.take()
            // Whoever ends on a lane of its own can't wait for itself.
            && thread.thread().id() != thread::current().id()
        {
            drop(thread.join());
        }
    }
}
