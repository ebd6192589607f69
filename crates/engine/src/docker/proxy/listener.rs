//! A listening address: who is let in, which worker gets the connection, and how its connections learn that it is being closed.

use std::collections::HashMap;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::balancer::{Balancer, lock};
use super::client::Client;
use super::config::{Forwarded, Serves};
use super::worker::{Workers, pick};

/// Pause after the process ran out of file descriptors: some will be closed by then.
const OUT_OF_FILES_PAUSE: Duration = Duration::from_millis(100);

/// How often the log says that there is no room, where that goes on.
const FULL_WORDS_PAUSE: Duration = Duration::from_secs(60);

/// What a listening address and its connections share.
#[derive(Debug)]
pub(super) struct ListenerState {
    pub(super) balancer: Arc<Balancer>,
    /// Can change while it listens.
    pub(super) serves: ArcSwap<Serves>,
    pub(super) closing: Closing,
    /// How long connections may go on once it is closing.
    pub(super) grace: Duration,
    pub(super) forwarded: Forwarded,
}

/// Accepts until it is aborted. Runs on the control thread. Where there is no room for a connection, it and those behind it in the
/// kernel's queue wait until another one ends, of whichever load balancer.
pub(super) async fn accept(listener: TcpListener, state: Arc<ListenerState>, workers: Workers, room: Arc<Semaphore>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            warn!(%error, "cannot watch a listener of load balancer {}", state.balancer.id);
            return;
        }
    };
    let mut warned: Option<Instant> = None;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if !admits(&stream, peer, &state) {
                    continue;
                }
                let place = match Arc::clone(&room).try_acquire_owned() {
                    Ok(place) => place,
                    Err(_) => {
                        if warned.is_none_or(|at| at.elapsed() > FULL_WORDS_PAUSE) {
                            warned = Some(Instant::now());
                            warn!(
                                "load balancer {}: connections wait, for there is room for no more",
                                state.balancer.id
                            );
                        }
                        Arc::clone(&room).acquire_owned().await.expect("the semaphore is never closed")
                    }
                };
                if let Err(error) = welcome(stream, peer, &state, &workers, place, &room) {
                    debug!(%error, "a connection to load balancer {} ended before it began", state.balancer.id);
                }
            }
            Err(error) => refused(&error, &state).await,
        }
    }
}

async fn refused(error: &io::Error, state: &ListenerState) {
    // These concern the one connection that was being accepted (accept(2)).
    if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted) {
        return;
    }
    warn!(%error, "load balancer {} cannot accept a connection for now", state.balancer.id);
    tokio::time::sleep(OUT_OF_FILES_PAUSE).await;
}

/// Whether a connection may stay. One that is closed already may not.
fn admits(stream: &tokio::net::TcpStream, peer: SocketAddr, state: &ListenerState) -> bool {
    let Ok(local) = stream.local_addr() else { return false };
    let admits = state.balancer.settings.load().access.admits(peer.ip(), local.ip());
    if !admits {
        debug!(%peer, "load balancer {} is private, and the peer is not of its networks", state.balancer.id);
    }
    admits
}

fn welcome(
    stream: tokio::net::TcpStream,
    peer: SocketAddr,
    state: &Arc<ListenerState>,
    workers: &Workers,
    place: OwnedSemaphorePermit,
    room: &Arc<Semaphore>,
) -> io::Result<()> {
    let local = stream.local_addr()?;
    stream.set_nodelay(true)?;
    let worker = pick(workers);
    let client = Client::new(Arc::clone(state), worker, peer, local, place, room);
    // It leaves this event loop for the worker's.
    worker.spawn(client.serve(stream.into_std()?));
    Ok(())
}

/// A mark that connections look at, and that wakes them when it is set. Looking costs one atomic load, for connections look each time
/// they are polled.
#[derive(Debug, Default)]
pub(super) struct Closing {
    set: AtomicBool,
    next: AtomicU64,
    wakers: Mutex<HashMap<u64, Waker>>,
}

impl Closing {
    pub(super) fn close(&self) {
        let mut wakers = lock(&self.wakers);
        self.set.store(true, Ordering::SeqCst);
        wakers.drain().for_each(|(_, waker)| waker.wake());
    }

    pub(super) fn is_set(&self) -> bool {
        self.set.load(Ordering::Acquire)
    }

    /// Resolves once the mark is set. Must be polled by one task only: that task's waker is taken at the first poll and kept.
    pub(super) fn wait(&self) -> Wait<'_> {
        Wait { closing: self, place: None }
    }
}

/// See [`Closing::wait`].
#[derive(Debug)]
pub(super) struct Wait<'a> {
    closing: &'a Closing,
    place: Option<u64>,
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.closing.is_set() {
            return Poll::Ready(());
        }
        if self.place.is_none() {
            let place = self.closing.next.fetch_add(1, Ordering::Relaxed);
            let mut wakers = lock(&self.closing.wakers);
            if self.closing.is_set() {
                return Poll::Ready(());
            }
            wakers.insert(place, cx.waker().clone());
            drop(wakers);
            self.place = Some(place);
        }
        Poll::Pending
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            lock(&self.closing.wakers).remove(&place);
        }
    }
}
