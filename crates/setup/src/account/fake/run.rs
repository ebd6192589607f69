//! How the work of a stack goes on, one event after the other, as CloudFormation tells them ("Stack status codes"; "Continue
//! rolling back an update").

use std::collections::VecDeque;

use serde_json::Value;

use super::fault::Doing;
use super::stack::{Act, FakeStack, Made, Phase, Step, Work};
use super::template::{Keep, resolved};
use super::world::{InStack, Thing, World, name_of};
use crate::account::{Change, ChangeAction, Replacement};

const CLUSTER: &str = "AWS::ECS::Cluster";

/// Begins to make or change a stack into `new`, which has the physical names of what is there.
pub(super) fn begin(stack: &mut FakeStack, world: &mut World, new: Made, changes: &[Change]) {
    let is_new = stack.is_review();
    let before = std::mem::replace(&mut stack.made, new);
    let find = |logical: &String| changes.iter().find(|change| change.logical == *logical);
    let mut steps = VecDeque::new();
    for logical in stack.made.blueprint.order() {
        let Some(change) = find(&logical) else { continue };
        let act = match (change.action, change.replacement) {
            (ChangeAction::Add, _) => Act::Create,
            (ChangeAction::Import, _) => Act::Import,
            (ChangeAction::Modify, Replacement::Never) => Act::Update,
            (ChangeAction::Modify, _) => Act::Replace,
            (ChangeAction::Remove | ChangeAction::Dynamic, _) => continue,
        };
        steps.push_back(Step { logical, kind: change.kind.clone(), act, is_begun: false });
    }
    let (phase, status) =
        if is_new { (Phase::Create, "CREATE_IN_PROGRESS") } else { (Phase::Update, "UPDATE_IN_PROGRESS") };
    stack.turn(world, status, "User Initiated");
    stack.work = Some(Work { phase, steps, done: Vec::new(), failed: Vec::new(), before });
}

/// Begins to delete a stack.
pub(super) fn delete(stack: &mut FakeStack, world: &mut World, keep: &[String]) {
    let mut steps = parting(&stack.made, false);
    release(&mut steps, |logical| keep.iter().any(|kept| kept == logical));
    stack.turn(world, "DELETE_IN_PROGRESS", "User Initiated");
    let before = Made::default();
    stack.work = Some(Work { phase: Phase::Delete, steps: steps.into(), done: Vec::new(), failed: Vec::new(), before });
}

/// Goes on with a rollback that failed.
pub(super) fn go_on(stack: &mut FakeStack, world: &mut World, skip: &[String]) {
    let Some(mut work) = stack.work.take() else { return };
    work.failed.clear();
    work.steps.retain(|step| !skip.contains(&step.logical));
    stack.turn(world, "UPDATE_ROLLBACK_IN_PROGRESS", "User Initiated");
    stack.work = Some(work);
}

/// The steps by which all parts leave, those first that nothing needs.
fn parting(made: &Made, is_rollback: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    for logical in made.blueprint.order().into_iter().rev() {
        let (Some(part), Some(physical)) = (made.blueprint.parts.get(&logical), made.physical.get(&logical)) else {
            continue;
        };
        let stays = part.keep == Keep::Always || (part.keep == Keep::ExceptOnCreate && !is_rollback);
        let act = if stays { Act::Release(physical.clone()) } else { Act::Delete(physical.clone()) };
        steps.push(Step { logical, kind: part.kind.clone(), act, is_begun: false });
    }
    steps
}

/// Lets some of the parts that would go stay.
fn release(steps: &mut [Step], stays: impl Fn(&str) -> bool) {
    for step in steps.iter_mut().filter(|step| stays(&step.logical)) {
        if let Act::Delete(physical) = &step.act {
            step.act = Act::Release(physical.clone());
        }
    }
}

fn is_imported(done: &[Step], logical: &str) -> bool {
    done.iter().any(|step| step.logical == logical && step.act == Act::Import)
}

/// One thing more happens.
pub(super) fn tick(stack: &mut FakeStack, world: &mut World) {
    if !stack.is_moving() {
        return;
    }
    let Some(mut work) = stack.work.take() else { return };
    let Some(mut step) = work.steps.pop_front() else {
        end(stack, world, work);
        return;
    };
    if let Act::Release(physical) = &step.act {
        if let Some(thing) = world.by_physical(&step.kind, physical) {
            thing.owner = None;
        }
        stack.tell_step(world, &step, "SKIPPED", "");
        stack.made.physical.remove(&step.logical);
        work.done.push(step);
        stack.work = Some(work);
        return;
    }
    if !step.is_begun {
        stack.tell_step(world, &step, "IN_PROGRESS", "");
        step.is_begun = true;
        beside(stack, world, &mut work, &step);
        work.steps.push_front(step);
        stack.work = Some(work);
        return;
    }
    match carry_out(stack, world, &work, &step) {
        Ok(()) => {
            stack.tell_step(world, &step, "COMPLETE", "");
            if let Act::Delete(physical) = &step.act {
                stack.made.physical.retain(|_, name| name != physical);
            }
            work.done.push(step);
            stack.work = Some(work);
        }
        Err(reason) => {
            stack.tell_step(world, &step, "FAILED", &reason);
            fail(stack, world, work, step);
        }
    }
}

/// The next part begins too, when it does not need the one that just began.
fn beside(stack: &mut FakeStack, world: &mut World, work: &mut Work, first: &Step) {
    let Some(next) = work.steps.front_mut().filter(|_| matches!(work.phase, Phase::Create | Phase::Update)) else {
        return;
    };
    let needs = stack.made.blueprint.parts.get(&next.logical).map(|part| &part.needs);
    if !next.is_begun && needs.is_some_and(|needs| !needs.contains(&first.logical)) {
        next.is_begun = true;
        let next = next.clone();
        stack.tell_step(world, &next, "IN_PROGRESS", "");
    }
}

/// Properties of a part with all names filled in.
fn properties(stack: &FakeStack, world: &World, made: &Made, logical: &str) -> Value {
    let names =
        InStack { world, stack: (&stack.name, &stack.id), blueprint: &made.blueprint, physical: &made.physical };
    let raw = made.blueprint.parts.get(logical).map(|part| part.properties.clone()).unwrap_or_default();
    Value::Object(raw.iter().map(|(name, value)| (name.clone(), resolved(value, &names))).collect())
}

fn carry_out(stack: &mut FakeStack, world: &mut World, work: &Work, step: &Step) -> Result<(), String> {
    let is_undoing = matches!(work.phase, Phase::Rollback | Phase::UpdateRollback | Phase::RollbackCleanup);
    let doing = match &step.act {
        _ if is_undoing => Doing::Undo,
        Act::Create | Act::Replace => Doing::Create,
        Act::Delete(_) => Doing::Delete,
        _ => Doing::Update,
    };
    if let Some(reason) = world.faults.of_part(doing, &step.logical) {
        return Err(reason);
    }
    let logical = &step.logical;
    match &step.act {
        Act::Create | Act::Replace => {
            let properties = properties(stack, world, &stack.made, logical);
            let physical = world.make(&step.kind, properties, &stack.made.tags, Some(&stack.id))?;
            stack.made.physical.insert(logical.clone(), physical);
        }
        Act::Import => {
            let properties = properties(stack, world, &stack.made, logical);
            let name = name_of(&step.kind, &properties);
            let left = world.things.iter_mut().find(|thing| thing.kind == step.kind && thing.name == name);
            let thing =
                left.filter(|thing| thing.owner.is_none()).ok_or_else(|| format!("{name} can't be imported"))?;
            thing.owner = Some(stack.id.clone());
            thing.properties = properties;
            thing.tags.clone_from(&stack.made.tags);
            stack.made.physical.insert(logical.clone(), thing.physical.clone());
        }
        Act::Update => {
            let properties = properties(stack, world, &stack.made, logical);
            let physical = stack.made.physical.get(logical).cloned().unwrap_or_default();
            let thing = world.by_physical(&step.kind, &physical).ok_or_else(|| format!("{physical} does not exist"))?;
            thing.properties = properties;
            thing.tags.clone_from(&stack.made.tags);
        }
        Act::Undo => {
            let was = properties(stack, world, &work.before, logical);
            let physical = work.before.physical.get(logical).cloned().unwrap_or_default();
            if let Some(thing) = world.by_physical(&step.kind, &physical) {
                thing.properties = was;
                thing.tags.clone_from(&work.before.tags);
            }
        }
        Act::Delete(physical) => {
            let found = world.by_physical(&step.kind, physical);
            if found.is_some_and(|thing| thing.properties["DeletionProtectionEnabled"] == true) {
                return Err("Resource cannot be deleted as it is currently protected against deletion.".to_owned());
            }
            let is_in_use = |thing: &Thing| thing.drains.is_some() && thing.properties["Cluster"] == **physical;
            if step.kind == CLUSTER && world.things.iter().any(is_in_use) {
                return Err("The Cluster cannot be deleted while Tasks are active.".to_owned());
            }
            // A service that somebody deleted before is none any more for the stack, however long it still drains.
            let is_it = |thing: &Thing| thing.kind == step.kind && thing.physical == *physical;
            world.things.retain(|thing| !is_it(thing) || thing.drains.is_some());
        }
        Act::Release(_) => {}
    }
    Ok(())
}

/// What a failed step does to the whole.
fn fail(stack: &mut FakeStack, world: &mut World, mut work: Work, step: Step) {
    work.failed.push(step.logical.clone());
    let named = format!("[{}]", step.logical);
    match work.phase {
        Phase::Create => {
            cancel(stack, world, &work);
            let reason = format!("The following resource(s) failed to create: {named}. Rollback requested by user.");
            stack.turn(world, "ROLLBACK_IN_PROGRESS", &reason);
            let mut steps = parting(&stack.made, true);
            release(&mut steps, |logical| is_imported(&work.done, logical));
            let phase = Phase::Rollback;
            stack.work =
                Some(Work { phase, steps: steps.into(), done: Vec::new(), failed: Vec::new(), before: work.before });
        }
        Phase::Update => {
            cancel(stack, world, &work);
            let word = if step.act == Act::Update { "update" } else { "create" };
            let reason = format!("The following resource(s) failed to {word}: {named}. ");
            stack.turn(world, "UPDATE_ROLLBACK_IN_PROGRESS", &reason);
            work.done.push(step);
            let undone = work.done.iter().rev().filter(|step| matches!(step.act, Act::Update | Act::Replace));
            let steps = undone.map(|step| Step { act: Act::Undo, is_begun: false, ..step.clone() }).collect();
            stack.work = Some(Work { phase: Phase::UpdateRollback, steps, ..work });
        }
        Phase::UpdateRollback => {
            let reason = format!("The following resource(s) failed to update: {named}. ");
            stack.turn(world, "UPDATE_ROLLBACK_FAILED", &reason);
            work.steps.push_front(Step { is_begun: false, ..step });
            stack.work = Some(work);
        }
        Phase::Cleanup | Phase::RollbackCleanup => {
            // It is left behind: the stack is done without it.
            if let Act::Delete(physical) = &step.act
                && let Some(thing) = world.by_physical(&step.kind, physical)
            {
                thing.owner = None;
            }
            stack.work = Some(work);
        }
        Phase::Rollback | Phase::Delete => stack.work = Some(work),
    }
}

/// What was begun beside the step that failed comes to nothing.
fn cancel(stack: &mut FakeStack, world: &mut World, work: &Work) {
    for step in work.steps.iter().filter(|step| step.is_begun) {
        stack.tell_step(world, step, "FAILED", "Resource creation cancelled");
    }
}

/// All steps of a phase are done.
fn end(stack: &mut FakeStack, world: &mut World, work: Work) {
    let failed = format!("The following resource(s) failed to delete: [{}]. ", work.failed.join(", "));
    let before = work.before;
    let next = |phase, steps: Vec<Step>, before| Work {
        phase,
        steps: steps.into(),
        done: Vec::new(),
        failed: Vec::new(),
        before,
    };
    match work.phase {
        Phase::Create => {
            answer(stack, world);
            stack.turn(world, "CREATE_COMPLETE", "");
        }
        Phase::Rollback if work.failed.is_empty() => stack.turn(world, "ROLLBACK_COMPLETE", ""),
        Phase::Rollback => stack.turn(world, "ROLLBACK_FAILED", &failed),
        Phase::Update => {
            answer(stack, world);
            let gone = |step: &Step| stack.made.physical.get(&step.logical) != before.physical.get(&step.logical);
            let removed = |step: &Step| !stack.made.blueprint.parts.contains_key(&step.logical);
            let steps = parting(&before, false).into_iter().filter(|step| removed(step) || gone(step)).collect();
            stack.turn(world, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "");
            stack.work = Some(next(Phase::Cleanup, steps, before));
        }
        Phase::Cleanup => {
            let parts = &stack.made.blueprint.parts;
            stack.made.physical.retain(|logical, _| parts.contains_key(logical));
            stack.turn(world, "UPDATE_COMPLETE", "");
        }
        Phase::UpdateRollback => {
            let made = std::mem::replace(&mut stack.made, before);
            let is_new = |step: &Step| stack.made.physical.get(&step.logical) != made.physical.get(&step.logical);
            let mut steps: Vec<Step> = parting(&made, true).into_iter().filter(is_new).collect();
            release(&mut steps, |logical| is_imported(&work.done, logical));
            stack.turn(world, "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "");
            stack.work = Some(next(Phase::RollbackCleanup, steps, Made::default()));
        }
        Phase::RollbackCleanup => stack.turn(world, "UPDATE_ROLLBACK_COMPLETE", ""),
        Phase::Delete if work.failed.is_empty() => stack.turn(world, "DELETE_COMPLETE", ""),
        Phase::Delete => stack.turn(world, "DELETE_FAILED", &failed),
    }
}

/// Fills in the outputs.
fn answer(stack: &mut FakeStack, world: &World) {
    let made = &stack.made;
    let names =
        InStack { world, stack: (&stack.name, &stack.id), blueprint: &made.blueprint, physical: &made.physical };
    let text = |value: &Value| match resolved(value, &names) {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let outputs = made.blueprint.outputs.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    stack.outputs = outputs;
}
