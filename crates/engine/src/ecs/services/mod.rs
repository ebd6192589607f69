//! Services: one ECS service each. ECS keeps the copies; what is wanted of it is brought to it here, and what it does is
//! told in our words.

mod plan;
mod remove;
mod rollout;
mod seen;
mod targets;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::failure::Failure;
use layer0_domain::model::id::{DeploymentId, LoadBalancerId, ServiceId};
use layer0_domain::model::time::Timestamp;
use layer0_domain::plan::load_balancer::{Form, form, has_own_address};
use layer0_domain::port::engine::{EngineError, LostCopies, ServiceMode, ServiceSpec, StartFailures};
use layer0_domain::port::pull::Launch;
use tokio::time::Instant;

use self::plan::{Ended, Known, Place, Step};
use self::rollout::{RolloutKnown, WentBack};
pub(super) use self::seen::containers;
pub(super) use self::targets::Machines;
use self::targets::Targets;
use super::aws::{AwsError, EcsService, EcsTask, Kind, Network, ServiceTarget, ServiceUpdate, ServiceWanted, TargetOf};
use super::cause;
use super::definition::{self, Registration};
use super::names::{self, Names};
use super::state::{Shared, State};
use super::template::{CAPACITY_PROVIDER, target_output};

/// Seconds in which failing checks of the load balancer do not count against a new copy.
const GRACE_S: u16 = 60;

/// How long what was registered may stay invisible before it is registered once more.
const VISIBLE_MAX: Duration = Duration::from_secs(60);

/// How long ECS may take to begin to go back after a roll-out was ended, before the service is updated instead.
const GOES_BACK_MAX: Duration = Duration::from_secs(120);

/// A service that the engine was told of, or is taking away.
#[derive(Debug, Default)]
pub(super) struct ServiceState {
    /// As it is wanted; `None` for one that we were never told of.
    pub(super) spec: Option<ServiceSpec>,
    /// Since when this process has been told of it.
    told: Option<Instant>,
    /// Whether it is being taken away.
    pub(super) removing: bool,
    /// As ECS had it last; `None` when there was none.
    pub(super) seen: Option<EcsService>,
    /// Its tasks as they were last.
    pub(super) tasks: Vec<EcsTask>,
    /// Whether its tasks were read since ECS last showed it changed.
    tasks_current: bool,
    /// How its load balancers find its tasks.
    targets: Targets,
    /// When the service of this name was made that ECS still shows as deleted: another one is another wish.
    life_before: Option<Timestamp>,
    /// Services of this name that are gone and whose token we met.
    lives: u64,
    /// When deployments' task definitions were registered.
    registered: HashMap<DeploymentId, Instant>,
    /// Counts what was done to it: what was read of it before it was done to says nothing any more.
    pub(super) acts: u64,
    /// The deployment that was last seen to be ECS's primary one, or to be wanted. When ECS then works towards another one
    /// without being asked, it gave this one up.
    was_primary: Option<DeploymentId>,
    /// ECS's record of the roll-out.
    rollout: Option<RolloutKnown>,
    /// That ECS went back within the wanted deployment.
    went_back: Option<WentBack>,
    /// Why ECS did not even begin copies of the wanted deployment.
    not_begun: Option<(DeploymentId, Failure)>,
    /// What it is not registered in, and why, in words.
    unregistered: Option<String>,
    /// The service deployment that was ended last, when, and what came of it.
    ended: Option<(String, Instant, Ended)>,
    /// Families whose containers have a health check: a task of theirs is healthy when it has passed, not before.
    checked: HashSet<String>,
    /// Since when a task runs, as far as we saw.
    running_since: HashMap<String, Instant>,
    /// Tasks that were healthy once.
    healthy_once: HashSet<String>,
    /// Tasks whose failed start, or whose end, is counted.
    counted: HashSet<String>,
    /// Failed starts.
    pub(super) failures: Vec<StartFailures>,
    /// Copies that were healthy and ended by themselves.
    lost_copies: Option<LostCopies>,
    /// What it waits for before ECS can be asked.
    pub(super) waiting_for: Option<String>,
    /// Why what it waits for never will be, as long as nothing else is wanted of that.
    lost: Option<Failure>,
    /// Why ECS does not take it.
    pub(super) problem: Option<Failure>,
    /// Whether it has to be looked at again soon.
    pub(super) is_busy: bool,
}

impl ServiceState {
    /// Takes in how ECS has the service.
    pub(super) fn seen_put(&mut self, names: &Names, seen: Option<EcsService>) {
        if let Some(gone) = seen.as_ref().filter(|seen| seen.is_gone()) {
            self.life_before = gone.created;
        }
        let seen = seen.filter(|seen| !seen.is_gone());
        self.tasks_current &= self.seen == seen;
        self.seen = seen;
        let Some(wanted) = self.spec.as_ref().map(|spec| &spec.revision.deployment) else { return };
        let primary = self.seen.iter().flat_map(|seen| &seen.deployments).find(|it| it.is_primary);
        if primary.and_then(|it| names.deployment_of(&it.family)).is_some_and(|(_, primary)| primary == *wanted) {
            self.was_primary = Some(wanted.clone());
            let cause = self.seen.as_ref().zip(primary).and_then(|(seen, primary)| cause::not_begun(seen, primary));
            // Kept when ECS goes back: it is why it does.
            self.not_begun = cause.map(|cause| (wanted.clone(), cause));
        }
    }

    /// Whether it is wanted behind a load balancer.
    pub(super) fn is_behind(&self, id: &LoadBalancerId) -> bool {
        self.spec.as_ref().is_some_and(|spec| spec.load_balancer.as_ref() == Some(id))
    }

    /// A service that we were not told of, as ECS has it.
    pub(super) fn untold(seen: EcsService) -> Self {
        Self { seen: Some(seen), ..Self::default() }
    }
}

impl Shared {
    /// Takes a wish down and goes a step towards it.
    pub(super) async fn service_ensure(&self, spec: ServiceSpec) -> Result<(), EngineError> {
        let entity = EntityRef::Service(spec.id.clone());
        let _turn = self.turn(&entity).await;
        let is_first = {
            let mut state = self.state();
            let service = state.services.entry(spec.id.clone()).or_default();
            let newer = service.spec.as_ref().is_some_and(|known| known.generation > spec.generation);
            if newer || service.removing {
                return Err(EngineError::Outdated { entity });
            }
            // Told again, as everything is from time to time: the loop looks at it anyway, ten a call.
            if service.spec.as_ref() == Some(&spec) && service.seen.is_some() {
                return Ok(());
            }
            if service.spec.as_ref().is_none_or(|known| known.generation != spec.generation) {
                service.problem = None;
            }
            let before = service.spec.as_ref().map(|known| &known.revision.deployment);
            if before.is_some_and(|before| *before != spec.revision.deployment) {
                // What ECS worked towards before says nothing about whether it gives up what is wanted now.
                service.was_primary = None;
            }
            if spec.revision.definition.containers.iter().any(|it| it.health_check.is_some()) {
                service.checked.insert(self.names.deployment_family(&spec.id, &spec.revision.deployment));
            }
            service.is_busy = true;
            service.acts += 1;
            service.told.get_or_insert_with(Instant::now);
            service.spec.replace(spec.clone()).is_none()
        };
        let cluster = self.names.environment(&spec.environment);
        let name = self.names.service(&spec.id);
        let result = async {
            let seen = self.aws.service_describe(&cluster, &name).await?;
            self.service_seen_now(&spec.id, seen);
            if is_first {
                self.rollout_recall(&spec).await?;
            } else {
                // Its roll-out is to be known as well as it is itself, or one that has just failed would be begun anew.
                self.rollouts_take_in(&[&spec.id]).await?;
            }
            self.service_advance(&spec.id).await
        };
        let result = result.await;
        self.wake.notify_one();
        self.changed();
        result.map_err(EngineError::from)
    }

    /// Notes how ECS has a service.
    pub(super) fn service_seen_now(&self, id: &ServiceId, seen: Option<EcsService>) {
        if let Some(service) = self.state().services.get_mut(id) {
            service.seen_put(&self.names, seen);
        }
    }

    /// Goes a step from what was seen last towards what is wanted. Whoever calls has the service's turn.
    pub(super) async fn service_advance(&self, id: &ServiceId) -> Result<(), AwsError> {
        let Some((spec, step)) = self.service_step(id) else { return Ok(()) };
        let result = match &step {
            Step::Nothing | Step::Wait(_) | Step::RolledBack(_) => Ok(()),
            Step::Create { place } => self.service_make(&spec, place).await,
            Step::Update(update) => self.service_change(&spec, update).await,
            Step::GoBack(rollout) => self.service_go_back(&spec, rollout).await,
        };
        let mut state = self.state();
        let Some(service) = state.services.get_mut(id) else { return Ok(()) };
        service.acts += 1;
        service.waiting_for = match &step {
            Step::Wait(what) => Some(what.clone()),
            _ => None,
        };
        if let Step::RolledBack(failures) = step {
            service.failures_put(failures);
        }
        match result {
            // ECS refuses it: no use in trying again before something else is wanted.
            Err(error) if !error.retryable() => {
                service.problem = Some(error.failure());
                Ok(())
            }
            result => result,
        }
    }

    /// The next step, decided from what is known.
    fn service_step(&self, id: &ServiceId) -> Option<(ServiceSpec, Step)> {
        let spec = self.state().services.get(id)?.spec.clone()?;
        let place = self.place_of(&spec);
        let mut state = self.state();
        let balancer = state.balancer_generation(&spec);
        let lost = state.start_lost(&spec.environment, spec.launch);
        let lost = lost.or_else(|| state.balancer_lost(spec.load_balancer.as_ref()?));
        let service = state.services.get_mut(id)?;
        if service.removing || service.problem.is_some() {
            return None;
        }
        service.lost = None;
        service.went_back_note(&self.names, balancer);
        service.unregistered = service.unregistered(&place, balancer);
        let healthy = service.tasks.iter().filter(|task| service.is_healthy(task, self.config.settle)).count();
        // A copy has to run for a while before it counts, and this process may have just begun to look.
        let is_known =
            service.tasks_current && service.told.is_some_and(|told| told.elapsed() >= 2 * self.config.settle);
        let healthy = is_known.then(|| u32::try_from(healthy).unwrap_or(u32::MAX));
        let ended = service.ended.as_ref().map(|(rollout, at, ended)| {
            // ECS answered that it goes back, and does not.
            let late = at.elapsed() >= GOES_BACK_MAX;
            (rollout.as_str(), if late { Ended::Refused } else { *ended })
        });
        let rollout = service.rollout_wanted();
        let stays_registered = service.stays_registered(balancer).is_some();
        let known = Known {
            was_primary: service.was_primary.as_ref(),
            healthy,
            rollout,
            ended,
            stays_registered,
            not_begun: service.not_begun(),
        };
        let missing = place.as_ref().err().cloned();
        let step = plan::step(&spec, &self.names, place, service.seen.as_ref(), known);
        service.lost = lost.filter(|_| matches!((&step, &missing), (Step::Wait(what), Some(it)) if what == it));
        Some((spec, step))
    }

    /// Where a service's tasks are to stand; the error is what has to be there first.
    fn place_of(&self, spec: &ServiceSpec) -> Result<Place, String> {
        let Some(security_groups) = self.environment_groups(&spec.environment) else {
            return Err("its environment to be ready".to_owned());
        };
        let provider = match spec.launch {
            Launch::Fargate => None,
            Launch::Ec2 => match self.environment_output(&spec.environment, CAPACITY_PROVIDER) {
                Some(provider) => Some(provider),
                None => return Err("its environment to have machines (`l0 environment scale`)".to_owned()),
            },
        };
        let network = has_own_address(&spec.revision.definition, spec.launch, self.form_of(spec)).then(|| Network {
            subnets: self.config.private_subnets.clone(),
            security_groups,
            public_ip: self.config.public_ip && provider.is_none(),
        });
        let targets = self.targets_of(&self.state(), spec)?;
        Ok(Place { provider, network, targets })
    }

    /// What a service stands behind, as far as we were told.
    fn form_of(&self, spec: &ServiceSpec) -> Option<Form> {
        self.state().balancers.get(spec.load_balancer.as_ref()?).map(|it| form(&it.load_balancer))
    }

    /// Whether a service has to be registered elsewhere than it is, which a change of its load balancer can cause.
    pub(super) fn targets_differ(&self, state: &State, id: &ServiceId) -> bool {
        let Some(service) = state.services.get(id).filter(|it| it.problem.is_none() && !it.removing) else {
            return false;
        };
        let (Some(spec), Some(seen)) = (&service.spec, &service.seen) else { return false };
        if service.stays_registered(state.balancer_generation(spec)).is_some() {
            return false;
        }
        let wanted = self.targets_of(state, spec);
        spec.mode == ServiceMode::Run && wanted.is_ok_and(|wanted| wanted != plan::sorted(&seen.targets))
    }

    /// What a service's tasks are registered in, sorted; the error is what has to be there first.
    fn targets_of(&self, state: &State, spec: &ServiceSpec) -> Result<Vec<ServiceTarget>, String> {
        let Some(id) = &spec.load_balancer else { return Ok(vec![]) };
        let waiting = || format!("load balancer `{id}` to be ready");
        let balancer = state.balancers.get(id).ok_or_else(waiting)?;
        if balancer.in_force.is_none() {
            return Err(waiting());
        }
        let classic = form(&balancer.load_balancer) == Form::Classic;
        let mut targets = Vec::new();
        for port in balancer.load_balancer.container_ports() {
            let container = definition::container_with_port(&spec.revision.definition, port);
            let Some(container) = container else { continue };
            let of = if classic {
                TargetOf::Classic(self.names.balancer(id, Form::Classic))
            } else {
                let arn = balancer.stack.output(&target_output(port)).ok_or_else(waiting)?;
                TargetOf::Group(arn.to_owned())
            };
            targets.push(ServiceTarget { of, container: container.to_owned(), port });
            if classic {
                break;
            }
        }
        targets.sort();
        Ok(targets)
    }

    async fn service_make(&self, spec: &ServiceSpec, place: &Place) -> Result<(), AwsError> {
        let Some(definition) = self.deployment_register(spec).await? else { return Ok(()) };
        let lives = {
            let state = self.state();
            let service = state.services.get(&spec.id);
            service.map_or((None, 0), |service| (service.life_before, service.lives))
        };
        let mut wanted = ServiceWanted {
            cluster: self.names.environment(&spec.environment),
            name: self.names.service(&spec.id),
            definition,
            desired: spec.desired_count,
            provider: place.provider.clone(),
            network: place.network.clone(),
            targets: place.targets.clone(),
            grace_s: GRACE_S,
            tags: self.names.tags(names::SERVICE, spec.id.as_str(), spec.name.as_str()),
            token: String::new(),
        };
        // The same wish has the same token, another wish another one: ECS refuses a token that comes with another wish.
        wanted.token = token(&[&format!("{wanted:?} {lives:?}")]);
        match self.aws.service_create(&wanted).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                if let Some(service) = self.state().services.get_mut(&spec.id) {
                    service.lives += 1;
                }
                Ok(())
            }
            // "Creation of service was not idempotent": it is there. The next look sees it and changes what differs.
            Err(error) if error.kind == Kind::Exists => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Ends the roll-out that is under way.
    async fn service_go_back(&self, spec: &ServiceSpec, rollout: &str) -> Result<(), AwsError> {
        let taken = self.aws.rollout_stop(rollout).await?;
        if let Some(service) = self.state().services.get_mut(&spec.id) {
            let ended = if taken { Ended::Taken } else { Ended::Refused };
            service.ended = Some((rollout.to_owned(), Instant::now(), ended));
        }
        Ok(())
    }

    async fn service_change(&self, spec: &ServiceSpec, change: &plan::Change) -> Result<(), AwsError> {
        let definition = match change.definition {
            true => match self.deployment_register(spec).await? {
                Some(arn) => Some(arn),
                None => return Ok(()),
            },
            false => None,
        };
        let update = ServiceUpdate { definition, desired: change.desired, targets: change.targets.clone() };
        let cluster = self.names.environment(&spec.environment);
        self.aws.service_update(&cluster, &self.names.service(&spec.id), &update).await
    }

    /// The task definition of the wanted deployment, by its family alone, which means its newest revision: so the same wish is
    /// the same request, whoever registered it and when. `None` when it can't be made; the reason is with the service then.
    async fn deployment_register(&self, spec: &ServiceSpec) -> Result<Option<String>, AwsError> {
        let family = self.names.deployment_family(&spec.id, &spec.revision.deployment);
        let known = self.state().services.get(&spec.id).is_some_and(|service| {
            let deployments = service.seen.iter().flat_map(|seen| &seen.deployments);
            let lately = service.registered.get(&spec.revision.deployment);
            lately.is_some_and(|at| at.elapsed() < VISIBLE_MAX)
                || deployments.into_iter().any(|deployment| deployment.family == family)
        });
        if known {
            return Ok(Some(family));
        }
        let log_group = self.names.environment(&spec.environment);
        let registration = Registration {
            config: &self.config,
            family: family.clone(),
            launch: spec.launch,
            behind: self.form_of(spec),
            log_group: &log_group,
            log_prefix: Names::streams(spec.id.as_str()).trim_end_matches('/').to_owned(),
            tags: self.names.tags(names::SERVICE, spec.id.as_str(), spec.name.as_str()),
        };
        let body = match definition::body(&spec.revision.definition, &registration) {
            Ok(body) => body,
            Err(failure) => {
                if let Some(service) = self.state().services.get_mut(&spec.id) {
                    service.problem = Some(*failure);
                }
                return Ok(None);
            }
        };
        self.aws.definition_register(&body).await?;
        if let Some(service) = self.state().services.get_mut(&spec.id) {
            service.registered.insert(spec.revision.deployment.clone(), Instant::now());
        }
        Ok(Some(family))
    }
}

/// An idempotency token: at most 36 characters (`CreateService`: "up to 36 ASCII characters"), the same for the same wish.
pub(super) fn token(parts: &[&str]) -> String {
    let all = parts.join("/");
    layer0_domain::model::digest::Digest::sha256_of(all.as_bytes()).hex().chars().take(32).collect()
}
