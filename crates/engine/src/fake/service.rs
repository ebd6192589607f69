//! Services: as many copies as wanted, kept running, replaced one revision by the next.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::failure::Failure;
use layer0_domain::model::id::{CopyId, DeploymentId, EnvironmentId, ServiceId};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::engine::{
    CopyState, EngineError, LostCopies, Removed, ServiceMode, ServiceSeen, ServiceSpec, StartFailures,
};

use super::behaviour::{Pace, warnings};
use super::copy::{Copy, Outcome, Step, Use};
use super::logs;
use super::world::{Event, Owner, SharedProgram, State};

/// How many ended copies keep their logs.
const ENDED_KEPT: usize = 5;
/// How many deployments with failed starts are remembered.
const FAILURES_KEPT: usize = 10;
/// How many of its last lines a failed copy leaves in the failure.
const LOG_TAIL: u32 = 20;

#[derive(Debug)]
pub(super) struct Service {
    pub(super) environment: EnvironmentId,
    /// What the server told; forgotten when it restarts.
    told: Option<Arc<ServiceSpec>>,
    /// By their numbers, which grow in the order of the start. None of them has ended.
    pub(super) copies: BTreeMap<u64, Copy>,
    /// Those that ended, for their logs.
    pub(super) ended: VecDeque<Copy>,
    failures: Vec<StartFailures>,
    lost: Option<LostCopies>,
    backoff: Backoff,
    removing: bool,
}

/// The pause before copies that ended by themselves are replaced.
#[derive(Debug, Default)]
struct Backoff {
    ends_in_a_row: u32,
    last_end: Option<Timestamp>,
    until: Timestamp,
}

impl Backoff {
    /// A copy ended by itself. Copies that end in the same moment count once.
    fn grow(&mut self, now: Timestamp, pace: &Pace) {
        if self.last_end == Some(now) {
            return;
        }
        if now.ms_since(self.until) > pace.backoff_max_ms {
            self.ends_in_a_row = 0;
        }
        let doubled = 1_u64.checked_shl(self.ends_in_a_row).unwrap_or(u64::MAX);
        let pause = pace.backoff_first_ms.max(1).saturating_mul(doubled).min(pace.backoff_max_ms.max(1));
        self.ends_in_a_row += 1;
        self.last_end = Some(now);
        self.until = now.plus_ms(i64::try_from(pause).unwrap_or(i64::MAX));
    }
}

impl Service {
    /// Whether anything is left of it without the server's knowledge.
    pub(super) fn forget(&mut self) -> bool {
        self.told = None;
        self.failures.clear();
        self.lost = None;
        self.backoff = Backoff::default();
        self.removing = false;
        !self.copies.is_empty()
    }

    fn end_kept(&mut self, number: u64) {
        if let Some(copy) = self.copies.remove(&number) {
            if self.ended.len() == ENDED_KEPT {
                self.ended.pop_front();
            }
            self.ended.push_back(copy);
        }
    }

    fn failure_count(&mut self, deployment: &DeploymentId, failure: Failure) {
        match self.failures.iter_mut().find(|known| known.deployment == *deployment) {
            Some(known) => {
                known.in_a_row = if known.last.class == failure.class { known.in_a_row + 1 } else { 1 };
                known.last = failure;
            }
            None => {
                if self.failures.len() == FAILURES_KEPT {
                    self.failures.remove(0);
                }
                self.failures.push(StartFailures { deployment: deployment.clone(), in_a_row: 1, last: failure });
            }
        }
    }

    /// Which copies have to go, and how many of the wanted revision are missing.
    ///
    /// Copies of other revisions go when those of the wanted one are healthy in their stead; those that are not healthy
    /// help nobody and go at once. Of the wanted revision the ones that are not healthy go first, then the youngest.
    fn schedule(&self, spec: &ServiceSpec) -> (Vec<u64>, usize) {
        let desired = spec.desired_count as usize;
        let wanted = self.copies.iter().filter(|(_, copy)| copy.is_wanted());
        if spec.mode == ServiceMode::Halted {
            let all: Vec<_> = wanted.collect();
            return (excess(all, desired), 0);
        }
        let (current, old): (Vec<_>, Vec<_>) =
            wanted.partition(|(_, copy)| copy.deployment.as_ref() == Some(&spec.revision.deployment));
        let missing = desired.saturating_sub(current.len());
        let healthy = current.iter().filter(|(_, copy)| copy.is_healthy()).count().min(desired);
        let needed = desired - healthy;
        let healthy_old = old.iter().filter(|(_, copy)| copy.is_healthy()).count();
        let mut surplus = healthy_old.saturating_sub(needed);
        let mut leaving = excess(current, desired);
        for (number, copy) in old {
            if !copy.is_healthy() {
                leaving.push(*number);
            } else if surplus > 0 {
                surplus -= 1;
                leaving.push(*number);
            }
        }
        (leaving, missing)
    }
}

/// Those beyond `desired`: the ones that are not healthy first, then the youngest.
fn excess(mut copies: Vec<(&u64, &Copy)>, desired: usize) -> Vec<u64> {
    let beyond = copies.len().saturating_sub(desired);
    copies.sort_by_key(|(number, copy)| (copy.is_healthy(), std::cmp::Reverse(**number)));
    copies.into_iter().take(beyond).map(|(number, _)| *number).collect()
}

impl State {
    /// An environment has to be there before anything can run in it.
    pub(super) fn environment_required(&self, id: &EnvironmentId) -> Result<(), EngineError> {
        if self.environments.contains_key(id) {
            return Ok(());
        }
        Err(EngineError::Missing { entity: EntityRef::Environment(id.clone()) })
    }

    pub(super) fn service_ensure(&mut self, spec: ServiceSpec) -> Result<(), EngineError> {
        let id = spec.id.clone();
        if let Some(told) = self.services.get(&id).filter(|s| !s.removing).and_then(|s| s.told.as_deref()) {
            if told.generation > spec.generation {
                return Err(EngineError::Outdated { entity: EntityRef::Service(id) });
            }
            if *told == spec {
                return Ok(());
            }
        }
        self.environment_required(&spec.environment)?;
        self.version += 1;
        let service = self.services.entry(id.clone()).or_insert_with(|| Service {
            environment: spec.environment.clone(),
            told: None,
            copies: BTreeMap::new(),
            ended: VecDeque::new(),
            failures: Vec::new(),
            lost: None,
            backoff: Backoff::default(),
            removing: false,
        });
        let before = service.told.as_ref().map(|told| &told.revision.deployment);
        if before != Some(&spec.revision.deployment) {
            service.backoff = Backoff::default();
        }
        service.removing = false;
        service.told = Some(Arc::new(spec));
        self.dirty.insert(id);
        Ok(())
    }

    /// Begins and ends copies until what runs is what is wanted, as far as that can be done now.
    pub(super) fn service_tend(&mut self, id: &ServiceId) {
        let Some(service) = self.services.get(id).filter(|service| !service.removing) else { return };
        let Some(spec) = service.told.clone() else { return };
        let (leaving, missing) = service.schedule(&spec);
        let paused_until = Some(service.backoff.until).filter(|until| *until > self.now);
        for number in leaving {
            self.service_copy_drain(id, number);
        }
        match paused_until {
            _ if missing == 0 => {}
            Some(until) => self.timeline.schedule(until, Event::Tend(id.clone())),
            None => {
                let program: SharedProgram = Arc::new(self.behaviours.program(&spec.revision.definition));
                for _ in 0..missing {
                    self.service_copy_begin(id, &spec.revision.deployment, &program);
                }
            }
        }
    }

    fn service_copy_begin(&mut self, id: &ServiceId, deployment: &DeploymentId, program: &SharedProgram) {
        let (number, copy_id) = self.copy_number();
        let Some(service) = self.services.get_mut(id) else { return };
        service.copies.insert(number, Copy::new(copy_id, Some(deployment.clone()), Arc::clone(program), true));
        let event = Event::Step(Owner::Service(id.clone()), number, Step::Pulled);
        self.timeline.schedule_in(self.now, program.pull_ms(&self.pace), event);
        self.version += 1;
    }

    fn service_copy_drain(&mut self, id: &ServiceId, number: u64) {
        let Some(copy) = self.services.get_mut(id).and_then(|service| service.copies.get_mut(&number)) else { return };
        copy.state = CopyState::Draining;
        self.version += 1;
        let event = Event::Step(Owner::Service(id.clone()), number, Step::Drained);
        self.timeline.schedule_in(self.now, self.pace.drain_ms, event);
    }

    pub(super) fn service_step(&mut self, id: &ServiceId, number: u64, step: Step) {
        let Self { services, timeline, pace, now, .. } = self;
        let Some(copy) = services.get_mut(id).and_then(|service| service.copies.get_mut(&number)) else { return };
        let owner = || Owner::Service(id.clone());
        let outcome = copy.step(step, Use::Service, *now, pace, |ms, step| {
            timeline.schedule_in(*now, ms, Event::Step(owner(), number, step));
        });
        self.service_copy_outcome(id, number, outcome);
    }

    /// Draws the conclusions from what a copy did.
    pub(super) fn service_copy_outcome(&mut self, id: &ServiceId, number: u64, outcome: Outcome) {
        self.version += 1;
        let Some(service) = self.services.get_mut(id) else { return };
        let Some(copy) = service.copies.get(&number) else { return };
        let deployment = copy.deployment.clone();
        match outcome {
            Outcome::Nothing => return,
            Outcome::Healthy => service.failures.retain(|known| Some(&known.deployment) != deployment.as_ref()),
            Outcome::Ended(mut failure) => {
                if let Some(deployment) = deployment.as_ref() {
                    failure.log_tail = logs::tail_of(copy, self.now, LOG_TAIL);
                    let wanted = service.told.as_ref().map(|told| &told.revision.deployment);
                    if copy.was_healthy {
                        LostCopies::count(&mut service.lost, wanted, deployment, self.now, failure);
                    } else {
                        service.failure_count(deployment, failure);
                    }
                }
                service.backoff.grow(self.now, &self.pace);
                service.end_kept(number);
            }
            Outcome::Left => service.end_kept(number),
        }
        if service.told.is_none() && service.copies.is_empty() {
            self.services.remove(id);
        }
        self.dirty.insert(id.clone());
    }

    /// Lets a running copy end by itself. Whether there was one.
    pub(super) fn service_copy_crash(&mut self, id: &CopyId, exit_code: i64) -> bool {
        let now = self.now;
        let running = self.services.iter_mut().find_map(|(service, here)| {
            let (number, copy) = here.copies.iter_mut().find(|(_, copy)| copy.id == *id && copy.started.is_some())?;
            let at = copy.program.containers.iter().position(|script| script.essential).unwrap_or(0);
            Some((service.clone(), *number, copy.container_end(at, exit_code, now)))
        });
        let Some((service, number, outcome)) = running else { return false };
        self.service_copy_outcome(&service, number, outcome);
        true
    }

    /// Lets the health check of a running copy fail or pass from now on. Whether there was one.
    pub(super) fn service_copy_health(&mut self, id: &CopyId, state: CopyState) -> bool {
        let running = self.services.iter_mut().find_map(|(service, here)| {
            let (number, copy) = here.copies.iter_mut().find(|(_, copy)| copy.id == *id && copy.started.is_some())?;
            if !copy.is_wanted() {
                return None;
            }
            copy.was_healthy |= state == CopyState::Healthy;
            copy.state = state;
            Some((service.clone(), *number))
        });
        let Some((service, number)) = running else { return false };
        if state == CopyState::Unhealthy {
            let event = Event::Step(Owner::Service(service.clone()), number, Step::GiveUp);
            self.timeline.schedule_in(self.now, self.pace.health_limit_ms, event);
        }
        self.version += 1;
        self.dirty.insert(service);
        true
    }

    pub(super) fn service_remove(&mut self, id: &ServiceId) -> Removed {
        let Some(service) = self.services.get_mut(id) else { return Removed::Gone };
        let begins = !service.removing;
        service.removing = true;
        service.told = None;
        let leaving: Vec<_> = service.copies.iter().filter(|(_, copy)| copy.is_wanted()).map(|(n, _)| *n).collect();
        if begins {
            self.version += 1;
        }
        for number in leaving {
            self.service_copy_drain(id, number);
        }
        self.run_until(self.now);
        match self.services.get(id).map(|service| service.copies.len()) {
            Some(left) if left > 0 => {
                let copies = if left == 1 { "copy" } else { "copies" };
                Removed::Going { waiting_for: format!("{left} {copies} to finish their requests") }
            }
            _ => {
                self.services.remove(id);
                Removed::Gone
            }
        }
    }

    pub(super) fn service_seen(&self, id: &ServiceId) -> Option<ServiceSeen> {
        let service = self.services.get(id)?;
        let told = service.told.as_deref();
        Some(ServiceSeen {
            id: id.clone(),
            generation: told.map(|spec| spec.generation),
            copies: service.copies.values().map(Copy::seen).collect(),
            failures: service.failures.clone(),
            lost: LostCopies::of_wanted(service.lost.as_ref(), told.map(|spec| &spec.revision.deployment)),
            waiting_for: told.and_then(|spec| self.service_waiting_for(service, spec)),
            warnings: told.map(|spec| warnings(&spec.revision.definition)).unwrap_or_default(),
            problem: None,
        })
    }

    fn service_waiting_for(&self, service: &Service, spec: &ServiceSpec) -> Option<String> {
        let is = |state: CopyState| service.copies.values().filter(|copy| copy.state == state).count();
        let (pending, starting) = (is(CopyState::Pending), is(CopyState::Starting) + is(CopyState::Unhealthy));
        let (_, missing) = service.schedule(spec);
        let pause_ms = service.backoff.until.ms_since(self.now);
        let desired = spec.desired_count;
        if missing > 0 && spec.mode == ServiceMode::Run && pause_ms > 0 {
            return Some(format!("{pause_ms} ms to pass before {missing} of {desired} copies are started again"));
        }
        match (pending, starting, is(CopyState::Draining)) {
            (0, 0, 0) => None,
            (0, 0, draining) => Some(format!("{draining} copies to finish their requests")),
            (0, starting, _) => Some(format!("{starting} of {desired} copies to pass their health check")),
            (pending, _, _) => Some(format!("the images of {pending} of {desired} copies")),
        }
    }
}
