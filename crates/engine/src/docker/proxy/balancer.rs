//! One load balancer's targets: who may get the next request, how many each is answering, what is known of their health.
//!
//! Workers read one immutable [`Snapshot`] without a lock; whoever changes targets or a verdict makes a new one. A lease counts a
//! request on its target. Draining and leasing are ordered so that a target that was seen empty after it began to drain stays empty:
//! a lease is counted first and the draining mark looked at after; the marker does it the other way round (both sequentially consistent).

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use super::config::{Access, HealthCheck, LoadBalancerConfig, PortOverride, Target, TargetHealth, TargetStatus};
use super::upstream::pool::Pool;

/// Locks, and goes on with the data of a thread that panicked: every critical section here leaves it whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The part of a configuration that holds for all listeners.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) access: Access,
    pub(super) idle_timeout: Duration,
    pub(super) health_check: HealthCheck,
    /// The port that is probed.
    pub(super) health_port: u16,
}

impl Settings {
    pub(super) fn of(config: &LoadBalancerConfig) -> Self {
        let traffic_port = config.listeners.iter().find_map(|listener| listener.serves.target_port());
        Self {
            access: config.access.clone(),
            idle_timeout: config.idle_timeout,
            health_check: config.health_check.clone(),
            health_port: config.health_check.port.or(traffic_port).unwrap_or(80),
        }
    }
}

/// Everything that the listeners, the probes and the API share of one load balancer.
#[derive(Debug)]
pub(super) struct Balancer {
    pub(super) id: String,
    pub(super) settings: ArcSwap<Settings>,
    snapshot: ArcSwap<Snapshot>,
    next: AtomicUsize,
    edit: Mutex<Vec<Member>>,
    changes: watch::Sender<u64>,
    workers: usize,
}

/// The targets as of one moment.
#[derive(Debug, Default)]
struct Snapshot {
    all: Vec<Arc<TargetState>>,
    usable: Vec<Arc<TargetState>>,
}

/// A target and the task that probes it.
#[derive(Debug)]
struct Member {
    state: Arc<TargetState>,
    probe: AbortHandle,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.probe.abort();
        self.state.retired.store(true, Ordering::Release);
        self.state.pool.clear();
    }
}

/// One target of one load balancer.
#[derive(Debug)]
pub(super) struct TargetState {
    pub(super) id: String,
    ip: IpAddr,
    ports: Vec<PortOverride>,
    draining: AtomicBool,
    retired: AtomicBool,
    in_flight: AtomicUsize,
    health: Mutex<Verdict>,
    /// Wakes the probe: somebody could not connect, or the settings have changed.
    pub(super) probe_now: Notify,
    /// Idle connections to it.
    pub(super) pool: Pool,
    changes: watch::Sender<u64>,
}

/// A verdict and why the last probe failed.
#[derive(Debug, Clone)]
struct Verdict {
    health: TargetHealth,
    last_failure: Option<String>,
}

impl TargetState {
    /// Where it answers for a listener that sends to `target_port`.
    pub(super) fn address(&self, target_port: u16) -> SocketAddr {
        let port =
            self.ports.iter().find(|entry| entry.target_port == target_port).map_or(target_port, |entry| entry.port);
        SocketAddr::new(self.ip, port)
    }

    /// Whether connections to it are still worth keeping.
    pub(super) fn keeps_connections(&self) -> bool {
        !self.draining.load(Ordering::Acquire) && !self.retired.load(Ordering::Acquire)
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    fn same_place(&self, target: &Target) -> bool {
        self.ip == target.ip && self.ports == target.ports
    }

    fn is_healthy(&self) -> bool {
        lock(&self.health).health == TargetHealth::Healthy
    }

    fn status(&self) -> TargetStatus {
        let verdict = lock(&self.health).clone();
        TargetStatus {
            id: self.id.clone(),
            health: verdict.health,
            draining: self.is_draining(),
            in_flight: self.in_flight.load(Ordering::SeqCst),
            last_failure: verdict.last_failure,
        }
    }
}

/// One request or connection on a target; counts until it is dropped.
#[derive(Debug)]
pub(super) struct Lease(Arc<TargetState>);

impl Lease {
    fn take(target: &Arc<TargetState>) -> Option<Self> {
        target.in_flight.fetch_add(1, Ordering::SeqCst);
        let lease = Self(Arc::clone(target));
        (!target.is_draining()).then_some(lease)
    }

    pub(super) fn target(&self) -> &Arc<TargetState> {
        &self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let was_last = self.0.in_flight.fetch_sub(1, Ordering::SeqCst) == 1;
        if was_last && self.0.is_draining() {
            announce(&self.0.changes);
        }
    }
}

/// How the next target is chosen.
#[derive(Debug, Clone, Copy)]
pub(super) enum Choice {
    /// One after the other: requests, which are short and many.
    RoundRobin,
    /// The one with the fewest, for connections, which stay.
    LeastOutstanding,
}

/// Why nobody could be chosen: how many targets there are of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Nobody {
    pub(super) healthy: usize,
    pub(super) unhealthy: usize,
    pub(super) starting: usize,
    pub(super) draining: usize,
}

impl Balancer {
    pub(super) fn new(id: String, settings: Settings, changes: watch::Sender<u64>, workers: usize) -> Self {
        Self {
            id,
            settings: ArcSwap::from_pointee(settings),
            snapshot: ArcSwap::from_pointee(Snapshot::default()),
            next: AtomicUsize::new(0),
            edit: Mutex::new(Vec::new()),
            changes,
            workers,
        }
    }

    /// Leases a target that is healthy, stays, and is not among `tried`.
    pub(super) fn lease(&self, choice: Choice, tried: &[Arc<TargetState>]) -> Option<Lease> {
        let snapshot = self.snapshot.load();
        let usable = &snapshot.usable;
        if usable.is_empty() {
            return None;
        }
        let first = self.next.fetch_add(1, Ordering::Relaxed) % usable.len();
        let untried = |target: &&Arc<TargetState>| !tried.iter().any(|other| Arc::ptr_eq(other, target));
        let mut in_turn = usable[first..].iter().chain(&usable[..first]).filter(untried);
        match choice {
            Choice::RoundRobin => in_turn.find_map(Lease::take),
            Choice::LeastOutstanding => {
                let mut candidates: Vec<_> = in_turn.collect();
                candidates.sort_by_key(|target| target.in_flight.load(Ordering::Relaxed));
                candidates.into_iter().find_map(Lease::take)
            }
        }
    }

    /// Counts the targets, for the text that says why there is none.
    pub(super) fn nobody(&self) -> Nobody {
        let mut counts = Nobody::default();
        for target in &self.snapshot.load().all {
            let kind = match (target.is_draining(), &lock(&target.health).health) {
                (true, _) => &mut counts.draining,
                (false, TargetHealth::Healthy) => &mut counts.healthy,
                (false, TargetHealth::Unhealthy { .. }) => &mut counts.unhealthy,
                (false, TargetHealth::Initial) => &mut counts.starting,
            };
            *kind += 1;
        }
        counts
    }

    /// Makes the targets these. A target that stays keeps its health, its connections and its count; one whose address
    /// changed begins anew. `probe` starts the probing of a new one.
    pub(super) fn targets_set(self: &Arc<Self>, targets: &[Target], probe: impl Fn(Arc<TargetState>) -> AbortHandle) {
        let mut members = lock(&self.edit);
        let mut before = std::mem::take(&mut *members);
        for target in targets {
            let known =
                before.iter().position(|member| member.state.id == target.id && member.state.same_place(target));
            let member = match known {
                Some(at) => before.swap_remove(at),
                None => {
                    let state = Arc::new(self.state_of(target));
                    Member { probe: probe(Arc::clone(&state)), state }
                }
            };
            let was_draining = member.state.draining.swap(target.draining, Ordering::SeqCst);
            match (was_draining, target.draining) {
                (false, true) => member.state.pool.clear(),
                (true, false) => member.state.probe_now.notify_one(),
                _ => {}
            }
            members.push(member);
        }
        self.publish(&members);
    }

    fn state_of(&self, target: &Target) -> TargetState {
        TargetState {
            id: target.id.clone(),
            ip: target.ip,
            ports: target.ports.clone(),
            draining: AtomicBool::new(target.draining),
            retired: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            health: Mutex::new(Verdict { health: TargetHealth::Initial, last_failure: None }),
            probe_now: Notify::new(),
            pool: Pool::new(self.workers),
            changes: self.changes.clone(),
        }
    }

    /// Writes down what a probe found.
    pub(super) fn verdict(&self, target: &TargetState, health: TargetHealth, last_failure: Option<String>) {
        let members = lock(&self.edit);
        {
            let mut verdict = lock(&target.health);
            if verdict.health == health && verdict.last_failure == last_failure {
                return;
            }
            *verdict = Verdict { health, last_failure };
        }
        self.publish(&members);
    }

    fn publish(&self, members: &[Member]) {
        let all: Vec<_> = members.iter().map(|member| Arc::clone(&member.state)).collect();
        let usable = all.iter().filter(|target| !target.is_draining() && target.is_healthy()).cloned().collect();
        self.snapshot.store(Arc::new(Snapshot { all, usable }));
        announce(&self.changes);
    }

    /// New settings, for the next connection, request and probe; probes come at once when they are asked for something else now.
    pub(super) fn settings_set(&self, settings: Settings) {
        let before = self.settings.swap(Arc::new(settings));
        let after = self.settings.load();
        if before.health_check == after.health_check && before.health_port == after.health_port {
            return;
        }
        for target in &self.snapshot.load().all {
            target.probe_now.notify_one();
        }
    }

    pub(super) fn status(&self) -> Vec<TargetStatus> {
        self.snapshot.load().all.iter().map(|target| target.status()).collect()
    }

    /// How many requests and connections a target answers; 0 for one that is not there.
    pub(super) fn in_flight(&self, target_id: &str) -> usize {
        let snapshot = self.snapshot.load();
        snapshot
            .all
            .iter()
            .find(|target| target.id == target_id)
            .map_or(0, |target| target.in_flight.load(Ordering::SeqCst))
    }

    /// Closes connections to targets that were idle too long.
    pub(super) fn sweep(&self) {
        for target in &self.snapshot.load().all {
            target.pool.sweep();
        }
    }
}

/// Tells everybody who watches that something is different.
pub(super) fn announce(changes: &watch::Sender<u64>) {
    changes.send_modify(|version| *version += 1);
}
