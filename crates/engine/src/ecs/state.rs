//! What the engine was told and what it saw last.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::environment::Environment;
use layer0_domain::model::failure::Failure;
use layer0_domain::model::id::{EnvironmentId, LoadBalancerId, ServiceId, TaskId};
use layer0_domain::model::load_balancer::{LoadBalancer, Port};
use layer0_domain::model::time::Generation;
use layer0_domain::port::engine::ServiceSpec;
use layer0_domain::port::pull::Launch;
use tokio::sync::{Notify, OwnedMutexGuard, watch};

use super::aws::{Aws, Stack};
use super::config::EcsConfig;
use super::evidence::KeptFacts;
use super::names::Names;
use super::services::{Machines, ServiceState};
use super::stacks::{Progress, StackState};
use super::tasks::TaskState;
use super::template::{CAPACITY_PROVIDER, MEMBERS, SECURITY_GROUP};

/// An environment that the engine was told of.
#[derive(Debug, Clone)]
pub(super) struct EnvironmentState {
    /// As it is wanted.
    pub(super) environment: Environment,
    /// Who may reach it.
    pub(super) reachable_from: Vec<EnvironmentId>,
    /// Those of them whose security group is not known yet.
    pub(super) unknown: Vec<EnvironmentId>,
    /// Its stack.
    pub(super) stack: StackState,
}

/// A load balancer that the engine was told of.
#[derive(Debug, Clone)]
pub(super) struct BalancerState {
    /// As it is wanted.
    pub(super) load_balancer: LoadBalancer,
    /// The environments, besides its own, that may reach it.
    pub(super) reachable_from: Vec<EnvironmentId>,
    /// Those of them whose security group is not known yet.
    pub(super) unknown: Vec<EnvironmentId>,
    /// Its stack.
    pub(super) stack: StackState,
    /// What was in force last: a change under way leaves it in force.
    pub(super) in_force: Option<(Generation, Vec<Port>)>,
    /// Those whom it let in then.
    pub(super) open_to: Vec<EnvironmentId>,
}

impl BalancerState {
    /// Whether it serves, and is still to let an environment in.
    fn is_shut(&self, to: &EnvironmentId) -> bool {
        let works = self.in_force.is_some() && !matches!(self.stack.progress, Progress::Broken(_));
        works && self.reachable_from.contains(to) && !self.open_to.contains(to)
    }
}

/// All that the engine was told.
#[derive(Default)]
pub(super) struct State {
    /// Environments.
    pub(super) environments: HashMap<EnvironmentId, EnvironmentState>,
    /// Load balancers.
    pub(super) balancers: HashMap<LoadBalancerId, BalancerState>,
    /// Services.
    pub(super) services: HashMap<ServiceId, ServiceState>,
    /// Tasks.
    pub(super) tasks: HashMap<TaskId, TaskState>,
}

impl State {
    /// Whether a load balancer that is there does not let in yet all that may reach it. What can't be made is not waited for.
    pub(super) fn opens_later(&self, balancer: &BalancerState) -> bool {
        let can_come = |id: &EnvironmentId| {
            let stack = self.environments.get(id).map(|it| &it.stack.progress);
            !matches!(stack, Some(Progress::Broken(_)))
        };
        balancer.reachable_from.iter().any(|id| balancer.is_shut(id) && can_come(id))
    }

    /// Why an environment never comes to have what stands in it needs: its stack can't be made, and nothing of those outputs is
    /// left from before. Whoever waits for it hands that on, and goes on when another wish for the environment is.
    pub(super) fn environment_lost(&self, id: &EnvironmentId, outputs: &[&str]) -> Option<Failure> {
        let told = self.environments.get(id)?;
        let lacks = outputs.iter().any(|key| told.stack.output(key).is_none());
        lost(&told.stack.progress, format_args!("environment `{}`", told.environment.name)).filter(|_| lacks)
    }

    /// The same for what is started in it.
    pub(super) fn start_lost(&self, id: &EnvironmentId, launch: Launch) -> Option<Failure> {
        match launch {
            Launch::Fargate => self.environment_lost(id, &[MEMBERS, SECURITY_GROUP]),
            Launch::Ec2 => self.environment_lost(id, &[MEMBERS, SECURITY_GROUP, CAPACITY_PROVIDER]),
        }
    }

    /// Why a load balancer is not as it is wanted and never will be, in the words of who waits for it.
    pub(super) fn balancer_lost(&self, id: &LoadBalancerId) -> Option<Failure> {
        let told = self.balancers.get(id)?;
        let name = format_args!("load balancer `{}`", told.load_balancer.name);
        lost(&told.stack.progress, name).or_else(|| self.balancer_stranded(told))
    }

    /// Why a load balancer that AWS was not asked for yet never will be: its environment can't be made.
    pub(super) fn balancer_stranded(&self, told: &BalancerState) -> Option<Failure> {
        let asked = told.stack.progress != Progress::Unknown;
        self.environment_lost(&told.load_balancer.environment, &[MEMBERS]).filter(|_| !asked)
    }

    /// Whether an environment that others wait for may still come.
    pub(super) fn can_come(&self, id: &EnvironmentId) -> bool {
        self.environment_lost(id, &[MEMBERS]).is_none()
    }

    /// A load balancer elsewhere that is still to let an environment in which is linked to its own.
    pub(super) fn shut(&self, to: &EnvironmentId) -> Option<&LoadBalancerId> {
        self.balancers.iter().filter(|(_, it)| it.is_shut(to)).map(|(id, _)| id).min()
    }

    /// The generation of the load balancer that a service is wanted behind.
    pub(super) fn balancer_generation(&self, spec: &ServiceSpec) -> Option<Generation> {
        let balancer = self.balancers.get(spec.load_balancer.as_ref()?)?;
        Some(balancer.load_balancer.generation)
    }
}

/// The failure of something that others wait for, as theirs.
fn lost(progress: &Progress, what: std::fmt::Arguments<'_>) -> Option<Failure> {
    let Progress::Broken(failure) = progress else { return None };
    Some(Failure { message: format!("{what} is not there: {}", failure.message), ..failure.clone() })
}

/// What all parts of the engine share.
pub(super) struct Shared {
    /// The account.
    pub(super) config: EcsConfig,
    /// Names and labels.
    pub(super) names: Names,
    /// The calls.
    pub(super) aws: Aws,
    /// What was looked up about roles and networks.
    pub(super) kept: KeptFacts,
    /// Wakes the loop.
    pub(super) wake: Notify,
    state: Mutex<State>,
    turns: Mutex<HashMap<EntityRef, Arc<tokio::sync::Mutex<()>>>>,
    /// Families of task definitions whose labels were looked at, and whether they are this instance's.
    families: Mutex<HashMap<String, bool>>,
    changes: watch::Sender<u64>,
    /// When a call about service deployments was refused last.
    rollouts_refused: Mutex<Option<tokio::time::Instant>>,
    machines: Mutex<Machines>,
}

impl Shared {
    pub(super) fn new(config: EcsConfig, aws: Aws) -> Self {
        let names = Names::new(&config.instance, &config.instance_id);
        Self {
            config,
            names,
            aws,
            kept: KeptFacts::default(),
            wake: Notify::new(),
            state: Mutex::default(),
            turns: Mutex::default(),
            families: Mutex::default(),
            changes: watch::Sender::new(0),
            rollouts_refused: Mutex::default(),
            machines: Mutex::default(),
        }
    }

    /// What is known. Never held over a call.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The turn to act on an entity: `ensure`, `remove` and the loop take turns, so that none acts on what another changes.
    pub(super) async fn turn(&self, entity: &EntityRef) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.entry(entity.clone()).or_default().clone()
        };
        turn.lock_owned().await
    }

    /// Forgets the turns of an entity that is gone, unless somebody waits for one. Whoever calls has the turn.
    pub(super) fn turn_forget(&self, entity: &EntityRef) {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // The map's own, and that of the turn.
        if turns.get(entity).is_some_and(|turn| Arc::strong_count(turn) <= 2) {
            turns.remove(entity);
        }
    }

    /// Whether a family of task definitions is this instance's; `None` while nobody has looked.
    pub(super) fn family_known(&self, family: &str) -> Option<bool> {
        self.families.lock().unwrap_or_else(PoisonError::into_inner).get(family).copied()
    }

    /// Notes whose a family of task definitions is.
    pub(super) fn family_note(&self, family: &str, ours: bool) {
        self.families.lock().unwrap_or_else(PoisonError::into_inner).insert(family.to_owned(), ours);
    }

    /// Tells those who wait that something may have changed.
    pub(super) fn changed(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// A view of the changes from now on.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// When a call about service deployments was refused last.
    pub(super) fn rollouts_refused(&self) -> Option<tokio::time::Instant> {
        *self.rollouts_refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a call about service deployments was refused.
    pub(super) fn rollouts_refuse(&self, at: tokio::time::Instant) {
        *self.rollouts_refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// What is known of machines behind classic load balancers. Never held over a call.
    pub(super) fn machines(&self) -> MutexGuard<'_, Machines> {
        self.machines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a stack is this instance's.
    pub(super) fn is_ours(&self, stack: &Stack) -> bool {
        self.names.is_ours(|key| stack.tags.get(key).cloned())
    }

    /// The security groups of what stands in an environment; `None` while they are not known.
    pub(super) fn environment_groups(&self, id: &EnvironmentId) -> Option<Vec<String>> {
        [MEMBERS, SECURITY_GROUP].into_iter().map(|key| self.environment_output(id, key)).collect()
    }

    /// An output of an environment's stack; `None` while it is not known.
    pub(super) fn environment_output(&self, id: &EnvironmentId, key: &str) -> Option<String> {
        self.state().environments.get(id).and_then(|it| it.stack.output(key)).map(str::to_owned)
    }
}
