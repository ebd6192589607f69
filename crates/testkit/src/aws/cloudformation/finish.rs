//! The end of a creation or an update: outputs, cleaning up, and undoing an update that failed.

use serde_json::Value;

use super::super::wire::Input;
use super::super::world::{Due, Id, World};
use super::engine::{event, status, turn_around};
use super::resources::{self, Place};
use super::stack::{Leftover, Output, Phase, Resource, Stack, Wanted, Work};
use super::teardown::deleted;
use super::template::Names;

/// All is made or changed.
pub(super) fn complete(world: &mut World, arn: &Id) {
    let outputs = world.stacks.stacks.get(arn).map(|stack| outputs(world, stack));
    let Some(stack) = world.stacks.stacks.get_mut(arn) else { return };
    let updates = stack.work == Work::Update;
    match outputs.unwrap_or_else(|| Ok(Vec::new())) {
        Ok(outputs) => stack.outputs = outputs,
        Err(reason) => {
            stack.failed.push("Outputs".to_owned());
            stack.reason = Some(reason);
            turn_around(world, arn);
            return;
        }
    }
    if !updates {
        stack.work = Work::None;
        status(world, arn, "CREATE_COMPLETE", None);
        return;
    }
    stack.work = Work::Cleanup;
    for resource in stack.resources.values_mut() {
        resource.before = None;
    }
    stack.before = None;
    let wait_ms = if stack.leftovers.is_empty() { 0 } else { world.config.stack_resource_ms };
    status(world, arn, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", None);
    world.later(wait_ms, Due::Stack(arn.clone()));
}

fn outputs(world: &World, stack: &Stack) -> Result<Vec<Output>, String> {
    let names = Names { world, stack };
    let declared = stack.template.get("Outputs").and_then(Value::as_object);
    let mut outputs = Vec::new();
    for (key, declared) in declared.into_iter().flatten() {
        let text = |value: Option<&Value>| -> Result<Option<String>, String> {
            let Some(value) = value else { return Ok(None) };
            Ok(Some(match names.resolve(value)? {
                Value::String(text) => text,
                other => other.to_string(),
            }))
        };
        let export = text(declared.get("Export").and_then(|export| export.get("Name")))?;
        if let Some(name) = &export {
            let taken =
                world.stacks.stacks.values().any(|other| other.arn != stack.arn && other.exported(name).is_some());
            if taken {
                return Err(format!("Export with name {name} is already exported by another stack"));
            }
        }
        outputs.push(Output {
            key: key.clone(),
            value: text(declared.get("Value"))?.unwrap_or_default(),
            description: declared.text("Description").map(str::to_owned),
            export,
        });
    }
    Ok(outputs)
}

/// Deletes what an update left over: in rounds, since one may need another to be gone.
pub(super) fn cleanup(world: &mut World, arn: &Id) {
    let Some(stack) = world.stacks.stacks.get_mut(arn) else { return };
    let mut left = std::mem::take(&mut stack.leftovers);
    left.retain(|leftover| !leftover.resource.retain);
    delete_all(world, arn, left);
    if let Some(stack) = world.stacks.stacks.get_mut(arn) {
        stack.work = Work::None;
    }
    status(world, arn, "UPDATE_COMPLETE", None);
}

/// Deletes things in rounds; what still fails when a round brings nothing is told of and left. `false` when something was.
fn delete_all(world: &mut World, arn: &Id, mut left: Vec<Leftover>) -> bool {
    loop {
        let before = left.len();
        let mut failed = Vec::new();
        for leftover in left {
            let result = deleted(world, &leftover.resource);
            let (kind, physical) =
                (leftover.resource.kind.clone(), leftover.resource.physical.clone().unwrap_or_default());
            match result {
                Ok(()) => event(world, arn, &leftover.logical.clone(), kind, physical, "DELETE_COMPLETE", None, None),
                Err(reason) => failed.push((leftover, reason)),
            }
        }
        if failed.is_empty() {
            return true;
        }
        if failed.len() == before {
            for (leftover, reason) in failed {
                let (kind, physical) = (leftover.resource.kind.clone(), leftover.resource.physical.unwrap_or_default());
                event(world, arn, &leftover.logical, kind, physical, "DELETE_FAILED", Some(reason), None);
            }
            return false;
        }
        left = failed.into_iter().map(|(leftover, _)| leftover).collect();
    }
}

/// Changes back what a failed update changed.
pub(super) fn undo(world: &mut World, arn: &Id) {
    let Some(stack) = world.stacks.stacks.get_mut(arn) else { return };
    let resources = std::mem::take(&mut stack.resources);
    let leftovers = std::mem::take(&mut stack.leftovers);
    if let Some(Wanted { template, parameters, tags }) = stack.before.take() {
        stack.template = template;
        stack.parameters = parameters;
        stack.tags = tags;
    }
    let mut whole = true;
    let mut gone = Vec::new();
    for (logical, mut resource) in resources {
        let place = match world.stacks.stacks.get(arn) {
            Some(stack) => Place::new(stack, &logical),
            None => return,
        };
        let kept = match resource.before.take() {
            // Untouched.
            None => resource,
            // New.
            Some(None) => {
                if resource.physical.is_some() {
                    gone.push(Leftover { logical, resource, replaced: false });
                }
                continue;
            }
            Some(Some(before)) => {
                if resource.physical == before.physical {
                    let physical = before.physical.clone().unwrap_or_default();
                    let result = resources::update(
                        world,
                        &place,
                        &before.kind,
                        &physical,
                        &resource.properties,
                        &before.properties,
                    );
                    whole &= result.is_ok();
                } else {
                    gone.push(Leftover { logical: logical.clone(), resource, replaced: true });
                }
                *before
            }
        };
        if let Some(stack) = world.stacks.stacks.get_mut(arn) {
            stack.resources.insert(logical, Resource { phase: Phase::Done, ..kept });
        }
    }
    if let Some(stack) = world.stacks.stacks.get_mut(arn) {
        for leftover in leftovers.into_iter().filter(|leftover| !leftover.replaced) {
            stack.resources.insert(leftover.logical, Resource { phase: Phase::Done, ..leftover.resource });
        }
        stack.failed.clear();
        stack.work = Work::None;
    }
    status(world, arn, "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", None);
    delete_all(world, arn, gone);
    status(world, arn, if whole { "UPDATE_ROLLBACK_COMPLETE" } else { "UPDATE_ROLLBACK_FAILED" }, None);
}
