//! The port's verbs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::environment::Environment;
use layer0_domain::model::failure::Failure;
use layer0_domain::model::id::{EnvironmentId, ServiceId, TaskId};
use layer0_domain::model::registry::Platform;
use layer0_domain::model::task_definition::TaskDefinition;
use layer0_domain::port::engine::{
    Capabilities, Engine, EngineError, EnvironmentSeen, LogQuery, LogStream, Observed, Removed, Scope, ServiceSpec,
    TaskSpec, Want,
};
use layer0_domain::port::pull::{AnsweredBy, Launch, PullEvidence, PullQuestion};
use layer0_domain::port::thing::Thing;
use layer0_domain::port::trail::{Trail, TrailQuery};
use tracing::info;

use super::client::DockerError;
use super::containers::end::volumes_remove;
use super::containers::warnings::warnings;
use super::labels::{self, OwnerKind};
use super::networks::NetworkError;
use super::services::{self, Service};
use super::tasks::{self, Task};
use super::world::{Container, Network, NetworkUse};
use super::{DockerEngine, Shared, Told, logs};

/// The longest that [`Engine::changed`] waits.
const CHANGED_LIMIT: Duration = Duration::from_secs(30);

type Copies = BTreeMap<u32, Vec<Arc<Container>>>;

#[async_trait]
impl Engine for DockerEngine {
    fn capabilities(&self) -> Capabilities {
        Capabilities::one_machine("docker")
    }

    async fn ensure(&self, want: Want) -> Result<(), EngineError> {
        let shared = &self.shared;
        match want {
            Want::Environment { environment, reachable_from } => {
                shared.environment_ensure(environment, reachable_from).await?;
            }
            Want::LoadBalancer { load_balancer, reachable_from } => {
                shared.known_or_down()?;
                let ensured = shared.balancers.ensure(load_balancer, reachable_from).await;
                if ensured.is_err() && *shared.stop.borrow() {
                    // Nothing is wrong with the wish: the next process carries it out.
                    return Err(shared.stopping());
                }
                ensured?;
            }
            Want::Service(spec) => shared.service_ensure(spec)?,
            Want::Task(spec) => shared.task_ensure(spec)?,
        }
        shared.wake.notify_one();
        Ok(())
    }

    async fn remove(&self, entity: &EntityRef) -> Result<Removed, EngineError> {
        let shared = &self.shared;
        let removed = match entity {
            EntityRef::Deploy(_) => Ok(Removed::Gone),
            EntityRef::LoadBalancer(id) => {
                shared.balancers.remove(id).await;
                Ok(Removed::Gone)
            }
            EntityRef::Environment(id) => shared.environment_remove(id).await,
            EntityRef::Service(id) => shared.service_remove(id).await,
            EntityRef::Task(id) => shared.task_remove(id).await,
        };
        shared.wake.notify_one();
        removed
    }

    async fn observe(&self, scope: Scope) -> Result<Observed, EngineError> {
        let shared = &self.shared;
        let mut observed = Observed::default();
        match scope {
            Scope::All => {
                shared.known_or_down()?;
                observed.environments = shared.environments_seen();
                observed.load_balancers = shared.balancers.seen();
                shared.copies_seen(&mut observed);
            }
            Scope::One(EntityRef::Deploy(_)) => {}
            Scope::One(EntityRef::Environment(id)) => {
                shared.known_or_down()?;
                observed.environments = shared.environments_seen();
                observed.environments.retain(|seen| seen.id == id);
            }
            Scope::One(EntityRef::LoadBalancer(id)) => observed.load_balancers.extend(shared.balancers.seen_one(&id)),
            Scope::One(EntityRef::Service(id)) => {
                let copies = shared.world.copies(OwnerKind::Service, id.as_str());
                let known = shared.state().services.get(&id).map(|service| service.seen(shared, &copies));
                match known {
                    Some(seen) => observed.services.push(seen),
                    None => {
                        shared.known_or_down()?;
                        observed.services.extend((!copies.is_empty()).then(|| services::stray_seen(id, &copies)));
                    }
                }
            }
            Scope::One(EntityRef::Task(id)) => {
                let copies = shared.world.copies(OwnerKind::Task, id.as_str());
                let known = shared.state().tasks.get(&id).map(|task| task.seen(shared, &copies));
                match known {
                    Some(seen) => observed.tasks.push(seen),
                    None => {
                        shared.known_or_down()?;
                        observed.tasks.extend((!copies.is_empty()).then(|| tasks::stray_seen(id, &copies)));
                    }
                }
            }
        }
        Ok(observed)
    }

    async fn inventory(&self) -> Result<Vec<Thing>, EngineError> {
        self.shared.known_or_down()?;
        let things = super::inventory::inventory(&self.shared).await;
        things.map_err(|error| self.shared.error("listing what it has of this instance", error))
    }

    async fn logs(&self, of: &EntityRef, query: LogQuery) -> Result<LogStream, EngineError> {
        let shared = &self.shared;
        let kind = match of {
            EntityRef::Service(_) => OwnerKind::Service,
            EntityRef::Task(_) => OwnerKind::Task,
            EntityRef::Deploy(_) | EntityRef::Environment(_) | EntityRef::LoadBalancer(_) => {
                return Err(EngineError::Missing { entity: of.clone() });
            }
        };
        shared.known_or_down()?;
        let known = shared.is_told(kind, of.id()) || !shared.world.copies(kind, of.id()).is_empty();
        if !known {
            return Err(EngineError::Missing { entity: of.clone() });
        }
        if query.follow && query.end.is_none() {
            return Ok(logs::follow(shared, kind, of.id(), &query));
        }
        logs::read(shared, kind, of.id(), &query).map_err(|error| shared.error("reading a log", error))
    }

    /// Docker keeps no such records.
    async fn trail(&self, _query: &TrailQuery) -> Result<Trail, EngineError> {
        Ok(Trail::default())
    }

    async fn pull_evidence(&self, question: &PullQuestion) -> Result<PullEvidence, EngineError> {
        let (shared, image) = (&self.shared, &question.image);
        let op = "asking for an image";
        let platform = shared.platform().await.map_err(|error| shared.error(op, error))?;
        let local = shared.images.local(image).await.map_err(|error| shared.error(op, error))?;
        let remote = match question.registry {
            AnsweredBy::Us => None,
            AnsweredBy::Registry => Some(shared.images.remote(image).await.map_err(|error| shared.error(op, error))?),
        };
        Ok(PullEvidence { platform, local, remote, aws: None })
    }

    fn host_reach(&self, definition: &TaskDefinition) -> Vec<&'static str> {
        definition.host_reach()
    }

    fn refusal(&self, _: &TaskDefinition, _: Launch) -> Option<Failure> {
        None
    }

    fn warnings(&self, definition: &TaskDefinition, _: Option<Launch>) -> Vec<String> {
        warnings(definition)
    }

    async fn changed(&self) {
        let change = async {
            // The sender lives as long as the engine.
            let _ = self.seen.lock().await.changed().await;
        };
        // That time is up is an answer too.
        let _ = tokio::time::timeout(CHANGED_LIMIT, change).await;
    }

    async fn stop(&self, limit: Duration) {
        // Passes first: without the load balancers' verdicts they would take every copy for a sick one.
        self.shared.stop.send_replace(true);
        if tokio::time::timeout(limit, self.shared.balancers.stop()).await.is_err() {
            info!("requests still run through load balancers after {} seconds and are cut off", limit.as_secs());
        }
    }
}

impl Shared {
    /// Fails while Docker does not answer, or what it has of ours is not known yet.
    fn known_or_down(&self) -> Result<(), EngineError> {
        if self.client.is_up() {
            return Ok(());
        }
        let why = self.client.down().unwrap_or_else(|| "not yet, what it has is being listed".to_owned());
        Err(self.error("", DockerError::Down(why)))
    }

    fn stopping(&self) -> EngineError {
        EngineError::Unavailable { engine: self.client.words(), source: "its load balancers are being stopped".into() }
    }

    fn error(&self, op: &'static str, error: DockerError) -> EngineError {
        match error {
            DockerError::Down(why) => EngineError::Unavailable { engine: self.client.words(), source: why.into() },
            other => EngineError::Failed { op, source: Box::new(other) },
        }
    }

    fn network_error(&self, error: NetworkError) -> EngineError {
        match error {
            NetworkError::Docker(error) => self.error("making a network", error),
            NetworkError::Full(failure) => EngineError::Refused { failure },
        }
    }

    async fn platform(&self) -> Result<Platform, DockerError> {
        let version = self.client.call(|docker| async move { docker.version().await }).await?;
        Ok(Platform {
            os: version.os.unwrap_or_else(|| "linux".to_owned()),
            architecture: version.arch.unwrap_or_default(),
            variant: None,
        })
    }

    async fn environment_ensure(
        &self,
        environment: Environment,
        linked: Vec<EnvironmentId>,
    ) -> Result<(), EngineError> {
        self.known_or_down()?;
        let id = environment.id;
        {
            let mut state = self.state();
            let newer = state.environments.get(&id).is_some_and(|told| told.generation > environment.generation);
            if newer {
                return Err(EngineError::Outdated { entity: EntityRef::Environment(id) });
            }
            let told = Told { name: environment.name.to_string(), generation: environment.generation };
            state.environments.insert(id.clone(), told);
            for other in &linked {
                let (a, b) = labels::ordered(&id, other);
                state.cut.remove(&(a.to_string(), b.to_string()));
            }
        }
        let before = self.world.networks();
        self.networks.environment_ensure(&id).await.map_err(|error| self.network_error(error))?;
        for other in linked.iter().filter(|other| **other != id) {
            let network = self.networks.link_ensure(&id, other).await.map_err(|error| self.network_error(error))?;
            self.link_join_all(&network, [&id, other]).await?;
        }
        self.links_cut(&id, &linked).await?;
        if self.world.networks() != before {
            self.balancers.networks_changed().await;
        }
        Ok(())
    }

    /// Connects all copies of two environments to the network of their link.
    async fn link_join_all(&self, network: &Network, environments: [&EnvironmentId; 2]) -> Result<(), EngineError> {
        for container in self.world.containers() {
            let of_them = environments.iter().any(|id| id.as_str() == container.environment);
            // One that was made and not started shows no networks; its start joins it.
            let online = !container.networks.is_empty() && container.run != super::world::Run::Ended;
            if of_them && container.owns_network() && online && !container.networks.contains_key(&network.id) {
                let aliases = match container.kind {
                    OwnerKind::Service => self.link_aliases(&container.service, &container.environment),
                    OwnerKind::Task => Vec::new(),
                };
                match self.networks.connect(network, &container.id, aliases).await {
                    // It has ended or gone in between.
                    Ok(()) | Err(DockerError::NotFound(_) | DockerError::Conflict(_)) => {}
                    Err(error) => return Err(self.error("connecting a copy to a linked environment", error)),
                }
                let looked = super::watch::look(&self.client, &self.world, &container.id).await;
                looked.map_err(|error| self.error("connecting a copy to a linked environment", error))?;
            }
        }
        Ok(())
    }

    /// Takes away the links of an environment with all but these.
    async fn links_cut(&self, id: &EnvironmentId, linked: &[EnvironmentId]) -> Result<(), EngineError> {
        for network in self.world.networks() {
            let NetworkUse::Link(a, b) = &network.use_of else { continue };
            let other = match (a == id.as_str(), b == id.as_str()) {
                (true, _) => b,
                (_, true) => a,
                _ => continue,
            };
            if linked.iter().any(|linked| linked.as_str() == other) {
                continue;
            }
            self.state().cut.insert((a.clone(), b.clone()));
            self.networks.remove(&network).await.map_err(|error| self.error("taking a link away", error))?;
        }
        Ok(())
    }

    async fn environment_remove(&self, id: &EnvironmentId) -> Result<Removed, EngineError> {
        self.known_or_down()?;
        let inside: BTreeSet<String> = self
            .world
            .containers()
            .iter()
            .filter(|container| container.environment == id.as_str())
            .map(|container| format!("{} `{}`", container.kind.as_str(), container.entity))
            .collect();
        if !inside.is_empty() {
            let names: Vec<String> = inside.into_iter().collect();
            return Ok(Removed::Going { waiting_for: format!("{} to be removed", names.join(", ")) });
        }
        self.links_cut(id, &[]).await?;
        for network in self.world.networks() {
            if network.use_of == NetworkUse::Environment(id.to_string()) {
                self.networks.remove(&network).await.map_err(|error| self.error("taking a network away", error))?;
            }
        }
        self.state().environments.remove(id);
        self.balancers.networks_changed().await;
        Ok(Removed::Gone)
    }

    fn service_ensure(&self, spec: ServiceSpec) -> Result<(), EngineError> {
        let mut state = self.state();
        let service = state.services.entry(spec.id.clone()).or_insert_with(|| Service::new(spec.id.clone()));
        let newer = service.spec.as_ref().is_some_and(|known| known.generation > spec.generation);
        if newer || service.removing {
            return Err(EngineError::Outdated { entity: EntityRef::Service(spec.id) });
        }
        service.wish(spec);
        Ok(())
    }

    fn task_ensure(&self, spec: TaskSpec) -> Result<(), EngineError> {
        let mut state = self.state();
        let task = state.tasks.entry(spec.id.clone()).or_insert_with(|| Task::new(spec.id.clone()));
        let newer = task.spec.as_ref().is_some_and(|known| known.generation > spec.generation);
        if newer || task.removing {
            return Err(EngineError::Outdated { entity: EntityRef::Task(spec.id) });
        }
        task.wish(spec);
        Ok(())
    }

    async fn service_remove(&self, id: &ServiceId) -> Result<Removed, EngineError> {
        self.known_or_down()?;
        let copies = self.world.copies(OwnerKind::Service, id.as_str());
        let left = {
            let mut state = self.state();
            let service = state.services.entry(id.clone()).or_insert_with(|| Service::new(id.clone()));
            service.removing = true;
            service.copies_left(copies.len())
        };
        if left > 0 {
            let word = if left == 1 { "copy" } else { "copies" };
            return Ok(Removed::Going { waiting_for: format!("{left} {word} to finish and stop") });
        }
        self.leftovers_remove(id.as_str()).await?;
        self.balancers.targets_drop(id);
        self.state().services.remove(id);
        Ok(Removed::Gone)
    }

    async fn task_remove(&self, id: &TaskId) -> Result<Removed, EngineError> {
        self.known_or_down()?;
        let copies = self.world.copies(OwnerKind::Task, id.as_str());
        let idle = {
            let mut state = self.state();
            let task = state.tasks.entry(id.clone()).or_insert_with(|| Task::new(id.clone()));
            task.removing = true;
            task.is_idle()
        };
        if !copies.is_empty() || !idle {
            let left = copies.len().max(1);
            let word = if left == 1 { "copy" } else { "copies" };
            return Ok(Removed::Going { waiting_for: format!("{left} {word} to stop") });
        }
        self.leftovers_remove(id.as_str()).await?;
        self.state().tasks.remove(id);
        Ok(Removed::Gone)
    }

    /// Volumes that copies left behind.
    async fn leftovers_remove(&self, entity: &str) -> Result<(), EngineError> {
        let removed = volumes_remove(self, &[(labels::ENTITY, entity)]).await;
        removed.map_err(|error| self.error("taking volumes away", error))
    }

    fn environments_seen(&self) -> Vec<EnvironmentSeen> {
        let networks = self.world.networks();
        let mut seen: Vec<EnvironmentSeen> = Vec::new();
        for network in &networks {
            let NetworkUse::Environment(id) = &network.use_of else { continue };
            let Ok(id) = EnvironmentId::parse(id) else { continue };
            if seen.iter().any(|known| known.id == id) {
                continue;
            }
            let linked = networks.iter().filter_map(|network| match &network.use_of {
                NetworkUse::Link(a, b) if a == id.as_str() => EnvironmentId::parse(b).ok(),
                NetworkUse::Link(a, b) if b == id.as_str() => EnvironmentId::parse(a).ok(),
                _ => None,
            });
            let linked = linked.collect();
            let engine_id = network.id.clone();
            seen.push(EnvironmentSeen { id, engine_id, reachable_from: linked, waiting_for: None, problem: None });
        }
        seen
    }

    /// All services and tasks: those we were told of, and strays.
    fn copies_seen(self: &Arc<Self>, observed: &mut Observed) {
        let mut found: BTreeMap<(OwnerKind, String), Copies> = BTreeMap::new();
        for container in self.world.containers() {
            let copies = found.entry((container.kind, container.entity.clone())).or_default();
            copies.entry(container.number).or_default().push(container);
        }
        let none = Copies::new();
        let state = self.state();
        for (id, service) in &state.services {
            let copies = found.remove(&(OwnerKind::Service, id.to_string()));
            observed.services.push(service.seen(self, copies.as_ref().unwrap_or(&none)));
        }
        for (id, task) in &state.tasks {
            let copies = found.remove(&(OwnerKind::Task, id.to_string()));
            observed.tasks.push(task.seen(self, copies.as_ref().unwrap_or(&none)));
        }
        drop(state);
        for ((kind, entity), copies) in found {
            match kind {
                OwnerKind::Service => {
                    let id = ServiceId::parse(&entity).ok();
                    observed.services.extend(id.map(|id| services::stray_seen(id, &copies)));
                }
                OwnerKind::Task => {
                    let id = TaskId::parse(&entity).ok();
                    observed.tasks.extend(id.map(|id| tasks::stray_seen(id, &copies)));
                }
            }
        }
    }
}
