//! The load balancer of the Docker engine: a reverse proxy in this process, on threads of its own.
//!
//! ```text
//! client -> listener (control thread: access, deals out) -> client connection (a worker: hyper's server, or raw TCP)
//!        -> forward (choose, retry) -> upstream (pooled HTTP/1.1 connection) -> target
//! health (control thread): one probe loop per target -> balancer: verdicts -> snapshot that workers read without a lock
//! ```
//!
//! It depends on nothing else of Layer0 and can only be told things ([`Proxy::ensure`], [`Proxy::targets_set`]), so a store, an engine
//! or a control plane that is busy or hangs leaves traffic alone. Its threads run single-threaded event loops, one connection stays on
//! one thread, and connections to targets are pooled per thread: nothing on a request's way is shared but counters.
//!
//! Rules that hold throughout:
//! - An unchanged listening address is never closed, whatever else of its load balancer changes; its connections go on.
//! - Bodies are streamed and never kept.
//! - A request is sent to a second target only when the first cannot have carried it out, or when doing so twice is harmless.
//! - A target that was seen empty after it began to drain stays empty.
//!
//! Callers: the Docker engine only. Errors are [`ProxyError`]; nothing here waits without a bound.

mod activity;
mod balancer;
mod bind;
mod client;
mod config;
mod error;
mod forward;
mod health;
mod listener;
mod response;
mod rules;
mod timer;
mod tunnel;
mod upstream;
mod worker;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use self::balancer::{Balancer, Settings, announce, lock};
use self::listener::{Closing, ListenerState};
use self::worker::{Worker, Workers};

pub use self::config::{
    Access, Drained, Forwarded, HealthCheck, HealthCheckKind, Listener, Listening, LoadBalancerConfig, PortOverride,
    ProxySettings, Rule, Serves, Subnet, Target, TargetHealth, TargetStatus,
};
pub use self::error::{Holder, ProxyError};

/// How often idle connections to targets are looked through.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// A running proxy. Dropping it stops it as [`Proxy::shutdown`] does, without waiting.
#[derive(Debug)]
pub struct Proxy {
    control: Handle,
    workers: Workers,
    grace: Duration,
    /// Places for connections, of all listeners together.
    room: Arc<Semaphore>,
    forwarded: Forwarded,
    entries: Arc<Mutex<Entries>>,
    /// Held while listeners change, so that two changes do not take each other's ports.
    turn: tokio::sync::Mutex<()>,
    changes: watch::Sender<u64>,
    stop: watch::Sender<bool>,
}

type Entries = HashMap<String, Entry>;

/// One load balancer as it runs.
#[derive(Debug)]
struct Entry {
    balancer: Arc<Balancer>,
    listeners: Vec<Open>,
}

/// One open listening address.
#[derive(Debug)]
struct Open {
    listening: Listening,
    state: Arc<ListenerState>,
    accept: JoinHandle<()>,
}

impl Open {
    /// Stops accepting and lets connections end. When this is over, the port is free.
    async fn close(self) {
        self.state.closing.close();
        self.accept.abort();
        // The socket goes with the task; that it was aborted is no news.
        drop(self.accept.await);
    }
}

impl Proxy {
    /// Starts the threads. Needs no runtime; the futures that the methods return can be awaited on any tokio runtime with time.
    ///
    /// # Errors
    /// [`ProxyError::Start`] when the system gives no thread or event queue.
    pub fn start(settings: &ProxySettings) -> Result<Self, ProxyError> {
        let (stop, stopped) = watch::channel(false);
        let count = settings.workers.max(1);
        let workers = (0..count)
            .map(|index| Worker::start(index, stopped.clone(), settings.grace))
            .collect::<Result<Vec<_>, _>>();
        let workers = workers.map_err(ProxyError::Start)?;
        let control = worker::start_control(stopped).map_err(ProxyError::Start)?;
        let entries = Arc::new(Mutex::new(Entries::new()));
        control.spawn(sweep(Arc::clone(&entries)));
        Ok(Self {
            control,
            workers: workers.into(),
            grace: settings.grace,
            room: Arc::new(Semaphore::new(settings.connections.clamp(1, Semaphore::MAX_PERMITS))),
            forwarded: settings.forwarded,
            entries,
            turn: tokio::sync::Mutex::new(()),
            changes: watch::Sender::new(0),
            stop,
        })
    }

    /// Makes a load balancer be as `config` says, creating it if need be. Idempotent. Addresses that stay are kept open with their
    /// connections, even when what is served there changes (new connections, and new requests of old ones, follow that);
    /// addresses that go are closed gracefully.
    ///
    /// # Errors
    /// [`ProxyError::PortHeld`], [`ProxyError::Bind`]: an address cannot be listened on; nothing has changed then, except where the
    /// address overlaps one that this very load balancer gave up for it, which stays given up.
    /// [`ProxyError::Twice`]: an address is named twice. [`ProxyError::Stopped`]: after the shutdown.
    pub async fn ensure(&self, config: LoadBalancerConfig) -> Result<(), ProxyError> {
        let _turn = self.turn.lock().await;
        let wanted = wanted(&config)?;
        let (open, balancer) = match lock(&self.entries).get(&config.id) {
            Some(entry) => (entry.listeners.iter().map(|open| open.listening).collect(), Arc::clone(&entry.balancer)),
            None => (
                Vec::new(),
                Arc::new(Balancer::new(
                    config.id.clone(),
                    Settings::of(&config),
                    self.changes.clone(),
                    self.workers.len(),
                )),
            ),
        };
        let leaving: Vec<Listening> =
            open.iter().filter(|open| wanted.iter().all(|(bind, _)| *bind != open.bind)).copied().collect();
        let fresh = wanted.iter().filter(|(bind, _)| open.iter().all(|open| open.bind != *bind));
        let (in_the_way, free): (Vec<_>, Vec<_>) =
            fresh.cloned().partition(|(bind, _)| leaving.iter().any(|old| bind::overlap(old.local, *bind)));

        let mut sockets = Vec::new();
        for (address, serves) in free {
            sockets.push((address, serves, self.bind(address).await?));
        }
        self.close(&config.id, &leaving).await;
        for (address, serves) in in_the_way {
            sockets.push((address, serves, self.bind(address).await?));
        }
        self.apply(&config, &balancer, &wanted, sockets)
    }

    /// The part of `ensure` that cannot wait: everything is bound.
    fn apply(
        &self,
        config: &LoadBalancerConfig,
        balancer: &Arc<Balancer>,
        wanted: &[(SocketAddr, Serves)],
        sockets: Vec<(SocketAddr, Serves, TcpListener)>,
    ) -> Result<(), ProxyError> {
        let mut entries = lock(&self.entries);
        if *self.stop.borrow() {
            return Err(ProxyError::Stopped);
        }
        balancer.settings_set(Settings::of(config));
        let entry = entries
            .entry(config.id.clone())
            .or_insert_with(|| Entry { balancer: Arc::clone(balancer), listeners: Vec::new() });
        for open in &entry.listeners {
            if let Some((_, serves)) = wanted.iter().find(|(bind, _)| *bind == open.listening.bind) {
                open.state.serves.store(Arc::new(serves.clone()));
            }
        }
        for (bind, serves, socket) in sockets {
            let local = socket.local_addr().map_err(|source| ProxyError::Bind { address: bind, source })?;
            let state = Arc::new(ListenerState {
                balancer: Arc::clone(balancer),
                serves: ArcSwap::from_pointee(serves),
                closing: Closing::default(),
                grace: self.grace,
                forwarded: self.forwarded,
            });
            let (workers, room) = (Arc::clone(&self.workers), Arc::clone(&self.room));
            let accept = self.control.spawn(listener::accept(socket, Arc::clone(&state), workers, room));
            entry.listeners.push(Open { listening: Listening { bind, local }, state, accept });
        }
        Ok(())
    }

    async fn bind(&self, address: SocketAddr) -> Result<TcpListener, ProxyError> {
        let source = match bind::listen(address) {
            Ok(socket) => return Ok(socket),
            Err(error) if error.kind() != ErrorKind::AddrInUse => {
                return Err(ProxyError::Bind { address, source: error });
            }
            Err(error) => error,
        };
        let ours = lock(&self.entries).iter().find_map(|(id, entry)| {
            let holds = entry.listeners.iter().any(|open| bind::overlap(open.listening.local, address));
            holds.then(|| Holder::LoadBalancer { id: id.clone() })
        });
        if let Some(holder) = ours {
            return Err(ProxyError::PortHeld { address, holder });
        }
        match self.control.spawn_blocking(move || bind::holder(address)).await {
            Ok(holder) => Err(ProxyError::PortHeld { address, holder }),
            // Only a shutdown keeps the look-up from coming back.
            Err(_) => Err(ProxyError::Bind { address, source }),
        }
    }

    async fn close(&self, id: &str, leaving: &[Listening]) {
        let closing = match lock(&self.entries).get_mut(id) {
            Some(entry) => entry.listeners.extract_if(.., |open| leaving.contains(&open.listening)).collect(),
            None => Vec::new(),
        };
        for open in closing {
            open.close().await;
        }
    }

    /// Ends a load balancer: when this is over, its ports are free. Requests that run may end in their own time, within the grace
    /// period. Idempotent: one that is not there is gone already.
    pub async fn remove(&self, id: &str) {
        let _turn = self.turn.lock().await;
        let Some(entry) = lock(&self.entries).remove(id) else { return };
        for open in entry.listeners {
            open.close().await;
        }
        entry.balancer.targets_set(&[], |target| self.probe(&entry.balancer, target));
    }

    /// Makes the targets of a load balancer these. Targets that stay keep their health; new ones are probed at once. A target that
    /// is left out gets nothing any more, but what runs on it is not cut: to know when it is empty, let it drain first.
    ///
    /// # Errors
    /// [`ProxyError::Unknown`]: there is no such load balancer. [`ProxyError::Stopped`]: after the shutdown.
    pub fn targets_set(&self, id: &str, targets: &[Target]) -> Result<(), ProxyError> {
        if *self.stop.borrow() {
            return Err(ProxyError::Stopped);
        }
        let balancer = self.balancer(id).ok_or_else(|| ProxyError::Unknown { id: id.to_owned() })?;
        balancer.targets_set(targets, |target| self.probe(&balancer, target));
        Ok(())
    }

    fn probe(&self, balancer: &Arc<Balancer>, target: Arc<balancer::TargetState>) -> tokio::task::AbortHandle {
        self.control.spawn(health::watch(Arc::clone(balancer), target)).abort_handle()
    }

    fn balancer(&self, id: &str) -> Option<Arc<Balancer>> {
        lock(&self.entries).get(id).map(|entry| Arc::clone(&entry.balancer))
    }

    /// Waits until a draining target answers nothing any more, at most `limit`. Without a draining mark it may get new requests
    /// right after.
    pub async fn drained(&self, id: &str, target_id: &str, limit: Duration) -> Drained {
        let Some(balancer) = self.balancer(id) else { return Drained::Empty };
        let mut changes = self.changes();
        let empty = async {
            // An error would mean that the proxy has gone, and with it every request.
            while balancer.in_flight(target_id) > 0 && changes.changed().await.is_ok() {}
        };
        match timeout(limit, empty).await {
            Ok(()) => Drained::Empty,
            Err(_) => match balancer.in_flight(target_id) {
                0 => Drained::Empty,
                in_flight => Drained::TimedOut { in_flight },
            },
        }
    }

    /// The targets as they are now, in the order in which they were set; `None` for a load balancer that is not there.
    #[must_use]
    pub fn status(&self, id: &str) -> Option<Vec<TargetStatus>> {
        self.balancer(id).map(|balancer| balancer.status())
    }

    /// The ids of all load balancers, sorted.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        let mut ids: Vec<_> = lock(&self.entries).keys().cloned().collect();
        ids.sort();
        ids
    }

    /// Where a load balancer listens; empty for one that is not there.
    #[must_use]
    pub fn listening(&self, id: &str) -> Vec<Listening> {
        lock(&self.entries)
            .get(id)
            .map(|entry| entry.listeners.iter().map(|open| open.listening).collect())
            .unwrap_or_default()
    }

    /// Changes whenever a target's health does, targets are set, or a draining target becomes empty. The number itself means nothing.
    /// Take the receiver before looking at [`Proxy::status`], and nothing is missed.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Stops: listeners close at once, what runs may end within the grace period, then all threads end. Idempotent.
    pub async fn shutdown(&self) {
        self.stop_now();
        self.stop.closed().await;
    }

    fn stop_now(&self) {
        let mut entries = lock(&self.entries);
        for open in entries.values().flat_map(|entry| &entry.listeners) {
            open.state.closing.close();
            open.accept.abort();
        }
        entries.clear();
        drop(entries);
        self.stop.send_replace(true);
        announce(&self.changes);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop_now();
    }
}

/// Every address of a configuration with what it is to do.
fn wanted(config: &LoadBalancerConfig) -> Result<Vec<(SocketAddr, Serves)>, ProxyError> {
    let mut all: Vec<(SocketAddr, Serves)> = Vec::new();
    for listener in &config.listeners {
        for address in &listener.bind {
            if all.iter().any(|(other, _)| other == address) {
                return Err(ProxyError::Twice { id: config.id.clone(), address: *address });
            }
            all.push((*address, listener.serves.clone()));
        }
    }
    Ok(all)
}

async fn sweep(entries: Arc<Mutex<Entries>>) {
    let mut turns = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        turns.tick().await;
        let balancers: Vec<_> = lock(&entries).values().map(|entry| Arc::clone(&entry.balancer)).collect();
        balancers.iter().for_each(|balancer| balancer.sweep());
    }
}
