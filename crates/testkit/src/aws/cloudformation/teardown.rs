//! How what a stack made is deleted: in the reverse order of its dependencies.

use serde_json::Value;

use super::super::fault::ResourceVerb;
use super::super::world::{Due, Id, World};
use super::engine::{look, resource_status, status};
use super::resources;
use super::stack::{Phase, Resource, Stack, Work};
use super::template::Names;

/// Deletes what nothing needs any more.
pub(super) fn backward(world: &mut World, arn: &Id) {
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
pub(super) fn delete_done(world: &mut World, arn: &Id, logical: &str, resource: &Resource) {
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

pub(super) fn deleted(world: &mut World, resource: &Resource) -> Result<(), String> {
    if let Some(reason) = world.faults.hit_resource(&resource.kind, ResourceVerb::Delete) {
        return Err(reason);
    }
    resources::delete(world, &resource.kind, resource.physical.as_deref().unwrap_or_default(), &resource.properties)
}
