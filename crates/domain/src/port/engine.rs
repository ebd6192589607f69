//! The port `Engine`: what runs containers.
//!
//! It speaks of environments, load balancers, services and tasks, the level at which ECS works by itself. Keeping copies
//! alive is the engine's business; whether an operation is done, has failed or goes on is ours.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use super::BoxError;
use super::pull::{Launch, PullEvidence, PullQuestion};
use super::thing::Thing;
use super::trail::{Trail, TrailQuery};
use crate::model::entity::EntityRef;
use crate::model::environment::Environment;
use crate::model::failure::{Failure, LogLine};
use crate::model::id::{CopyId, DeploymentId, EnvironmentId, LoadBalancerId, ServiceId, TaskId};
use crate::model::load_balancer::LoadBalancer;
use crate::model::name::Name;
use crate::model::task::ContainerOutcome;
use crate::model::task_definition::TaskDefinition;
use crate::model::time::{Generation, Timestamp};

/// What an engine can do, as data, so that nobody finds out by an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// `docker`, `fake`, `ecs`.
    pub name: &'static str,
    /// Whether all load balancers share the host ports of one machine, so that two can't have the same.
    pub shared_host_ports: bool,
    /// Whether a listener can end TLS.
    pub tls: bool,
    /// Whether a link between environments can open one direction only.
    pub one_way_links: bool,
    /// Whether it is asked over a network, so that an answer may take seconds.
    pub is_remote: bool,
    /// How many container ports of one service a load balancer can lead to; `None` for any number.
    pub container_ports_max: Option<usize>,
    /// Whether load balancers send to addresses that copies have of their own, and classic ones to machines, so that what stands
    /// behind one must have such an address, or must not.
    pub address_targets: bool,
    /// Whether tasks can run on spare capacity that may be taken back ([`Capacity::Spot`]). One that can't takes no notice.
    pub spot: bool,
}

impl Capabilities {
    /// Those of an engine that has one machine, which is this one.
    #[must_use]
    pub const fn one_machine(name: &'static str) -> Self {
        Self {
            name,
            shared_host_ports: true,
            tls: false,
            one_way_links: false,
            is_remote: false,
            container_ports_max: None,
            address_targets: false,
            spot: false,
        }
    }
}

/// What is wanted of one entity. Ids are ours; an engine labels all that it makes with them.
#[derive(Debug, Clone, PartialEq)]
pub enum Want {
    /// An environment.
    Environment {
        /// The environment.
        environment: Environment,
        /// Those whose services may reach the services in it; sorted. Where links have no direction, those that it is linked
        /// with from either side.
        reachable_from: Vec<EnvironmentId>,
    },
    /// A load balancer.
    LoadBalancer {
        /// The load balancer.
        load_balancer: LoadBalancer,
        /// The environments, besides its own, from which a private one may be reached.
        reachable_from: Vec<EnvironmentId>,
    },
    /// A service.
    Service(ServiceSpec),
    /// A task.
    Task(TaskSpec),
}

impl Want {
    /// Which entity is meant.
    #[must_use]
    pub fn entity(&self) -> EntityRef {
        match self {
            Want::Environment { environment, .. } => EntityRef::Environment(environment.id.clone()),
            Want::LoadBalancer { load_balancer, .. } => EntityRef::LoadBalancer(load_balancer.id.clone()),
            Want::Service(spec) => EntityRef::Service(spec.id.clone()),
            Want::Task(spec) => EntityRef::Task(spec.id.clone()),
        }
    }
}

/// A service as the engine gets it.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceSpec {
    /// The service.
    pub id: ServiceId,
    /// Its name.
    pub name: Name,
    /// Where it runs.
    pub environment: EnvironmentId,
    /// Copies wanted.
    pub desired_count: u32,
    /// What the copies run.
    pub revision: Revision,
    /// Whether copies of this revision may be started. `Halted` after a roll-out failed with nothing to go back to: what
    /// runs goes on, nothing new is started.
    pub mode: ServiceMode,
    /// The load balancer that the copies stand behind.
    pub load_balancer: Option<LoadBalancerId>,
    /// On what the copies run.
    pub launch: Launch,
    /// The store's generation of the service; the engine refuses an older one than it has.
    pub generation: Generation,
}

/// Whether a service's copies are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceMode {
    /// Keep the wanted number running.
    Run,
    /// Start nothing.
    Halted,
}

/// What a copy runs: a deployment with its task definition, images pinned.
#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    /// The deployment that it belongs to.
    pub deployment: DeploymentId,
    /// `name:version`, for people.
    pub label: String,
    /// The definition; each container's `image` is what is to be pulled.
    pub definition: TaskDefinition,
}

/// A task as the engine gets it.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskSpec {
    /// The task.
    pub id: TaskId,
    /// Its name.
    pub name: Name,
    /// Where it runs.
    pub environment: EnvironmentId,
    /// How many times, side by side. Copies are numbered; the engine starts each exactly once.
    pub copies: u32,
    /// The definition; each container's `image` is what is to be pulled; overrides are already applied.
    pub definition: TaskDefinition,
    /// Whether it should run or be stopped.
    pub run: TaskRun,
    /// On what the copies run.
    pub launch: Launch,
    /// On whose terms.
    pub capacity: Capacity,
    /// The store's generation of the task.
    pub generation: Generation,
}

/// On what terms a task has its capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Capacity {
    /// Until it ends.
    #[default]
    Regular,
    /// Spare capacity for less money, which may be taken back at two minutes' notice (AWS: Spot).
    Spot,
}

/// Whether a task should run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskRun {
    /// Run each copy once, to its end.
    Once,
    /// Stop what runs; start nothing.
    Stop,
}

/// What to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All that bears our label, strays included.
    All,
    /// One entity.
    One(EntityRef),
}

/// What an engine sees. Only what was asked for is filled in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// Environments that exist in the engine.
    pub environments: Vec<EnvironmentSeen>,
    /// Load balancers that exist in the engine.
    pub load_balancers: Vec<LoadBalancerSeen>,
    /// Services with their copies.
    pub services: Vec<ServiceSeen>,
    /// Tasks with their copies.
    pub tasks: Vec<TaskSeen>,
}

/// An environment as seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentSeen {
    /// Which.
    pub id: EnvironmentId,
    /// What stands for it in the engine (network id, cluster's security group).
    pub engine_id: String,
    /// Those whose services may reach the services in it.
    pub reachable_from: Vec<EnvironmentId>,
    /// What is still being made or changed of it, in words; `None` when it is as wanted.
    pub waiting_for: Option<String>,
    /// Why it can't be made or changed as wanted; `None` when all is well or goes on.
    pub problem: Option<Failure>,
}

/// A load balancer as seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadBalancerSeen {
    /// Which.
    pub id: LoadBalancerId,
    /// The generation that is in force.
    pub generation: Generation,
    /// The address without port and scheme that works on the host and inside containers.
    pub address: String,
    /// What the engine calls it: an ARN on AWS, the name of a classic one; empty where it has no name of its own.
    pub engine_name: String,
    /// Host ports that listen.
    pub listening: Vec<u16>,
    /// What is wrong with it; `None` when all is as wanted.
    pub problem: Option<Failure>,
}

/// A service as seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSeen {
    /// Which.
    pub id: ServiceId,
    /// The generation that the engine works towards; `None` when the engine was not told of the service (yet).
    pub generation: Option<Generation>,
    /// Its copies, the oldest first.
    pub copies: Vec<CopySeen>,
    /// Starts that failed, by deployment, since the engine was told of it: each a copy that could not be started, ended
    /// by itself before it was healthy, or never became healthy.
    pub failures: Vec<StartFailures>,
    /// The copies of the wanted deployment that were lost after they had been healthy; `None` when none was.
    pub lost: Option<LostCopies>,
    /// What the engine waits for, in words, when it waits: `pulling …`, `2 of 3 copies to pass their health check`.
    pub waiting_for: Option<String>,
    /// What the user should know (a field that this engine can't honour).
    pub warnings: Vec<String>,
    /// Why it can't be done as asked: the engine tries no more until it is told something else.
    pub problem: Option<Failure>,
}

/// Copies of a deployment that had been healthy and then ended by themselves, or failed their health check for so long that they were
/// taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostCopies {
    /// Of which deployment.
    pub deployment: DeploymentId,
    /// How many, since the engine has been watching it.
    pub count: u32,
    /// When the newest of them was seen to be lost, by the engine's clock.
    pub at: Timestamp,
    /// Why that one was.
    pub last: Failure,
}

impl LostCopies {
    /// Counts one more, if it is of the wanted deployment; those of another one count no longer then.
    pub fn count(
        known: &mut Option<Self>,
        wanted: Option<&DeploymentId>,
        deployment: &DeploymentId,
        at: Timestamp,
        last: Failure,
    ) {
        if wanted != Some(deployment) {
            return;
        }
        let before = known.as_ref().filter(|known| known.deployment == *deployment).map_or(0, |known| known.count);
        *known = Some(Self { deployment: deployment.clone(), count: before.saturating_add(1), at, last });
    }

    /// Those of the wanted deployment.
    #[must_use]
    pub fn of_wanted(known: Option<&Self>, wanted: Option<&DeploymentId>) -> Option<Self> {
        known.filter(|known| wanted == Some(&known.deployment)).cloned()
    }
}

/// A deployment's failed starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartFailures {
    /// Which deployment.
    pub deployment: DeploymentId,
    /// How many starts failed in a row with the same class since the last healthy copy; 0 when none failed, and none comes
    /// about either.
    pub in_a_row: u32,
    /// The last of them, or why none comes about.
    pub last: Failure,
}

/// One copy as seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopySeen {
    /// Which.
    pub id: CopyId,
    /// Which deployment it runs; `None` for a task's copy.
    pub deployment: Option<DeploymentId>,
    /// How it is.
    pub state: CopyState,
    /// When it was started.
    pub started: Option<Timestamp>,
    /// Its containers.
    pub containers: Vec<ContainerSeen>,
}

/// How a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyState {
    /// Being made: images pulled, containers created, dependencies awaited.
    Pending,
    /// Running, not known to be healthy yet.
    Starting,
    /// Running and healthy (or without any health check: running).
    Healthy,
    /// Running, health check fails.
    Unhealthy,
    /// Gets no new connections, ends soon.
    Draining,
    /// Ended.
    Stopped,
}

/// One container as seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSeen {
    /// The name in the task definition.
    pub name: String,
    /// The engine's word for its state: `PENDING`, `RUNNING`, `STOPPED` (ECS `lastStatus`).
    pub status: String,
    /// How it ended.
    pub outcome: Option<ContainerOutcome>,
}

/// A task as seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskSeen {
    /// Which.
    pub id: TaskId,
    /// The generation that the engine works towards; `None` when the engine was not told of the task (yet).
    pub generation: Option<Generation>,
    /// Its copies in order of their number.
    pub copies: Vec<CopySeen>,
    /// A start that can't come about, or a stop; the engine tries no more.
    pub failure: Option<Failure>,
    /// What the engine waits for, in words.
    pub waiting_for: Option<String>,
    /// What the user should know (a field that this engine can't honour).
    pub warnings: Vec<String>,
}

/// Whether what was to be removed is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// Nothing of it is left.
    Gone,
    /// It goes on: ask again when the engine changed.
    Going {
        /// What it waits for: `2 copies to finish their requests`.
        waiting_for: String,
    },
    /// It could not go the last time, and has been begun again: ask again when the engine changed. Whoever asks without
    /// end waits until somebody takes away what hinders.
    Hindered {
        /// What it waits for now.
        waiting_for: String,
        /// What hindered it.
        why: String,
    },
}

/// Which log lines are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// The newest so many lines of each container; `None` for all.
    pub tail: Option<u32>,
    /// Lines from this moment on.
    pub start: Option<Timestamp>,
    /// Lines up to this moment.
    pub end: Option<Timestamp>,
    /// Whether to wait for more; a follow ends only when the caller drops it (a task's: when all its copies have ended).
    pub follow: bool,
}

/// Lines as they come, those of one container in order.
pub type LogStream = BoxStream<'static, Result<LogLine, EngineError>>;

/// What went wrong in an engine, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// It isn't there.
    #[error("{entity} is not known to the engine")]
    Missing {
        /// What.
        entity: EntityRef,
    },
    /// Try again later.
    #[error("the engine is throttled, try after {after:?}")]
    Throttled {
        /// How long to wait.
        after: Duration,
    },
    /// The engine does not answer, or not in time.
    #[error("{engine} does not answer")]
    Unavailable {
        /// What does not answer, in words: `the Docker engine at unix:///var/run/docker.sock`.
        engine: String,
        /// What was seen.
        #[source]
        source: BoxError,
    },
    /// It can't be done as asked; the failure says why in words.
    #[error("{}", .failure.message)]
    Refused {
        /// Why.
        failure: Box<Failure>,
    },
    /// The engine has a newer generation already.
    #[error("a newer generation of {entity} is in force")]
    Outdated {
        /// Of what.
        entity: EntityRef,
    },
    /// The engine answered with an error that we have no word for.
    #[error("the engine failed at {op}")]
    Failed {
        /// What was being done.
        op: &'static str,
        /// What it said.
        #[source]
        source: BoxError,
    },
}

impl EngineError {
    /// Whether the same call may succeed later without anyone changing what is asked.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            EngineError::Throttled { .. } | EngineError::Unavailable { .. } | EngineError::Failed { .. } => true,
            EngineError::Missing { .. } | EngineError::Refused { .. } | EngineError::Outdated { .. } => false,
        }
    }
}

/// What runs containers.
///
/// Every verb is idempotent on our ids. Nothing is ever touched that does not bear the label of this instance. A call
/// returns within seconds; what takes longer goes on by itself and shows in [`observe`](Engine::observe).
#[async_trait]
pub trait Engine: Send + Sync {
    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Makes it so, or begins to. A second call with the same wish changes nothing. After a restart of the server the
    /// engine knows nothing: it must be told of every entity again, and adopts what it finds running.
    async fn ensure(&self, want: Want) -> Result<(), EngineError>;

    /// Takes an entity away with all that was made for it: connections are drained first, logs go too. Of something that
    /// isn't there: [`Removed::Gone`].
    async fn remove(&self, entity: &EntityRef) -> Result<Removed, EngineError>;

    /// What there is. Cheap: answered from what the engine already knows where it can be.
    async fn observe(&self, scope: Scope) -> Result<Observed, EngineError>;

    /// Everything that bears this instance's label, thing by thing, whoever it was made for, asked anew of what holds it.
    /// What was made before the call and is still there is listed; what an engine is only told of, and has not made, is
    /// not. Data that outlives its makers (a shared volume) is no thing of the instance. Dearer than
    /// [`observe`](Engine::observe), and for whoever looks for strays: [`remove`](Engine::remove) of each entity that
    /// a thing was made for takes it away.
    async fn inventory(&self) -> Result<Vec<Thing>, EngineError>;

    /// The log of a service's or a task's containers, those that ended included as long as the engine has them.
    ///
    /// # Errors
    /// `Missing` when the engine has nothing of it.
    async fn logs(&self, of: &EntityRef, query: LogQuery) -> Result<LogStream, EngineError>;

    /// What the platform under the engine wrote down about who changed what: the newest records that were asked for, the
    /// oldest first. What could not be read is said in the answer's `gap`; an error means that the platform could not be asked
    /// at all. Without such a platform: nothing, and no gap.
    async fn trail(&self, query: &TrailQuery) -> Result<Trail, EngineError>;

    /// Facts about whether an image can be pulled as it is asked. Pulls nothing. What could not be found out is among the facts
    /// as such; an error means that the engine could not be asked at all.
    async fn pull_evidence(&self, question: &PullQuestion) -> Result<PullEvidence, EngineError>;

    /// Which fields of a definition this engine can't honour, one sentence each; `launch` is on whose machines, `None` while that is
    /// open. Pure.
    fn warnings(&self, definition: &TaskDefinition, launch: Option<Launch>) -> Vec<String>;

    /// Why a definition can't be run so at all, where the definition alone shows it. Pure.
    fn refusal(&self, definition: &TaskDefinition, launch: Launch) -> Option<Failure>;

    /// The fields by which a definition reaches the machine that this server runs on, where the engine runs containers there: whoever
    /// may write them has all that the server keeps. Pure.
    fn host_reach(&self, definition: &TaskDefinition) -> Vec<&'static str>;

    /// Returns when something that `observe` shows may have changed since the call before, at the latest after 30
    /// seconds. May return for no reason.
    async fn changed(&self);

    /// The orderly end of what this process itself carries for the entities, as the traffic of load balancers: nothing new is
    /// taken, what runs may end, for `limit` at most. Containers run on, but wishes are not pursued any more, so this is
    /// for the end of the process. Returns at once where nothing is carried, and when it was called before.
    async fn stop(&self, limit: Duration);
}
