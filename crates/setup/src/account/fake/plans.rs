//! Change sets, and how a stack is found.

use super::change::changes;
use super::stack::{FakePlan, FakeStack, Made};
use super::template::read;
use super::world::World;
use super::{State, run};
use crate::account::{AccountError, ChangeSet, ChangeSetState, PlanWanted, Trouble, fits};

/// The statuses in which a stack can be changed.
const CHANGEABLE: [&str; 5] =
    ["CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE", "IMPORT_ROLLBACK_COMPLETE"];

pub(super) fn refused<T>(action: &str, trouble: Trouble, words: impl Into<String>) -> Result<T, AccountError> {
    Err(AccountError { action: action.to_owned(), trouble, words: words.into() })
}

impl State {
    /// A living stack by its name, or any by its id.
    pub(super) fn find(&mut self, name: &str) -> Option<(&mut FakeStack, &mut World)> {
        let stack =
            self.stacks.iter_mut().find(|stack| stack.id == name || (stack.name == name && !stack.is_gone()))?;
        Some((stack, &mut self.world))
    }

    pub(super) fn existing(&mut self, action: &str, name: &str) -> Result<(&mut FakeStack, &mut World), AccountError> {
        match self.find(name) {
            Some(found) => Ok(found),
            None => refused(action, Trouble::Refused, format!("ValidationError: Stack [{name}] does not exist")),
        }
    }

    pub(super) fn plan(&mut self, action: &'static str, wanted: &PlanWanted) -> Result<(), AccountError> {
        fits(action, &wanted.template)?;
        let blueprint = match read(&wanted.template) {
            Ok(blueprint) => blueprint,
            Err(words) => return refused(action, Trouble::Refused, format!("ValidationError: {words}")),
        };
        let is_there = self.find(&wanted.stack).is_some_and(|(stack, _)| !stack.is_review());
        if wanted.exists && !is_there {
            return refused(
                action,
                Trouble::Refused,
                format!("ValidationError: Stack [{}] does not exist", wanted.stack),
            );
        }
        if self.find(&wanted.stack).is_none() {
            let mut stack = FakeStack::new(&wanted.stack, wanted.tags.clone(), &mut self.world);
            stack.turn(&mut self.world, "REVIEW_IN_PROGRESS", "User Initiated");
            self.stacks.push(stack);
        }
        let (stack, world) = self.existing(action, &wanted.stack)?;
        if stack.plans.iter().any(|plan| plan.wanted.name == wanted.name) {
            return Ok(());
        }
        if is_there && !wanted.exists {
            let words = format!("ValidationError: Stack [{}] already exists and cannot be created again", wanted.stack);
            return refused(action, Trouble::Refused, words);
        }
        if !stack.is_review() && !CHANGEABLE.contains(&stack.status.as_str()) {
            let trouble = if stack.is_moving() { Trouble::Busy } else { Trouble::Refused };
            let words =
                format!("ValidationError: Stack:{} is in {} state and can not be updated.", stack.id, stack.status);
            return refused(action, trouble, words);
        }
        let found = changes(&stack.made.blueprint, &blueprint, &stack.made.physical, &|part| world.is_left(part));
        let set = ChangeSet { state: ChangeSetState::Pending, changes: found };
        let is_same = stack.made.tags == wanted.tags && stack.made.blueprint.outputs == blueprint.outputs;
        let is_empty = set.changes.is_empty() && is_same;
        stack.plans.push(FakePlan { wanted: wanted.clone(), blueprint, set, is_empty, is_begun: false });
        Ok(())
    }

    pub(super) fn execute(&mut self, action: &'static str, name: &str, plan: &str) -> Result<(), AccountError> {
        let (stack, world) = self.existing(action, name)?;
        let Some(at) = stack.plans.iter().position(|it| it.wanted.name == plan) else {
            return refused(action, Trouble::Refused, format!("ChangeSetNotFound: ChangeSet [{plan}] does not exist"));
        };
        if stack.plans[at].is_begun {
            return Ok(());
        }
        if stack.plans[at].set.state != ChangeSetState::Ready {
            let words = format!("InvalidChangeSetStatus: ChangeSet [{plan}] cannot be executed in its current status");
            return refused(action, Trouble::Refused, words);
        }
        for (other, it) in stack.plans.iter_mut().enumerate() {
            it.set.state = ChangeSetState::Obsolete;
            it.is_begun |= other == at;
        }
        let (wanted, blueprint) = (stack.plans[at].wanted.clone(), stack.plans[at].blueprint.clone());
        let changes = stack.plans[at].set.changes.clone();
        let physical = stack.made.physical.clone();
        let new = Made { template: wanted.template, blueprint, tags: wanted.tags, physical };
        run::begin(stack, world, new, &changes);
        Ok(())
    }
}

impl FakePlan {
    /// It has been worked out. Answers whether that is new.
    pub(super) fn settle(&mut self) -> bool {
        if self.set.state != ChangeSetState::Pending {
            return false;
        }
        self.set.state = if self.is_empty { ChangeSetState::Empty } else { ChangeSetState::Ready };
        true
    }

    pub(super) fn seen(&self) -> ChangeSet {
        match self.set.state {
            ChangeSetState::Pending => ChangeSet { state: ChangeSetState::Pending, changes: Vec::new() },
            _ => self.set.clone(),
        }
    }
}
