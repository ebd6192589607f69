//! A service's events, in ECS's words (developer guide, "service event messages").

use super::super::world::{Id, World};

/// Adds an event.
pub(super) fn tell(world: &mut World, arn: &Id, text: &str) {
    let (id, now_ms) = (world.uuid(), world.now_ms);
    if let Some(service) = world.ecs.services.get_mut(arn) {
        service.event(now_ms, id, text);
    }
}

/// Tasks were started, so many of them in the place of sick ones.
pub(super) fn started(world: &mut World, arn: &Id, tasks: &[Id], sick: usize) {
    let replaced = match sick.min(tasks.len()) {
        0 => String::new(),
        count => format!(" Amazon ECS replaced {count} tasks due to an unhealthy status."),
    };
    for tasks in tasks.chunks(10) {
        tell(world, arn, &format!("has started {} tasks: {}.{replaced}", tasks.len(), named(tasks)));
    }
}

pub(super) fn stopped(world: &mut World, arn: &Id, tasks: &[Id]) {
    for tasks in tasks.chunks(10) {
        tell(world, arn, &format!("has stopped {} running tasks: {}.", tasks.len(), named(tasks)));
    }
}

fn named(tasks: &[Id]) -> String {
    let named: Vec<String> = tasks.iter().map(|id| format!("(task {id})")).collect();
    named.join(" ")
}

/// Nothing can be started. Told once for each reason.
pub(super) fn stuck(world: &mut World, arn: &Id, reason: &str) {
    let known = world.ecs.services.get(arn).is_some_and(|service| service.stuck.as_deref() == Some(reason));
    if known {
        return;
    }
    let text = format!(
        "was unable to place a task {reason} For more information, see the Troubleshooting section of the Amazon ECS Developer \
         Guide."
    );
    tell(world, arn, &text.replace("task Reason", "task. Reason"));
    if let Some(service) = world.ecs.services.get_mut(arn) {
        service.stuck = Some(reason.to_owned());
    }
}

/// Tells of the targets that were registered and deregistered since.
pub(super) fn targets(world: &mut World, arn: &Id) {
    let Some(service) = world.ecs.services.get_mut(arn) else { return };
    let registered = std::mem::take(&mut service.registered);
    let deregistered = std::mem::take(&mut service.deregistered);
    let drained: u64 = deregistered.values().sum();
    for (group, count) in registered {
        tell(world, arn, &format!("registered {count} targets in (target-group {group})"));
    }
    for (group, count) in deregistered {
        tell(world, arn, &format!("deregistered {count} targets in (target-group {group})"));
    }
    if drained > 0 {
        tell(world, arn, &format!("has begun draining connections on {drained} tasks."));
    }
}
