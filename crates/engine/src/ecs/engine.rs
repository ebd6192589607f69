//! The port on AWS.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::failure::Failure;
use layer0_domain::model::id::ServiceId;
use layer0_domain::model::task_definition::TaskDefinition;
use layer0_domain::port::engine::{
    Capabilities, Engine, EngineError, LogQuery, LogStream, Observed, Removed, Scope, Want,
};
use layer0_domain::port::pull::{Launch, PullEvidence, PullQuestion};
use layer0_domain::port::thing::Thing;
use layer0_domain::port::trail::{Trail, TrailQuery};
use tokio::sync::{Mutex, watch};

use super::aws::{Aws, TaskFilter};
use super::config::EcsConfig;
use super::evidence::set_up;
use super::state::Shared;
use super::{look, stops, tasks};

/// How long `changed` may wait (contract of the port).
const CHANGED_LIMIT: Duration = Duration::from_secs(30);

/// The most target groups of a service ("Registering multiple target groups with an Amazon ECS service": "up to five target
/// groups"). There is one for each container port.
const TARGET_GROUPS_MAX: usize = 5;

/// The engine on AWS. Its loops end when it is dropped.
pub struct EcsEngine {
    shared: Arc<Shared>,
    changes: Mutex<watch::Receiver<u64>>,
    looking: Vec<tokio::task::JoinHandle<()>>,
}

impl EcsEngine {
    /// Starts the engine; unless it is to look at the set-up, it asks AWS for nothing before it is told something. Must be called in a tokio runtime.
    #[must_use]
    pub fn start(config: EcsConfig, sdk: &SdkConfig) -> Self {
        let aws = Aws::new(sdk, config.rates);
        let shared = Arc::new(Shared::new(config, aws));
        let changes = Mutex::new(shared.changes());
        let here = || Arc::downgrade(&shared);
        let mut looking = vec![tokio::spawn(look::run(here())), tokio::spawn(stops::run(here()))];
        if shared.config.look_set_up {
            looking.push(tokio::spawn(set_up::run(here())));
        }
        Self { shared, changes, looking }
    }
}

impl Drop for EcsEngine {
    fn drop(&mut self) {
        for looking in &self.looking {
            looking.abort();
        }
    }
}

#[async_trait]
impl Engine for EcsEngine {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: "ecs",
            shared_host_ports: false,
            tls: true,
            one_way_links: true,
            is_remote: true,
            container_ports_max: Some(TARGET_GROUPS_MAX),
            address_targets: true,
            spot: true,
        }
    }

    async fn ensure(&self, want: Want) -> Result<(), EngineError> {
        match want {
            Want::Environment { environment, reachable_from } => {
                self.shared.environment_ensure(environment, reachable_from).await
            }
            Want::LoadBalancer { load_balancer, reachable_from } => {
                self.shared.load_balancer_ensure(load_balancer, reachable_from).await
            }
            Want::Service(spec) => self.shared.service_ensure(spec).await,
            Want::Task(spec) => self.shared.task_ensure(spec).await,
        }
    }

    async fn remove(&self, entity: &EntityRef) -> Result<Removed, EngineError> {
        match entity {
            EntityRef::Environment(id) => self.shared.environment_remove(id).await,
            EntityRef::LoadBalancer(id) => self.shared.load_balancer_remove(id).await,
            EntityRef::Service(id) => self.shared.service_remove(id).await,
            EntityRef::Task(id) => self.shared.task_remove(id).await,
            EntityRef::Deploy(_) => Ok(Removed::Gone),
        }
    }

    async fn observe(&self, scope: Scope) -> Result<Observed, EngineError> {
        let shared = &self.shared;
        let mut observed = Observed::default();
        match scope {
            Scope::All => return shared.observe_all().await,
            Scope::One(EntityRef::Deploy(_)) => {}
            Scope::One(EntityRef::Environment(id)) => {
                observed.environments.extend(shared.environment_seen(&id).await?);
            }
            Scope::One(EntityRef::LoadBalancer(id)) => {
                observed.load_balancers.extend(shared.load_balancer_seen(&id).await?);
            }
            Scope::One(EntityRef::Service(id)) => observed.services.extend(shared.service_seen(&id).await?),
            Scope::One(EntityRef::Task(id)) => {
                observed.tasks.extend(shared.state().tasks.get(&id).map(|task| tasks::seen(&id, task)));
            }
        }
        Ok(observed)
    }

    async fn inventory(&self) -> Result<Vec<Thing>, EngineError> {
        self.shared.inventory().await
    }

    async fn logs(&self, of: &EntityRef, query: LogQuery) -> Result<LogStream, EngineError> {
        super::logs::read(&self.shared, of, query).await
    }

    async fn trail(&self, query: &TrailQuery) -> Result<Trail, EngineError> {
        self.shared.trail(query).await
    }

    async fn pull_evidence(&self, question: &PullQuestion) -> Result<PullEvidence, EngineError> {
        super::evidence::gather(&self.shared, question).await
    }

    fn host_reach(&self, _: &TaskDefinition) -> Vec<&'static str> {
        // A machine of an environment is not the one that this server runs on.
        Vec::new()
    }

    fn refusal(&self, definition: &TaskDefinition, launch: Launch) -> Option<Failure> {
        match launch {
            Launch::Fargate => super::definition::refusal(definition),
            Launch::Ec2 => None,
        }
    }

    fn warnings(&self, definition: &TaskDefinition, launch: Option<Launch>) -> Vec<String> {
        // What asks for machines alone is not for Fargate.
        let asked = &definition.requires_compatibilities;
        let is_for_machines = || !asked.is_empty() && !asked.iter().any(|name| name == "FARGATE");
        match launch {
            Some(Launch::Ec2) => Vec::new(),
            None if is_for_machines() => Vec::new(),
            Some(Launch::Fargate) | None => super::definition::warnings(definition),
        }
    }

    async fn changed(&self) {
        let change = async {
            // The sender lives as long as the engine.
            let _ = self.changes.lock().await.changed().await;
        };
        // That time is up is an answer too.
        let _ = tokio::time::timeout(CHANGED_LIMIT, change).await;
    }

    /// AWS carries all traffic.
    async fn stop(&self, _limit: Duration) {}
}

impl Shared {
    async fn service_seen(
        &self,
        id: &ServiceId,
    ) -> Result<Option<layer0_domain::port::engine::ServiceSeen>, EngineError> {
        {
            let state = self.state();
            if let Some(service) = state.services.get(id).filter(|it| it.spec.is_some()) {
                return Ok(Some(service.seen(id, &self.names, self.config.settle)));
            }
        }
        for cluster in self.clusters().await? {
            if let Some(service) = self.service_look_untold(&cluster, id).await? {
                return Ok(Some(service.seen(id, &self.names, Duration::ZERO)));
            }
        }
        Ok(None)
    }

    /// All that bears our labels: what we were told of, and strays.
    async fn observe_all(&self) -> Result<Observed, EngineError> {
        let (environments, load_balancers, clusters) = self.stacks_seen().await?;
        let mut observed = Observed { environments, load_balancers, ..Observed::default() };
        {
            let state = self.state();
            let told = state.services.iter().filter(|(_, it)| it.spec.is_some());
            observed.services.extend(told.map(|(id, it)| it.seen(id, &self.names, self.config.settle)));
            let told = state.tasks.iter().filter(|(_, it)| it.spec.is_some());
            observed.tasks.extend(told.map(|(id, it)| tasks::seen(id, it)));
        }
        for cluster in clusters {
            for name in self.aws.services_list(&cluster).await? {
                let Some(id) = self.names.id(&name).and_then(|id| ServiceId::parse(id).ok()) else { continue };
                if observed.services.iter().any(|seen| seen.id == id) {
                    continue;
                }
                if let Some(service) = self.service_look_untold(&cluster, &id).await? {
                    observed.services.push(service.seen(&id, &self.names, Duration::ZERO));
                }
            }
            let running = self.aws.tasks_list(&cluster, TaskFilter::All, true).await?;
            for copy in self.aws.tasks_describe(&cluster, &running).await? {
                let Some(id) = self.names.task_of(&copy.family) else { continue };
                let told = self.state().tasks.get(&id).is_some_and(|it| it.spec.is_some());
                if told {
                    continue;
                }
                match observed.tasks.iter_mut().find(|seen| seen.id == id) {
                    Some(seen) => seen.copies.extend(tasks::copy_seen(&copy)),
                    None => observed.tasks.push(tasks::stray(&id, &copy)),
                }
            }
        }
        self.stray_definitions(&mut observed).await?;
        Ok(observed)
    }

    /// Task definitions of tasks that are gone: a crash may have left them.
    async fn stray_definitions(&self, observed: &mut Observed) -> Result<(), EngineError> {
        for entity in self.families_ours().await?.into_values() {
            match entity {
                EntityRef::Task(id) if observed.tasks.iter().all(|seen| seen.id != id) => {
                    observed.tasks.push(tasks::no_copies(&id));
                }
                EntityRef::Service(id) if observed.services.iter().all(|seen| seen.id != id) => {
                    let nothing = super::services::ServiceState::default();
                    observed.services.push(nothing.seen(&id, &self.names, Duration::ZERO));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
