//! The world that containers live in: it outlives the server that knows of them, and time passes in it in steps.
//!
//! Nothing runs in the background. Whoever looks first lets all that is due happen, moment by moment and in order, so that
//! the same calls at the same times always lead to the same world, at a real clock as at a fixed one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::environment::Environment;
use layer0_domain::model::id::{CopyId, EnvironmentId, ServiceId, TaskId};
use layer0_domain::model::time::{Generation, Timestamp};
use layer0_domain::port::engine::{EnvironmentSeen, Removed};
use layer0_domain::port::pull::PullEvidence;
use layer0_domain::port::trail::{TrailGap, TrailRecord};

use super::behaviour::{Behaviours, Pace};
use super::copy::Step;
use super::fault::Faults;
use super::load_balancer::LoadBalancers;
use super::service::Service;
use super::task::Task;

/// Whose event it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owner {
    Service(ServiceId),
    Task(TaskId),
}

/// Something that will happen.
#[derive(Debug)]
pub(super) enum Event {
    /// A copy, by its number, takes a step.
    Step(Owner, u64, Step),
    /// A service's pause is over.
    Tend(ServiceId),
}

/// What will happen, by when; what is due at the same moment, in the order in which it was scheduled.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    events: BTreeMap<(Timestamp, u64), Event>,
    count: u64,
}

impl Timeline {
    pub(super) fn schedule(&mut self, due: Timestamp, event: Event) {
        self.count += 1;
        self.events.insert((due, self.count), event);
    }

    pub(super) fn schedule_in(&mut self, now: Timestamp, ms: u64, event: Event) {
        self.schedule(now.plus_ms(i64::try_from(ms).unwrap_or(i64::MAX)), event);
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.events.first_key_value().map(|((due, _), _)| *due)
    }

    fn pop_due(&mut self, now: Timestamp) -> Option<Event> {
        self.next_due().filter(|due| *due <= now)?;
        self.events.pop_first().map(|(_, event)| event)
    }
}

/// An environment in the world.
#[derive(Debug)]
pub(super) struct EnvironmentHere {
    linked: Vec<EnvironmentId>,
    /// What the server told; forgotten when the server restarts.
    told: Option<Generation>,
}

#[derive(Debug)]
pub(super) struct State {
    /// The moment up to which everything has happened.
    pub(super) now: Timestamp,
    /// How far the world is ahead of the clock.
    pub(super) ahead_ms: i64,
    pub(super) timeline: Timeline,
    /// Services that have to be looked after in this moment.
    pub(super) dirty: BTreeSet<ServiceId>,
    pub(super) environments: BTreeMap<EnvironmentId, EnvironmentHere>,
    pub(super) load_balancers: LoadBalancers,
    pub(super) services: BTreeMap<ServiceId, Service>,
    pub(super) tasks: BTreeMap<TaskId, Task>,
    pub(super) behaviours: Behaviours,
    /// What is found out about images, by `host/path` or `host/path:tag`.
    pub(super) evidence: BTreeMap<String, PullEvidence>,
    /// What the platform wrote down, and about what of ours.
    pub(super) trail: Vec<(Option<EntityRef>, TrailRecord)>,
    /// What is said to be missing of it.
    pub(super) trail_gap: Option<TrailGap>,
    pub(super) pace: Pace,
    pub(super) faults: Faults,
    /// What can't be taken away, and why.
    pub(super) hindered: BTreeMap<EntityRef, String>,
    pub(super) available: bool,
    /// Grows with each change that `observe` would show.
    pub(super) version: u64,
    /// The handle that the server of now has; older ones are cut off.
    pub(super) view: u64,
    copies_made: u64,
}

impl State {
    pub(super) fn new(now: Timestamp, pace: Pace) -> Self {
        Self {
            now,
            ahead_ms: 0,
            timeline: Timeline::default(),
            dirty: BTreeSet::new(),
            environments: BTreeMap::new(),
            load_balancers: LoadBalancers::default(),
            services: BTreeMap::new(),
            tasks: BTreeMap::new(),
            behaviours: Behaviours::default(),
            evidence: BTreeMap::new(),
            trail: Vec::new(),
            trail_gap: None,
            pace,
            faults: Faults::default(),
            hindered: BTreeMap::new(),
            available: true,
            version: 0,
            view: 0,
            copies_made: 0,
        }
    }

    /// Lets all happen that is due until `clock`, which may lag behind: time never goes back.
    pub(super) fn settle(&mut self, clock: Timestamp) {
        self.run_until(self.now.max(clock.plus_ms(self.ahead_ms)));
    }

    /// Lets all happen that is due until a moment that is not before now.
    pub(super) fn run_until(&mut self, until: Timestamp) {
        loop {
            while let Some(id) = self.dirty.pop_first() {
                self.service_tend(&id);
            }
            match self.timeline.next_due().filter(|due| *due <= until) {
                Some(due) => self.now = self.now.max(due),
                None => break,
            }
            // All of one moment first: a service with many copies is looked after once, not once for each.
            while let Some(event) = self.timeline.pop_due(self.now) {
                match event {
                    Event::Step(Owner::Service(id), number, step) => self.service_step(&id, number, step),
                    Event::Step(Owner::Task(id), number, step) => self.task_step(&id, number, step),
                    Event::Tend(id) => {
                        self.dirty.insert(id);
                    }
                }
            }
        }
        self.now = until;
    }

    /// Milliseconds until something happens by itself; `None` when nothing will.
    pub(super) fn next_event_ms(&self) -> Option<u64> {
        self.timeline.next_due().map(|due| due.ms_since(self.now))
    }

    /// A number for a new copy, and the id made of it: never used twice in this world.
    pub(super) fn copy_number(&mut self) -> (u64, CopyId) {
        self.copies_made += 1;
        let id =
            CopyId::parse(&format!("fake-{}", self.copies_made)).expect("letters, a hyphen and a number are an id");
        (self.copies_made, id)
    }

    /// The server is gone and with it all that it told; what runs goes on. Listeners were part of the server.
    pub(super) fn forget(&mut self) {
        self.view += 1;
        self.version += 1;
        self.load_balancers = LoadBalancers::default();
        for environment in self.environments.values_mut() {
            environment.told = None;
        }
        self.services.retain(|_, service| service.forget());
        for task in self.tasks.values_mut() {
            task.forget();
        }
    }

    pub(super) fn environment_ensure(&mut self, wanted: &Environment, mut linked: Vec<EnvironmentId>) -> Stale {
        linked.sort();
        linked.dedup();
        let known = self.environments.get(&wanted.id);
        if known.and_then(|here| here.told).is_some_and(|told| told > wanted.generation) {
            return Stale::Yes;
        }
        if known.is_none_or(|here| here.linked != linked) {
            self.version += 1;
        }
        self.environments.insert(wanted.id.clone(), EnvironmentHere { linked, told: Some(wanted.generation) });
        Stale::No
    }

    /// Nothing may be left in an environment when it goes.
    pub(super) fn environment_remove(&mut self, id: &EnvironmentId) -> Removed {
        let services = self.services.iter().filter(|(_, service)| service.environment == *id);
        let tasks = self.tasks.iter().filter(|(_, task)| task.environment == *id);
        let holders = services
            .map(|(id, _)| format!("service `{id}`"))
            .chain(tasks.map(|(id, _)| format!("task `{id}`")))
            .chain(self.load_balancers.in_environment(id).map(|id| format!("load balancer `{id}`")))
            .collect::<Vec<_>>();
        if let Some(first) = holders.first() {
            let waiting_for = match holders.len() {
                1 => format!("{first} to be removed"),
                more => format!("{first} and {} more to be removed", more - 1),
            };
            return Removed::Going { waiting_for };
        }
        if self.environments.remove(id).is_some() {
            self.version += 1;
        }
        Removed::Gone
    }

    pub(super) fn environment_seen(&self, id: &EnvironmentId) -> Option<EnvironmentSeen> {
        self.environments.get(id).map(|here| EnvironmentSeen {
            id: id.clone(),
            engine_id: format!("fake-network-{id}"),
            reachable_from: here.linked.clone(),
            waiting_for: None,
            problem: None,
        })
    }
}

/// Whether a wish is older than the one in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stale {
    Yes,
    No,
}

/// The program of a definition, shared by the copies that are begun together.
pub(super) type SharedProgram = Arc<super::behaviour::Program>;
