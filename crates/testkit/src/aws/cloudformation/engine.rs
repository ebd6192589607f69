//! How a stack is worked through.
//!
//! A look starts everything that waits for nothing any more; each started resource takes `stack_resource_ms` and then really
//! happens, all at once. What fails stops what is under way, and turns the work around.

use serde_json::Value;

use super::super::fault::ResourceVerb;
use super::super::wire::Input;
use super::super::world::{Due, Id, World};
use super::resources::{self, Change, Place};
use super::stack::{Event, Leftover, OnFailure, Output, Phase, Resource, Stack, Work};
use super::template::Names;

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
fn resource_status(world: &mut World, arn: &Id, logical: &str, status: &'static str, reason: Option<String>) {
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
fn event(
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
        Work::Rollback | Work::Delete => backward(world, arn),
        Work::UpdateRollback => undo(world, arn),
        Work::Cleanup => cleanup(world, arn),
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
        finish(world, arn);
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
            delete_done(world, arn, logical, &resource);
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
fn turn_around(world: &mut World, arn: &Id) {
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
    backward(world, arn);
}

/// Deletes what nothing needs any more.
fn backward(world: &mut World, arn: &Id) {
    if let Some((name, importer)) = export_in_use(world, arn) {
        if let Some(stack) = world.stacks.stacks.get_mut(arn) {
            stack.work = Work::None;
        }
        let reason = format!("Export {name} cannot be deleted as it is in use by {importer}");
        status(world, arn, "DELETE_FAILED", Some(&reason));
        return;
    }
    loop {
        let Some(stack) = world.stacks.stacks.get_mut(arn) else { return };
        let needed = |stack: &Stack, name: &str| {
            let needs = |other: &Resource| other.phase != Phase::Done && other.depends.contains(name);
            stack.resources.values().any(needs)
        };
        // What something needs that could not be deleted is left, too.
        let stuck = |stack: &Stack, name: &str| {
            let needs = |other: &Resource| {
                other.phase == Phase::Done && other.status == "DELETE_FAILED" && other.depends.contains(name)
            };
            stack.resources.values().any(needs)
        };
        let ready: Vec<(String, bool, bool)> = stack
            .resources
            .iter()
            .filter(|(name, resource)| resource.phase == Phase::Waiting && !needed(stack, name))
            .map(|(name, resource)| (name.clone(), resource.retain, stuck(stack, name)))
            .collect();
        if ready.is_empty() {
            break;
        }
        let mut skipped = false;
        for (name, retain, stuck) in ready {
            let Some(resource) = world.stacks.stacks.get_mut(arn).and_then(|stack| stack.resources.get_mut(&name))
            else {
                continue;
            };
            if stuck || retain {
                resource.phase = Phase::Done;
                skipped = true;
            } else {
                resource.phase = Phase::Working;
            }
            if retain {
                resource_status(world, arn, &name, "DELETE_SKIPPED", None);
            } else if !stuck {
                resource_status(world, arn, &name, "DELETE_IN_PROGRESS", None);
                world.later(world.config.stack_resource_ms, Due::Resource(arn.clone(), name));
            }
        }
        if !skipped {
            break;
        }
    }
    let Some(stack) = world.stacks.stacks.get_mut(arn) else { return };
    if stack.resources.values().any(|resource| resource.phase != Phase::Done) {
        return;
    }
    let rolls_back = stack.work == Work::Rollback;
    stack.work = Work::None;
    let name = stack.name.clone();
    if !stack.failed.is_empty() {
        let reason = format!("The following resource(s) failed to delete: [{}]. ", stack.failed.join(", "));
        status(world, arn, if rolls_back { "ROLLBACK_FAILED" } else { "DELETE_FAILED" }, Some(&reason));
    } else if rolls_back {
        status(world, arn, "ROLLBACK_COMPLETE", None);
    } else {
        stack.deleted_ms = Some(world.now_ms);
        stack.outputs.clear();
        world.stacks.names.remove(&name);
        status(world, arn, "DELETE_COMPLETE", None);
    }
}

/// An export of a stack that another one imports.
fn export_in_use(world: &World, arn: &Id) -> Option<(String, String)> {
    let stack = world.stacks.stacks.get(arn)?;
    let exports: Vec<&str> = stack.outputs.iter().filter_map(|output| output.export.as_deref()).collect();
    if exports.is_empty() {
        return None;
    }
    let others = world.stacks.stacks.values().filter(|other| other.arn != *arn && other.status != "DELETE_COMPLETE");
    others.filter(|other| other.template.to_string().contains("Fn::ImportValue")).find_map(|other| {
        let names = Names { world, stack: other };
        let mut imported = Vec::new();
        imports(&other.template, &names, &mut imported);
        let name = imported.into_iter().find(|name| exports.contains(&name.as_str()))?;
        Some((name, other.name.clone()))
    })
}

fn imports(value: &Value, names: &Names<'_>, found: &mut Vec<String>) {
    match value {
        Value::Array(list) => list.iter().for_each(|value| imports(value, names, found)),
        Value::Object(members) => {
            for (key, value) in members {
                if key == "Fn::ImportValue"
                    && let Ok(Value::String(name)) = names.resolve(value)
                {
                    found.push(name);
                }
                imports(value, names, found);
            }
        }
        _ => {}
    }
}

/// The time that a deletion takes is over.
fn delete_done(world: &mut World, arn: &Id, logical: &str, resource: &Resource) {
    let result = deleted(world, resource);
    let Some(stack) = world.stacks.stacks.get_mut(arn) else { return };
    let Some(known) = stack.resources.get_mut(logical) else { return };
    known.phase = Phase::Done;
    match result {
        Ok(()) => {
            resource_status(world, arn, logical, "DELETE_COMPLETE", None);
            let known = world.stacks.stacks.get_mut(arn).and_then(|stack| stack.resources.get_mut(logical));
            if let Some(known) = known {
                known.physical = None;
            }
        }
        Err(reason) => {
            stack.failed.push(logical.to_owned());
            resource_status(world, arn, logical, "DELETE_FAILED", Some(reason));
        }
    }
    look(world, arn);
}

fn deleted(world: &mut World, resource: &Resource) -> Result<(), String> {
    if let Some(reason) = world.faults.hit_resource(&resource.kind, ResourceVerb::Delete) {
        return Err(reason);
    }
    resources::delete(world, &resource.kind, resource.physical.as_deref().unwrap_or_default(), &resource.properties)
}

/// All is made or changed.
fn finish(world: &mut World, arn: &Id) {
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
fn cleanup(world: &mut World, arn: &Id) {
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
fn undo(world: &mut World, arn: &Id) {
    let Some(stack) = world.stacks.stacks.get_mut(arn) else { return };
    let resources = std::mem::take(&mut stack.resources);
    let leftovers = std::mem::take(&mut stack.leftovers);
    if let Some((template, parameters, tags)) = stack.before.take() {
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
