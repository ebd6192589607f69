//! How a stack is worked through.
//!
//! A look starts everything that waits for nothing any more; each started resource takes `stack_resource_ms` and then really
//! happens, all at once. What fails stops what is under way, and turns the work around.

use serde_json::Value;

use super::super::fault::ResourceVerb;
use super::super::wire::Input;
use super::super::world::{Due, Id, World};
use super::resources::{self, Change, Place};
use super::stack::{Event, Leftover, OnFailure, Phase, Resource, Work};
use super::template::Names;
use super::{finish, teardown};

/// Sets a stack's status and tells of it.
pub(super) fn status(world: &mut World, arn: &Id, status: &'static str, reason: Option<&str>) {
    let (id, now_ms) = (world.uuid(), world.now_ms);
    let Some(stack) = world.stacks.stacks.get_mut(arn) else { return };
    stack.status = status;
    stack.reason = reason.map(str::to_owned);
    stack.events.push(Event {
        id,
        at_ms: now_ms,
        logical: stack.name.clone(),
        physical: arn.to_string(),
        kind: "AWS::CloudFormation::Stack".to_owned(),
        status,
        reason: reason.map(str::to_owned),
        properties: None,
        token: stack.token.clone(),
    });
}

/// Sets a resource's status and tells of it.
pub(super) fn resource_status(
    world: &mut World,
    arn: &Id,
    logical: &str,
    status: &'static str,
    reason: Option<String>,
) {
    let now_ms = world.now_ms;
    let Some(stack) = world.stacks.stacks.get_mut(arn) else { return };
    let Some(resource) = stack.resources.get_mut(logical) else { return };
    resource.status = status;
    resource.reason.clone_from(&reason);
    resource.updated_ms = now_ms;
    let (kind, physical) = (resource.kind.clone(), resource.physical.clone().unwrap_or_default());
    let properties = Some(resource.properties.to_string());
    event(world, arn, logical, kind, physical, status, reason, properties);
}

#[expect(clippy::too_many_arguments, reason = "an event has as many parts")]
pub(super) fn event(
    world: &mut World,
    arn: &Id,
    logical: &str,
    kind: String,
    physical: String,
    status: &'static str,
    reason: Option<String>,
    properties: Option<String>,
) {
    let id = format!("{logical}-{status}-{}", world.uuid());
    let at_ms = world.now_ms;
    let Some(stack) = world.stacks.stacks.get_mut(arn) else { return };
    let token = stack.token.clone();
    stack.events.push(Event {
        id,
        at_ms,
        logical: logical.to_owned(),
        physical,
        kind,
        status,
        reason,
        properties,
        token,
    });
}

/// Looks what a stack can do next.
pub(crate) fn look(world: &mut World, arn: &Id) {
    let Some(stack) = world.stacks.stacks.get(arn) else { return };
    match stack.work {
        Work::None => {}
        Work::Create | Work::Update => forward(world, arn),
        Work::Rollback | Work::Delete => teardown::backward(world, arn),
        Work::UpdateRollback => finish::undo(world, arn),
        Work::Cleanup => finish::cleanup(world, arn),
    }
}

/// Makes and changes what waits for nothing any more.
fn forward(world: &mut World, arn: &Id) {
    loop {
        let Some(stack) = world.stacks.stacks.get(arn) else { return };
        if !stack.failed.is_empty() {
            turn_around(world, arn);
            return;
        }
        let ready = |resource: &Resource| {
            let done = |name: &String| stack.resources.get(name).is_none_or(|on| on.phase == Phase::Done);
            resource.phase == Phase::Waiting && resource.depends.iter().all(done)
        };
        let names = Names { world, stack };
        let ready: Vec<(String, Result<Value, String>)> = stack
            .resources
            .iter()
            .filter(|(_, resource)| ready(resource))
            .map(|(logical, _)| {
                let declared = super::template::resources_of(&stack.template).get(logical);
                let properties = declared.and_then(|declared| declared.member("Properties"));
                (logical.clone(), properties.map_or_else(|| Ok(serde_json::json!({})), |value| names.resolve(value)))
            })
            .collect();
        if ready.is_empty() {
            break;
        }
        let mut unchanged = false;
        for (logical, properties) in ready {
            unchanged |= begin(world, arn, &logical, properties);
        }
        // Only what is done at once can let others begin now.
        if !unchanged {
            break;
        }
    }
    let Some(stack) = world.stacks.stacks.get(arn) else { return };
    if !stack.failed.is_empty() {
        turn_around(world, arn);
    } else if stack.resources.values().all(|resource| resource.phase == Phase::Done) {
        finish::complete(world, arn);
    }
}

/// Begins with a resource; `true` when there is nothing to do with it.
fn begin(world: &mut World, arn: &Id, logical: &str, properties: Result<Value, String>) -> bool {
    let Some(stack) = world.stacks.stacks.get_mut(arn) else { return false };
    let updates = stack.work == Work::Update;
    let Some(resource) = stack.resources.get_mut(logical) else { return false };
    let is_new = resource.physical.is_none();
    let properties = match properties {
        Ok(properties) => properties,
        Err(reason) => {
            resource.phase = Phase::Done;
            stack.failed.push(logical.to_owned());
            let status = if is_new { "CREATE_FAILED" } else { "UPDATE_FAILED" };
            resource_status(world, arn, logical, status, Some(reason));
            return false;
        }
    };
    if !is_new && resource.properties == properties {
        resource.phase = Phase::Done;
        return true;
    }
    if updates {
        resource.before = Some((!is_new).then(|| Box::new(resource.clone())));
    }
    resource.properties = properties;
    resource.phase = Phase::Working;
    let status = if is_new { "CREATE_IN_PROGRESS" } else { "UPDATE_IN_PROGRESS" };
    resource_status(world, arn, logical, status, None);
    world.later(world.config.stack_resource_ms, Due::Resource(arn.clone(), logical.to_owned()));
    false
}

/// The time that a resource takes is over: now it happens.
pub(crate) fn resource_done(world: &mut World, arn: &Id, logical: &str) {
    let Some(stack) = world.stacks.stacks.get(arn) else { return };
    let Some(resource) = stack.resources.get(logical).filter(|resource| resource.phase == Phase::Working) else {
        return;
    };
    let resource = resource.clone();
    let place = Place::new(stack, logical);
    let outcome = match resource.status {
        "DELETE_IN_PROGRESS" => {
            teardown::delete_done(world, arn, logical, &resource);
            return;
        }
        "UPDATE_IN_PROGRESS" => changed(world, arn, &place, &resource),
        _ => made(world, &place, &resource),
    };
    let Some(stack) = world.stacks.stacks.get_mut(arn) else { return };
    let deletes = stack.work == Work::Delete;
    let Some(known) = stack.resources.get_mut(logical) else { return };
    let (status, reason) = match outcome {
        Ok((physical, attributes)) => {
            known.physical = Some(physical);
            known.attributes = attributes;
            known.phase = if deletes { Phase::Waiting } else { Phase::Done };
            (if resource.status == "UPDATE_IN_PROGRESS" { "UPDATE_COMPLETE" } else { "CREATE_COMPLETE" }, None)
        }
        Err(reason) => {
            known.phase = Phase::Done;
            if !deletes {
                stack.failed.push(logical.to_owned());
            }
            (if resource.status == "UPDATE_IN_PROGRESS" { "UPDATE_FAILED" } else { "CREATE_FAILED" }, Some(reason))
        }
    };
    resource_status(world, arn, logical, status, reason);
    look(world, arn);
}

fn made(world: &mut World, place: &Place, resource: &Resource) -> Result<(String, Value), String> {
    if let Some(reason) = world.faults.hit_resource(&resource.kind, ResourceVerb::Create) {
        return Err(reason);
    }
    resources::create(world, place, &resource.kind, &resource.properties)
}

fn changed(world: &mut World, arn: &Id, place: &Place, resource: &Resource) -> Result<(String, Value), String> {
    if let Some(reason) = world.faults.hit_resource(&resource.kind, ResourceVerb::Update) {
        return Err(reason);
    }
    let before = resource.before.clone().flatten().ok_or_else(|| "the resource was not there before".to_owned())?;
    let physical = before.physical.clone().unwrap_or_default();
    match resources::update(world, place, &resource.kind, &physical, &before.properties, &resource.properties)? {
        Change::InPlace(attributes) => Ok((physical, attributes.unwrap_or(before.attributes))),
        Change::Replace => {
            let new = resources::create(world, place, &resource.kind, &resource.properties)?;
            if let Some(stack) = world.stacks.stacks.get_mut(arn) {
                let logical = place.logical.clone();
                stack.leftovers.push(Leftover { logical, resource: *before, replaced: true });
            }
            Ok(new)
        }
    }
}

/// Something failed: what is under way is cancelled, and the work goes the other way.
pub(super) fn turn_around(world: &mut World, arn: &Id) {
    let Some(stack) = world.stacks.stacks.get_mut(arn) else { return };
    let failed = stack.failed.join(", ");
    let updates = stack.work == Work::Update;
    let mut cancelled = Vec::new();
    for (logical, resource) in &mut stack.resources {
        if resource.phase == Phase::Working {
            resource.phase = Phase::Done;
            cancelled.push((logical.clone(), resource.status == "UPDATE_IN_PROGRESS"));
        }
    }
    for (logical, was_update) in cancelled {
        let status = if was_update { "UPDATE_FAILED" } else { "CREATE_FAILED" };
        let what = if was_update { "Resource update cancelled" } else { "Resource creation cancelled" };
        resource_status(world, arn, &logical, status, Some(what.to_owned()));
    }
    let Some(stack) = world.stacks.stacks.get_mut(arn) else { return };
    if updates {
        stack.work = Work::UpdateRollback;
        let reason = format!("The following resource(s) failed to update: [{failed}]. ");
        status(world, arn, "UPDATE_ROLLBACK_IN_PROGRESS", Some(&reason));
        world.later(world.config.stack_resource_ms, Due::Stack(arn.clone()));
        return;
    }
    let reason = format!("The following resource(s) failed to create: [{failed}]. ");
    let on_failure = stack.on_failure;
    if on_failure == OnFailure::Nothing {
        stack.work = Work::None;
        status(world, arn, "CREATE_FAILED", Some(&reason));
        return;
    }
    stack.failed.clear();
    for resource in stack.resources.values_mut() {
        resource.phase = if resource.physical.is_some() { Phase::Waiting } else { Phase::Done };
    }
    stack.work = if on_failure == OnFailure::Delete { Work::Delete } else { Work::Rollback };
    if on_failure == OnFailure::Delete {
        status(world, arn, "DELETE_IN_PROGRESS", Some(&format!("{reason}Delete requested by user.")));
    } else {
        status(world, arn, "ROLLBACK_IN_PROGRESS", Some(&format!("{reason}Rollback requested by user.")));
    }
    teardown::backward(world, arn);
}
