//! Tasks: each copy is an ECS task, found again by who started it.
//!
//! That copies were started is noted on the task definition after `RunTask` answered. A crash in between is met by the
//! idempotency tokens; a server that comes back after ECS forgot a stopped task (it keeps them for an hour) knows by the note
//! that the task must not run again.
//!
//! What was just started may not be listed yet. The copies that this server started are known from the answer of `RunTask`; of
//! those that only the note tells of, none counts as forgotten before ECS had time to show it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::failure::{Failure, FailureClass};
use layer0_domain::model::id::{CopyId, TaskId};
use layer0_domain::plan::load_balancer::has_own_address;
use layer0_domain::plan::stop_reason;
use layer0_domain::port::engine::{Capacity, CopySeen, CopyState, EngineError, Removed, TaskRun, TaskSeen, TaskSpec};
use layer0_domain::port::pull::Launch;
use tokio::time::Instant;

use super::aws::{AwsError, EcsTask, Network, TaskFilter, TaskWanted};
use super::cause;
use super::definition::{self, Registration};
use super::names::{self, Names};
use super::services;
use super::state::Shared;
use super::template::CAPACITY_PROVIDER;

/// The most copies that one `RunTask` starts.
const COPIES_A_CALL: u32 = 10;

/// The capacity provider of every cluster of ours whose capacity costs less and may be taken back ("Amazon ECS clusters for
/// Fargate").
const FARGATE_SPOT: &str = "FARGATE_SPOT";

/// How often ECS may have no room for a copy before the task has failed: with a look every few seconds about a minute.
const PLACEMENTS: u32 = 20;

/// How long what was started may stay invisible: `RunTask` advises to look with pauses that grow up to five minutes.
const VISIBLE_MAX: Duration = Duration::from_secs(300);

/// A task that the engine was told of, or is taking away.
#[derive(Debug, Default)]
pub(super) struct TaskState {
    /// As it is wanted; `None` for one that we were never told of.
    pub(super) spec: Option<TaskSpec>,
    /// Whether it is being taken away.
    removing: bool,
    /// Its copies as they were last, by ECS's id.
    pub(super) copies: BTreeMap<String, EcsTask>,
    /// How many copies were started; `None` while that is not known.
    started: Option<u32>,
    /// When we learned last that copies were started: by an answer of `RunTask`, or by the note.
    started_known: Option<Instant>,
    /// How often ECS had no room.
    no_room: u32,
    /// What it waits for.
    waiting_for: Option<String>,
    /// Why it failed.
    failure: Option<Failure>,
}

impl TaskState {
    /// Whether there is something to look at again soon.
    pub(super) fn is_busy(&self) -> bool {
        let Some(spec) = &self.spec else { return false };
        let all_ended = self.copies.values().all(EcsTask::is_stopped);
        let complete = self.copies.len() >= spec.copies as usize || self.failure.is_some() || spec.run == TaskRun::Stop;
        !(all_ended && complete && self.started.is_some()) || self.shows_late()
    }

    /// Whether copies were started so lately that ECS may not show them yet.
    fn is_young(&self) -> bool {
        self.started_known.is_some_and(|known| known.elapsed() < VISIBLE_MAX)
    }

    /// Whether the note tells of copies that ECS may show yet.
    fn shows_late(&self) -> bool {
        self.copies.len() < self.started.unwrap_or(0) as usize && self.is_young()
    }
}

impl Shared {
    /// Takes a wish down and goes a step towards it.
    pub(super) async fn task_ensure(&self, spec: TaskSpec) -> Result<(), EngineError> {
        let entity = EntityRef::Task(spec.id.clone());
        let id = spec.id.clone();
        let _turn = self.turn(&entity).await;
        {
            let mut state = self.state();
            let task = state.tasks.entry(id.clone()).or_default();
            let newer = task.spec.as_ref().is_some_and(|known| known.generation > spec.generation);
            if newer || task.removing {
                return Err(EngineError::Outdated { entity });
            }
            task.spec = Some(spec);
        }
        let result = self.task_advance(&id).await;
        self.wake.notify_one();
        self.changed();
        result.map_err(EngineError::from)
    }

    /// Looks at a task and goes a step. Whoever calls has the task's turn.
    pub(super) async fn task_advance(&self, id: &TaskId) -> Result<(), AwsError> {
        let Some(spec) = self.state().tasks.get(id).and_then(|it| it.spec.clone()) else { return Ok(()) };
        let cluster = self.names.environment(&spec.environment);
        self.task_look(id, &cluster).await?;
        if self.state().tasks.get(id).is_some_and(|task| task.started.is_none()) {
            let found = self.aws.definition_find(&self.names.task_family(id)).await?;
            let note = found.and_then(|(_, tags)| tags.into_iter().find(|(key, _)| key == names::STARTED));
            let noted = note.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
            if let Some(task) = self.state().tasks.get_mut(id) {
                task.started = Some(noted.max(number(task.copies.len())));
                task.started_known = (noted > 0).then(Instant::now);
            }
        }
        match spec.run {
            TaskRun::Stop => self.task_halt(id, &cluster).await?,
            TaskRun::Once => match self.task_run(&spec, &cluster).await {
                Err(error) if !error.retryable() => self.task_failed(id, error.failure()),
                result => result?,
            },
        }
        self.task_judge(&spec);
        Ok(())
    }

    /// Takes in how ECS has a task's copies now.
    async fn task_look(&self, id: &TaskId, cluster: &str) -> Result<(), AwsError> {
        let mut ids = self.aws.tasks_list(cluster, TaskFilter::StartedBy(id.as_str()), true).await?;
        ids.extend(self.aws.tasks_list(cluster, TaskFilter::StartedBy(id.as_str()), false).await?);
        let listed: BTreeSet<String> = ids.iter().cloned().collect();
        let known = self.state().tasks.get(id).map(|task| task.copies.keys().cloned().collect::<Vec<_>>());
        ids.extend(known.into_iter().flatten());
        ids.sort();
        ids.dedup();
        // What has ended does not change any more, and ECS forgets it after an hour.
        let ended: Vec<String> = self.state().tasks.get(id).map_or_else(Vec::new, |task| {
            task.copies.values().filter(|copy| copy.is_stopped()).map(|copy| copy.id.clone()).collect()
        });
        ids.retain(|id| !ended.contains(id));
        let seen = self.aws.tasks_describe(cluster, &ids).await?;
        if let Some(task) = self.state().tasks.get_mut(id) {
            if !task.is_young() {
                // What is neither listed nor described ended, and nobody looked for so long that ECS has forgotten it.
                let is_known = |id: &String| listed.contains(id) || seen.iter().any(|copy| copy.id == *id);
                task.copies.retain(|id, copy| copy.is_stopped() || is_known(id));
            }
            for copy in seen {
                task.copies.insert(copy.id.clone(), copy);
            }
        }
        Ok(())
    }

    /// Starts the copies that were not started yet.
    async fn task_run(&self, spec: &TaskSpec, cluster: &str) -> Result<(), AwsError> {
        let (started, failed) = match self.state().tasks.get(&spec.id) {
            Some(task) => (task.started.unwrap_or(0), task.failure.is_some()),
            None => return Ok(()),
        };
        if failed || started >= spec.copies {
            return Ok(());
        }
        let lost = self.state().start_lost(&spec.environment, spec.launch);
        if let Some(lost) = lost {
            self.task_failed(&spec.id, lost);
            return Ok(());
        }
        let Some(security_groups) = self.environment_groups(&spec.environment) else {
            self.task_waits(&spec.id, Some("its environment to be ready"));
            return Ok(());
        };
        let provider = match spec.launch {
            Launch::Fargate => match spec.capacity {
                Capacity::Regular => None,
                Capacity::Spot => Some(FARGATE_SPOT.to_owned()),
            },
            Launch::Ec2 => match self.environment_output(&spec.environment, CAPACITY_PROVIDER) {
                Some(provider) => Some(provider),
                None => {
                    self.task_waits(&spec.id, Some("its environment to have machines (`l0 environment scale`)"));
                    return Ok(());
                }
            },
        };
        let Some(definition) = self.task_register(spec, cluster).await? else { return Ok(()) };
        let network = has_own_address(&spec.definition, spec.launch, None).then(|| Network {
            subnets: self.config.private_subnets.clone(),
            security_groups,
            public_ip: self.config.public_ip && spec.launch == Launch::Fargate,
        });
        let mut first = started;
        while first < spec.copies {
            let count = COPIES_A_CALL.min(spec.copies - first);
            let mut wanted = TaskWanted {
                cluster: cluster.to_owned(),
                definition: definition.clone(),
                count,
                provider: provider.clone(),
                network: network.clone(),
                started_by: spec.id.to_string(),
                tags: self.names.tags(names::TASK, spec.id.as_str(), spec.name.as_str()),
                token: String::new(),
            };
            // The same wish has the same token, so that a lost answer starts nothing twice.
            wanted.token = services::token(&[&format!("{wanted:?} {first}")]);
            let ran = self.aws.task_run(&wanted).await?;
            let new = number(ran.started.len());
            if new > 0 {
                // Some may have found room and others not.
                first += new;
                if let Some(task) = self.state().tasks.get_mut(&spec.id) {
                    task.started_known = Some(Instant::now());
                    for copy in ran.started {
                        // A look may have seen it further on.
                        task.copies.entry(copy.id.clone()).or_insert(copy);
                    }
                }
                let note = [(names::STARTED.to_owned(), first.to_string())];
                self.aws.definition_tag(&definition, &note).await?;
                if let Some(task) = self.state().tasks.get_mut(&spec.id) {
                    task.started = Some(first);
                    task.waiting_for = None;
                }
            }
            match ran.refused {
                Some((reason, detail)) => {
                    self.task_no_room(&spec.id, &reason, detail.as_deref());
                    break;
                }
                // Asked once more with a token of which some were started before, ECS shows these alone.
                None if new == 0 => break,
                None => {}
            }
        }
        self.task_look(&spec.id, cluster).await
    }

    /// The ARN of a task's definition. `None` when it can't be made; the reason is with the task then.
    async fn task_register(&self, spec: &TaskSpec, cluster: &str) -> Result<Option<String>, AwsError> {
        let family = self.names.task_family(&spec.id);
        if let Some((arn, _)) = self.aws.definition_find(&family).await? {
            return Ok(Some(arn));
        }
        let registration = Registration {
            config: &self.config,
            family,
            launch: spec.launch,
            behind: None,
            log_group: cluster,
            log_prefix: Names::streams(spec.id.as_str()).trim_end_matches('/').to_owned(),
            tags: self.names.tags(names::TASK, spec.id.as_str(), spec.name.as_str()),
        };
        match definition::body(&spec.definition, &registration) {
            Ok(body) => Ok(Some(self.aws.definition_register(&body).await?)),
            Err(failure) => {
                self.task_failed(&spec.id, *failure);
                Ok(None)
            }
        }
    }

    async fn task_halt(&self, id: &TaskId, cluster: &str) -> Result<(), AwsError> {
        let running: Vec<String> = match self.state().tasks.get(id) {
            Some(task) => task.copies.values().filter(|copy| copy.wanted).map(|copy| copy.id.clone()).collect(),
            None => return Ok(()),
        };
        for copy in &running {
            self.aws.task_stop(cluster, copy, "stopped by its user").await?;
        }
        if !running.is_empty() {
            self.task_look(id, cluster).await?;
        }
        let stopped = Failure::new(FailureClass::Stopped, "stopped by its user");
        if let Some(task) = self.state().tasks.get_mut(id) {
            task.failure.get_or_insert(stopped);
        }
        Ok(())
    }

    fn task_failed(&self, id: &TaskId, failure: Failure) {
        if let Some(task) = self.state().tasks.get_mut(id) {
            task.failure.get_or_insert(failure);
        }
    }

    fn task_waits(&self, id: &TaskId, what: Option<&str>) {
        if let Some(task) = self.state().tasks.get_mut(id) {
            task.waiting_for = what.map(str::to_owned);
        }
    }

    fn task_no_room(&self, id: &TaskId, reason: &str, detail: Option<&str>) {
        if let Some(task) = self.state().tasks.get_mut(id) {
            task.no_room += 1;
            task.waiting_for = Some(format!("ECS to have room ({reason})"));
            if task.no_room >= PLACEMENTS {
                task.failure.get_or_insert(stop_reason::not_placed(reason, detail));
            }
        }
    }

    /// Notes what the ends of copies mean for the task.
    fn task_judge(&self, spec: &TaskSpec) {
        let mut state = self.state();
        let Some(task) = state.tasks.get_mut(&spec.id) else { return };
        let broken = task.copies.values().find(|copy| copy.is_stopped() && (!has_run(copy) || was_taken(copy)));
        let failure = match broken {
            Some(copy) => Some(cause::end(copy, Some(&spec.definition))),
            None if task.copies.len() < task.started.unwrap_or(0) as usize
                && task.copies.values().all(EcsTask::is_stopped)
                && !task.shows_late() =>
            {
                Some(Failure::new(
                    FailureClass::Other,
                    "it was started and has ended since, while nobody watched; ECS keeps no trace of that for longer than an hour",
                ))
            }
            None => None,
        };
        if let Some(failure) = failure {
            task.failure.get_or_insert(failure);
        }
    }

    /// Takes a task away, or goes on with that.
    pub(super) async fn task_remove(&self, id: &TaskId) -> Result<Removed, EngineError> {
        let _turn = self.turn(&EntityRef::Task(id.clone())).await;
        self.state().tasks.entry(id.clone()).or_default().removing = true;
        let removed = self.task_remove_step(id).await?;
        if removed == Removed::Gone {
            self.state().tasks.remove(id);
            self.turn_forget(&EntityRef::Task(id.clone()));
        }
        self.changed();
        Ok(removed)
    }

    async fn task_remove_step(&self, id: &TaskId) -> Result<Removed, AwsError> {
        let (told, known, shows_late) = {
            let state = self.state();
            let task = state.tasks.get(id);
            let told = task.and_then(|it| it.spec.as_ref()).map(|spec| spec.environment.clone());
            let live = task.into_iter().flat_map(|it| it.copies.values()).filter(|copy| !copy.is_stopped());
            let known: Vec<String> = live.map(|copy| copy.id.clone()).collect();
            (told, known, task.is_some_and(TaskState::is_young))
        };
        let clusters = match told {
            Some(environment) => vec![self.names.environment(&environment)],
            None => self.clusters().await?,
        };
        for cluster in clusters {
            let mut ids = self.aws.tasks_list(&cluster, TaskFilter::StartedBy(id.as_str()), true).await?;
            ids.extend(known.iter().filter(|copy| !ids.contains(copy)).cloned().collect::<Vec<_>>());
            for copy in &ids {
                self.aws.task_stop(&cluster, copy, "taken away by its user").await?;
            }
            ids.extend(self.aws.tasks_list(&cluster, TaskFilter::StartedBy(id.as_str()), false).await?);
            ids.sort();
            ids.dedup();
            let seen = self.aws.tasks_describe(&cluster, &ids).await?;
            // One that ECS does not show yet can't be stopped yet.
            let unseen = known.iter().filter(|copy| shows_late && seen.iter().all(|it| it.id != **copy)).count();
            let left = seen.iter().filter(|copy| !copy.is_stopped()).count() + unseen;
            if left > 0 {
                let word = if left == 1 { "copy" } else { "copies" };
                return Ok(Removed::Going { waiting_for: format!("{left} {word} to stop") });
            }
            if !self.streams_delete(&cluster, id.as_str()).await? {
                return Ok(Removed::Going { waiting_for: "its logs to be taken away".to_owned() });
            }
        }
        self.aws.definition_family_delete(&self.names.task_family(id)).await?;
        Ok(Removed::Gone)
    }
}

fn number(copies: usize) -> u32 {
    u32::try_from(copies).unwrap_or(u32::MAX)
}

/// Whether what a copy ran on was taken from it, so that its exit code says nothing about its work.
fn was_taken(copy: &EcsTask) -> bool {
    matches!(copy.stop_code.as_str(), "SpotInterruption" | "TerminationNotice" | "InfrastructureHealth")
}

/// Whether any container of a copy came to run: only then has it an exit code of its own.
fn has_run(copy: &EcsTask) -> bool {
    copy.started.is_some() || copy.containers.iter().any(|it| it.exit_code.is_some())
}

/// A task in the words of the port.
pub(super) fn seen(id: &TaskId, task: &TaskState) -> TaskSeen {
    let mut copies: Vec<&EcsTask> = task.copies.values().collect();
    copies.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
    let late = task.shows_late().then(|| "ECS to show its copies".to_owned());
    TaskSeen {
        id: id.clone(),
        generation: task.spec.as_ref().map(|spec| spec.generation),
        copies: copies.into_iter().filter_map(copy_seen).collect(),
        failure: task.failure.clone(),
        waiting_for: task.waiting_for.clone().or(late),
        warnings: Vec::new(),
    }
}

/// One copy in the words of the port.
pub(super) fn copy_seen(copy: &EcsTask) -> Option<CopySeen> {
    let state = match copy.status.as_str() {
        "STOPPED" => CopyState::Stopped,
        "RUNNING" if copy.wanted => CopyState::Starting,
        "RUNNING" | "DEACTIVATING" | "STOPPING" | "DEPROVISIONING" => CopyState::Draining,
        _ => CopyState::Pending,
    };
    Some(CopySeen {
        id: CopyId::parse(&copy.id).ok()?,
        deployment: None,
        state,
        started: copy.started,
        containers: services::containers(copy),
    })
}

/// A task that we were not told of, by one of its copies.
pub(super) fn stray(id: &TaskId, copy: &EcsTask) -> TaskSeen {
    TaskSeen { copies: copy_seen(copy).into_iter().collect(), ..no_copies(id) }
}

/// A task that we were not told of, without copies: something else of it is left.
pub(super) fn no_copies(id: &TaskId) -> TaskSeen {
    TaskSeen {
        id: id.clone(),
        generation: None,
        copies: Vec::new(),
        failure: None,
        waiting_for: None,
        warnings: Vec::new(),
    }
}
