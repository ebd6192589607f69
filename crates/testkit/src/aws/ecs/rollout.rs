//! Deployments come and go: how one begins, completes, fails and is rolled back.
//!
//! A [`Deployment`] is what DescribeServices shows, a [`Rollout`] what DescribeServiceDeployments does: one change of the
//! service from the wish to its end.
//!
//! ```text
//! rollout: IN_PROGRESS -> SUCCESSFUL                    a newer deployment: -> STOPPED
//!             | circuit opens, or StopServiceDeployment
//!             +-> without rollback: STOPPED
//!             +-> ROLLBACK_IN_PROGRESS -> ROLLBACK_SUCCESSFUL      nothing to go back to: ROLLBACK_FAILED
//! ```

use std::sync::Arc;

use serde_json::Value;

use super::super::wire::Input;
use super::super::world::{Id, World};
use super::Definition;
use super::service::{Deployment, RolloutState};
use super::services::DEPLOYED;

/// A service deployment.
#[derive(Debug, Clone)]
pub(crate) struct Rollout {
    pub(crate) arn: String,
    /// The deployment that it is to bring about.
    pub(crate) deployment: Id,
    pub(crate) status: &'static str,
    pub(crate) reason: Option<String>,
    pub(crate) target_revision: String,
    /// The task definition of that revision.
    pub(crate) definition: String,
    pub(crate) source_revision: Option<String>,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    pub(crate) finished_ms: Option<i64>,
    pub(crate) stopped_ms: Option<i64>,
    /// Why, when, and to which deployment and revision it rolls back.
    pub(crate) rollback: Option<(String, i64, Id, String)>,
    /// The circuit breaker: its status, and how many failures there were.
    pub(crate) circuit: &'static str,
    pub(crate) failures: u64,
    pub(crate) threshold: u64,
    /// CloudWatch alarms that watch it.
    pub(crate) alarms: Vec<String>,
    /// Those of them that went off.
    pub(crate) alarms_triggered: Vec<String>,
}

impl Rollout {
    pub(crate) fn is_open(&self) -> bool {
        matches!(
            self.status,
            "PENDING" | "IN_PROGRESS" | "STOP_REQUESTED" | "ROLLBACK_REQUESTED" | "ROLLBACK_IN_PROGRESS"
        )
    }

    pub(crate) fn end_if_open(&mut self, status: &'static str, reason: &str, now_ms: i64) {
        if self.is_open() {
            self.end(status, Some(reason), now_ms);
        }
    }

    fn end(&mut self, status: &'static str, reason: Option<&str>, now_ms: i64) {
        self.status = status;
        self.reason = reason.map(str::to_owned).or_else(|| self.reason.clone());
        self.updated_ms = now_ms;
        self.finished_ms = Some(now_ms);
        if status == "STOPPED" {
            self.stopped_ms = Some(now_ms);
        }
        if self.circuit == "MONITORING" {
            self.circuit = "MONITORING_COMPLETE";
        }
    }
}

/// Begins a new deployment, which becomes PRIMARY.
pub(super) fn begin(world: &mut World, arn: &Id, definition: Arc<Definition>, settings: Value) {
    let id: Id = format!("ecs-svc/{}", world.digits(19)).into();
    let revision = revision_arn(world, arn);
    let deployment = Deployment {
        reason: format!("ECS deployment {id} in progress."),
        id,
        definition,
        settings,
        revision,
        created_ms: world.now_ms,
        updated_ms: world.now_ms,
        state: RolloutState::InProgress,
        failed_tasks: 0,
        last_failure_ms: 0,
        was_healthy: false,
        started: 0,
    };
    lead(world, arn, deployment);
}

/// Begins a new deployment, unless one that is still ACTIVE has the same task definition and settings: that becomes PRIMARY
/// again, with its tasks.
pub(super) fn begin_or_return(world: &mut World, arn: &Id, definition: Arc<Definition>, settings: Value) {
    let Some(service) = world.ecs.services.get_mut(arn) else { return };
    let deployed = |settings: &Value| {
        let mut settings = settings.clone();
        if let Some(settings) = settings.as_object_mut() {
            for key in
                ["deploymentConfiguration", "healthCheckGracePeriodSeconds", "enableExecuteCommand", "propagateTags"]
            {
                settings.remove(key);
            }
        }
        settings
    };
    let wanted = deployed(&settings);
    let same =
        service.deployments.iter().skip(1).position(|deployment| {
            deployment.definition.arn == definition.arn && deployed(&deployment.settings) == wanted
        });
    match same {
        None => begin(world, arn, definition, settings),
        Some(at) => {
            let mut deployment = service.deployments.remove(at + 1);
            reopen(&mut deployment, world.now_ms);
            deployment.reason = format!("ECS deployment {} in progress.", deployment.id);
            lead(world, arn, deployment);
        }
    }
}

/// Makes a deployment, new or old, be at work again.
fn reopen(deployment: &mut Deployment, now_ms: i64) {
    deployment.state = RolloutState::InProgress;
    deployment.failed_tasks = 0;
    deployment.updated_ms = now_ms;
}

/// Puts a deployment before the others and opens its service deployment.
fn lead(world: &mut World, arn: &Id, deployment: Deployment) {
    let number = world.hex(21);
    let now_ms = world.now_ms;
    let Some(service) = world.ecs.services.get(arn) else { return };
    let (name, cluster) = (service.name.clone(), service.cluster.clone());
    let rollout_arn = world.arn("ecs", &format!("service-deployment/{cluster}/{name}/{number}"));
    let Some(service) = world.ecs.services.get_mut(arn) else { return };
    for rollout in &mut service.rollouts {
        rollout.end_if_open("STOPPED", "A newer service deployment took its place.", now_ms);
    }
    service.rollouts.push(Rollout {
        arn: rollout_arn.clone(),
        deployment: deployment.id.clone(),
        status: "IN_PROGRESS",
        reason: None,
        target_revision: deployment.revision.clone(),
        definition: deployment.definition.arn.clone(),
        source_revision: service.deployments.first().map(|before| before.revision.clone()),
        created_ms: now_ms,
        updated_ms: now_ms,
        finished_ms: None,
        stopped_ms: None,
        rollback: None,
        circuit: if service.breaker().0 { "MONITORING" } else { "DISABLED" },
        failures: 0,
        threshold: service.threshold(),
        alarms: service.alarms(),
        alarms_triggered: Vec::new(),
    });
    service.steady = false;
    service.deployments.insert(0, deployment);
    world.ecs.rollouts.insert(rollout_arn, arn.clone());
}

fn revision_arn(world: &mut World, service: &Id) -> String {
    let number = world.digits(19);
    let (cluster, name) = match world.ecs.services.get(service) {
        Some(service) => (service.cluster.clone(), service.name.clone()),
        None => (String::new(), String::new()),
    };
    world.arn("ecs", &format!("service-revision/{cluster}/{name}/{number}"))
}

/// The PRIMARY deployment has all its tasks, and no other has any.
pub(super) fn complete(world: &mut World, arn: &Id) {
    let (event, now_ms) = (world.uuid(), world.now_ms);
    let Some(service) = world.ecs.services.get_mut(arn) else { return };
    let Some(primary) = service.deployments.first_mut() else { return };
    primary.state = RolloutState::Completed;
    primary.updated_ms = now_ms;
    primary.reason = format!("ECS deployment {} completed.", primary.id);
    let (id, completed) = (primary.id.clone(), primary.clone());
    service.completed = Some(completed);
    if let Some(rollout) = service.rollouts.last_mut().filter(|rollout| rollout.is_open()) {
        let status = if rollout.rollback.is_some() { "ROLLBACK_SUCCESSFUL" } else { "SUCCESSFUL" };
        rollout.end(status, None, now_ms);
    }
    service.event(now_ms, event, &format!("(deployment {id}) deployment completed."));
}

/// The circuit opened: the PRIMARY deployment has failed.
pub(super) fn fail(world: &mut World, arn: &Id) {
    let (event, now_ms) = (world.uuid(), world.now_ms);
    let Some(service) = world.ecs.services.get_mut(arn) else { return };
    let (_, rolls_back) = service.breaker();
    let Some(primary) = service.deployments.first_mut() else { return };
    primary.state = RolloutState::Failed;
    primary.updated_ms = now_ms;
    primary.reason = "ECS deployment circuit breaker: tasks failed to start.".to_owned();
    let id = primary.id.clone();
    service.event(now_ms, event, &format!("(deployment {id}) deployment failed: tasks failed to start."));
    if let Some(rollout) = service.rollouts.last_mut() {
        rollout.circuit = "TRIGGERED";
        rollout.reason = Some("Service deployment circuit breaker: tasks failed to start.".to_owned());
    }
    if rolls_back {
        let cause = "Service deployment rolled back because the circuit breaker threshold was exceeded.";
        back(world, arn, "circuit breaker", cause);
    } else if let Some(rollout) = service.rollouts.last_mut() {
        rollout.end("STOPPED", None, now_ms);
    }
}

/// An alarm that watches the roll-out goes off: the PRIMARY deployment has failed.
pub(crate) fn alarm(world: &mut World, arn: &str, name: &str) {
    let arn: &Id = &arn.into();
    let now_ms = world.now_ms;
    let Some(service) = world.ecs.services.get_mut(arn) else { return };
    let watched = |rollout: &Rollout| rollout.is_open() && rollout.alarms.iter().any(|alarm| alarm == name);
    let Some(rollout) = service.rollouts.last_mut().filter(|rollout| watched(rollout)) else { return };
    rollout.alarms_triggered.push(name.to_owned());
    rollout.reason = Some("Service deployment failed: alarm detected.".to_owned());
    if let Some(primary) = service.deployments.first_mut() {
        primary.state = RolloutState::Failed;
        primary.updated_ms = now_ms;
        primary.reason = "ECS deployment failed: alarm detected.".to_owned();
    }
    let cause = format!("Service deployment rolled back because of alarm(s): {name}.");
    back(world, arn, "alarm", &cause);
    super::scheduler::poke(world, arn);
}

/// Goes back to the deployment that completed last. Without one the service deployment ends as ROLLBACK_FAILED.
pub(super) fn back(world: &mut World, arn: &Id, who: &str, cause: &str) {
    let (event, now_ms) = (world.uuid(), world.now_ms);
    let Some(service) = world.ecs.services.get_mut(arn) else { return };
    let failed = service.deployments.first().map(|deployment| deployment.id.clone());
    let completed = service.completed.clone().filter(|completed| Some(&completed.id) != failed.as_ref());
    let Some(completed) = completed else {
        if let Some(primary) = service.deployments.first_mut() {
            primary.state = RolloutState::Failed;
        }
        if let Some(rollout) = service.rollouts.last_mut() {
            let reason = format!("{cause} There is no completed deployment to roll back to.");
            rollout.end("ROLLBACK_FAILED", Some(&reason), now_ms);
        }
        return;
    };
    let at = service.deployments.iter().position(|deployment| deployment.id == completed.id);
    let mut deployment = at.map_or(completed, |at| service.deployments.remove(at));
    reopen(&mut deployment, now_ms);
    deployment.reason = format!("ECS deployment {who}: rolling back to deploymentId {}.", deployment.id);
    if let Some(rollout) = service.rollouts.last_mut() {
        rollout.status = "ROLLBACK_IN_PROGRESS";
        rollout.updated_ms = now_ms;
        rollout.rollback = Some((cause.to_owned(), now_ms, deployment.id.clone(), deployment.revision.clone()));
    }
    service.event(now_ms, event, &format!("rolling back to deployment {}.", deployment.id));
    if let Some(failed) = service.deployments.first_mut()
        && failed.state == RolloutState::InProgress
    {
        failed.state = RolloutState::Failed;
        failed.reason = format!("ECS deployment {who}: the deployment was stopped.");
    }
    service.steady = false;
    // It goes back to a service revision, which holds these settings as well as the task definition.
    if let Some(settings) = service.settings.as_object_mut() {
        for key in DEPLOYED {
            match deployment.settings.member(key) {
                Some(value) => settings.insert(key.to_owned(), value.clone()),
                None => settings.remove(key),
            };
        }
    }
    service.deployments.insert(0, deployment);
}
