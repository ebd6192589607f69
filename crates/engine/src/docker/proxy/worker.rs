//! The threads: workers that carry traffic, and one control thread that accepts and probes.
//!
//! Each has a single-threaded event loop of its own, apart from the rest of the process, so that traffic flows whatever the control
//! plane is doing. Accepted connections are dealt out by the control thread to the worker with the fewest, and stay there; so do
//! connections to targets. Nothing on a request's way is shared between workers but counters.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

/// All workers of a proxy.
pub(super) type Workers = Arc<[Arc<Worker>]>;

/// One thread that carries traffic.
#[derive(Debug)]
pub(super) struct Worker {
    /// Its number, from 0: names its shelf in the pools.
    pub(super) index: usize,
    handle: Handle,
    connections: AtomicUsize,
    empty: Notify,
}

/// Counts a connection on its worker until it is dropped.
#[derive(Debug)]
pub(super) struct Seat(Arc<Worker>);

impl Seat {
    pub(super) fn take(worker: &Arc<Worker>) -> Self {
        worker.connections.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(worker))
    }

    pub(super) fn worker(&self) -> &Arc<Worker> {
        &self.0
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.0.connections.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.empty.notify_one();
        }
    }
}

/// The worker with the fewest connections.
pub(super) fn pick(workers: &Workers) -> &Arc<Worker> {
    let fewest = workers.iter().min_by_key(|worker| worker.connections.load(Ordering::Relaxed));
    fewest.expect("a proxy starts with at least one worker")
}

impl Worker {
    /// Runs a task on this worker.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.handle.spawn(task));
    }

    /// Starts the thread. It ends `grace` after `stop` changed or its sender went, or as soon after as it has no connection.
    pub(super) fn start(index: usize, stop: watch::Receiver<bool>, grace: Duration) -> io::Result<Arc<Self>> {
        let runtime = event_loop()?;
        let handle = runtime.handle().clone();
        let worker = Arc::new(Self { index, handle, connections: AtomicUsize::new(0), empty: Notify::new() });
        let this = Arc::clone(&worker);
        let ending = async move {
            let all_gone = async {
                while this.connections.load(Ordering::SeqCst) > 0 {
                    this.empty.notified().await;
                }
            };
            drop(timeout(grace, all_gone).await);
        };
        drive(runtime, format!("l0-proxy-{index}"), stop, ending)?;
        Ok(worker)
    }
}

/// Starts the control thread; it ends as soon as `stop` changed or its sender went.
pub(super) fn start_control(stop: watch::Receiver<bool>) -> io::Result<Handle> {
    let runtime = event_loop()?;
    let handle = runtime.handle().clone();
    drive(runtime, "l0-proxy-ctl".to_owned(), stop, async {})?;
    Ok(handle)
}

/// A new event loop, not yet driven by anybody.
fn event_loop() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Drives an event loop on a thread of its own, until `stop`, then until `ending` is over.
fn drive(
    runtime: Runtime,
    name: String,
    mut stop: watch::Receiver<bool>,
    ending: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    thread::Builder::new().name(name).spawn(move || {
        runtime.block_on(async {
            // An error says that the sender has gone, which is a stop as well.
            drop(stop.wait_for(|stopped| *stopped).await);
            ending.await;
        });
        // Whatever still runs ends here; `stop` goes last, so that who waits for it knows that all is over.
        runtime.shutdown_background();
        drop(stop);
    })?;
    Ok(())
}
