//! The Docker engine: environments, load balancers, services and tasks on one machine with nothing but Docker.
//!
//! ```text
//!   ensure/remove ──▶ state (what is wanted) ─┐
//!                                             ├─▶ passes: judge, schedule ──▶ jobs ──▶ Docker
//!   Docker ──events, lists──▶ mirror ─────────┤                                │
//!   proxy ───health verdicts──────────────────┘◀───────── what came of it ─────┘
//! ```
//!
//! Invariants: nothing without our instance's label is touched; what nobody told us of since our start is only observed;
//! no lock is held across a wait; every call to Docker has a limit. The engine keeps no file: after a restart the mirror
//! is read from Docker, wishes come from the server again, and running copies are adopted by their labels.
//!
//! Rejected: one actor for each service (a hundred idle ones would each need a timer and a subscription; passes over all
//! of them take microseconds), and Docker's own restart policies (they restart without telling why and fight with ours).

mod balancers;
mod client;
mod config;
mod containers;
mod engine;
mod images;
mod inventory;
mod labels;
mod logs;
mod networks;
mod pause;
pub mod proxy;
mod schedule;
mod services;
mod stamp;
mod tasks;
mod time;
mod watch;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use layer0_domain::model::id::{EnvironmentId, ServiceId, TaskId};
use layer0_domain::model::time::{Generation, Timestamp};
use layer0_domain::port::clock::Clock;
use layer0_domain::port::image_source::ImageSource;
use tokio::sync::{Notify, Semaphore};
use tokio::task::{AbortHandle, JoinHandle};

pub use self::config::{DEFAULT_HOST, DEFAULT_SUBNET_POOL, DockerConfig};
pub use self::networks::subnets::{Subnet, SubnetError};

use self::balancers::Balancers;
use self::client::Client;
use self::images::Images;
use self::labels::OwnerKind;
use self::networks::Networks;
use self::pause::Pause;
use self::proxy::{Proxy, ProxyError, ProxySettings};
use self::services::Service;
use self::tasks::Task;
use self::time::Ticker;
use self::watch::Watch;
use self::world::{Network, NetworkUse, World};

/// How many containers are made and started side by side. Docker does most of it one after the other; more at once only
/// makes each of them late.
const STARTS_AT_ONCE: usize = 4;

/// How long requests may go on after their load balancer was removed.
const PROXY_GRACE: Duration = Duration::from_secs(30);

/// The port `Engine`, on Docker. Dropping it stops its work and its load balancers; containers run on.
pub struct DockerEngine {
    shared: Arc<Shared>,
    watch: AbortHandle,
    seen: tokio::sync::Mutex<tokio::sync::watch::Receiver<u64>>,
}

impl DockerEngine {
    /// Starts the engine; must be called within a tokio runtime. Docker need not be there: calls answer `Unavailable`
    /// until it is, and what was asked for is done when it comes.
    ///
    /// # Errors
    /// When the system gives no threads for the load balancers.
    pub fn start(
        config: DockerConfig,
        source: Arc<dyn ImageSource>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ProxyError> {
        let proxy = Proxy::start(&ProxySettings {
            workers: config.proxy_workers,
            grace: PROXY_GRACE,
            connections: config.proxy_connections,
            forwarded: config.forwarded,
        })?;
        let client = Arc::new(Client::new(&config.host));
        let world = Arc::new(World::new());
        let instance = config.instance_id;
        let networks = Networks::new(Arc::clone(&client), Arc::clone(&world), instance.clone(), config.subnet_pool);
        let shared = Arc::new(Shared {
            networks,
            images: Images::new(Arc::clone(&client), source),
            pause: Pause::default(),
            balancers: Balancers::new(proxy, Arc::clone(&world), config.lb_bind_public, config.public_address),
            ticker: Ticker::start(&clock),
            starts: Semaphore::new(STARTS_AT_ONCE),
            drain_timeout: config.drain_timeout,
            state: Mutex::default(),
            wake: Notify::new(),
            seen: tokio::sync::watch::Sender::new(0),
            stop: tokio::sync::watch::Sender::new(false),
            instance: instance.clone(),
            client: Arc::clone(&client),
            world: Arc::clone(&world),
        });
        let seen = tokio::sync::Mutex::new(shared.seen.subscribe());
        let watch = tokio::spawn(Watch { client, world, clock, instance }.run());
        shared.spawn(passes(Arc::clone(&shared)));
        Ok(Self { shared, watch: watch.abort_handle(), seen })
    }
}

impl Drop for DockerEngine {
    fn drop(&mut self) {
        self.watch.abort();
        self.shared.stop.send_replace(true);
        self.shared.client.lost("the engine was stopped");
    }
}

/// What all parts share.
struct Shared {
    instance: String,
    client: Arc<Client>,
    world: Arc<World>,
    networks: Networks,
    images: Images,
    pause: Pause,
    balancers: Balancers,
    ticker: Ticker,
    /// Turns at making and starting containers.
    starts: Semaphore,
    drain_timeout: Duration,
    state: Mutex<State>,
    /// A pass is due.
    wake: Notify,
    /// Counts what `observe` may show differently.
    seen: tokio::sync::watch::Sender<u64>,
    /// Ends everything that was [spawned](Shared::spawn).
    stop: tokio::sync::watch::Sender<bool>,
}

/// What we were told of.
#[derive(Default)]
struct State {
    services: BTreeMap<ServiceId, Service>,
    tasks: BTreeMap<TaskId, Task>,
    environments: BTreeMap<EnvironmentId, Told>,
    /// Links that were cut, both ids in order; their networks may still be there for a moment.
    cut: BTreeSet<(String, String)>,
}

/// An environment that we were told of.
struct Told {
    name: String,
    generation: Generation,
}

impl Shared {
    /// Runs work beside everything else; it ends with the engine at the latest, so that nothing keeps the load balancers
    /// alive beyond it.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let mut stop = self.stop.subscribe();
        tokio::spawn(async move {
            tokio::select! {
                // An error would mean that the engine is gone already.
                _ = stop.wait_for(|stop| *stop) => {}
                () = work => {}
            }
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes something down about a service, if it is still known, and has the next pass made.
    fn service_note(&self, id: &ServiceId, note: impl FnOnce(&mut Service)) {
        if let Some(service) = self.state().services.get_mut(id) {
            note(service);
        }
        self.wake.notify_one();
    }

    /// Writes something down about a task, if it is still known, and has the next pass made.
    fn task_note(&self, id: &TaskId, note: impl FnOnce(&mut Task)) {
        if let Some(task) = self.state().tasks.get_mut(id) {
            note(task);
        }
        self.wake.notify_one();
    }

    /// Whether we were told of an entity and it is not being removed.
    fn is_told(&self, kind: OwnerKind, entity: &str) -> bool {
        let state = self.state();
        match kind {
            OwnerKind::Service => {
                let service =
                    ServiceId::parse(entity).ok().and_then(|id| state.services.get(&id).map(|known| !known.removing));
                service.unwrap_or(false)
            }
            OwnerKind::Task => {
                let task = TaskId::parse(entity).ok().and_then(|id| state.tasks.get(&id).map(|known| !known.removing));
                task.unwrap_or(false)
            }
        }
    }

    /// How many copies of a task are wanted, where we were told.
    fn task_copies(&self, entity: &str) -> Option<usize> {
        let id = TaskId::parse(entity).ok()?;
        let copies = self.state().tasks.get(&id)?.spec.as_ref()?.copies;
        usize::try_from(copies).ok()
    }

    /// Whether a task was given up or stopped.
    fn task_failed(&self, entity: &str) -> bool {
        let Ok(id) = TaskId::parse(entity) else { return false };
        self.state().tasks.get(&id).is_some_and(Task::is_over)
    }

    /// The networks of an environment's links.
    fn links_of(&self, environment: &EnvironmentId) -> Vec<Network> {
        let id = environment.as_str();
        let networks = self.world.networks();
        let state = self.state();
        let of_it = |network: &Network| match &network.use_of {
            NetworkUse::Link(a, b) => (a == id || b == id) && !state.cut.contains(&(a.clone(), b.clone())),
            NetworkUse::Environment(_) => false,
        };
        networks.into_iter().filter(of_it).collect()
    }

    /// The names under which a copy is found from linked environments.
    fn link_aliases(&self, service: &str, environment: &str) -> Vec<String> {
        let mut aliases = vec![format!("{service}.{environment}")];
        let name = EnvironmentId::parse(environment).ok();
        if let Some(told) = name.and_then(|id| self.state().environments.get(&id).map(|told| told.name.clone())) {
            aliases.push(format!("{service}.{told}"));
        }
        aliases
    }
}

/// Makes passes over all services and tasks whenever something changed, and when one of them asked for it.
async fn passes(shared: Arc<Shared>) {
    let mut world = shared.world.news();
    let mut proxy = shared.balancers.news();
    let mut link = shared.client.link();
    loop {
        world.mark_unchanged();
        proxy.mark_unchanged();
        let wake = if shared.client.is_up() { pass_all(&shared) } else { None };
        shared.seen.send_modify(|version| *version += 1);
        let pause = wake.map_or(Duration::MAX, |at| shared.ticker.until(at).max(Duration::from_millis(1)));
        tokio::select! {
            () = shared.world.changed_since(&mut world) => {}
            _ = proxy.changed() => {}
            _ = link.changed() => {}
            () = shared.wake.notified() => {}
            () = tokio::time::sleep(pause.min(Duration::from_secs(3_600))) => {}
        }
    }
}

/// Holds the state's lock throughout; a pass never waits and never asks for the state through `shared`.
fn pass_all(shared: &Arc<Shared>) -> Option<Timestamp> {
    let mut state = shared.state();
    let State { services, tasks, .. } = &mut *state;
    let services = services.values_mut().filter_map(|service| services::pass(shared, service)).min();
    let tasks = tasks.values_mut().filter_map(|task| tasks::pass(shared, task)).min();
    services.into_iter().chain(tasks).min()
}

/// An engine for tests that never finds a Docker.
#[cfg(test)]
fn without_docker() -> DockerEngine {
    let mut config = DockerConfig::new("test");
    config.host = "unix:///nowhere/docker.sock".to_owned();
    let clock = Arc::new(layer0_testkit::clock::RunningClock::default());
    DockerEngine::start(config, Arc::new(layer0_testkit::image_source::NoSource), clock)
        .expect("threads for the load balancer")
}
