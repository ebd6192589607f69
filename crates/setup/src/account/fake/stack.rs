//! A stack of the fake: what it is, and the work that it is in the middle of.

use std::collections::{BTreeMap, VecDeque};

use super::template::Blueprint;
use super::world::World;
use crate::account::{ChangeSet, Event, PlanWanted, Stack};

/// A stack, deleted ones too.
#[derive(Debug, Default)]
pub(super) struct FakeStack {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) status: String,
    pub(super) reason: String,
    pub(super) outputs: BTreeMap<String, String>,
    pub(super) made: Made,
    pub(super) events: Vec<Event>,
    pub(super) plans: Vec<FakePlan>,
    pub(super) work: Option<Work>,
}

/// What a stack was made of.
#[derive(Debug, Clone, Default)]
pub(super) struct Made {
    pub(super) template: String,
    pub(super) blueprint: Blueprint,
    pub(super) tags: BTreeMap<String, String>,
    /// What each part is called in the account.
    pub(super) physical: BTreeMap<String, String>,
}

/// A change set.
#[derive(Debug)]
pub(super) struct FakePlan {
    pub(super) wanted: PlanWanted,
    pub(super) blueprint: Blueprint,
    pub(super) set: ChangeSet,
    /// Whether there is nothing in it.
    pub(super) is_empty: bool,
    /// Whether it was carried out.
    pub(super) is_begun: bool,
}

/// What a stack is in the middle of.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) phase: Phase,
    pub(super) steps: VecDeque<Step>,
    pub(super) done: Vec<Step>,
    pub(super) failed: Vec<String>,
    /// What it was made of before.
    pub(super) before: Made,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Create,
    Rollback,
    Update,
    Cleanup,
    UpdateRollback,
    RollbackCleanup,
    Delete,
}

/// What happens to one part.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) logical: String,
    pub(super) kind: String,
    pub(super) act: Act,
    pub(super) is_begun: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    Create,
    Import,
    Update,
    /// Another one is made; the one before goes when all is done.
    Replace,
    /// It becomes what it was.
    Undo,
    /// The thing of this name goes.
    Delete(String),
    /// The thing of this name leaves the stack and stays.
    Release(String),
}

impl Act {
    /// The beginning of the statuses of events.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Act::Create => "CREATE",
            Act::Import => "IMPORT",
            Act::Update | Act::Replace | Act::Undo => "UPDATE",
            Act::Delete(_) | Act::Release(_) => "DELETE",
        }
    }
}

/// The kind of a stack in its own events.
const STACK: &str = "AWS::CloudFormation::Stack";

impl FakeStack {
    pub(super) fn new(name: &str, tags: BTreeMap<String, String>, world: &mut World) -> Self {
        let number = world.number();
        let id = format!("arn:aws:cloudformation:{}:{}:stack/{name}/{number:08x}", world.region, world.account);
        let made = Made { tags, ..Made::default() };
        Self { id, name: name.to_owned(), made, ..Self::default() }
    }

    /// As callers see it.
    pub(super) fn seen(&self) -> Stack {
        Stack {
            id: self.id.clone(),
            name: self.name.clone(),
            status: self.status.clone(),
            reason: self.reason.clone(),
            outputs: self.outputs.clone(),
            tags: self.made.tags.clone(),
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        self.status == "DELETE_COMPLETE"
    }

    /// Whether there is no more than a review of it.
    pub(super) fn is_review(&self) -> bool {
        self.status == "REVIEW_IN_PROGRESS"
    }

    pub(super) fn is_moving(&self) -> bool {
        self.work.is_some() && self.status.ends_with("_IN_PROGRESS")
    }

    /// Its next status, told by an event.
    pub(super) fn turn(&mut self, world: &mut World, status: &str, reason: &str) {
        self.status = status.to_owned();
        self.reason = reason.to_owned();
        let (logical, physical) = (self.name.clone(), self.id.clone());
        self.tell(world, (logical, physical, STACK), status, reason);
    }

    /// An event of a part.
    pub(super) fn tell(
        &mut self,
        world: &mut World,
        (logical, physical, kind): (String, String, &str),
        status: &str,
        reason: &str,
    ) {
        self.events.push(Event {
            id: format!("{logical}-{status}-{:08x}", world.number()),
            at: world.moment(),
            logical,
            physical,
            kind: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
        });
    }

    /// An event of a step.
    pub(super) fn tell_step(&mut self, world: &mut World, step: &Step, end: &str, reason: &str) {
        let physical = match &step.act {
            Act::Delete(physical) | Act::Release(physical) => physical.clone(),
            _ => self.made.physical.get(&step.logical).cloned().unwrap_or_default(),
        };
        let status = format!("{}_{end}", step.act.word());
        self.tell(world, (step.logical.clone(), physical, &step.kind), &status, reason);
    }
}
