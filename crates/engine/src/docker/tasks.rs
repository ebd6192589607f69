//! Tasks: each copy is started exactly once.
//!
//! A copy's containers stay after their end, so that their logs can be read, until the task is removed. A container that
//! ran is never started again; one that was made and not started (a crash of this process in between) still may be. A
//! start that is under way when the task is stopped or removed is given up; only when nothing more comes of it is the
//! copy told as stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use layer0_domain::model::failure::{Failure, FailureClass};
use layer0_domain::model::id::TaskId;
use layer0_domain::model::task_definition::TaskDefinition;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::engine::{CopySeen, CopyState, TaskRun, TaskSeen, TaskSpec};
use tracing::{debug, warn};

use super::Shared;
use super::client::chain;
use super::containers::copy::{
    KILLED_BY, Stage, apps, containers_seen, culprit, foreign_program, killed, lacks_any, never_executed, stage,
};
use super::containers::end::{copy_remove, copy_stop, last_words, memory_said};
use super::containers::start::copy_start;
use super::containers::warnings::warnings;
use super::containers::{CopySpec, Making, StartError, Starting};
use super::labels::{OwnerKind, copy_id};
use super::world::{Container, Health, Run};

/// How often a copy is tried whose start fails for a reason that may go away.
const TRIES: u32 = 3;

/// Pause before the second try; the third waits twice as long.
const RETRY_MS: i64 = 1_000;

/// A task as this process knows it.
pub(super) struct Task {
    pub(super) id: TaskId,
    /// What is wanted; `None` for a stray that is only here to be removed.
    pub(super) spec: Option<TaskSpec>,
    definition: Arc<TaskDefinition>,
    copies: BTreeMap<u32, Known>,
    pub(super) removing: bool,
    failure: Option<Failure>,
    warnings: Vec<String>,
}

#[derive(Default)]
struct Known {
    /// Whether something is being done with it.
    busy: bool,
    /// The start that is under way; whoever gives it up takes it out.
    starting: Option<Starting>,
    /// Starts that failed.
    tries: u32,
    not_before: Option<Timestamp>,
    progress: Option<String>,
    /// Whether its containers were told to stop.
    told_to_stop: bool,
    /// Whether it was given up.
    failed: bool,
    /// How far the look into its end is.
    inquest: Inquest,
    /// Whether any of its containers was ever started: then it is not started again, whatever becomes of them.
    ran: bool,
}

/// The look into the end of a copy that does not say by itself what it came to.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Inquest {
    /// Not begun: the copy runs, or its end was not seen yet.
    #[default]
    Due,
    /// Docker is asked.
    Open,
    /// What can be known is known.
    Closed,
}

/// Whether the end of a copy has to be looked into before it can be told.
fn is_unclear(containers: &[Arc<Container>]) -> bool {
    never_executed(containers) || apps(containers).any(killed)
}

impl Known {
    /// Asks for the end of the start that is under way; whoever gets it waits for that.
    fn give_up_start(&mut self) -> Option<Starting> {
        let starting = self.starting.take()?;
        starting.give_up();
        self.progress = None;
        Some(starting)
    }
}

impl Task {
    pub(super) fn new(id: TaskId) -> Self {
        Self {
            id,
            spec: None,
            definition: Arc::new(super::services::no_definition()),
            copies: BTreeMap::new(),
            removing: false,
            failure: None,
            warnings: Vec::new(),
        }
    }

    /// Takes a new wish.
    pub(super) fn wish(&mut self, spec: TaskSpec) {
        self.definition = Arc::new(spec.definition.clone());
        self.warnings = warnings(&self.definition);
        self.spec = Some(spec);
    }

    /// Whether nothing is being done with any copy.
    pub(super) fn is_idle(&self) -> bool {
        self.copies.values().all(|known| !known.busy)
    }

    /// Whether nothing more of it is started.
    pub(super) fn is_over(&self) -> bool {
        self.failure.is_some()
    }

    /// The task as the port shows it.
    pub(super) fn seen(&self, shared: &Shared, containers: &BTreeMap<u32, Vec<Arc<Container>>>) -> TaskSeen {
        let none = Vec::new();
        let wanted = self.spec.as_ref().map_or(0, |spec| spec.copies);
        let mut numbers: Vec<u32> = (1..=wanted).chain(containers.keys().copied()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let given_up = self.failure.is_some();
        let runs = self.spec.as_ref().is_some_and(|spec| spec.run == TaskRun::Once);
        let copies = numbers.into_iter().filter_map(|number| {
            let containers = containers.get(&number).unwrap_or(&none);
            let known = self.copies.get(&number);
            let busy = known.is_some_and(|known| known.busy);
            let mut copy = copy_seen(self.id.as_str(), number, containers, given_up && !busy)?;
            if copy.state == CopyState::Stopped && runs && !given_up && is_unclear(containers) {
                match known.map(|known| known.inquest) {
                    Some(Inquest::Closed) => killed_tell(&mut copy, containers),
                    _ => copy.state = CopyState::Draining,
                }
            }
            Some(copy)
        });
        TaskSeen {
            id: self.id.clone(),
            generation: self.spec.as_ref().map(|spec| spec.generation),
            copies: copies.collect(),
            failure: self.failure.clone(),
            waiting_for: self.waiting_for(shared),
            warnings: self.warnings.clone(),
        }
    }

    fn waiting_for(&self, shared: &Shared) -> Option<String> {
        if let Some(why) = shared.client.down() {
            return Some(format!("{} to answer ({why})", shared.client.words()));
        }
        self.copies.values().find_map(|known| known.progress.clone())
    }
}

/// `given_up`: nothing more of it is started, and nothing is being done with it.
fn copy_seen(entity: &str, number: u32, containers: &[Arc<Container>], given_up: bool) -> Option<CopySeen> {
    let any_runs = containers.iter().any(|container| container.run == Run::Running);
    let state = match stage(containers) {
        Stage::Making if given_up && !any_runs => CopyState::Stopped,
        Stage::Making => CopyState::Pending,
        Stage::Running { health: Health::Unhealthy, .. } => CopyState::Unhealthy,
        Stage::Running { health: Health::Starting, .. } => CopyState::Starting,
        Stage::Running { .. } => CopyState::Healthy,
        // What is left of it is being stopped: until then it has addresses and memory, and a server that starts must go on with that.
        Stage::Ended { .. } if any_runs => CopyState::Draining,
        Stage::Ended { .. } => CopyState::Stopped,
    };
    Some(CopySeen {
        id: copy_id(entity, number)?,
        deployment: None,
        state,
        started: containers.iter().filter_map(|container| container.started).min(),
        containers: containers_seen(containers),
    })
}

/// Says of the container that a copy ended with that it was killed, if Docker gives no reason.
fn killed_tell(copy: &mut CopySeen, containers: &[Arc<Container>]) {
    let Some(culprit) = culprit(containers).filter(|culprit| killed(culprit)) else { return };
    let seen = copy.containers.iter_mut().find(|seen| seen.name == culprit.container);
    if let Some(outcome) = seen.and_then(|seen| seen.outcome.as_mut()) {
        outcome.reason.get_or_insert_with(|| format!("killed {KILLED_BY}"));
    }
}

/// A task that nobody told us of, as its containers show it.
pub(super) fn stray_seen(id: TaskId, containers: &BTreeMap<u32, Vec<Arc<Container>>>) -> TaskSeen {
    let copies = containers
        .iter()
        .filter_map(|(number, containers)| copy_seen(id.as_str(), *number, containers, false))
        .collect();
    TaskSeen { id, generation: None, copies, failure: None, waiting_for: None, warnings: Vec::new() }
}

/// One pass over one task; says when the next is due though nothing happens before.
pub(super) fn pass(shared: &Arc<Shared>, task: &mut Task) -> Option<Timestamp> {
    let world = shared.world.copies(OwnerKind::Task, task.id.as_str());
    if task.removing {
        remove_all(shared, task, &world);
        return None;
    }
    let spec = task.spec.clone()?;
    if spec.run == TaskRun::Stop {
        let all_over = (1..=spec.copies).all(|number| {
            world.get(&number).is_some_and(|containers| matches!(stage(containers), Stage::Ended { .. }))
        });
        if !all_over && task.failure.is_none() {
            task.failure = Some(Failure::new(FailureClass::Stopped, "the task was stopped"));
        }
    }
    let now = shared.ticker.now();
    let none = Vec::new();
    let mut wake = None;
    for number in 1..=spec.copies {
        let containers = world.get(&number).unwrap_or(&none);
        let over = matches!(stage(containers), Stage::Ended { .. });
        let any_runs = containers.iter().any(|container| container.run == Run::Running);
        let ended_all = !containers.is_empty() && apps(containers).all(|app| app.run == Run::Ended);
        let known = task.copies.entry(number).or_default();
        known.ran |= apps(containers).any(|app| app.run != Run::Created);
        if known.busy {
            if spec.run == TaskRun::Stop
                && let Some(starting) = known.give_up_start()
            {
                spawn_stop(shared, &task.id, number, Some(starting));
            }
            continue;
        }
        // What is missing would be made anew, and its work be done twice.
        if known.ran && matches!(stage(containers), Stage::Making) && lacks_any(containers) {
            known.failed = true;
            let message = format!("containers of copy {number} were removed by somebody else");
            task.failure.get_or_insert_with(|| Failure::new(FailureClass::Other, message));
        }
        // A copy that can't be started ends itself and the starting of others; those that run go on.
        let stop = spec.run == TaskRun::Stop || known.failed;
        let start = !stop && task.failure.is_none();
        if over && known.inquest == Inquest::Due {
            known.inquest = Inquest::Closed;
            if spec.run == TaskRun::Once && is_unclear(containers) {
                known.inquest = Inquest::Open;
                spawn_inquest(shared, &task.id, number, containers.to_vec());
            }
        }
        // In the same pass: when all that ends has ended already, nothing will happen any more that calls for another.
        if (stop || over || ended_all) && any_runs {
            if !known.told_to_stop || ended_all {
                known.told_to_stop = true;
                known.busy = true;
                spawn_stop(shared, &task.id, number, None);
            }
        } else if start && !over && matches!(stage(containers), Stage::Making) {
            match known.not_before.filter(|at| *at > now) {
                Some(at) => wake = Some(wake.map_or(at, |before: Timestamp| before.min(at))),
                None => {
                    known.busy = true;
                    let copy = CopySpec {
                        kind: OwnerKind::Task,
                        entity: spec.id.to_string(),
                        name: spec.name.clone(),
                        environment: spec.environment.clone(),
                        deployment: None,
                        number,
                        definition: Arc::clone(&task.definition),
                        making: Making::default(),
                    };
                    known.starting = Some(spawn_start(shared, &task.id, copy));
                }
            }
        }
    }
    wake
}

/// Writes down what comes of a start, unless it was given up: then the copy is another's.
fn start_note(shared: &Shared, id: &TaskId, number: u32, note: impl FnOnce(&mut Known, &mut Option<Failure>)) {
    shared.task_note(id, |task| {
        if let Some(known) = task.copies.get_mut(&number)
            && known.starting.is_some()
        {
            note(known, &mut task.failure);
        }
    });
}

fn spawn_start(shared: &Arc<Shared>, id: &TaskId, copy: CopySpec) -> Starting {
    let (inside, id, making) = (Arc::clone(shared), id.clone(), Making::clone(&copy.making));
    let work = shared.spawn(async move {
        let shared = inside;
        let number = copy.number;
        let progress = |text: Option<String>| start_note(&shared, &id, number, |known, _| known.progress = text);
        let result = copy_start(&shared, &copy, &progress).await;
        let ran = shared.world.copy(OwnerKind::Task, id.as_str(), number);
        let ran = apps(&ran).any(|app| app.run != Run::Created);
        let failure = match result {
            Ok(()) => None,
            Err(StartError::Waiting(what)) => {
                start_note(&shared, &id, number, |known, _| {
                    (known.busy, known.starting) = (false, None);
                    known.progress = Some(what);
                    known.not_before = Some(shared.ticker.now().plus_ms(RETRY_MS));
                });
                return;
            }
            Err(StartError::Failed(failure)) => Some(*failure),
        };
        let failure = match failure {
            Some(mut failure) => {
                let containers = shared.world.copy(OwnerKind::Task, id.as_str(), number);
                failure.log_tail = last_words(&shared, &containers, None).await;
                warn!(task.id = %id, "copy {number} of {id} did not start: {}", failure.message);
                Some(failure)
            }
            None => None,
        };
        start_note(&shared, &id, number, |known, task_failure| {
            (known.busy, known.starting) = (false, None);
            known.progress = None;
            // A copy that was started has run, though its containers may be gone again.
            known.ran |= ran || failure.is_none();
            let Some(failure) = failure else { return };
            known.tries += 1;
            // Once a container of the copy ran, starting the copy anew could do its work twice.
            if known.ran || known.tries >= TRIES || !may_go_away(failure.class) {
                known.failed = true;
                task_failure.get_or_insert(failure);
            } else {
                known.not_before = Some(shared.ticker.now().plus_ms(RETRY_MS * i64::from(known.tries)));
            }
        });
    });
    Starting::new(work, making)
}

/// Whether a failed start may succeed without anyone changing anything.
fn may_go_away(class: FailureClass) -> bool {
    match class {
        FailureClass::NoCapacity
        | FailureClass::Throttled
        | FailureClass::Timeout
        | FailureClass::EngineUnavailable
        | FailureClass::PortTaken
        | FailureClass::NoRoute
        | FailureClass::Other => true,
        FailureClass::ImageNotFound
        | FailureClass::PullDenied
        | FailureClass::WrongArchitecture
        | FailureClass::Unhealthy
        | FailureClass::Exited
        | FailureClass::CannotStart
        | FailureClass::Superseded
        | FailureClass::Stopped => false,
    }
}

/// Looks into the end of a copy, which is not told as over until then.
fn spawn_inquest(shared: &Arc<Shared>, id: &TaskId, number: u32, containers: Vec<Arc<Container>>) {
    let (inside, id) = (Arc::clone(shared), id.clone());
    shared.spawn(async move {
        let containers = memory_said(&inside, &containers).await;
        let foreign = if never_executed(&containers) {
            foreign_program(&last_words(&inside, &containers, None).await)
        } else {
            None
        };
        inside.task_note(&id, |task| {
            let Some(known) = task.copies.get_mut(&number) else { return };
            known.inquest = Inquest::Closed;
            if let Some(failure) = foreign {
                known.failed = true;
                task.failure.get_or_insert(failure);
            }
        });
    });
}

/// Stops what runs of a copy, after its start, if one was given up, has ended.
fn spawn_stop(shared: &Arc<Shared>, id: &TaskId, number: u32, starting: Option<Starting>) {
    let (inside, id) = (Arc::clone(shared), id.clone());
    shared.spawn(async move {
        let shared = inside;
        if let Some(starting) = starting {
            starting.over().await;
        }
        let containers = shared.world.copy(OwnerKind::Task, id.as_str(), number);
        let any_runs = containers.iter().any(|container| container.run == Run::Running);
        let result = copy_stop(&shared, &containers).await;
        if let Err(error) = &result {
            debug!(task.id = %id, "copy {number} of {id} does not stop: {}", chain(error));
        }
        shared.task_note(&id, |task| {
            if let Some(known) = task.copies.get_mut(&number) {
                known.busy = false;
                // What was not seen to run may come yet, when Docker was lost in the middle of its start.
                known.told_to_stop = result.is_ok() && any_runs;
            }
        });
    });
}

fn remove_all(shared: &Arc<Shared>, task: &mut Task, world: &BTreeMap<u32, Vec<Arc<Container>>>) {
    // A copy whose start is under way may have no container yet.
    let starting = task.copies.iter().filter(|(_, known)| known.starting.is_some()).map(|(number, _)| *number);
    let numbers: BTreeSet<u32> = starting.chain(world.keys().copied()).collect();
    for number in numbers {
        let known = task.copies.entry(number).or_default();
        let starting = known.give_up_start();
        if known.busy && starting.is_none() {
            continue;
        }
        known.busy = true;
        let (inside, id) = (Arc::clone(shared), task.id.clone());
        shared.spawn(async move {
            let shared = inside;
            if let Some(starting) = starting {
                starting.over().await;
            }
            let containers = shared.world.copy(OwnerKind::Task, id.as_str(), number);
            let stopped = copy_stop(&shared, &containers).await;
            let removed = match stopped {
                Ok(()) => copy_remove(&shared, OwnerKind::Task, id.as_str(), number).await,
                Err(error) => Err(error),
            };
            if let Err(error) = removed {
                debug!(task.id = %id, "copy {number} of {id} can't be taken away: {}", chain(&error));
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
            shared.task_note(&id, |task| {
                if let Some(known) = task.copies.get_mut(&number) {
                    known.busy = false;
                }
            });
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::world::sample;

    #[tokio::test]
    async fn a_copy_is_not_told_as_stopped_while_its_start_is_being_given_up() {
        let engine = crate::docker::without_docker();
        let mut task = Task::new(TaskId::parse("job").expect("an id"));
        task.failure = Some(Failure::new(FailureClass::Stopped, "the task was stopped"));
        let init = Container { essential: false, size: 2, run: Run::Ended, ..sample() };
        let app = Container { size: 2, run: Run::Created, ..sample() };
        let containers = BTreeMap::from([(1, vec![Arc::new(init), Arc::new(app)])]);
        for (busy, state) in [(true, CopyState::Pending), (false, CopyState::Stopped)] {
            task.copies.insert(1, Known { busy, ..Known::default() });
            let seen = task.seen(&engine.shared, &containers);
            assert_eq!(seen.copies.iter().map(|copy| copy.state).collect::<Vec<_>>(), [state]);
        }
    }
}
