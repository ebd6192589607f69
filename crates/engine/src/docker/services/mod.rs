//! Services: what is known of each, and one pass that brings it nearer to what is wanted.
//!
//! A pass looks at the mirror and the load balancers' verdicts, [judges](judge::judge) every copy, asks the
//! [`schedule`] what to do, and sends each step off as a job of its own. It never waits. A copy has at most
//! one job; a job that ends wakes the next pass.

pub(super) mod job;
pub(super) mod judge;

use std::collections::BTreeMap;
use std::sync::Arc;

use layer0_domain::model::failure::{Failure, FailureClass};
use layer0_domain::model::id::{DeploymentId, ServiceId};
use layer0_domain::model::task_definition::TaskDefinition;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::engine::{CopySeen, CopyState, LostCopies, ServiceSeen, ServiceSpec, StartFailures};

use self::judge::{Evidence, Memory, Traffic, Verdict, judge};
use super::Shared;
use super::containers::Starting;
use super::containers::copy::{self, Stage, containers_seen, stage};
use super::containers::warnings::warnings;
use super::labels::{OwnerKind, copy_id};
use super::schedule::{self, State, Step, Vacancy, Want};
use super::world::{Container, NetworkUse, Run};

/// How long after a start that had to wait (for Docker, for a network) the next is tried.
const WAIT_MS: i64 = 1_000;

/// Of how many deployments that are not wanted any more failures are remembered.
const FAILURES_KEPT: usize = 5;

/// A service as this process knows it.
pub(super) struct Service {
    pub(super) id: ServiceId,
    /// What is wanted; `None` for a stray that is only here to be removed.
    pub(super) spec: Option<ServiceSpec>,
    definition: Arc<TaskDefinition>,
    pub(super) copies: BTreeMap<u32, Known>,
    vacancies: Vec<Vacancy>,
    failures: Vec<(DeploymentId, FailedStarts)>,
    lost: Option<LostCopies>,
    next_number: u32,
    pub(super) removing: bool,
    /// What the last start that ended had to wait for; `None` when it had not to.
    waits_for: Option<String>,
    warnings: Vec<String>,
}

/// A copy as this process knows it.
#[derive(Default)]
pub(super) struct Known {
    memory: Memory,
    deployment: Option<DeploymentId>,
    pub(super) job: Option<Job>,
    /// Whether its end was counted.
    buried: bool,
    /// Whether it was found ended as one ends that was told to stop: it was being retired when the server before us died.
    retired: bool,
    shown: Option<CopyState>,
    reason: Option<String>,
    /// What its start waits for.
    progress: Option<String>,
}

/// What is being done with a copy.
pub(super) struct Job {
    pub(super) kind: JobKind,
    /// A start's own work.
    pub(super) starting: Option<Starting>,
}

impl Known {
    /// Whether this is being done with it.
    fn does(&self, kind: JobKind) -> bool {
        self.job.as_ref().is_some_and(|job| job.kind == kind)
    }
}

/// The kinds of jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JobKind {
    /// It is being made and started.
    Start,
    /// It finishes its requests, is stopped and taken away.
    Leave,
    /// It ended by itself; its last words are read and what still runs of it is stopped.
    Bury,
}

/// What became of a copy that was not asked to end.
#[derive(Clone)]
pub(super) struct Fault {
    deployment: DeploymentId,
    /// Whether it had been healthy; else its start failed.
    had_been_healthy: bool,
    failure: Failure,
}

/// How often starts of a deployment failed since a copy of it last became healthy.
#[derive(Debug, Clone)]
struct FailedStarts {
    /// With the class of the last one, in a row.
    same: u32,
    /// With any class, in a row.
    all: u32,
    last: Failure,
}

impl Service {
    pub(super) fn new(id: ServiceId) -> Self {
        Self {
            id,
            spec: None,
            definition: Arc::new(no_definition()),
            copies: BTreeMap::new(),
            vacancies: Vec::new(),
            failures: Vec::new(),
            lost: None,
            next_number: 1,
            removing: false,
            waits_for: None,
            warnings: Vec::new(),
        }
    }

    /// Takes a new wish.
    pub(super) fn wish(&mut self, spec: ServiceSpec) {
        let before = self.spec.as_ref().map(|spec| (&spec.revision.deployment, spec.mode));
        if before != Some((&spec.revision.deployment, spec.mode)) {
            // Whoever changes what runs wants it tried now.
            self.vacancies.clear();
        }
        if self.spec.as_ref() != Some(&spec) {
            // What an earlier wish waited for says nothing about this one.
            self.waits_for = None;
        }
        let kept = self.failures.len().saturating_sub(FAILURES_KEPT);
        let mut at = 0;
        self.failures.retain(|(deployment, _)| {
            at += 1;
            *deployment == spec.revision.deployment || at > kept
        });
        self.definition = Arc::new(spec.revision.definition.clone());
        self.warnings = warnings(&self.definition);
        self.spec = Some(spec);
    }

    pub(super) fn definition(&self) -> &Arc<TaskDefinition> {
        &self.definition
    }

    /// Leaves a vacancy for the next try after a start that failed and that is not [counted](Self::failure_count) yet.
    ///
    /// That is done at once, while the copy's last words may take a while to be read: a pass that comes in between
    /// must not fill its place without any wait.
    fn vacancy_leave(&mut self, deployment: &DeploymentId, crashes: u32, now: Timestamp) {
        if self.spec.as_ref().is_none_or(|spec| spec.revision.deployment != *deployment) {
            // It does not run what is wanted: what comes next is something else and need not wait.
            return;
        }
        let before = self.failures.iter().find(|(of, _)| of == deployment).map_or(0, |(_, failed)| failed.all);
        self.vacancies.push(Vacancy::after_failed_start(now, before + 1, crashes));
    }

    /// Counts a failed start.
    fn failure_count(&mut self, deployment: &DeploymentId, failure: Failure) {
        let at = self.failures.iter().position(|(of, _)| of == deployment);
        let before = at.map(|at| self.failures.remove(at).1);
        let (same, all) = before.map_or((0, 0), |before| {
            let same = if before.last.class == failure.class { before.same } else { 0 };
            (same, before.all)
        });
        let failed = FailedStarts { same: same + 1, all: all + 1, last: failure };
        self.failures.push((deployment.clone(), failed));
    }

    /// Counts a copy that failed.
    fn fault_count(&mut self, fault: Fault, now: Timestamp) {
        let Fault { deployment, had_been_healthy, failure } = fault;
        if had_been_healthy {
            let wanted = self.spec.as_ref().map(|spec| &spec.revision.deployment);
            LostCopies::count(&mut self.lost, wanted, &deployment, now, failure);
        } else {
            self.failure_count(&deployment, failure);
        }
    }

    /// Says better why a copy failed, unless another one was counted since.
    fn fault_reword(&mut self, fault: &Fault, better: Failure) {
        let last = if fault.had_been_healthy {
            self.lost.as_mut().filter(|lost| lost.deployment == fault.deployment).map(|lost| &mut lost.last)
        } else {
            self.failures.iter_mut().find(|(of, _)| *of == fault.deployment).map(|(_, failed)| &mut failed.last)
        };
        if let Some(last) = last.filter(|last| **last == fault.failure) {
            *last = better;
        }
    }

    /// A copy of this deployment is healthy that was not before: its starts do succeed.
    fn became_healthy(&mut self, deployment: &DeploymentId) {
        self.failures.retain(|(of, _)| of != deployment);
    }

    /// How long a copy's health checks may fail.
    fn patience_ms(&self, shared: &Shared) -> i64 {
        let balancer = self.spec.as_ref().and_then(|spec| spec.load_balancer.as_ref());
        let balancer = balancer.and_then(|id| shared.balancers.patience_ms(id)).unwrap_or(0);
        let own = self.definition.containers.iter().filter_map(|container| container.health_check.as_ref());
        let own = own.map(|check| {
            let tries = i64::from(check.retries) + 1;
            1_000 * (i64::from(check.start_period_s) + tries * i64::from(check.interval_s + check.timeout_s))
        });
        judge::PATIENCE_MS.max(balancer).max(own.max().unwrap_or(0))
    }

    /// How many copies are left, of which `found` are in the mirror.
    pub(super) fn copies_left(&self, found: usize) -> usize {
        self.copies.len().max(found)
    }

    /// The service as the port shows it.
    pub(super) fn seen(&self, shared: &Shared, containers: &BTreeMap<u32, Vec<Arc<Container>>>) -> ServiceSeen {
        let none = Vec::new();
        let mut numbers: Vec<u32> = containers.keys().chain(self.copies.keys()).copied().collect();
        numbers.sort_unstable();
        numbers.dedup();
        let copies = numbers.into_iter().filter_map(|number| {
            let containers = containers.get(&number).unwrap_or(&none);
            let known = self.copies.get(&number);
            copy_seen(self.id.as_str(), number, containers, known)
        });
        let failures = self.failures.iter().map(|(deployment, failed)| StartFailures {
            deployment: deployment.clone(),
            in_a_row: failed.same,
            last: failed.last.clone(),
        });
        ServiceSeen {
            id: self.id.clone(),
            generation: self.spec.as_ref().map(|spec| spec.generation),
            copies: copies.collect(),
            failures: failures.collect(),
            lost: LostCopies::of_wanted(self.lost.as_ref(), self.spec.as_ref().map(|spec| &spec.revision.deployment)),
            waiting_for: self.waiting_for(shared),
            warnings: self.warnings.clone(),
            problem: None,
        }
    }

    fn waiting_for(&self, shared: &Shared) -> Option<String> {
        if let Some(why) = shared.client.down() {
            return Some(format!("{} to answer ({why})", shared.client.words()));
        }
        let spec = self.spec.as_ref()?;
        if let Some(progress) = self.copies.values().find_map(|known| known.progress.clone()) {
            return Some(progress);
        }
        if let Some(waits_for) = &self.waits_for {
            return Some(waits_for.clone());
        }
        let desired = usize::try_from(spec.desired_count).unwrap_or(usize::MAX);
        let of_wanted = |known: &&Known| known.deployment.as_ref() == Some(&spec.revision.deployment);
        let healthy =
            self.copies.values().filter(of_wanted).filter(|known| known.shown == Some(CopyState::Healthy)).count();
        if healthy < desired {
            let reason = self.copies.values().filter(of_wanted).find_map(|known| known.reason.as_deref());
            let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
            let rest = desired - healthy;
            return Some(format!("{rest} of {desired} {} to become healthy{reason}", plural(desired)));
        }
        let leaving = self.copies.values().filter(|known| known.shown == Some(CopyState::Draining)).count();
        (leaving > 0).then(|| format!("{leaving} {} to finish and stop", plural(leaving)))
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "copy" } else { "copies" }
}

/// Stands in where nothing is wanted; nothing is ever started from it.
pub(super) fn no_definition() -> TaskDefinition {
    TaskDefinition {
        family: None,
        network_mode: None,
        task_role_arn: None,
        execution_role_arn: None,
        cpu: None,
        memory_mib: None,
        requires_compatibilities: Vec::new(),
        runtime_platform: None,
        pid_mode: None,
        ipc_mode: None,
        ephemeral_storage_gib: None,
        volumes: Vec::new(),
        containers: Vec::new(),
        not_modelled: Vec::new(),
        written: None,
    }
}

fn copy_seen(entity: &str, number: u32, containers: &[Arc<Container>], known: Option<&Known>) -> Option<CopySeen> {
    let by_containers = match stage(containers) {
        Stage::Making => CopyState::Pending,
        Stage::Running { .. } => CopyState::Starting,
        Stage::Ended { .. } => CopyState::Stopped,
    };
    let state = match known {
        Some(Known { job: Some(Job { kind: JobKind::Leave, .. }), .. }) => CopyState::Draining,
        Some(known) => known.shown.unwrap_or(by_containers),
        None => by_containers,
    };
    let deployment = known.and_then(|known| known.deployment.clone()).or_else(|| deployment_of(containers));
    Some(CopySeen {
        id: copy_id(entity, number)?,
        deployment,
        state,
        started: containers.iter().filter_map(|container| container.started).min(),
        containers: containers_seen(containers),
    })
}

fn deployment_of(containers: &[Arc<Container>]) -> Option<DeploymentId> {
    containers.iter().find_map(|container| DeploymentId::parse(container.deployment.as_deref()?).ok())
}

/// A service that nobody told us of, as its containers show it.
pub(super) fn stray_seen(id: ServiceId, containers: &BTreeMap<u32, Vec<Arc<Container>>>) -> ServiceSeen {
    let copies = containers
        .iter()
        .filter_map(|(number, containers)| copy_seen(id.as_str(), *number, containers, None))
        .collect();
    ServiceSeen {
        id,
        generation: None,
        copies,
        failures: Vec::new(),
        lost: None,
        waiting_for: None,
        warnings: Vec::new(),
        problem: None,
    }
}

/// One pass over one service; says when the next is due though nothing happens before.
pub(super) fn pass(shared: &Arc<Shared>, service: &mut Service) -> Option<Timestamp> {
    let now = shared.ticker.now();
    let world = shared.world.copies(OwnerKind::Service, service.id.as_str());
    meet(service, &world);
    let (views, mut wake) = look(shared, service, &world, now);
    let plan = if service.removing {
        leave_all(&views)
    } else if let Some(spec) = &service.spec {
        let want = Want { desired: spec.desired_count, mode: spec.mode };
        schedule::plan(&want, &views, &service.vacancies, service.next_number, now)
    } else {
        schedule::Plan::default()
    };
    wake = earliest(wake, plan.wake);
    let mut jobs = Vec::new();
    let mut filled = 0;
    for step in plan.steps {
        if let Step::Start { .. } = step {
            filled += 1;
        }
        jobs.extend(job::prepare(shared, service, step, &world));
    }
    schedule::vacancies_left(&mut service.vacancies, filled);
    // The load balancer hears of it before any job acts on it: a copy drains from the moment it is told to leave.
    targets_tell(shared, service, &world);
    for job in jobs {
        job::spawn(shared, service, job);
    }
    wake
}

fn earliest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The exit codes of a container that was told to stop: it ended well, by SIGTERM, or was killed when its time was over.
const STOPPED: [i64; 3] = [0, 128 + 15, 128 + 9];

/// Whether a copy has ended and every container of it as one ends that is told to stop.
fn stopped_by_us(containers: &[Arc<Container>]) -> bool {
    matches!(stage(containers), Stage::Ended { .. })
        && containers.iter().all(|it| it.is_pause || it.exit_code.is_none_or(|code| STOPPED.contains(&code)))
}

/// Whether a copy has ended and nothing of it runs any more: no sidecar, no pause container.
fn has_ended_whole(containers: &[Arc<Container>]) -> bool {
    matches!(stage(containers), Stage::Ended { .. }) && containers.iter().all(|it| it.run != Run::Running)
}

/// Brings what is known of copies in line with the mirror.
fn meet(service: &mut Service, world: &BTreeMap<u32, Vec<Arc<Container>>>) {
    for (number, containers) in world {
        service.next_number = service.next_number.max(number.saturating_add(1));
        let known = service.copies.entry(*number).or_insert_with(|| Known {
            memory: Memory { adopted: true, ..Memory::default() },
            // Nothing is left to be done for one that had ended before we came, unless something of it still runs.
            buried: has_ended_whole(containers),
            retired: stopped_by_us(containers),
            ..Known::default()
        });
        if known.deployment.is_none() {
            known.deployment = deployment_of(containers);
        }
    }
    service.copies.retain(|number, known| known.job.is_some() || world.contains_key(number));
}

/// Judges all copies; ends that nobody has counted are counted.
fn look(
    shared: &Arc<Shared>,
    service: &mut Service,
    world: &BTreeMap<u32, Vec<Arc<Container>>>,
    now: Timestamp,
) -> (Vec<schedule::Copy>, Option<Timestamp>) {
    let none = Vec::new();
    let patience_ms = service.patience_ms(shared);
    let wanted = service.spec.as_ref().map(|spec| spec.revision.deployment.clone());
    let balancer = service.spec.as_ref().and_then(|spec| spec.load_balancer.clone());
    let traffic = balancer.as_ref().map(|id| shared.balancers.verdicts(id));
    let (mut views, mut wake, mut healthy, mut ended) = (Vec::new(), None, Vec::new(), Vec::new());
    for (number, known) in &mut service.copies {
        let containers = world.get(number).unwrap_or(&none);
        let job = known.job.as_ref().map(|job| job.kind);
        if job == Some(JobKind::Bury) {
            known.shown = Some(CopyState::Stopped);
            continue;
        }
        let owner = copy::network_owner(containers).map(|owner| owner.id.as_str());
        let traffic = match (&traffic, owner) {
            (None, _) => Traffic::NoBalancer,
            (Some(verdicts), Some(owner)) => verdicts.get(owner).cloned().unwrap_or(Traffic::Unknown(None)),
            (Some(_), None) => Traffic::Unknown(None),
        };
        let being_started = job == Some(JobKind::Start);
        let was_healthy = known.memory.ever_healthy;
        let Verdict { mut state, mut shown, give_up_at, look_at, reason } =
            judge(&mut known.memory, &Evidence { containers, being_started, traffic, patience_ms, now });
        if job == Some(JobKind::Leave) {
            (state, shown) = (State::Leaving, CopyState::Draining);
        }
        match state {
            // Only the first time: beside a copy that stays healthy, failed starts of others are to be counted.
            State::Healthy if !was_healthy => healthy.extend(known.deployment.clone()),
            State::Ended if !known.buried => ended.push(*number),
            _ => {}
        }
        known.shown = Some(shown);
        known.reason = reason;
        wake = earliest(wake, look_at);
        let is_wanted = known.deployment.is_some() && known.deployment == wanted;
        if state == State::Ended && known.retired && !is_wanted {
            // Nobody will ask for its log: it did not fail, it was replaced, and only its removal is missing.
            state = State::HalfMade;
        }
        views.push(schedule::Copy { number: *number, is_wanted, state, give_up_at });
    }
    for deployment in healthy {
        service.became_healthy(&deployment);
    }
    if service.spec.is_some() && !service.removing {
        for number in ended {
            views.retain(|view| view.number != number);
            job::bury(shared, service, number, world.get(&number).unwrap_or(&none), now);
        }
    }
    (views, wake)
}

/// For a service that is being removed.
fn leave_all(views: &[schedule::Copy]) -> schedule::Plan {
    let steps = views.iter().filter(|copy| copy.state != State::Leaving).map(|copy| match copy.state {
        State::Ended | State::HalfMade => Step::Discard { number: copy.number },
        _ => Step::Drain { number: copy.number },
    });
    schedule::Plan { steps: steps.collect(), wake: None }
}

/// Tells the load balancer where the copies answer.
fn targets_tell(shared: &Shared, service: &Service, world: &BTreeMap<u32, Vec<Arc<Container>>>) {
    let Some(spec) = &service.spec else { return };
    let network = shared.world.network(&NetworkUse::Environment(spec.environment.to_string()));
    let targets = service.copies.iter().filter_map(|(number, known)| {
        let network = network.as_ref()?;
        let (id, ip) = judge::answers_at(world.get(number)?, &network.id)?;
        let draining = matches!(&known.job, Some(Job { kind: JobKind::Leave | JobKind::Bury, .. }));
        Some(super::proxy::Target { id, ip: ip.into(), draining, ports: Vec::new() })
    });
    shared.balancers.targets_set(&service.id, spec.load_balancer.as_ref(), targets.collect());
}

/// Why a copy was given up.
fn unhealthy_words(known: &Known, patience_ms: i64, now: Timestamp) -> Failure {
    let reason = known.reason.as_deref().unwrap_or("its health check did not pass");
    let ran_ms = known.memory.running_since.map_or(0, |since| now.ms_since(since));
    let message = if known.memory.ever_healthy {
        format!("the copy was healthy no more: {reason}")
    } else if ran_ms < patience_ms.unsigned_abs() {
        // Its own check may say so before the time is over.
        format!("the copy did not become healthy: {reason}")
    } else {
        format!("the copy did not become healthy within {} s: {reason}", patience_ms / 1_000)
    };
    Failure::new(FailureClass::Unhealthy, message)
}

#[cfg(test)]
mod tests {
    use layer0_domain::model::id::EnvironmentId;
    use layer0_domain::model::name::Name;
    use layer0_domain::model::time::Generation;
    use layer0_domain::port::engine::{Revision, ServiceMode};
    use layer0_domain::port::pull::Launch;

    use super::*;
    use crate::docker::world::sample;

    fn wish(desired_count: u32, deployment: &str) -> ServiceSpec {
        ServiceSpec {
            id: ServiceId::parse("web").expect("an id"),
            name: Name::parse("web").expect("a name"),
            environment: EnvironmentId::parse("env").expect("an id"),
            desired_count,
            revision: Revision {
                deployment: DeploymentId::parse(deployment).expect("an id"),
                label: "app:1".to_owned(),
                definition: no_definition(),
            },
            mode: ServiceMode::Run,
            load_balancer: None,
            launch: Launch::Fargate,
            generation: Generation(1),
        }
    }

    #[test]
    fn a_new_wish_does_not_show_what_an_earlier_one_waited_for() {
        let mut service = Service::new(ServiceId::parse("web").expect("an id"));
        service.wish(wish(1, "web-1"));
        service.waits_for = Some("a credential".to_owned());
        service.wish(wish(1, "web-1"));
        assert!(service.waits_for.is_some(), "it is the same wish");
        service.wish(wish(0, "web-1"));
        assert_eq!(service.waits_for, None);
    }

    #[test]
    fn a_copy_that_is_found_ended_is_seen_to_while_something_of_it_still_runs() {
        let of = |run: Run| Arc::new(Container { size: 2, run, ..sample() });
        let beside = |run: Run| Arc::new(Container { size: 2, essential: false, run, ..sample() });
        let pause = Arc::new(Container { is_pause: true, essential: false, size: 2, ..sample() });
        let mut service = Service::new(ServiceId::parse("web").expect("an id"));
        let world = BTreeMap::from([
            (1, vec![of(Run::Ended), beside(Run::Ended)]),
            (2, vec![of(Run::Ended), beside(Run::Running)]),
            (3, vec![of(Run::Ended), beside(Run::Ended), pause]),
            (4, vec![of(Run::Running), beside(Run::Ended)]),
        ]);
        meet(&mut service, &world);
        let buried: Vec<bool> = service.copies.values().map(|known| known.buried).collect();
        assert_eq!(buried, [true, false, false, false]);
    }

    #[tokio::test]
    async fn failed_starts_are_counted_beside_a_copy_that_stays_healthy() {
        let engine = crate::docker::without_docker();
        let now = Timestamp(100_000);
        let deployment = DeploymentId::parse("web-1").expect("an id");
        let mut service = Service::new(ServiceId::parse("web").expect("an id"));
        let known = Known { deployment: Some(deployment.clone()), ..Known::default() };
        service.copies.insert(1, known);
        let world = BTreeMap::from([(1, vec![Arc::new(sample())])]);
        let fail_and_look = |service: &mut Service, at: Timestamp| {
            service.failure_count(&deployment, Failure::new(FailureClass::Exited, "it ended"));
            let (views, _) = look(&engine.shared, service, &world, at);
            (views[0].state, service.failures.first().map(|(_, failed)| failed.all))
        };
        assert_eq!(fail_and_look(&mut service, now), (State::Starting, Some(1)));
        let healthy = now.plus_ms(judge::SETTLED_MS);
        assert_eq!(fail_and_look(&mut service, healthy), (State::Healthy, None), "it became healthy");
        assert_eq!(fail_and_look(&mut service, healthy.plus_ms(1)), (State::Healthy, Some(1)));
        assert_eq!(fail_and_look(&mut service, healthy.plus_ms(2)), (State::Healthy, Some(2)));
    }
}
