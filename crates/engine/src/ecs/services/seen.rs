//! What is seen of a service, in the words of the port.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use layer0_domain::model::failure::{Failure, LogLine};
use layer0_domain::model::id::{CopyId, DeploymentId, ServiceId};
use layer0_domain::model::task::ContainerOutcome;
use layer0_domain::model::task_definition::TaskDefinition;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::engine::{ContainerSeen, CopySeen, CopyState, LostCopies, ServiceSeen, StartFailures};
use tokio::time::Instant;

use super::ServiceState;
use crate::ecs::aws::{EcsContainer, EcsTask};
use crate::ecs::cause;
use crate::ecs::names::Names;

/// Further than this no two clocks are apart that can speak to AWS at all: it refuses signatures that are five minutes off.
const LONG_AGO: Duration = Duration::from_secs(300);

/// How the containers of a task are, in the words of the port.
pub(in crate::ecs) fn containers(task: &EcsTask) -> Vec<ContainerSeen> {
    task.containers.iter().map(container).collect()
}

fn container(from: &EcsContainer) -> ContainerSeen {
    let ended = from.status == "STOPPED";
    ContainerSeen {
        name: from.name.clone(),
        status: if from.status.is_empty() { "PENDING".to_owned() } else { from.status.clone() },
        outcome: ended.then(|| ContainerOutcome {
            name: from.name.clone(),
            exit_code: from.exit_code.map(i64::from),
            reason: from.reason.clone(),
        }),
    }
}

/// When a running task that is seen for the first time began to run: now, unless ECS says that it was so long ago that
/// clocks which differ do not matter. A server that starts does not wait for what runs since yesterday.
fn running_since(task: &EcsTask, now: Instant, wall: SystemTime) -> Instant {
    let started = task.started.and_then(|at| u64::try_from(at.0).ok()).map(Duration::from_millis);
    let age = started.and_then(|started| wall.duration_since(UNIX_EPOCH).ok()?.checked_sub(started));
    age.filter(|age| *age >= LONG_AGO).and_then(|age| now.checked_sub(age)).unwrap_or(now)
}

fn timestamp(wall: SystemTime) -> Timestamp {
    let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

impl ServiceState {
    /// Whether a task counts as healthy: it runs, its containers' checks pass, and its load balancer finds it healthy. One
    /// that nobody checks counts when it has run for a while: a program that can't start is gone by then.
    pub(super) fn is_healthy(&self, task: &EcsTask, settle: Duration) -> bool {
        self.copy_state(task, settle) == CopyState::Healthy
    }

    fn copy_state(&self, task: &EcsTask, settle: Duration) -> CopyState {
        match task.status.as_str() {
            "STOPPED" => CopyState::Stopped,
            _ if !task.wanted => CopyState::Draining,
            "RUNNING" => self.running_state(task, settle),
            "DEACTIVATING" | "STOPPING" | "DEPROVISIONING" => CopyState::Draining,
            _ => CopyState::Pending,
        }
    }

    fn running_state(&self, task: &EcsTask, settle: Duration) -> CopyState {
        let found = self.found(task);
        match task.health.as_str() {
            "UNHEALTHY" => return CopyState::Unhealthy,
            "HEALTHY" if found.is_none() => return CopyState::Healthy,
            _ => {}
        }
        // Containers whose check has not answered yet.
        if task.health != "HEALTHY" && task.containers.iter().any(|it| it.health == "UNHEALTHY") {
            return CopyState::Unhealthy;
        }
        if let Some(found) = found {
            return found;
        }
        let settled = self.running_since.get(&task.id).is_some_and(|since| since.elapsed() >= settle);
        let has_checks = self.checked.contains(&task.family);
        if settled && !has_checks { CopyState::Healthy } else { CopyState::Starting }
    }

    /// Takes in its tasks as they were just read.
    pub(in crate::ecs) fn tasks_read(
        &mut self,
        names: &Names,
        tasks: Vec<EcsTask>,
        settle: Duration,
    ) -> Vec<(DeploymentId, EcsTask)> {
        self.tasks_current = true;
        self.tasks_put(names, tasks, settle)
    }

    /// Takes in one of its tasks that ended. The others are to be read: another one takes its place.
    pub(in crate::ecs) fn task_ended(&mut self, names: &Names, task: EcsTask, settle: Duration) {
        self.tasks_current = false;
        // One that ECS took away was replaced first. Shown ended before its successor is read, the service would seem to have
        // fewer copies than it has.
        if task.stop_code == "ServiceSchedulerInitiated" {
            return;
        }
        if let Some(known) = self.tasks.iter_mut().find(|known| known.id == task.id) {
            *known = task;
            let tasks = std::mem::take(&mut self.tasks);
            // Failures are counted when all are read, with the last words that go with them.
            let (counted, failures, lost) = (self.counted.clone(), self.failures.clone(), self.lost_copies.clone());
            let _ = self.tasks_put(names, tasks, settle);
            (self.counted, self.failures, self.lost_copies) = (counted, failures, lost);
        }
    }

    /// Whether its tasks have to be read: ECS's counts of it changed since, or differ from what was read, or what is under
    /// way does not show in them: a container's check, or a task on its way out.
    pub(in crate::ecs) fn tasks_due(&self) -> bool {
        let Some(seen) = &self.seen else { return true };
        let running = self.tasks.iter().filter(|task| task.status == "RUNNING").count();
        let starting = ["PROVISIONING", "PENDING", "ACTIVATING"];
        let pending = self.tasks.iter().filter(|task| task.wanted && starting.contains(&task.status.as_str())).count();
        let unchecked = |task: &EcsTask| task.health != "HEALTHY" && self.checked.contains(&task.family);
        let under_way = |task: &EcsTask| !task.is_stopped() && (!task.wanted || unchecked(task));
        !self.tasks_current
            || running != seen.running as usize
            || pending != seen.pending as usize
            || self.tasks.iter().any(under_way)
    }

    /// Takes in its tasks as they are now, and counts the starts that failed. Answers the newest of those for each deployment
    /// that had some: its last words are worth asking for.
    pub(in crate::ecs) fn tasks_put(
        &mut self,
        names: &Names,
        tasks: Vec<EcsTask>,
        settle: Duration,
    ) -> Vec<(DeploymentId, EcsTask)> {
        let mut failed: Vec<(DeploymentId, EcsTask)> = Vec::new();
        self.tasks = tasks;
        self.tasks.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        let (now, wall) = (Instant::now(), SystemTime::now());
        for at in 0..self.tasks.len() {
            let task = self.tasks[at].clone();
            if task.status == "RUNNING" {
                self.running_since.entry(task.id.clone()).or_insert_with(|| running_since(&task, now, wall));
            }
            let Some((_, deployment)) = names.deployment_of(&task.family) else { continue };
            if self.is_healthy(&task, settle) {
                if self.healthy_once.insert(task.id.clone()) {
                    self.failures.retain(|known| known.deployment != deployment);
                }
            } else if task.is_stopped()
                && self.counted.insert(task.id.clone())
                && let Some(failure) = cause::failed_start(&task, self.definition_of(&deployment))
            {
                if self.healthy_once.contains(&task.id) {
                    let wanted = self.spec.as_ref().map(|spec| &spec.revision.deployment);
                    LostCopies::count(&mut self.lost_copies, wanted, &deployment, timestamp(wall), failure);
                    continue;
                }
                failed.retain(|(of, _)| *of != deployment);
                failed.push((deployment.clone(), task));
                self.failure_count(deployment, failure);
            }
        }
        let here: std::collections::HashSet<&String> = self.tasks.iter().map(|task| &task.id).collect();
        self.running_since.retain(|id, _| here.contains(id));
        self.healthy_once.retain(|id| here.contains(id));
        self.counted.retain(|id| here.contains(id));
        failed
    }

    /// Keeps the last words of a deployment's newest failed start.
    pub(in crate::ecs) fn last_words_put(&mut self, deployment: &DeploymentId, words: Vec<LogLine>) {
        if let Some(known) = self.failures.iter_mut().find(|known| known.deployment == *deployment) {
            known.last.log_tail = words;
        }
    }

    /// The definition of a deployment, where it is the wanted one.
    fn definition_of(&self, deployment: &DeploymentId) -> Option<&TaskDefinition> {
        let revision = &self.spec.as_ref()?.revision;
        (revision.deployment == *deployment).then_some(&revision.definition)
    }

    fn failure_count(&mut self, deployment: DeploymentId, failure: Failure) {
        match self.failures.iter_mut().find(|known| known.deployment == deployment) {
            Some(known) if known.last.class == failure.class => {
                known.in_a_row += 1;
                known.last = failure;
            }
            Some(known) => *known = StartFailures { deployment, in_a_row: 1, last: failure },
            None => self.failures.push(StartFailures { deployment, in_a_row: 1, last: failure }),
        }
    }

    /// Why ECS did not even begin copies of the wanted deployment, as long as no start of it failed: that says more.
    pub(super) fn not_begun(&self) -> Option<&Failure> {
        let wanted = &self.spec.as_ref()?.revision.deployment;
        let (of, cause) = self.not_begun.as_ref()?;
        (of == wanted && self.failures.iter().all(|known| known.deployment != *wanted)).then_some(cause)
    }

    /// The failed starts, in the words of the port. A copy that was not begun counts as no start, since ECS goes on trying;
    /// why is told all the same, for when it never comes to one.
    fn failures_seen(&self) -> Vec<StartFailures> {
        let not_begun = self.spec.as_ref().zip(self.not_begun()).map(|(spec, cause)| StartFailures {
            deployment: spec.revision.deployment.clone(),
            in_a_row: 0,
            last: cause.clone(),
        });
        self.failures.iter().cloned().chain(not_begun).collect()
    }

    /// What ECS counted in place of what we did, unless ours says more.
    pub(super) fn failures_put(&mut self, failures: StartFailures) {
        match self.failures.iter_mut().find(|known| known.deployment == failures.deployment) {
            Some(known) => known.in_a_row = known.in_a_row.max(failures.in_a_row),
            None => self.failures.push(failures),
        }
    }

    /// Whether all is as wanted, as far as was seen.
    pub(in crate::ecs) fn is_steady(&self, names: &Names, settle: Duration) -> bool {
        let (Some(spec), Some(seen)) = (&self.spec, &self.seen) else { return false };
        let family = names.deployment_family(&spec.id, &spec.revision.deployment);
        let live: Vec<&EcsTask> = self.tasks.iter().filter(|task| !task.is_stopped()).collect();
        self.alarms_watched().is_empty()
            && seen.desired == spec.desired_count
            && live.len() == spec.desired_count as usize
            && live.iter().all(|task| task.family == family && self.is_healthy(task, settle))
    }

    /// In the words of the port.
    pub(in crate::ecs) fn seen(&self, id: &ServiceId, names: &Names, settle: Duration) -> ServiceSeen {
        // While ECS may still give a deployment up by an alarm, its copies are not good yet.
        let wanted = self.spec.as_ref().map(|spec| &spec.revision.deployment);
        let held = wanted.filter(|_| !self.alarms_watched().is_empty());
        let state = |task: &EcsTask, deployment: Option<&DeploymentId>| match self.copy_state(task, settle) {
            CopyState::Healthy if deployment.is_some() && deployment == held => CopyState::Starting,
            state => state,
        };
        let copies = self.tasks.iter().filter_map(|task| {
            let deployment = names.deployment_of(&task.family).map(|(_, deployment)| deployment);
            Some(CopySeen {
                id: CopyId::parse(&task.id).ok()?,
                state: state(task, deployment.as_ref()),
                deployment,
                started: task.started,
                containers: containers(task),
            })
        });
        let waiting_for = match (&self.waiting_for, &self.seen) {
            (Some(what), _) => Some(what.clone()),
            (None, Some(_)) => {
                let alarms = held.is_some().then(|| {
                    format!("ECS to watch alarms ({}) to the end of the roll-out", self.alarms_watched().join(", "))
                });
                let not_begun = self.not_begun().map(|cause| format!("ECS to start copies: {}", cause.message));
                match (not_begun, alarms) {
                    (Some(not_begun), Some(alarms)) => Some(format!("{not_begun}; and {alarms}")),
                    (None, None) => self.target_trouble().or_else(|| self.settling(settle)),
                    (not_begun, alarms) => not_begun.or(alarms),
                }
            }
            (None, None) => self.spec.as_ref().map(|_| "ECS to make the service".to_owned()),
        };
        ServiceSeen {
            id: id.clone(),
            generation: self.spec.as_ref().map(|spec| spec.generation),
            copies: copies.collect(),
            failures: self.failures_seen(),
            lost: LostCopies::of_wanted(self.lost_copies.as_ref(), wanted),
            waiting_for,
            warnings: self.unregistered.clone().into_iter().chain(self.unasked(settle)).collect(),
            problem: self.problem.clone().or_else(|| self.lost.clone()),
        }
    }
}
