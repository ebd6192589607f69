//! The work on single copies of a service. Each job ends by writing down what came of it and waking the next pass.

use std::collections::BTreeMap;
use std::sync::Arc;

use layer0_domain::model::failure::{Failure, FailureClass};
use layer0_domain::model::id::{DeploymentId, ServiceId};
use layer0_domain::model::time::Timestamp;
use tracing::{debug, warn};

use super::{Fault, Job, JobKind, Known, Service, WAIT_MS, unhealthy_words};
use crate::docker::Shared;
use crate::docker::client::{DockerError, chain};
use crate::docker::containers::copy::{culprit, end_failure, foreign_program, network_owner, never_executed};
use crate::docker::containers::end::{copy_remove, copy_stop, last_words, memory_said, volumes_remove};
use crate::docker::containers::start::copy_start;
use crate::docker::containers::{CopySpec, Making, StartError, Starting};
use crate::docker::labels::{self, OwnerKind};
use crate::docker::schedule::{Step, Vacancy};
use crate::docker::services::judge::Memory;
use crate::docker::world::Container;

/// How often taking a copy away is tried again while Docker refuses.
const REMOVE_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

/// A job that is ready to go: the copy is marked already.
pub(super) enum Ready {
    Start(u32, CopySpec),
    Leave { number: u32, drain: Drain, starting: Option<Starting>, fault: Option<Fault> },
}

/// Where a leaving copy has requests to finish.
pub(super) struct Drain {
    balancer: Option<layer0_domain::model::id::LoadBalancerId>,
    target: Option<String>,
}

/// Marks a copy for a step. `None` when there is nothing to do.
pub(super) fn prepare(
    shared: &Shared,
    service: &mut Service,
    step: Step,
    world: &BTreeMap<u32, Vec<Arc<Container>>>,
) -> Option<Ready> {
    match step {
        Step::Start { number, crashes } => prepare_start(service, number, crashes),
        Step::Drain { number } | Step::Discard { number } => prepare_leave(service, number, None, world),
        Step::GiveUp { number } => {
            let patience_ms = service.patience_ms(shared);
            let known = service.copies.get(&number)?;
            let now = shared.ticker.now();
            let (crashes, had_been_healthy) = (known.memory.crashes, known.memory.ever_healthy);
            let fault = known.deployment.clone().map(|deployment| Fault {
                deployment,
                had_been_healthy,
                failure: unhealthy_words(known, patience_ms, now),
            });
            if had_been_healthy {
                service.vacancies.push(Vacancy::after_crash(now, 0, crashes));
            } else if let Some(fault) = &fault {
                service.vacancy_leave(&fault.deployment, crashes, now);
            }
            prepare_leave(service, number, fault, world)
        }
    }
}

fn prepare_start(service: &mut Service, number: u32, crashes: u32) -> Option<Ready> {
    let spec = service.spec.as_ref()?;
    let known = Known {
        memory: Memory { crashes, ..Memory::default() },
        deployment: Some(spec.revision.deployment.clone()),
        job: Some(Job { kind: JobKind::Start, starting: None }),
        ..Known::default()
    };
    let copy = CopySpec {
        kind: OwnerKind::Service,
        entity: spec.id.to_string(),
        name: spec.name.clone(),
        environment: spec.environment.clone(),
        deployment: known.deployment.clone(),
        number,
        definition: Arc::clone(service.definition()),
        making: Making::default(),
    };
    service.copies.insert(number, known);
    service.next_number = service.next_number.max(number.saturating_add(1));
    Some(Ready::Start(number, copy))
}

fn prepare_leave(
    service: &mut Service,
    number: u32,
    fault: Option<Fault>,
    world: &BTreeMap<u32, Vec<Arc<Container>>>,
) -> Option<Ready> {
    let balancer = service.spec.as_ref().and_then(|spec| spec.load_balancer.clone());
    let known = service.copies.get_mut(&number)?;
    if known.job.as_ref().is_some_and(|job| job.kind != JobKind::Start) {
        return None;
    }
    // Its end is awaited before what there is of the copy is taken away.
    let starting = known.job.take().and_then(|job| job.starting);
    if let Some(starting) = &starting {
        starting.give_up();
    }
    known.progress = None;
    known.job = Some(Job { kind: JobKind::Leave, starting: None });
    let target = world.get(&number).and_then(|containers| network_owner(containers)).map(|owner| owner.id.clone());
    Some(Ready::Leave { number, drain: Drain { balancer, target }, starting, fault })
}

/// Sends a job off.
pub(super) fn spawn(shared: &Arc<Shared>, service: &mut Service, job: Ready) {
    let (shared, id) = (Arc::clone(shared), service.id.clone());
    match job {
        Ready::Start(number, spec) => {
            let (inside, making) = (Arc::clone(&shared), Making::clone(&spec.making));
            let work = shared.spawn(async move { start(&inside, &id, number, spec).await });
            if let Some(Known { job: Some(job), .. }) = service.copies.get_mut(&number) {
                job.starting = Some(Starting::new(work, making));
            }
        }
        Ready::Leave { number, drain, starting, fault } => {
            let inside = Arc::clone(&shared);
            shared.spawn(async move { leave(&inside, &id, number, drain, starting, fault).await });
        }
    }
}

async fn start(shared: &Arc<Shared>, id: &ServiceId, number: u32, spec: CopySpec) {
    let progress = |text: Option<String>| {
        shared.service_note(id, |service| {
            if let Some(known) = service.copies.get_mut(&number)
                && known.does(JobKind::Start)
                && known.progress != text
            {
                known.progress = text;
            }
        });
    };
    let began = std::time::Instant::now();
    let result = copy_start(shared, &spec, &progress).await;
    // Where no container was made nobody comes back for what was made for it.
    if result.is_err() && shared.world.copy(OwnerKind::Service, id.as_str(), number).is_empty() {
        let of_it = [(labels::ENTITY, id.as_str()), (labels::COPY, &format!("{id}-{number}"))];
        if let Err(why) = volumes_remove(shared, &of_it).await {
            warn!(service.id = %id, error = %why, "volumes of copy {number} of {id}, which did not start, could not be removed: {why}");
        }
    }
    let Some(deployment) = spec.deployment else { return };
    match result {
        Ok(()) => {
            debug!(service.id = %id, copy = number, "started copy {number} of {id} in {:?}", began.elapsed());
            done(shared, id, number, JobKind::Start, |service, _| service.waits_for = None);
        }
        Err(StartError::Waiting(what)) => {
            done(shared, id, number, JobKind::Start, |service, known| {
                let not_before = shared.ticker.now().plus_ms(WAIT_MS);
                service.vacancies.push(Vacancy { not_before, crashes: known.memory.crashes });
                service.waits_for = Some(what);
            });
        }
        Err(StartError::Failed(failure)) => {
            let containers = shared.world.copy(OwnerKind::Service, id.as_str(), number);
            let mut failure = *failure;
            failure.log_tail = last_words(shared, &containers, None).await;
            warn!(service.id = %id, "copy {number} of {id} did not start: {}", failure.message);
            done(shared, id, number, JobKind::Start, |service, known| {
                service.vacancy_leave(&deployment, known.memory.crashes, shared.ticker.now());
                service.failure_count(&deployment, failure);
                service.waits_for = None;
            });
        }
    }
}

/// Ends a copy's job, unless that was given up and another has the copy now. What is left of a copy that did not start is
/// half made for the next pass, which takes it away.
fn done(shared: &Shared, id: &ServiceId, number: u32, kind: JobKind, note: impl FnOnce(&mut Service, &Known)) {
    shared.service_note(id, |service| {
        let Some(mut known) = service.copies.remove(&number) else { return };
        if known.does(kind) {
            known.job = None;
            known.progress = None;
            note(service, &known);
        }
        service.copies.insert(number, known);
    });
}

async fn leave(
    shared: &Arc<Shared>,
    id: &ServiceId,
    number: u32,
    drain: Drain,
    starting: Option<Starting>,
    fault: Option<Fault>,
) {
    if let Some(starting) = starting {
        starting.over().await;
    }
    if let Some(mut fault) = fault {
        let containers = shared.world.copy(OwnerKind::Service, id.as_str(), number);
        fault.failure.log_tail = last_words(shared, &containers, None).await;
        warn!(service.id = %id, "gave up copy {number} of {id}: {}", fault.failure.message);
        shared.service_note(id, |service| service.fault_count(fault, shared.ticker.now()));
    }
    if let (Some(balancer), Some(target)) = (&drain.balancer, &drain.target) {
        shared.balancers.drained(balancer, target, shared.drain_timeout).await;
    }
    loop {
        match end(shared, id, number).await {
            Ok(()) => break,
            Err(error) => {
                if !error.is_down() {
                    warn!(service.id = %id, "copy {number} of {id} can't be taken away: {}", chain(&error));
                }
                tokio::time::sleep(REMOVE_PAUSE).await;
            }
        }
    }
    shared.service_note(id, |service| {
        service.copies.remove(&number);
    });
}

async fn end(shared: &Shared, id: &ServiceId, number: u32) -> Result<(), DockerError> {
    let containers = shared.world.copy(OwnerKind::Service, id.as_str(), number);
    copy_stop(shared, &containers).await?;
    copy_remove(shared, OwnerKind::Service, id.as_str(), number).await
}

/// Counts the end of a copy that ended by itself, and sees to it that what is left of it stops.
pub(super) fn bury(
    shared: &Arc<Shared>,
    service: &mut Service,
    number: u32,
    containers: &[Arc<Container>],
    now: Timestamp,
) {
    let Some(known) = service.copies.get_mut(&number) else { return };
    known.buried = true;
    known.job = Some(Job { kind: JobKind::Bury, starting: None });
    let had_been_healthy = known.memory.ever_healthy;
    let served = had_been_healthy || known.memory.adopted;
    let crashes = known.memory.crashes;
    let deployment = known.deployment.clone();
    // How one had been that had ended before we came nobody knows.
    if served && known.memory.running_since.is_some() {
        let healthy_ms =
            known.memory.healthy_since.or(known.memory.running_since).map_or(0, |since| now.ms_since(since));
        service.vacancies.push(Vacancy::after_crash(now, healthy_ms, crashes));
    } else if let Some(deployment) = deployment.as_ref().filter(|_| !served) {
        service.vacancy_leave(deployment, crashes, now);
    }
    // Whether one that had been found running was ever healthy nobody knows: it is neither a failed start nor a copy lost.
    let counts_for =
        deployment.filter(|_| had_been_healthy || !served).map(|deployment| (deployment, had_been_healthy));
    let (id, containers, inside) = (service.id.clone(), containers.to_vec(), Arc::clone(shared));
    shared.spawn(async move {
        let shared = inside;
        let told = end_tell(&shared, &id, number, &containers, counts_for);
        tokio::join!(told, rest_stop(&shared, &id, number));
        done(&shared, &id, number, JobKind::Bury, |_, _| {});
    });
}

/// Counts the end of a copy for this deployment: as one that had been healthy, or not. It is counted at once, since what comes of a
/// roll-out depends on it; why it ended is said better when Docker knows more, and in the log then.
async fn end_tell(
    shared: &Shared,
    id: &ServiceId,
    number: u32,
    containers: &[Arc<Container>],
    counts_for: Option<(DeploymentId, bool)>,
) {
    let had_been_healthy = counts_for.as_ref().is_none_or(|(_, had_been_healthy)| *had_been_healthy);
    let when = if had_been_healthy { "" } else { " before it was healthy" };
    let words = |containers: &[Arc<Container>]| match culprit(containers) {
        Some(culprit) => end_failure(culprit, when),
        None => Failure::new(FailureClass::Exited, format!("the copy ended{when}")),
    };
    let mut counted = None;
    if let Some((deployment, had_been_healthy)) = counts_for {
        let mut failure = words(containers);
        failure.log_tail = last_words(shared, containers, culprit(containers).map(|it| it.container.as_str())).await;
        let foreign = never_executed(containers).then(|| foreign_program(&failure.log_tail)).flatten();
        let fault = Fault { deployment, had_been_healthy, failure: foreign.unwrap_or(failure) };
        counted = Some(fault.clone());
        shared.service_note(id, |service| service.fault_count(fault, shared.ticker.now()));
    }
    let containers = memory_said(shared, containers).await;
    let better = words(&containers);
    warn!(service.id = %id, "copy {number} of {id}: {}", better.message);
    if let Some(fault) = counted.filter(|_| culprit(&containers).is_some_and(|culprit| culprit.out_of_memory)) {
        let better = Failure { log_tail: fault.failure.log_tail.clone(), ..better };
        shared.service_note(id, |service| service.fault_reword(&fault, better));
    }
}

/// Stops what still runs of a copy that ended. Gives up when the service is being removed, which takes away what does not
/// stop.
async fn rest_stop(shared: &Shared, id: &ServiceId, number: u32) {
    loop {
        let containers = shared.world.copy(OwnerKind::Service, id.as_str(), number);
        let Err(error) = copy_stop(shared, &containers).await else { return };
        debug!(service.id = %id, "the rest of copy {number} of {id} does not stop: {}", chain(&error));
        tokio::time::sleep(REMOVE_PAUSE).await;
        let goes_on = shared.state().services.get(id).is_some_and(|service| {
            !service.removing && service.copies.get(&number).is_some_and(|known| known.does(JobKind::Bury))
        });
        if !goes_on {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starting(shared: &Shared) -> Job {
        let work = shared.spawn(std::future::pending());
        Job { kind: JobKind::Start, starting: Some(Starting::new(work, Making::default())) }
    }

    #[tokio::test]
    async fn a_start_that_was_given_up_is_handed_over_and_says_nothing_more() {
        let engine = crate::docker::without_docker();
        let shared = &engine.shared;
        let id = ServiceId::parse("web").expect("an id");
        let mut service = Service::new(id.clone());
        service.copies.insert(1, Known { job: Some(starting(shared)), ..Known::default() });
        let leave = prepare_leave(&mut service, 1, None, &BTreeMap::new());
        let Some(Ready::Leave { starting: Some(given_up), .. }) = leave else { panic!("nobody awaits the start") };
        given_up.over().await;
        assert!(prepare_leave(&mut service, 1, None, &BTreeMap::new()).is_none(), "it is on its way out already");

        shared.state().services.insert(id.clone(), service);
        done(shared, &id, 1, JobKind::Start, |service, _| service.waits_for = Some("nothing".to_owned()));
        let state = shared.state();
        let service = state.services.get(&id).expect("it is known");
        assert!(service.copies[&1].does(JobKind::Leave), "who takes it away has lost his mark");
        assert_eq!(service.waits_for, None);
    }
}
