//! Environments and load balancers: what lives in stacks.

use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::environment::Environment;
use layer0_domain::model::id::{EnvironmentId, LoadBalancerId};
use layer0_domain::model::load_balancer::{LoadBalancer, Visibility};
use layer0_domain::model::time::Generation;
use layer0_domain::port::engine::{EngineError, EnvironmentSeen, LoadBalancerSeen, Removed};

use super::aws::{AwsError, Stack, StackWanted};
use super::names::{ENTITY, ENVIRONMENT, KIND};
use super::stacks::{self, Going, Progress, StackState};
use super::state::{BalancerState, EnvironmentState, Shared, State};
use super::template::{self, ADDRESS, BALANCER, EnvironmentParts, LoadBalancerParts, MEMBERS, SECURITY_GROUP};

impl Shared {
    /// Takes a wish down and goes a step towards it.
    pub(super) async fn environment_ensure(
        &self,
        environment: Environment,
        reachable_from: Vec<EnvironmentId>,
    ) -> Result<(), EngineError> {
        let entity = EntityRef::Environment(environment.id.clone());
        let _turn = self.turn(&entity).await;
        let id = environment.id.clone();
        {
            let mut state = self.state();
            let mut stack = StackState::default();
            if let Some(known) = state.environments.get(&id) {
                if known.environment.generation > environment.generation {
                    return Err(EngineError::Outdated { entity });
                }
                stack = known.stack.clone();
                if known.environment.generation != environment.generation {
                    stack.try_again();
                }
            }
            let unknown = Vec::new();
            state.environments.insert(id.clone(), EnvironmentState { environment, reachable_from, unknown, stack });
        }
        let result = self.environment_advance(&id).await;
        self.wake.notify_one();
        self.changed();
        result.map_err(EngineError::from)
    }

    /// Goes a step towards what is wanted. Whoever calls has the environment's turn.
    pub(super) async fn environment_advance(&self, id: &EnvironmentId) -> Result<(), AwsError> {
        let Some(told) = self.state().environments.get(id).cloned() else { return Ok(()) };
        let mut groups = Vec::new();
        let mut unknown = Vec::new();
        for other in &told.reachable_from {
            match self.members_group(other).await? {
                Some(group) => groups.push((other.clone(), group)),
                None => unknown.push(other.clone()),
            }
        }
        let wanted = template::environment(&EnvironmentParts {
            config: &self.config,
            names: &self.names,
            environment: &told.environment,
            reachable_from: &groups,
        });
        let mut stack = told.stack;
        let result = self.stack_advance(&wanted, &mut stack).await;
        if let Some(here) = self.state().environments.get_mut(id) {
            here.stack = stack;
            here.unknown = unknown;
        }
        result
    }

    async fn stack_advance(&self, wanted: &StackWanted, state: &mut StackState) -> Result<(), AwsError> {
        stacks::advance(&self.aws, |stack: &Stack| self.is_ours(stack), wanted, state).await
    }

    /// The members group of an environment, told of or not; `None` while it has none.
    async fn members_group(&self, id: &EnvironmentId) -> Result<Option<String>, AwsError> {
        if let Some(group) = self.environment_output(id, MEMBERS) {
            return Ok(Some(group));
        }
        let stack = self.aws.stack_describe(&self.names.environment(id)).await?;
        Ok(stack.filter(|stack| self.is_ours(stack)).and_then(|stack| stack.outputs.get(MEMBERS).cloned()))
    }

    /// Takes an environment away, or goes on with that.
    pub(super) async fn environment_remove(&self, id: &EnvironmentId) -> Result<Removed, EngineError> {
        let _turn = self.turn(&EntityRef::Environment(id.clone())).await;
        let name = self.names.environment(id);
        let going = stacks::remove(&self.aws, |stack: &Stack| self.is_ours(stack), &name).await?;
        self.changed();
        if going == Going::Gone {
            self.state().environments.remove(id);
            self.turn_forget(&EntityRef::Environment(id.clone()));
        }
        Ok(going.into())
    }

    /// An environment as it is; `None` for one that isn't there.
    pub(super) async fn environment_seen(&self, id: &EnvironmentId) -> Result<Option<EnvironmentSeen>, EngineError> {
        {
            let state = self.state();
            if let Some(told) = state.environments.get(id) {
                return Ok(Some(environment_seen(told, &state)));
            }
        }
        let stack = self.aws.stack_describe(&self.names.environment(id)).await?;
        let stack = stack.filter(|stack| self.is_ours(stack) && is_kind(stack, ENVIRONMENT));
        Ok(stack.map(|stack| stray_environment(id.clone(), &stack)))
    }

    /// Takes a wish down and goes a step towards it.
    pub(super) async fn load_balancer_ensure(
        &self,
        load_balancer: LoadBalancer,
        reachable_from: Vec<EnvironmentId>,
    ) -> Result<(), EngineError> {
        let entity = EntityRef::LoadBalancer(load_balancer.id.clone());
        let _turn = self.turn(&entity).await;
        let id = load_balancer.id.clone();
        {
            let mut state = self.state();
            let mut new = BalancerState {
                load_balancer,
                reachable_from,
                unknown: Vec::new(),
                stack: StackState::default(),
                in_force: None,
                open_to: Vec::new(),
            };
            if let Some(known) = state.balancers.get(&id) {
                if known.load_balancer.generation > new.load_balancer.generation {
                    return Err(EngineError::Outdated { entity });
                }
                new.stack = known.stack.clone();
                new.in_force.clone_from(&known.in_force);
                new.open_to.clone_from(&known.open_to);
                if known.load_balancer.generation != new.load_balancer.generation {
                    new.stack.try_again();
                }
            }
            state.balancers.insert(id.clone(), new);
        }
        let result = self.load_balancer_advance(&id).await;
        self.wake.notify_one();
        self.changed();
        result.map_err(EngineError::from)
    }

    /// Goes a step towards what is wanted. Whoever calls has the load balancer's turn.
    pub(super) async fn load_balancer_advance(&self, id: &LoadBalancerId) -> Result<(), AwsError> {
        let Some(told) = self.state().balancers.get(id).cloned() else { return Ok(()) };
        let Some(members) = self.members_group(&told.load_balancer.environment).await? else {
            return Ok(());
        };
        let mut groups = Vec::new();
        let mut unknown = Vec::new();
        // A public one lets in everybody.
        let private = told.load_balancer.visibility == Visibility::Private;
        for other in told.reachable_from.iter().filter(|_| private) {
            match self.members_group(other).await? {
                Some(group) => groups.push(group),
                None => unknown.push(other.clone()),
            }
        }
        let wanted = template::load_balancer(&LoadBalancerParts {
            config: &self.config,
            names: &self.names,
            load_balancer: &told.load_balancer,
            members: &members,
            reachable_from: &groups,
        });
        let mut stack = told.stack;
        let result = self.stack_advance(&wanted, &mut stack).await;
        let mut state = self.state();
        let Some(here) = state.balancers.get_mut(id) else { return result };
        let before = here.in_force.clone();
        if stack.progress == Progress::Done {
            here.in_force = Some((here.load_balancer.generation, here.load_balancer.ports.clone()));
            here.open_to = here.reachable_from.iter().filter(|it| !unknown.contains(it)).cloned().collect();
        }
        here.stack = stack;
        here.unknown = unknown;
        if here.in_force != before {
            // Services behind it may have other target groups to be registered in.
            let behind = state.services.values_mut().filter(|service| service.is_behind(id));
            behind.for_each(|service| service.is_busy = true);
        }
        result
    }

    /// Takes a load balancer away, or goes on with that.
    pub(super) async fn load_balancer_remove(&self, id: &LoadBalancerId) -> Result<Removed, EngineError> {
        let _turn = self.turn(&EntityRef::LoadBalancer(id.clone())).await;
        let name = self.names.load_balancer(id);
        let going = stacks::remove(&self.aws, |stack: &Stack| self.is_ours(stack), &name).await?;
        self.changed();
        if going == Going::Gone {
            self.state().balancers.remove(id);
            self.turn_forget(&EntityRef::LoadBalancer(id.clone()));
        }
        Ok(going.into())
    }

    /// A load balancer as it is; `None` for one that isn't there.
    pub(super) async fn load_balancer_seen(
        &self,
        id: &LoadBalancerId,
    ) -> Result<Option<LoadBalancerSeen>, EngineError> {
        {
            let state = self.state();
            if let Some(told) = state.balancers.get(id) {
                return Ok(Some(load_balancer_seen(told, &state)));
            }
        }
        let stack = self.aws.stack_describe(&self.names.load_balancer(id)).await?;
        let stack = stack.filter(|stack| self.is_ours(stack) && !is_kind(stack, ENVIRONMENT));
        Ok(stack.map(|stack| stray_load_balancer(id.clone(), &stack)))
    }

    /// All clusters of this instance.
    pub(super) async fn clusters(&self) -> Result<Vec<String>, AwsError> {
        let stacks = self.aws.stacks_list(self.names.prefix()).await?.into_iter();
        Ok(stacks.filter(|stack| self.is_ours(stack) && is_kind(stack, ENVIRONMENT)).map(|stack| stack.name).collect())
    }

    /// All environments and load balancers: those that we were told of, and strays.
    pub(super) async fn stacks_seen(
        &self,
    ) -> Result<(Vec<EnvironmentSeen>, Vec<LoadBalancerSeen>, Vec<String>), EngineError> {
        let stacks = self.aws.stacks_list(self.names.prefix()).await?;
        let (mut environments, mut balancers, mut clusters) = (Vec::new(), Vec::new(), Vec::new());
        let state = self.state();
        for stack in stacks.iter().filter(|stack| self.is_ours(stack)) {
            let Some(id) = stack.tags.get(ENTITY) else { continue };
            if is_kind(stack, ENVIRONMENT) {
                clusters.push(stack.name.clone());
                let Ok(id) = EnvironmentId::parse(id) else { continue };
                let told = state.environments.get(&id);
                environments.push(told.map_or_else(|| stray_environment(id, stack), |it| environment_seen(it, &state)));
            } else if let Ok(id) = LoadBalancerId::parse(id) {
                let told = state.balancers.get(&id);
                balancers
                    .push(told.map_or_else(|| stray_load_balancer(id, stack), |it| load_balancer_seen(it, &state)));
            }
        }
        Ok((environments, balancers, clusters))
    }
}

/// Whether a stack is for this kind of entity.
pub(super) fn is_kind(stack: &Stack, kind: &str) -> bool {
    stack.tags.get(KIND).is_some_and(|has| has == kind)
}

fn environment_seen(told: &EnvironmentState, state: &State) -> EnvironmentSeen {
    let waiting_for = match (&told.stack.progress, told.unknown.first()) {
        (Progress::Done, Some(other)) => Some(format!("environment `{other}` to be ready")),
        // A link is good when it reaches what is private in the other environment.
        (Progress::Done, None) => {
            state.shut(&told.environment.id).map(|other| format!("load balancer `{other}` to let it in"))
        }
        (Progress::Unknown, _) => Some("AWS to answer".to_owned()),
        (Progress::Going(what), _) => Some((*what).to_owned()),
        (Progress::Broken(_), _) => None,
    };
    let problem = match &told.stack.progress {
        Progress::Broken(failure) => Some(failure.clone()),
        // A link from what can't be made is not there either.
        Progress::Done => told.unknown.iter().find_map(|other| state.environment_lost(other, &[MEMBERS])),
        Progress::Unknown | Progress::Going(_) => None,
    };
    let mut reachable_from = told.reachable_from.clone();
    reachable_from.retain(|other| !told.unknown.contains(other));
    let engine_id = told.stack.output(SECURITY_GROUP).or(told.stack.seen.as_ref().map(|stack| stack.id.as_str()));
    EnvironmentSeen {
        id: told.environment.id.clone(),
        engine_id: engine_id.unwrap_or_default().to_owned(),
        reachable_from,
        waiting_for,
        problem,
    }
}

fn stray_environment(id: EnvironmentId, stack: &Stack) -> EnvironmentSeen {
    let engine_id = stack.outputs.get(SECURITY_GROUP).unwrap_or(&stack.id).clone();
    EnvironmentSeen { id, engine_id, reachable_from: Vec::new(), waiting_for: None, problem: None }
}

fn load_balancer_seen(told: &BalancerState, state: &State) -> LoadBalancerSeen {
    let problem = match &told.stack.progress {
        Progress::Broken(failure) => Some(failure.clone()),
        _ => state.balancer_stranded(told),
    };
    let (generation, ports) = match (&told.in_force, &problem) {
        // What can't be made is in force as far as it ever will be.
        (Some((_, ports)), Some(_)) => (told.load_balancer.generation, ports.clone()),
        // It serves, and refuses some whom it is to let in.
        (Some((_, ports)), None) if state.opens_later(told) => (Generation(0), ports.clone()),
        (Some((generation, ports)), None) => (*generation, ports.clone()),
        (None, Some(_)) => (told.load_balancer.generation, vec![]),
        (None, None) => (Generation(0), vec![]),
    };
    LoadBalancerSeen {
        id: told.load_balancer.id.clone(),
        generation,
        address: told.stack.output(ADDRESS).unwrap_or_default().to_owned(),
        engine_name: told.stack.output(BALANCER).unwrap_or_default().to_owned(),
        listening: ports.iter().map(|port| port.host_port).collect(),
        problem,
    }
}

fn stray_load_balancer(id: LoadBalancerId, stack: &Stack) -> LoadBalancerSeen {
    LoadBalancerSeen {
        id,
        generation: Generation(0),
        address: stack.outputs.get(ADDRESS).cloned().unwrap_or_default(),
        engine_name: stack.outputs.get(BALANCER).cloned().unwrap_or_default(),
        listening: Vec::new(),
        problem: None,
    }
}
