//! What keeps services at their desired count and replaces old deployments by new ones.
//!
//! A look at a service is one pass over its tasks that are not STOPPED. It happens `scheduler_ms` after something about the
//! service changed, so many changes at once make one look; nothing looks at a service where nothing happens.

use std::collections::HashMap;

use serde_json::Value;

use super::super::wire::Input;
use super::super::world::{Due, Id, World};
use super::super::{elb, elbv2};
use super::life::{self, Spec};
use super::place::{self, Choice};
use super::service::{RolloutState, ServiceStatus};
use super::services;
use super::task::{Health, Task};
use super::{events, rollout};

/// After so many failed tasks in a row a service tells that it can't start tasks. AWS does not say how many it takes.
const IMPAIRED: u64 = 3;

/// Sees to it that a service is looked at soon.
pub(crate) fn poke(world: &mut World, arn: &Id) {
    look_after(world, arn, world.config.scheduler_ms.max(1));
}

/// Sees to it that a service is looked at after so long, unless it is going to be earlier anyway.
fn look_after(world: &mut World, arn: &Id, after_ms: u64) {
    let at_ms = world.now_ms.saturating_add_unsigned(after_ms);
    let Some(service) = world.ecs.services.get_mut(arn) else { return };
    if service.is_inactive() || service.look_ms.is_some_and(|known_ms| known_ms <= at_ms) {
        return;
    }
    service.look_ms = Some(at_ms);
    world.later(after_ms, Due::Service(arn.clone()));
}

/// Sets whether there is capacity for new tasks; with it, all services are looked at again.
pub(crate) fn capacity_set(world: &mut World, of: &str, available: bool) {
    if !available {
        world.ecs.without_capacity.insert(of.to_owned());
        return;
    }
    world.ecs.without_capacity.remove(of);
    world.ecs.room.remove(of);
    let services: Vec<Id> = world.ecs.services.keys().cloned().collect();
    for service in services {
        poke(world, &service);
    }
}

/// A task of a deployment was healthy for the first time: its failures are forgotten and counted no more.
pub(super) fn task_healthy(world: &mut World, arn: &Id, deployment: &Id) {
    let Some(service) = world.ecs.services.get_mut(arn) else { return };
    if let Some(deployment) = service.deployments.iter_mut().find(|known| known.id == *deployment) {
        deployment.was_healthy = true;
        deployment.failed_tasks = 0;
    }
}

/// A task of a service is STOPPED.
pub(super) fn task_over(world: &mut World, arn: &Id, deployment: &Id, task: &Task) {
    let now_ms = world.now_ms;
    let Some(service) = world.ecs.services.get_mut(arn) else { return };
    service.live.remove(&task.id);
    service.stopped.insert(task.id.clone());
    service.steady = false;
    let Some(deployment) = service.deployments.iter_mut().find(|known| known.id == *deployment) else { return };
    if !task.failing {
        return;
    }
    deployment.last_failure_ms = now_ms;
    if deployment.was_healthy {
        return;
    }
    deployment.failed_tasks += 1;
    let failures = deployment.failed_tasks;
    let id = deployment.id.clone();
    if let Some(rollout) = service.rollouts.last_mut().filter(|rollout| rollout.deployment == id) {
        rollout.failures = failures;
    }
    let guarded = service.breaker().0;
    if let Some(reason) =
        task.stopped_reason.as_deref().filter(|reason| reason.starts_with("ResourceInitializationError"))
    {
        events::tell(world, arn, &format!("was unable to place a task. Reason: {reason}."));
    }
    if failures == IMPAIRED && !guarded {
        let text = "is unable to consistently start tasks successfully. For more information, see the Troubleshooting section of \
                    the Amazon ECS Developer Guide.";
        events::tell(world, arn, text);
    }
}

/// The tasks of one deployment.
#[derive(Debug, Default)]
struct Seen {
    /// Wanted to run, and not RUNNING yet.
    starting: Vec<Id>,
    /// RUNNING, but not all checks passed.
    unsure: Vec<Id>,
    healthy: Vec<Id>,
    /// Wanted to run, but a check failed: to be replaced, with the reason.
    sick: Vec<(Id, String, String)>,
    /// Not wanted any more, but not STOPPED.
    stopping: usize,
}

impl Seen {
    fn live(&self) -> u64 {
        (self.starting.len() + self.unsure.len() + self.healthy.len()) as u64
    }
}

/// Looks at a service.
pub(crate) fn look(world: &mut World, arn: &Id) {
    let Some(service) = world.ecs.services.get_mut(arn) else { return };
    // Only the timer that was put last counts; an earlier look made the others needless.
    if service.look_ms.is_none_or(|at_ms| at_ms > world.now_ms) {
        return;
    }
    service.look_ms = None;
    events::targets(world, arn);
    let mut seen = survey(world, arn);
    let Some(service) = world.ecs.services.get(arn) else { return };
    if service.status == ServiceStatus::Draining {
        drain(world, arn, seen);
        return;
    }
    let mut sick = Vec::new();
    for seen in seen.values_mut() {
        seen.stopping += seen.sick.len();
        sick.append(&mut seen.sick);
    }
    let Some(service) = world.ecs.services.get(arn) else { return };
    let Some(primary) = service.deployments.first() else { return };
    let opens = service.breaker().0
        && primary.state == RolloutState::InProgress
        && !primary.was_healthy
        && primary.failed_tasks >= service.threshold()
        && service.rollouts.last().is_some_and(|rollout| rollout.rollback.is_none());
    if opens {
        rollout::fail(world, arn);
        poke(world, arn);
    } else {
        retire(world, arn, &mut seen);
        launch(world, arn, &seen, sick.len());
    }
    // The one that takes a sick task's place is started first.
    for (id, event, reason) in sick {
        events::tell(world, arn, &event);
        life::stop(world, &id, "ServiceSchedulerInitiated", &reason, true);
    }
    if !opens {
        settle(world, arn, &seen);
    }
}

/// Sorts a service's tasks by deployment and state.
fn survey(world: &mut World, arn: &Id) -> HashMap<Id, Seen> {
    let mut all: HashMap<Id, Seen> = HashMap::new();
    let mut again_ms: Option<i64> = None;
    let Some(service) = world.ecs.services.get(arn) else { return all };
    let grace_s =
        service.settings.number("healthCheckGracePeriodSeconds").and_then(|s| u64::try_from(s).ok()).unwrap_or(0);
    for task in service.live.iter().filter_map(|id| world.ecs.tasks.get(id)) {
        let Some((_, deployment)) = &task.service else { continue };
        let seen = all.entry(deployment.clone()).or_default();
        if !task.wanted {
            seen.stopping += 1;
        } else if !task.is_running() {
            seen.starting.push(task.id.clone());
        } else if life::is_healthy(world, task) {
            seen.healthy.push(task.id.clone());
        } else {
            match sickness(world, task, grace_s) {
                Sickness::None => seen.unsure.push(task.id.clone()),
                Sickness::InGrace(until_ms) => {
                    again_ms = Some(again_ms.map_or(until_ms, |known| known.min(until_ms)));
                    seen.unsure.push(task.id.clone());
                }
                Sickness::Told(event, reason) => seen.sick.push((task.id.clone(), event, reason)),
            }
        }
    }
    if let Some(until_ms) = again_ms {
        look_after(world, arn, u64::try_from(until_ms - world.now_ms).unwrap_or(0).max(1));
    }
    all
}

/// What is wrong with a RUNNING task.
enum Sickness {
    None,
    /// Its target is unhealthy, but the grace period lasts until then.
    InGrace(i64),
    /// The event, and the task's stop reason.
    Told(String, String),
}

fn sickness(world: &World, task: &Task, grace_s: u64) -> Sickness {
    if task.health() == Health::Unhealthy {
        let event = format!("(task {}) failed container health checks.", task.id);
        return Sickness::Told(event, "Task failed container health checks".to_owned());
    }
    let in_group = task.targets.iter().find(|(group, target)| elbv2::is_unhealthy(world, group, target));
    let in_classic = task.behind().find(|(classic, machine)| elb::is_failing(world, classic, machine));
    let (event, reason) = match (in_group, in_classic) {
        (Some((group, target)), _) => (
            format!(
                "(task {}) (port {}) is unhealthy in (target-group {group}) due to (reason Health checks failed).",
                task.id, target.port
            ),
            format!("Task failed ELB health checks in (target-group {group})"),
        ),
        (None, Some((classic, machine))) => (
            format!(
                "(task {}) (instance {machine}) is unhealthy in (elb {classic}) due to (reason {})",
                task.id,
                elb::FAILED
            ),
            format!("Task failed ELB health checks in (elb {classic})"),
        ),
        (None, None) => return Sickness::None,
    };
    let started_ms = task.times.started.unwrap_or(world.now_ms);
    let until_ms = started_ms.saturating_add_unsigned(grace_s * world.config.second_ms);
    if until_ms > world.now_ms {
        return Sickness::InGrace(until_ms);
    }
    Sickness::Told(event, reason)
}

/// Stops all tasks of a service that is to go.
fn drain(world: &mut World, arn: &Id, all: HashMap<Id, Seen>) {
    let mut stopped = Vec::new();
    for (deployment, seen) in all {
        let sick = seen.sick.into_iter().map(|(id, ..)| id);
        for id in seen.starting.into_iter().chain(seen.unsure).chain(seen.healthy).chain(sick) {
            let reason = format!("Scaling activity initiated by (deployment {deployment})");
            life::stop(world, &id, "ServiceSchedulerInitiated", &reason, false);
            stopped.push(id);
        }
    }
    events::stopped(world, arn, &stopped);
    let Some(service) = world.ecs.services.get_mut(arn) else { return };
    if service.live.is_empty() {
        service.status = ServiceStatus::Inactive;
        service.deployments.clear();
        service.completed = None;
    }
}

/// Stops what is too much: tasks of old deployments as far as the minimum of healthy ones allows, and surplus ones of the new.
fn retire(world: &mut World, arn: &Id, all: &mut HashMap<Id, Seen>) {
    let Some(service) = world.ecs.services.get(arn) else { return };
    let Some(primary) = service.deployments.first() else { return };
    let (primary_id, desired, least) = (primary.id.clone(), service.desired, service.least());
    let stands = primary.state == RolloutState::Failed;
    let mut stopped: Vec<(Id, Id)> = Vec::new();
    let mut healthy: u64 = all.values().map(|seen| seen.healthy.len() as u64).sum();
    // A deployment that failed without a rollback leaves the old ones alone.
    if !stands {
        for (deployment, seen) in all.iter_mut().filter(|(deployment, _)| **deployment != primary_id) {
            for id in seen.starting.drain(..).chain(seen.unsure.drain(..)) {
                stopped.push((id, deployment.clone()));
            }
            while healthy > least || desired == 0 {
                let Some(id) = seen.healthy.pop() else { break };
                healthy -= 1;
                stopped.push((id, deployment.clone()));
            }
        }
    }
    if let Some(seen) = all.get_mut(&primary_id) {
        while seen.live() > desired {
            let id = seen.starting.pop().or_else(|| seen.unsure.pop()).or_else(|| seen.healthy.pop());
            let Some(id) = id else { break };
            stopped.push((id, primary_id.clone()));
        }
    }
    for (id, deployment) in &stopped {
        let reason = format!("Scaling activity initiated by (deployment {deployment})");
        life::stop(world, id, "ServiceSchedulerInitiated", &reason, false);
    }
    for (_, deployment) in &stopped {
        if let Some(seen) = all.get_mut(deployment) {
            seen.stopping += 1;
        }
    }
    let stopped: Vec<Id> = stopped.into_iter().map(|(id, _)| id).collect();
    events::stopped(world, arn, &stopped);
}

/// Starts what is missing of the PRIMARY deployment, as far as the maximum of tasks allows; so many of them in the place of
/// sick ones.
fn launch(world: &mut World, arn: &Id, all: &HashMap<Id, Seen>, sick: usize) {
    let Some(service) = world.ecs.services.get(arn) else { return };
    let Some(primary) = service.deployments.first() else { return };
    if primary.state == RolloutState::Failed {
        return;
    }
    let live: u64 = all.values().map(Seen::live).sum();
    let mine = all.get(&primary.id).map_or(0, Seen::live);
    let missing = service.desired.saturating_sub(mine).min(service.most().max(service.desired).saturating_sub(live));
    if missing == 0 {
        return;
    }
    if primary.failed_tasks > 0 {
        let wait_ms = world.config.restart_backoff_ms * primary.failed_tasks.min(10);
        let from_ms = primary.last_failure_ms.saturating_add_unsigned(wait_ms);
        if from_ms > world.now_ms {
            look_after(world, arn, u64::try_from(from_ms - world.now_ms).unwrap_or(1));
            return;
        }
    }
    let Some(cluster) = world.ecs.clusters.get(&service.cluster) else { return };
    let Ok(choice) = Choice::of(cluster, &primary.settings) else { return };
    let rooms = (primary.started..primary.started + missing).map(|number| choice.launch(number));
    let (launches, refused): (Vec<_>, Vec<_>) =
        rooms.map(|launch| (place::no_room(world, cluster, &launch), launch)).partition(|(reason, _)| reason.is_none());
    if let Some((Some(reason), _)) = refused.into_iter().next() {
        events::stuck(world, arn, &reason);
    }
    if launches.is_empty() {
        return;
    }
    let Some(service) = world.ecs.services.get(arn) else { return };
    let Some(primary) = service.deployments.first() else { return };
    let primary = primary.clone();
    let (cluster, name) = (service.cluster.clone(), service.name.clone());
    let tags = services::propagated(world, service, &primary.definition);
    let execute_command = service.settings.flag("enableExecuteCommand");
    let mut started = Vec::new();
    for (_, launch) in launches {
        let spec = Spec {
            cluster: cluster.clone(),
            definition: primary.definition.clone(),
            service: Some((arn.clone(), primary.id.clone())),
            group: format!("service:{name}"),
            started_by: Some(primary.id.to_string()),
            launch,
            platform_version: primary.settings.text("platformVersion").map(str::to_owned),
            network: primary.settings.member("networkConfiguration").cloned().unwrap_or(Value::Null),
            overrides: Value::Null,
            tags: tags.clone(),
            execute_command,
        };
        started.push(life::start(world, spec));
    }
    events::started(world, arn, &started, sick);
    let Some(service) = world.ecs.services.get_mut(arn) else { return };
    service.steady = false;
    if let Some(primary) = service.deployments.first_mut() {
        primary.started += started.len() as u64;
    }
}

/// Forgets old deployments without tasks, and completes the PRIMARY one when it is all there is and healthy.
fn settle(world: &mut World, arn: &Id, all: &HashMap<Id, Seen>) {
    let Some(service) = world.ecs.services.get_mut(arn) else { return };
    let has_tasks = |seen: &Seen| seen.live() > 0 || seen.stopping > 0;
    let mut first = true;
    service
        .deployments
        .retain(|deployment| std::mem::take(&mut first) || all.get(&deployment.id).is_some_and(has_tasks));
    let alone = service.deployments.len() == 1;
    let desired = service.desired;
    let steady_before = service.steady;
    let Some(primary) = service.deployments.first() else { return };
    let mine = all.get(&primary.id);
    let healthy = mine.map_or(0, |seen| seen.healthy.len() as u64);
    let all_there = healthy == desired && mine.map_or(0, Seen::live) == desired;
    if !(alone && all_there) || primary.state == RolloutState::Failed {
        return;
    }
    if primary.state == RolloutState::InProgress {
        rollout::complete(world, arn);
    }
    if !steady_before {
        if let Some(service) = world.ecs.services.get_mut(arn) {
            service.stuck = None;
        }
        events::tell(world, arn, "has reached a steady state.");
        if let Some(service) = world.ecs.services.get_mut(arn) {
            service.steady = true;
        }
    }
}
