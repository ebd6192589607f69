//! RunTask.

use serde_json::{Value, json};

use super::super::wire::{AwsError, Input};
use super::super::world::{Id, World};
use super::life::{self, Spec};
use super::place::{self, Choice};
use super::{Tags, cluster, definition, describe_task, fargate, keep_token, known_token, tags_of};

/// The most tasks of one call.
const COUNT_LIMIT: i64 = 10;

pub(super) fn run(world: &mut World, input: &Value) -> Result<Value, AwsError> {
    let cluster_name = cluster::named(world, input)?;
    let conflict = |made: &[Id]| {
        let text = "The RunTask request could not be processed due to conflicts: the client token was used with other parameters.";
        AwsError::new("ConflictException", text)
            .with_members(json!({"resourceIds": made.iter().map(|id| id.to_string()).collect::<Vec<_>>()}))
    };
    if let Some(made) = known_token(world, "RunTask", &cluster_name, input, conflict)? {
        let tasks: Vec<Value> =
            made.iter().filter_map(|id| world.ecs.tasks.get(id)).map(|task| describe_task(world, task, true)).collect();
        return Ok(json!({"tasks": tasks, "failures": []}));
    }
    let count = input.number("count").unwrap_or(1);
    if !(1..=COUNT_LIMIT).contains(&count) {
        return Err(AwsError::invalid_parameter("count must be between 1 and 10"));
    }
    if input.text("startedBy").is_some_and(|by| by.len() > 128) {
        return Err(AwsError::invalid_parameter("startedBy must be 128 characters or less"));
    }
    let definition = definition::usable(world, input)?;
    let choice = Choice::of(&world.ecs.clusters[&cluster_name], input)?;
    place::check(world, &definition, &choice, input)?;
    let overrides = input.member("overrides").cloned().unwrap_or(Value::Null);
    for entry in overrides.list("containerOverrides") {
        let name = entry.text("name").unwrap_or_default();
        if !definition.containers().iter().any(|container| container.text("name") == Some(name)) {
            return Err(AwsError::invalid_parameter(format!(
                "Override for container named {name} is not a container in the TaskDefinition."
            )));
        }
    }
    if choice.launch_type() == "FARGATE" && !fargate::is_size_with(&definition.document, &overrides) {
        return Err(AwsError::client("No Fargate configuration exists for given values."));
    }
    if choice.launch_type() == "EC2" && world.ecs.clusters[&cluster_name].machines.is_empty() {
        return Err(AwsError::invalid_parameter(place::NO_INSTANCES));
    }
    let mut tags = match input.text("propagateTags") {
        Some("TASK_DEFINITION") => {
            definition::registered(world, &definition.arn).map(|found| found.tags.clone()).unwrap_or_default()
        }
        None | Some("NONE") => Tags::new(),
        Some(other) => return Err(AwsError::invalid_parameter(format!("Invalid propagateTags for a task: {other}"))),
    };
    tags.extend(tags_of(input.list("tags")));
    if input.flag("enableECSManagedTags") {
        tags.insert("aws:ecs:clusterName".to_owned(), cluster_name.clone());
    }
    let (mut made, mut failures) = (Vec::new(), Vec::new());
    for number in 0..count.unsigned_abs() {
        let launch = choice.launch(number);
        let no_room = place::no_room(world, &world.ecs.clusters[&cluster_name], &launch).is_some();
        let of = launch.provider.as_deref().unwrap_or(launch.launch_type);
        if no_room || !room_take(world, of) {
            failures.push(json!({"reason": place::NO_CAPACITY}));
            continue;
        }
        let spec = Spec {
            cluster: cluster_name.clone(),
            definition: definition.clone(),
            service: None,
            group: input.text("group").map_or_else(|| format!("family:{}", definition.family), str::to_owned),
            started_by: input.text("startedBy").map(str::to_owned),
            launch,
            platform_version: input.text("platformVersion").map(str::to_owned),
            network: input.member("networkConfiguration").cloned().unwrap_or(Value::Null),
            overrides: overrides.clone(),
            tags: tags.clone(),
            execute_command: input.flag("enableExecuteCommand"),
        };
        made.push(life::start(world, spec));
    }
    let tasks: Vec<Value> =
        made.iter().filter_map(|id| world.ecs.tasks.get(id)).map(|task| describe_task(world, task, true)).collect();
    // What started nothing may be tried again with the same token.
    if !made.is_empty() {
        keep_token(world, "RunTask", &cluster_name, input, made);
    }
    Ok(json!({"tasks": tasks, "failures": failures}))
}

/// Takes a place of those that are left; answers whether there was one.
fn room_take(world: &mut World, of: &str) -> bool {
    match world.ecs.room.get_mut(of) {
        None => true,
        Some(0) => false,
        Some(left) => {
            *left -= 1;
            true
        }
    }
}
