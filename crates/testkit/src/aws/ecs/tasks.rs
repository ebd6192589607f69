//! StopTask, ListTasks, DescribeTasks.

use std::ops::Bound;

use serde_json::{Value, json};

use super::super::wire::{AwsError, Input};
use super::super::world::{Id, World, page_start};
use super::{Ids, Task, cluster, describe_task, last_part, life, missing, page, services};

/// A task of a cluster that can be seen.
fn visible<'a>(world: &'a World, cluster: &str, name: &str) -> Option<&'a Task> {
    world.ecs.tasks.get(last_part(name)).filter(|task| task.cluster == cluster && task.visible_ms <= world.now_ms)
}

pub(super) fn stop(world: &mut World, input: &Value) -> Result<Value, AwsError> {
    let cluster = cluster::named(world, input)?;
    let name = input.required("task", "InvalidParameterException")?;
    let found = visible(world, &cluster, name);
    let id = found
        .map(|task| task.id.clone())
        .ok_or_else(|| AwsError::invalid_parameter("The referenced task was not found."))?;
    let reason = input.text("reason").unwrap_or("Task stopped by user");
    if reason.len() > 1024 {
        return Err(AwsError::invalid_parameter("reason must be 1024 characters or less"));
    }
    life::stop(world, &id, "UserInitiated", reason, false);
    Ok(json!({"task": describe_task(world, &world.ecs.tasks[&id], true)}))
}

pub(super) fn list(world: &World, input: &Value) -> Result<Value, AwsError> {
    let cluster_name = cluster::named(world, input)?;
    let status = input.text("desiredStatus").unwrap_or("RUNNING");
    let stopped = match status {
        "RUNNING" | "PENDING" => false,
        "STOPPED" => true,
        other => return Err(AwsError::invalid_parameter(format!("Invalid desiredStatus: {other}"))),
    };
    let cluster = &world.ecs.clusters[&cluster_name];
    let of_service: Option<Ids> = match input.text("serviceName") {
        None => None,
        Some(name) => {
            let arn = services::named(world, &cluster_name, name)
                .ok_or_else(|| AwsError::new("ServiceNotFoundException", "Service not found."))?;
            let service = &world.ecs.services[&arn];
            Some(service.live.union(&service.stopped).cloned().collect())
        }
    };
    let (family, started_by) = (input.text("family"), input.text("startedBy"));
    if input.text("containerInstance").is_some() {
        return Err(AwsError::invalid_parameter("the fake does not list tasks by container instance"));
    }
    let fits = |id: &&Id| {
        let Some(task) = world.ecs.tasks.get(*id) else { return false };
        task.visible_ms <= world.now_ms
            && task.wanted != stopped
            && family.is_none_or(|family| task.definition.family == family)
            && started_by.is_none_or(|by| task.started_by.as_deref() == Some(by))
            && input.text("launchType").is_none_or(|wanted| task.launch.launch_type == wanted)
    };
    // Desired PENDING is never set by ECS, so that list is always empty (API reference, ListTasks).
    let ids = match &of_service {
        _ if status == "PENDING" => &Ids::new(),
        Some(ids) => ids,
        None if stopped => &cluster.stopped,
        None => &cluster.running,
    };
    let arn = |id: &str| json!(world.arn("ecs", &format!("task/{cluster_name}/{id}")));
    // A page begins where the last one ended, without a walk through all before it.
    let start = match page_start(input, "nextToken")? {
        Some(after) => Bound::Excluded(Id::from(after)),
        None => Bound::Unbounded,
    };
    page(ids.range((start, Bound::Unbounded)).filter(fits).map(|id| &**id), input, "taskArns", arn)
}

pub(super) fn describe(world: &World, input: &Value) -> Result<Value, AwsError> {
    let cluster = cluster::named(world, input)?;
    let names = input.texts("tasks");
    if names.is_empty() {
        return Err(AwsError::invalid_parameter("Tasks cannot be empty."));
    }
    if names.len() > 100 {
        return Err(AwsError::invalid_parameter("tasks cannot have more than 100 elements"));
    }
    let with_tags = input.texts("include").contains(&"TAGS");
    let (mut tasks, mut failures) = (Vec::new(), Vec::new());
    for name in names {
        match visible(world, &cluster, name) {
            Some(task) => tasks.push(describe_task(world, task, with_tags)),
            None => failures.push(missing(world.arn("ecs", &format!("task/{cluster}/{}", last_part(name))))),
        }
    }
    Ok(json!({"tasks": tasks, "failures": failures}))
}
