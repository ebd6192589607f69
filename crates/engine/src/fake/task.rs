//! Tasks: each copy started exactly once, whatever the server forgets.

use std::collections::BTreeMap;
use std::sync::Arc;

use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::failure::{Failure, FailureClass};
use layer0_domain::model::id::{EnvironmentId, TaskId};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::engine::{CopyState, EngineError, Removed, TaskRun, TaskSeen, TaskSpec};

use super::behaviour::warnings;
use super::copy::{Copy, Outcome, Step, Use};
use super::world::{Event, Owner, SharedProgram, State};

#[derive(Debug)]
pub(super) struct Task {
    pub(super) environment: EnvironmentId,
    /// What the server told; forgotten when it restarts.
    told: Option<Arc<TaskSpec>>,
    /// By their numbers, which grow in the order of the start.
    pub(super) copies: BTreeMap<u64, Copy>,
    failure: Option<Failure>,
}

impl Task {
    pub(super) fn forget(&mut self) {
        self.told = None;
    }

    /// Whether nothing of it runs any more.
    pub(super) fn has_ended(&self) -> bool {
        self.copies.values().all(|copy| copy.state == CopyState::Stopped)
    }

    /// Stops what runs.
    fn stop(&mut self, now: Timestamp) {
        let mut stopped = 0;
        for copy in self.copies.values_mut().filter(|copy| copy.state != CopyState::Stopped) {
            copy.stop(now, "it was stopped");
            stopped += 1;
        }
        if stopped > 0 {
            let message =
                format!("it was stopped while {stopped} {} ran", if stopped == 1 { "copy" } else { "copies" });
            self.failure.get_or_insert(Failure::new(FailureClass::Stopped, message));
        }
    }
}

impl State {
    pub(super) fn task_ensure(&mut self, spec: TaskSpec) -> Result<(), EngineError> {
        let (now, id) = (self.now, spec.id.clone());
        if let Some(told) = self.tasks.get(&id).and_then(|task| task.told.as_deref()) {
            if told.generation > spec.generation {
                return Err(EngineError::Outdated { entity: EntityRef::Task(id) });
            }
            if *told == spec {
                return Ok(());
            }
        }
        self.environment_required(&spec.environment)?;
        self.version += 1;
        let task = self.tasks.entry(id.clone()).or_insert_with(|| Task {
            environment: spec.environment.clone(),
            told: None,
            copies: BTreeMap::new(),
            failure: None,
        });
        let (run, missing) = (spec.run, (spec.copies as usize).saturating_sub(task.copies.len()));
        let spec = Arc::new(spec);
        task.told = Some(Arc::clone(&spec));
        match run {
            TaskRun::Stop => {
                if missing > 0 {
                    let failure = Failure::new(FailureClass::Stopped, "it was stopped before it was started");
                    task.failure.get_or_insert(failure);
                }
                task.stop(now);
            }
            // A task that failed or was stopped is over: nothing more is started.
            TaskRun::Once if task.failure.is_none() => {
                let program: SharedProgram = Arc::new(self.behaviours.program(&spec.definition));
                for _ in 0..missing {
                    self.task_copy_begin(&spec, &program);
                }
            }
            TaskRun::Once => {}
        }
        Ok(())
    }

    fn task_copy_begin(&mut self, spec: &TaskSpec, program: &SharedProgram) {
        let (number, copy_id) = self.copy_number();
        let Some(task) = self.tasks.get_mut(&spec.id) else { return };
        task.copies.insert(number, Copy::new(copy_id, None, Arc::clone(program), spec.copies > 1));
        let event = Event::Step(Owner::Task(spec.id.clone()), number, Step::Pulled);
        self.timeline.schedule_in(self.now, program.pull_ms(&self.pace), event);
    }

    pub(super) fn task_step(&mut self, id: &TaskId, number: u64, step: Step) {
        let Self { tasks, timeline, pace, now, version, .. } = self;
        let Some(task) = tasks.get_mut(id) else { return };
        let Some(copy) = task.copies.get_mut(&number) else { return };
        let owner = || Owner::Task(id.clone());
        let outcome = copy.step(step, Use::Task, *now, pace, |ms, step| {
            timeline.schedule_in(*now, ms, Event::Step(owner(), number, step));
        });
        // An end with an exit code is what a task is for; only a start that does not come about is a failure.
        if let Outcome::Ended(failure) = outcome
            && copy.started.is_none()
        {
            task.failure.get_or_insert(failure);
        }
        *version += 1;
    }

    pub(super) fn task_remove(&mut self, id: &TaskId) -> Removed {
        if self.tasks.remove(id).is_some() {
            self.version += 1;
        }
        Removed::Gone
    }

    pub(super) fn task_seen(&self, id: &TaskId) -> Option<TaskSeen> {
        let task = self.tasks.get(id)?;
        let pending = task.copies.values().filter(|copy| copy.state == CopyState::Pending).count();
        Some(TaskSeen {
            id: id.clone(),
            generation: task.told.as_ref().map(|spec| spec.generation),
            copies: task.copies.values().map(Copy::seen).collect(),
            failure: task.failure.clone(),
            waiting_for: (pending > 0).then(|| format!("the images of {pending} of {} copies", task.copies.len())),
            warnings: task.told.as_ref().map(|spec| warnings(&spec.definition)).unwrap_or_default(),
        })
    }
}
