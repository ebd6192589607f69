//! What Docker has of ours, as last seen: a mirror of containers and networks that bear the instance's label.
//!
//! The mirror is fed by the [watch](super::watch) (events, lists) and by jobs that want to know now. Answers of Docker
//! can overtake each other; each question takes a ticket when it is sent, and an answer whose ticket is older than what
//! the mirror has of that container is dropped.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bollard::models::{ContainerInspectResponse, HealthStatusEnum};
use layer0_domain::model::time::Timestamp;
use tokio::sync::watch;

use super::labels::{self, OwnerKind};
use super::stamp;

/// What Docker takes for a container that was made without a stop timeout.
const DOCKERS_STOP_TIMEOUT_S: u32 = 10;

/// One container of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Container {
    /// Docker's id.
    pub(super) id: String,
    /// Its name without the slash.
    pub(super) name: String,
    pub(super) kind: OwnerKind,
    pub(super) entity: String,
    /// The entity's name.
    pub(super) service: String,
    pub(super) environment: String,
    pub(super) deployment: Option<String>,
    /// The copy's number.
    pub(super) number: u32,
    /// The name in the task definition; empty for the pause container.
    pub(super) container: String,
    pub(super) is_pause: bool,
    pub(super) essential: bool,
    /// How many containers of the definition its copy has.
    pub(super) size: usize,
    /// How many of these are essential; 1 where that was not written down.
    pub(super) essentials: usize,
    /// How long it may take to end once it is told to stop.
    pub(super) stop_timeout_s: u32,
    pub(super) run: Run,
    pub(super) health: Health,
    pub(super) started: Option<Timestamp>,
    pub(super) finished: Option<Timestamp>,
    pub(super) exit_code: Option<i64>,
    pub(super) out_of_memory: bool,
    /// What Docker says about a start or an end that went wrong.
    pub(super) error: String,
    /// Docker's ids of its networks with its address there.
    pub(super) networks: BTreeMap<String, Option<Ipv4Addr>>,
}

/// Whether a container runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    /// Made, never started.
    Created,
    /// Runs.
    Running,
    /// Ran, and ended.
    Ended,
}

/// What the container's own health check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// There is none.
    None,
    /// No verdict yet.
    Starting,
    /// It passes.
    Healthy,
    /// It fails.
    Unhealthy,
}

impl Container {
    /// Reads what Docker says about a container; `None` for one that lacks a label that all of ours have.
    pub(super) fn of(seen: &ContainerInspectResponse) -> Option<Self> {
        let config = seen.config.as_ref()?;
        let labels = config.labels.as_ref()?;
        let kind = OwnerKind::parse(labels.get(labels::KIND)?)?;
        let entity = labels.get(labels::ENTITY)?.clone();
        let number = labels::copy_number(&entity, labels.get(labels::COPY)?)?;
        let state = seen.state.as_ref()?;
        let started = state.started_at.as_deref().and_then(stamp::parse);
        let run = match (state.running.unwrap_or(false), started) {
            (true, _) => Run::Running,
            (false, None) => Run::Created,
            (false, Some(_)) => Run::Ended,
        };
        let health = match state.health.as_ref().and_then(|health| health.status) {
            None | Some(HealthStatusEnum::EMPTY | HealthStatusEnum::NONE) => Health::None,
            Some(HealthStatusEnum::STARTING) => Health::Starting,
            Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
            Some(HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
        };
        let networks = seen.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
        let networks = networks.into_iter().flatten().filter_map(|(_, endpoint)| {
            let id = endpoint.network_id.clone().filter(|id| !id.is_empty())?;
            Some((id, endpoint.ip_address.as_deref().and_then(|ip| ip.parse().ok())))
        });
        Some(Self {
            id: seen.id.clone()?,
            name: seen.name.as_deref().unwrap_or_default().trim_start_matches('/').to_owned(),
            kind,
            entity,
            service: labels.get(labels::NAME).cloned().unwrap_or_default(),
            environment: labels.get(labels::ENVIRONMENT).cloned().unwrap_or_default(),
            deployment: labels.get(labels::DEPLOYMENT).cloned(),
            number,
            container: labels.get(labels::CONTAINER).cloned().unwrap_or_default(),
            is_pause: labels.get(labels::ROLE).is_some_and(|role| role == "pause"),
            essential: labels.get(labels::ESSENTIAL).is_some_and(|essential| essential == "true"),
            size: labels.get(labels::SIZE).and_then(|size| size.parse().ok()).unwrap_or(1),
            essentials: labels.get(labels::ESSENTIALS).and_then(|count| count.parse().ok()).unwrap_or(1),
            stop_timeout_s: config
                .stop_timeout
                .and_then(|seconds| u32::try_from(seconds).ok())
                .unwrap_or(DOCKERS_STOP_TIMEOUT_S),
            run,
            health,
            started,
            finished: state.finished_at.as_deref().and_then(stamp::parse).filter(|_| run == Run::Ended),
            exit_code: state.exit_code.filter(|_| run == Run::Ended),
            out_of_memory: state.oom_killed.unwrap_or(false),
            error: state.error.clone().unwrap_or_default(),
            networks: networks.collect(),
        })
    }

    /// Whether it is the one that is connected to networks for its whole copy.
    pub(super) fn owns_network(&self) -> bool {
        self.is_pause || self.size == 1
    }
}

/// One network of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Network {
    /// Docker's id.
    pub(super) id: String,
    pub(super) use_of: NetworkUse,
    /// The address of the host in it.
    pub(super) gateway: Option<Ipv4Addr>,
    pub(super) subnet: Option<super::networks::subnets::Subnet>,
}

/// What a network is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum NetworkUse {
    /// An environment, by its id.
    Environment(String),
    /// A link of two environments, in order.
    Link(String, String),
}

#[derive(Debug, Default)]
struct Mirror {
    /// By Docker's id; `None` for one that is known to be gone.
    containers: HashMap<String, (u64, Option<Arc<Container>>)>,
    /// Docker's ids of those of whom an event said that their memory was at an end. What Docker says when it is asked
    /// about the container may never have it: see [`super::containers::end::memory_said`].
    out_of_memory: HashSet<String>,
    networks: Vec<Network>,
}

/// The mirror.
#[derive(Debug)]
pub(super) struct World {
    mirror: Mutex<Mirror>,
    tickets: AtomicU64,
    version: watch::Sender<u64>,
}

impl World {
    pub(super) fn new() -> Self {
        Self { mirror: Mutex::default(), tickets: AtomicU64::new(1), version: watch::channel(0).0 }
    }

    fn lock(&self) -> MutexGuard<'_, Mirror> {
        self.mirror.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Take it before asking Docker; give it back with the answer.
    pub(super) fn ticket(&self) -> u64 {
        self.tickets.fetch_add(1, Ordering::Relaxed)
    }

    /// News of changes.
    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    fn changed(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    /// Writes down what Docker said about one container: what it is, or that it is gone.
    pub(super) fn container_set(&self, id: &str, ticket: u64, mut container: Option<Container>) {
        let mut mirror = self.lock();
        if let Some(container) = &mut container {
            container.out_of_memory |= mirror.out_of_memory.contains(id);
        }
        let known = mirror.containers.get(id);
        if known.is_some_and(|(newest, _)| *newest >= ticket) {
            return;
        }
        let same = match (known, &container) {
            (Some((_, Some(before))), Some(now)) => **before == *now,
            (Some((_, None)) | None, None) => true,
            _ => false,
        };
        mirror.containers.insert(id.to_owned(), (ticket, container.map(Arc::new)));
        drop(mirror);
        if !same {
            self.changed();
        }
    }

    /// Writes down that an event said of a container that its memory was at an end. The next answer about it has that.
    pub(super) fn memory_ended(&self, id: &str) {
        self.lock().out_of_memory.insert(id.to_owned());
    }

    /// Writes down which containers a complete list had; those that it had not are gone.
    pub(super) fn containers_keep(&self, ids: &[String], ticket: u64) {
        let mut mirror = self.lock();
        let before = mirror.containers.len();
        let keep: HashSet<&str> = ids.iter().map(String::as_str).collect();
        let Mirror { containers, out_of_memory, .. } = &mut *mirror;
        containers.retain(|id, (newest, _)| *newest >= ticket || keep.contains(id.as_str()));
        out_of_memory.retain(|id| containers.contains_key(id));
        let changed = containers.len() != before;
        drop(mirror);
        if changed {
            self.changed();
        }
    }

    /// Writes down all networks.
    pub(super) fn networks_set(&self, mut networks: Vec<Network>) {
        networks.sort_by(|a, b| (&a.use_of, &a.id).cmp(&(&b.use_of, &b.id)));
        let mut mirror = self.lock();
        if mirror.networks != networks {
            mirror.networks = networks;
            drop(mirror);
            self.changed();
        }
    }

    /// All containers.
    pub(super) fn containers(&self) -> Vec<Arc<Container>> {
        self.lock().containers.values().filter_map(|(_, container)| container.clone()).collect()
    }

    /// One container.
    pub(super) fn container(&self, id: &str) -> Option<Arc<Container>> {
        self.lock().containers.get(id).and_then(|(_, container)| container.clone())
    }

    /// An entity's containers, by copy.
    pub(super) fn copies(&self, kind: OwnerKind, entity: &str) -> BTreeMap<u32, Vec<Arc<Container>>> {
        let mut copies: BTreeMap<u32, Vec<Arc<Container>>> = BTreeMap::new();
        for (_, container) in self.lock().containers.values() {
            if let Some(container) = container
                && container.kind == kind
                && container.entity == entity
            {
                copies.entry(container.number).or_default().push(Arc::clone(container));
            }
        }
        for containers in copies.values_mut() {
            containers.sort_by(|a, b| a.name.cmp(&b.name));
        }
        copies
    }

    /// The containers of one copy.
    pub(super) fn copy(&self, kind: OwnerKind, entity: &str, number: u32) -> Vec<Arc<Container>> {
        self.copies(kind, entity).remove(&number).unwrap_or_default()
    }

    /// All networks.
    pub(super) fn networks(&self) -> Vec<Network> {
        self.lock().networks.clone()
    }

    /// The network that is used for this; of several (made by accident) always the same.
    pub(super) fn network(&self, use_of: &NetworkUse) -> Option<Network> {
        self.lock().networks.iter().find(|network| network.use_of == *use_of).cloned()
    }

    /// Waits until the mirror has changed after `seen`, or `seen` is marked as changed already.
    pub(super) async fn changed_since(&self, seen: &mut watch::Receiver<u64>) {
        // The sender lives as long as `self`, so this can't fail.
        let _ = seen.changed().await;
    }
}

/// A container for tests.
#[cfg(test)]
pub(super) fn sample() -> Container {
    Container {
        id: "c".into(),
        name: "l0-web-1-app".into(),
        kind: OwnerKind::Service,
        entity: "web".into(),
        service: "web".into(),
        environment: "env".into(),
        deployment: None,
        number: 1,
        container: "app".into(),
        is_pause: false,
        essential: true,
        size: 1,
        essentials: 1,
        stop_timeout_s: DOCKERS_STOP_TIMEOUT_S,
        run: Run::Running,
        health: Health::None,
        started: None,
        finished: None,
        exit_code: None,
        out_of_memory: false,
        error: String::new(),
        networks: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(run: Run) -> Container {
        Container { run, ..sample() }
    }

    #[test]
    fn what_an_event_said_of_the_memory_is_kept_until_the_container_is_gone() {
        let world = World::new();
        world.memory_ended("c");
        world.container_set("c", world.ticket(), Some(container(Run::Ended)));
        assert!(world.container("c").expect("it is there").out_of_memory);
        world.containers_keep(&[], world.ticket());
        world.container_set("c", world.ticket(), Some(container(Run::Ended)));
        assert!(!world.container("c").expect("it is there").out_of_memory);
    }
    #[test]
    fn an_answer_that_was_overtaken_is_dropped() {
        let world = World::new();
        let (early, late) = (world.ticket(), world.ticket());
        world.container_set("c", late, Some(container(Run::Ended)));
        world.container_set("c", early, Some(container(Run::Running)));
        assert_eq!(world.container("c").expect("it is there").run, Run::Ended);
    }

    #[test]
    fn one_that_is_gone_does_not_come_back_by_an_old_answer() {
        let world = World::new();
        let (early, late) = (world.ticket(), world.ticket());
        world.container_set("c", late, None);
        world.container_set("c", early, Some(container(Run::Running)));
        assert!(world.container("c").is_none());
    }

    #[test]
    fn a_list_takes_away_only_what_was_there_before_it_was_asked_for() {
        let world = World::new();
        let before = world.ticket();
        world.container_set("old", before, Some(container(Run::Running)));
        let list = world.ticket();
        let after = world.ticket();
        world.container_set("new", after, Some(container(Run::Running)));
        world.containers_keep(&[], list);
        assert!(world.container("old").is_none());
        assert!(world.container("new").is_some());
    }
}
